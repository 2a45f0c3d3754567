//! Registries, by the OCI distribution-spec 1.1, through `oci-client`. The
//! crate speaks the wire protocol and the token dance; what it leaves to its
//! user is here: retries, resumption, bounds, and texts that help.
//!
//! A blob is fetched into the cache (or the spool), is continued by a range
//! request after a broken connection, and is hashed as a whole, resumed parts
//! included. Tries that brought nothing are repeated after 0.5, 1, 2 and 4
//! seconds, always the same. This is the only place with an async runtime.
//!
//! Left out: mirrors. `oci-client` passes on no Retry-After, and reads a
//! manifest to its end before its length can be looked at.

mod failure;
mod push;

use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::StreamExt as _;
use oci_client::{
    Client, RegistryOperation,
    client::{BlobResponse, Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};
use tokio::runtime::{Builder, Runtime};

use self::failure::{Failure, Place};
pub use self::push::push;
use super::{
    Options,
    auth::{self, Credentials},
    cache::{Cache, Partial, Slot},
    certs,
    digest::{Digest, Hasher},
    manifest::{ACCEPT, Descriptor, SMALL_BLOB_MAX},
    reference::Name,
    spool::Spool,
    store::{Found, Span, Store, Watch, check_digest},
};
use crate::progress::Progress;

const USER_AGENT: &str = concat!("diskwright/", env!("CARGO_PKG_VERSION"));
/// Blobs fetched at a time.
const DOWNLOADS: usize = 6;
/// Tries that bring nothing before it is an error.
const TRIES: u32 = 5;
/// The same for the first request, so that a wrong host name is soon known.
const FIRST_TRIES: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// How often a sleeper looks whether it is still wanted.
const NAP: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that brings nothing for so long is broken.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// One repository of a registry.
pub(crate) struct Registry {
    runtime: Runtime,
    client: Client,
    image: oci_client::Reference,
    auth: RegistryAuth,
    place: Place,
    digest: Option<Digest>,
    cache: Cache,
}

impl Registry {
    /// Finds credentials and certificates, and says hello.
    pub(crate) fn connect(
        name: &Name,
        options: &Options,
        spool: &Spool,
        progress: &dyn Progress,
    ) -> Result<Self> {
        Self::open(name, options, spool, progress, RegistryOperation::Pull)
    }

    fn open(
        name: &Name,
        options: &Options,
        spool: &Spool,
        progress: &dyn Progress,
        operation: RegistryOperation,
    ) -> Result<Self> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let search = auth::find(name, options.auth_file.as_deref())?;
        let auth = match &search.credentials {
            Credentials::Anonymous => RegistryAuth::Anonymous,
            Credentials::Basic { user, password } => RegistryAuth::Basic(user.clone(), password.clone()),
        };
        let image = image(name);
        let certs = certs::find(&name.registry, options.cert_dir.as_deref(), progress)?;
        let cache = Cache::new(&options.cache, spool, progress)?;
        let place = Place::new(name, search);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let hello = Hello { image: &image, auth: &auth, place: &place, operation };
        let client = hello.login(&runtime, options.tls_verify, &certs)?;
        Ok(Self { runtime, client, image, auth, place, digest: name.digest.clone(), cache })
    }

    fn pull_manifest(&self, image: &oci_client::Reference) -> Result<Vec<u8>> {
        let pull = async || self.client.pull_manifest_raw(image, &self.auth, &ACCEPT).await;
        let (bytes, _) = self.runtime.block_on(retry(&self.place, TRIES, pull))?;
        let len = bytes.len() as u64;
        ensure!(len <= SMALL_BLOB_MAX, "{len} bytes are past the limit of {SMALL_BLOB_MAX} for a manifest");
        Ok(bytes.to_vec())
    }

    /// Fetches the rest of a blob, with as many requests as it takes.
    async fn fetch(&self, blob: &Descriptor, file: &File, watch: &Watch<'_>) -> Result<()> {
        let mut sink = Sink::continuing(file, blob, &self.cache, watch)?;
        let (mut barren, mut damaged) = (0, false);
        loop {
            let before = sink.len;
            let outcome = if sink.len < blob.size { self.attempt(blob, &mut sink).await } else { Ok(()) };
            let failure = match outcome {
                Ok(()) if sink.len < blob.size => Failure::retry(sink.cut_short()),
                Ok(()) => match check(&sink.digest(), &blob.digest) {
                    Ok(()) => return Ok(()),
                    Err(error) if damaged => return Err(error),
                    Err(error) => {
                        damaged = true;
                        sink.restart()?;
                        Failure::retry(error)
                    }
                },
                Err(failure) => failure,
            };
            barren = if sink.len > before { 0 } else { barren + 1 };
            pause(failure, barren, TRIES, watch).await?;
        }
    }

    /// One request, from where the sink ends.
    async fn attempt(&self, blob: &Descriptor, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let digest = blob.digest.to_string();
        let response =
            self.client.pull_blob_stream_partial(&self.image, digest.as_str(), sink.len, None).await;
        let mut stream = match response.map_err(|error| self.place.failure(error))? {
            BlobResponse::Partial(stream) => stream,
            BlobResponse::Full(stream) => {
                sink.restart().map_err(Failure::last)?;
                stream
            }
        };
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| Failure::retry(error.into()))?;
            sink.take(&chunk).map_err(Failure::last)?;
        }
        Ok(())
    }

    fn complete(&self, blob: &Descriptor, partial: Partial, watch: &Watch<'_>) -> Result<File> {
        self.runtime.block_on(self.fetch(blob, &partial.file, watch))?;
        partial.finish()
    }
}

impl Store for Registry {
    fn root(&self, _architecture: &str) -> Result<Found> {
        let bytes = self.pull_manifest(&self.image)?;
        if let Some(digest) = &self.digest {
            check_digest(&bytes, digest)?;
        }
        let digest = self.digest.clone().unwrap_or_else(|| Digest::sha256(&bytes));
        Ok(Found { bytes, digest, media_type: None })
    }

    fn manifest(&self, entry: &Descriptor) -> Result<Vec<u8>> {
        let bytes = self.pull_manifest(&self.image.clone_with_digest(entry.digest.to_string()))?;
        let (found, size) = (bytes.len() as u64, entry.size);
        ensure!(found == size, "manifest {} is {found} bytes long, its descriptor says {size}", entry.digest);
        check_digest(&bytes, &entry.digest)?;
        Ok(bytes)
    }

    fn blob(&self, blob: &Descriptor, watch: &Watch<'_>) -> Result<Span> {
        let file = match self.cache.slot(blob, watch.progress)? {
            Slot::Complete(file) => {
                watch.progress.advance(blob.size);
                file
            }
            Slot::Partial(partial) => self.complete(blob, partial, watch)?,
        };
        Ok(Span { file: Arc::new(file), offset: 0, len: blob.size })
    }

    fn parallel(&self, _cores: usize) -> usize {
        DOWNLOADS
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn distrust(&self, blob: &Descriptor) -> bool {
        self.cache.remove(blob);
        true
    }
}

/// The name in the types of `oci-client`. A digest wins over a tag.
fn image(name: &Name) -> oci_client::Reference {
    let (registry, repository) = (name.registry.clone(), name.repository.clone());
    match (&name.digest, &name.tag) {
        (Some(digest), _) => oci_client::Reference::with_digest(registry, repository, digest.to_string()),
        (None, tag) => {
            let tag = tag.clone().unwrap_or_else(|| "latest".into());
            oci_client::Reference::with_tag(registry, repository, tag)
        }
    }
}

fn client(protocol: ClientProtocol, tls_verify: bool, certs: &[String]) -> Result<Client> {
    let pem =
        |text: &String| Certificate { encoding: CertificateEncoding::Pem, data: text.clone().into_bytes() };
    let config = ClientConfig {
        protocol,
        accept_invalid_certificates: !tls_verify,
        extra_root_certificates: certs.iter().map(pem).collect(),
        platform_resolver: None,
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        user_agent: USER_AGENT,
        // One request a blob: every registry takes that, and it can be streamed.
        use_monolithic_push: true,
        ..ClientConfig::default()
    };
    Client::try_from(config).map_err(anyhow::Error::from).context("setting up TLS")
}

/// The first request.
struct Hello<'a> {
    image: &'a oci_client::Reference,
    auth: &'a RegistryAuth,
    place: &'a Place,
    operation: RegistryOperation,
}

impl Hello<'_> {
    /// Without TLS verification, plain HTTP is tried after HTTPS.
    fn login(&self, runtime: &Runtime, tls_verify: bool, certs: &[String]) -> Result<Client> {
        let https = client(ClientProtocol::Https, tls_verify, certs)?;
        let hello = async |client: &Client| client.auth(self.image, self.auth, self.operation).await;
        if !tls_verify {
            match runtime.block_on(hello(&https)) {
                Err(OciDistributionError::RequestError(error)) if error.is_connect() => {
                    let http = client(ClientProtocol::Http, tls_verify, certs)?;
                    runtime.block_on(retry(self.place, FIRST_TRIES, async || hello(&http).await))?;
                    return Ok(http);
                }
                Ok(_) => return Ok(https),
                Err(_) => {}
            }
        }
        runtime.block_on(retry(self.place, FIRST_TRIES, async || hello(&https).await))?;
        Ok(https)
    }
}

/// Repeats what may succeed later.
async fn retry<T>(
    place: &Place,
    tries: u32,
    mut request: impl AsyncFnMut() -> Result<T, OciDistributionError>,
) -> Result<T> {
    let watch = Watch { progress: &(), stop: &false.into() };
    let mut failed = 0;
    loop {
        match request().await {
            Ok(value) => return Ok(value),
            Err(error) => {
                failed += 1;
                pause(place.failure(error), failed, tries, &watch).await?;
            }
        }
    }
}

/// Waits before the next try, or gives up. `barren` tries in a row have brought nothing.
async fn pause(failure: Failure, barren: u32, tries: u32, watch: &Watch<'_>) -> Result<()> {
    if !failure.may_pass {
        return Err(failure.error);
    }
    if barren >= tries {
        return Err(failure.error.context(format!("giving up after {tries} tries")));
    }
    let mut left = FIRST_DELAY * 2_u32.pow(barren.saturating_sub(1));
    while !left.is_zero() {
        watch.check()?;
        let nap = left.min(NAP);
        tokio::time::sleep(nap).await;
        left -= nap;
    }
    Ok(())
}

fn check(found: &Digest, expected: &Digest) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(anyhow!("the registry sent {found} in place of {expected}"))
}

/// Where the bytes of a blob go, and their hash so far.
struct Sink<'a> {
    file: &'a File,
    blob: &'a Descriptor,
    cache: &'a Cache,
    watch: &'a Watch<'a>,
    hasher: Hasher,
    len: u64,
    /// Bytes that the watcher has heard of: a restart does not count twice.
    reported: u64,
}

impl<'a> Sink<'a> {
    /// Goes on behind what the file holds already.
    fn continuing(
        file: &'a File,
        blob: &'a Descriptor,
        cache: &'a Cache,
        watch: &'a Watch<'a>,
    ) -> Result<Self> {
        let hasher = Hasher::new(blob.digest.algorithm());
        let mut sink = Self { file, blob, cache, watch, hasher, len: 0, reported: 0 };
        let len = file.metadata()?.len();
        if len > blob.size {
            sink.restart()?;
            return Ok(sink);
        }
        let part = Span { file: Arc::new(file.try_clone()?), offset: 0, len };
        part.for_each_chunk(|chunk| sink.hasher.update(chunk)).context("reading the part fetched before")?;
        sink.len = len;
        sink.report();
        Ok(sink)
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|error| self.cache.error(error))?;
        self.hasher = Hasher::new(self.blob.digest.algorithm());
        self.len = 0;
        Ok(())
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.watch.check()?;
        let end = self.len + chunk.len() as u64;
        if end > self.blob.size {
            bail!("the registry sends more than the {} bytes that the manifest says", self.blob.size);
        }
        self.file.write_all_at(chunk, self.len).map_err(|error| self.cache.error(error))?;
        self.hasher.update(chunk);
        self.len = end;
        self.report();
        Ok(())
    }

    fn report(&mut self) {
        self.watch.progress.advance(self.len.saturating_sub(self.reported));
        self.reported = self.reported.max(self.len);
    }

    fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    fn cut_short(&self) -> anyhow::Error {
        anyhow!("the connection ended after {} of {} bytes", self.len, self.blob.size)
    }
}
