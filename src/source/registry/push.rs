//! The image of an OCI archive to a registry: blobs that it lacks, each in one request, then the manifest.
//!
//! A blob whose transfer breaks is sent again from its start. The tag appears
//! with the manifest, when all else is there.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use futures_util::{
    future::{Either, select},
    stream,
};
use oci_client::{RegistryOperation, errors::OciDistributionError};

use super::{NAP, Options, Registry, TRIES, pause, retry};
use crate::{
    progress::Progress,
    source::{
        CacheChoice,
        archive::Archive,
        digest::Digest,
        layout::{Files, Layout},
        manifest::{self, Descriptor, Document},
        platform::host_architecture,
        reference::{Name, Pick},
        spool::Spool,
        store::{Span, Store as _, Watch},
    },
};

const CHUNK_BYTES: u64 = 1 << 20;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes the only image of `archive`; the digest of its manifest.
///
/// # Errors
/// What is wrong with the archive, or what the registry says.
pub fn push(archive: File, to: &Name, options: &Options, progress: &dyn Progress) -> Result<Digest> {
    let spool = Spool::new(options.spool_dir.as_deref());
    let layout = Layout::new(Files::Archive(Archive::of(archive, &spool)?), Pick::Only)?;
    let options = Options { cache: CacheChoice::Off, ..options.clone() };
    let registry = Registry::open(to, &options, &spool, progress, RegistryOperation::Push);
    registry.and_then(|registry| registry.push(&layout, progress)).with_context(|| format!("pushing to {to}"))
}

impl Registry {
    fn push(&self, layout: &Layout, progress: &dyn Progress) -> Result<Digest> {
        let found = layout.root(host_architecture())?;
        let Document::Manifest(manifest) = manifest::parse(&found.bytes, found.media_type.as_deref())? else {
            bail!("the archive has an index where its manifest should be");
        };
        let watch = Watch { progress, stop: &false.into() };
        let layers = manifest.layers.iter().map(|(layer, _)| layer);
        for blob in layers.chain([&manifest.config]) {
            let span = layout.blob(blob, &watch)?;
            let sent = self.runtime.block_on(self.send(blob, &span, &watch));
            sent.with_context(|| format!("sending blob {}", blob.digest))?;
        }
        let put = async || {
            let kind = MANIFEST_TYPE.parse().map_err(|_| OciDistributionError::GenericError(None))?;
            self.client.push_manifest_raw(&self.image, found.bytes.clone(), kind).await
        };
        self.runtime.block_on(retry(&self.place, TRIES, put)).context("sending the manifest")?;
        Ok(found.digest)
    }

    async fn send(&self, blob: &Descriptor, span: &Span, watch: &Watch<'_>) -> Result<()> {
        let digest = blob.digest.to_string();
        // A registry that cannot tell gets it.
        if self.client.blob_exists(&self.image, &digest).await.unwrap_or(false) {
            watch.progress.advance(blob.size);
            return Ok(());
        }
        let (mut reported, mut failed) = (0, 0);
        loop {
            match self.attempt_send(blob, span, &mut reported, watch).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    failed += 1;
                    pause(self.place.failure(error), failed, TRIES, watch).await?;
                }
            }
        }
    }

    /// One transfer. `reported` is what the watcher has heard of, which a further try does not repeat.
    async fn attempt_send(
        &self,
        blob: &Descriptor,
        span: &Span,
        reported: &mut u64,
        watch: &Watch<'_>,
    ) -> Result<(), OciDistributionError> {
        let (digest, sent) = (blob.digest.to_string(), Arc::new(AtomicU64::new(0)));
        let body = body(span.clone(), Arc::clone(&sent));
        let mut transfer =
            Box::pin(self.client.push_blob_stream(&self.image, body, &digest, Some(blob.size)));
        loop {
            let nap = Box::pin(tokio::time::sleep(NAP));
            let outcome = match select(&mut transfer, nap).await {
                Either::Left((outcome, _)) => Some(outcome.map(drop)),
                Either::Right(_) => None,
            };
            let now = sent.load(Ordering::Relaxed);
            watch.progress.advance(now.saturating_sub(*reported));
            *reported = now.max(*reported);
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }
}

/// The bytes of a span, counted when they are asked for.
fn body<B: From<Vec<u8>> + Send + 'static>(
    span: Span,
    sent: Arc<AtomicU64>,
) -> impl futures_util::Stream<Item = Result<B, OciDistributionError>> + Send + 'static {
    let offsets = (0..span.len).step_by(CHUNK_BYTES as usize);
    stream::iter(offsets.map(move |at| {
        let mut bytes = vec![0; CHUNK_BYTES.min(span.len - at) as usize];
        span.file.read_exact_at(&mut bytes, span.offset + at)?;
        sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(B::from(bytes))
    }))
}
