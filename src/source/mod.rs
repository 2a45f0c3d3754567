//! From a reference to a verified image of one platform: registry, OCI
//! layout, archives; authentication; spool and layer cache.
//!
//! ```text
//! Reference --Store--> index --platform--> manifest --> config
//!                                             |            | diff_ids
//!                                             +-> blobs ---+--spool--> [Layer]
//! ```
//!
//! A store only finds bytes; whether they are the right ones is
//! decided here, in one way for all sources.

use std::{fs::File, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};

use crate::progress::Progress;

mod archive;
mod auth;
mod blobs;
mod cache;
mod certs;
mod digest;
mod docker_archive;
mod error;
mod layers;
mod layout;
mod manifest;
mod platform;
mod reference;
mod registry;
mod spool;
mod store;

pub use blobs::{Blob, Blobs, blobs};
pub use digest::{Algorithm, Digest, Hasher, ParseError as DigestError};
pub use error::{Hinted, Kind};
pub use manifest::{Compression, Descriptor, ImageConfig, SMALL_BLOB_MAX, parse_config};
pub use platform::{Platform, architecture, host_architecture};
pub use reference::{Name, Pick, Reference};
pub use registry::push;

use archive::Archive;
use docker_archive::DockerArchive;
use layers::Wanted;
use layout::{Files, Layout};
use manifest::{Document, Manifest};
use registry::Registry;
use spool::Spool;
use store::{Found, Store};

/// A new file without a name, where temporary content goes: in `dir`, or `$TMPDIR`, or `/var/tmp`.
///
/// # Errors
/// A directory that cannot be written.
pub fn spool_file(dir: Option<&std::path::Path>) -> Result<File> {
    Spool::new(dir).file()
}

/// How deep an index may lead to a further index.
const INDEX_DEPTH_MAX: usize = 4;

/// A verified manifest, config and layer list of one platform. Every byte
/// reachable from here has been checked against its digest.
#[derive(Debug)]
pub struct OciImage {
    /// The reference in canonical form, in the transports' syntax ("oci:dir:tag", "docker://host/name:tag").
    pub reference: String,
    /// `sha256:...` of [`OciImage::manifest`]: of the platform's manifest, never of the index.
    pub manifest_digest: String,
    /// The platform's manifest, byte for byte as the source holds it.
    pub manifest: Vec<u8>,
    /// The config blob, byte for byte.
    pub config: Vec<u8>,
    /// Layers, lowest first.
    pub layers: Vec<Layer>,
}

/// One layer, decompressed and verified.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Digest of the blob as the manifest names it (usually compressed).
    pub digest: String,
    /// Size of that blob in bytes.
    pub size: u64,
    /// Digest of the uncompressed tar, from the config.
    pub diff_id: String,
    /// The uncompressed tar: a spool file that has no name any more.
    pub tar: Arc<File>,
    /// Its length in bytes.
    pub tar_len: u64,
    /// How often the blob was opened: twice if it was damaged and asked for again.
    pub opened: u32,
}

impl OciImage {
    /// What this tool reads of the config.
    ///
    /// # Errors
    /// None for an image that [`open`] returned: the config was parsed there.
    pub fn image_config(&self) -> Result<ImageConfig> {
        parse_config(&self.config).context("parsing the image config")
    }
}

/// Choices of the user about where images come from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Architecture by any of its names; the host's if there is a choice and none is named.
    pub target_arch: Option<String>,
    /// Whether registries must speak TLS with a trusted certificate.
    pub tls_verify: bool,
    /// Where blobs of registries are kept.
    pub cache: CacheChoice,
    /// Where registry credentials are; the places of containers-auth.json(5) if not named.
    pub auth_file: Option<PathBuf>,
    /// Where a registry's certificates are; the places of containers-certs.d(5) if not named.
    pub cert_dir: Option<PathBuf>,
    /// Where layers are unpacked; `$TMPDIR` or `/var/tmp` if not named.
    pub spool_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target_arch: None,
            tls_verify: true,
            cache: CacheChoice::Default,
            auth_file: None,
            cert_dir: None,
            spool_dir: None,
        }
    }
}

/// Where blobs of registries are kept between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheChoice {
    /// In the user's cache directory, if it can be written.
    #[default]
    Default,
    /// In this directory; an error if it cannot be written.
    Dir(PathBuf),
    /// Nowhere.
    Off,
}

/// The manifest and config of an image, verified, without its layers.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The reference in canonical form.
    pub reference: String,
    /// Digest of the platform's manifest.
    pub manifest_digest: Digest,
    /// The platform's manifest, byte for byte.
    pub manifest: Vec<u8>,
    /// The config blob, byte for byte.
    pub config: Vec<u8>,
    /// What the config says.
    pub image_config: ImageConfig,
    /// Layers as the manifest names them, lowest first.
    pub layers: Vec<(Descriptor, Compression)>,
}

/// Checks that `bytes` are a manifest or an index, as far as can be told without what they name.
/// `media_type` is what led here, if something did.
///
/// # Errors
/// What the document lacks, or has and should not.
pub fn check_manifest(bytes: &[u8], media_type: Option<&str>) -> Result<()> {
    manifest::parse(bytes, media_type).map(drop)
}

/// Finds an image and reads its manifest and config, but no layer.
///
/// # Errors
/// Whatever keeps the image from being used, as far as it can be known without its layers.
pub fn resolve(reference: &Reference, options: &Options, progress: &dyn Progress) -> Result<Resolved> {
    let spool = Spool::new(options.spool_dir.as_deref());
    let opened = connect(reference, options, &spool, progress);
    opened
        .and_then(|store| resolve_in(&*store, reference, options))
        .with_context(|| format!("opening image {reference}"))
}

/// Finds an image, verifies it and unpacks its layers to the spool.
///
/// # Errors
/// Whatever is wrong with the reference, the image or the spool; [`Hinted`] is in the chain where advice helps.
pub fn open(reference: &Reference, options: &Options, progress: &dyn Progress) -> Result<OciImage> {
    open_for(reference, options, &|_| Ok(()), progress)
}

/// As [`open`]; `accepts` can refuse the image's architecture (its OCI name) before any layer is read.
///
/// # Errors
/// As [`open`], and what `accepts` says.
pub fn open_for(
    reference: &Reference,
    options: &Options,
    accepts: &dyn Fn(&str) -> Result<()>,
    progress: &dyn Progress,
) -> Result<OciImage> {
    let spool = Spool::new(options.spool_dir.as_deref());
    let opened = open_in(reference, options, accepts, &spool, progress);
    opened.with_context(|| format!("opening image {reference}"))
}

fn open_in(
    reference: &Reference,
    options: &Options,
    accepts: &dyn Fn(&str) -> Result<()>,
    spool: &Spool,
    progress: &dyn Progress,
) -> Result<OciImage> {
    let store = connect(reference, options, spool, progress)?;
    let resolved = resolve_in(&*store, reference, options)?;
    accepts(&resolved.image_config.platform.architecture)?;
    let wanted = wanted(&resolved);
    let stage = if store.is_remote() { "fetching layers" } else { "reading layers" };
    progress.begin(stage, Some(wanted.iter().map(|layer| layer.blob.size).sum()));
    let layers = layers::fetch(&*store, spool, &wanted, progress)?;
    Ok(OciImage {
        reference: resolved.reference,
        manifest_digest: resolved.manifest_digest.to_string(),
        manifest: resolved.manifest,
        config: resolved.config,
        layers,
    })
}

fn connect(
    reference: &Reference,
    options: &Options,
    spool: &Spool,
    progress: &dyn Progress,
) -> Result<Box<dyn Store>> {
    Ok(match reference {
        Reference::Layout(dir, pick) => {
            ensure_dir(dir)?;
            Box::new(Layout::new(Files::Directory(dir.clone()), pick.clone())?)
        }
        Reference::OciArchive(file, pick) => {
            Box::new(Layout::new(Files::Archive(Archive::open(file, spool)?), pick.clone())?)
        }
        Reference::DockerArchive(file, pick) => {
            Box::new(DockerArchive::new(&Archive::open(file, spool)?, pick)?)
        }
        Reference::Registry(name) => Box::new(Registry::connect(name, options, spool, progress)?),
    })
}

fn ensure_dir(dir: &std::path::Path) -> Result<()> {
    let metadata = std::fs::metadata(dir).with_context(|| format!("opening {}", dir.display()))?;
    if metadata.is_dir() {
        return Ok(());
    }
    let message = format!("{} is not a directory", dir.display());
    let hint = format!("for a tar file write oci-archive:{}", dir.display());
    Err(Hinted::new(Kind::Reference, message, hint).into())
}

fn resolve_in(store: &dyn Store, reference: &Reference, options: &Options) -> Result<Resolved> {
    let asked = options.target_arch.as_deref().map(architecture).transpose()?;
    let wanted = asked.unwrap_or_else(host_architecture);
    let root = store.root(wanted)?;
    let (found, manifest) = platform_manifest(store, root, wanted)?;
    let config = store
        .document(&manifest.config)
        .with_context(|| format!("reading config {}", manifest.config.digest))?;
    let image_config =
        parse_config(&config).with_context(|| format!("parsing config {}", manifest.config.digest))?;
    check_config(&image_config, &manifest, asked)?;
    Ok(Resolved {
        reference: reference.to_string(),
        manifest_digest: found.digest,
        manifest: found.bytes,
        config,
        image_config,
        layers: manifest.layers,
    })
}

/// From what the reference names to the manifest of one platform.
fn platform_manifest(store: &dyn Store, root: Found, architecture: &str) -> Result<(Found, Manifest)> {
    let mut found = root;
    for _ in 0..INDEX_DEPTH_MAX {
        let document = manifest::parse(&found.bytes, found.media_type.as_deref())
            .with_context(|| format!("parsing manifest {}", found.digest))?;
        let entries = match document {
            Document::Manifest(manifest) => return Ok((found, manifest)),
            Document::Index(entries) => entries,
        };
        let entry = platform::choose(&entries, architecture)?;
        entry.check_is_manifest()?;
        let bytes = store.manifest(entry).with_context(|| format!("reading manifest {}", entry.digest))?;
        found = Found { bytes, digest: entry.digest.clone(), media_type: Some(entry.media_type.clone()) };
    }
    bail!("more than {INDEX_DEPTH_MAX} indexes lead from one to the next")
}

/// Config and manifest must speak of the same layers, and of the machine asked for.
fn check_config(config: &ImageConfig, manifest: &Manifest, asked: Option<&str>) -> Result<()> {
    let Platform { os, architecture, .. } = &config.platform;
    ensure!(os.is_empty() || os == "linux", "the image is for {os}, not for linux");
    ensure!(!architecture.is_empty(), "the image config names no architecture");
    if let Some(asked) = asked.filter(|asked| asked != architecture) {
        let message = format!("the image is for {architecture}, not for {asked}");
        let hint = format!("leave out --target-arch, or find an image for {asked}");
        return Err(Hinted::new(Kind::Platform, message, hint).into());
    }
    let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
    ensure!(layers == diff_ids, "the manifest has {layers} layers, its config has {diff_ids} diff_ids");
    Ok(())
}

fn wanted(resolved: &Resolved) -> Vec<Wanted> {
    let pairs = resolved.layers.iter().zip(&resolved.image_config.diff_ids);
    pairs
        .map(|((blob, compression), diff_id)| Wanted {
            blob: blob.clone(),
            compression: *compression,
            diff_id: diff_id.clone(),
        })
        .collect()
}
