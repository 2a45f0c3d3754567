//! From a reference to a verified image of one platform: registry, OCI
//! layout, archives; authentication; spool and layer cache.

use std::{fs::File, sync::Arc};

/// A verified manifest, config and layer list of one platform. Every byte
/// reachable from here has been checked against its digest.
#[derive(Debug)]
pub struct OciImage {
    /// The reference as the user gave it, in the transports' syntax ("oci:dir:tag").
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
}
