//! An image as it is stored: every blob unchanged, verified and not unpacked, to be handed on.

use std::{
    fs::File,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{
    Options, connect,
    digest::{Digest, Hasher},
    manifest::{self, Descriptor},
    reference::Reference,
    resolve_in,
    spool::Spool,
    store::{Span, Store, Watch},
};
use crate::progress::Progress;

/// What a manifest is that does not say so.
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The blobs of one platform's image.
#[derive(Debug)]
pub struct Blobs {
    /// `sha256:...` of the manifest.
    pub manifest_digest: String,
    /// The manifest, byte for byte.
    pub manifest: Vec<u8>,
    /// What kind of manifest it is.
    pub media_type: String,
    /// `sha256:...` of the config.
    pub config_digest: String,
    /// The config, byte for byte.
    pub config: Vec<u8>,
    /// Layers, lowest first.
    pub layers: Vec<Blob>,
}

/// A layer as it is stored.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its digest.
    pub digest: String,
    /// Where it is.
    pub file: Arc<File>,
    /// Where in that it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    media_type: Option<String>,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    digest: String,
}

/// Finds an image and verifies each of its blobs.
///
/// # Errors
/// As [`super::open`].
pub fn blobs(reference: &Reference, options: &Options, progress: &dyn Progress) -> Result<Blobs> {
    let spool = Spool::new(options.spool_dir.as_deref());
    let read = || {
        let store = connect(reference, options, &spool, progress)?;
        blobs_in(&*store, reference, options, progress)
    };
    read().with_context(|| format!("opening image {reference}"))
}

fn blobs_in(
    store: &dyn Store,
    reference: &Reference,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Blobs> {
    let resolved = resolve_in(store, reference, options)?;
    progress.begin("fetching layers", Some(resolved.layers.iter().map(|(blob, _)| blob.size).sum()));
    let count = resolved.layers.len();
    let mut layers = Vec::new();
    for (at, (blob, _)) in resolved.layers.iter().enumerate() {
        let layer = layer(store, blob, progress);
        layers.push(layer.with_context(|| format!("reading layer {} of {count} ({})", at + 1, blob.digest))?);
    }
    let head: Head = manifest::parse_json(&resolved.manifest)?;
    Ok(Blobs {
        manifest_digest: resolved.manifest_digest.to_string(),
        manifest: resolved.manifest,
        media_type: head.media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned()),
        config_digest: head.config.digest,
        config: resolved.config,
        layers,
    })
}

fn layer(store: &dyn Store, blob: &Descriptor, progress: &dyn Progress) -> Result<Blob> {
    let stop = AtomicBool::new(false);
    let span = store.blob(blob, &Watch { progress, stop: &stop })?;
    verify(&span, &blob.digest)?;
    if !store.is_remote() {
        progress.advance(span.len);
    }
    let Span { file, offset, len } = span;
    Ok(Blob { digest: blob.digest.to_string(), file, offset, len })
}

fn verify(span: &Span, digest: &Digest) -> Result<()> {
    let mut hasher = Hasher::new(digest.algorithm());
    span.for_each_chunk(|chunk| hasher.update(chunk))?;
    let found = hasher.finish();
    ensure!(found == *digest, "its content has the digest {found}");
    Ok(())
}
