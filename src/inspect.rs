//! What an image holds, as far as a disk is concerned: [`inspect`] looks, and builds nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{build::CacheWish, progress::Progress};

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct InspectRequest {
    /// The image, as in [`crate::BuildRequest::reference`].
    pub reference: String,
    /// As in [`crate::BuildRequest::target_arch`].
    pub target_arch: Option<String>,
    /// As in [`crate::BuildRequest::tls_verify`].
    pub tls_verify: bool,
    /// As in [`crate::BuildRequest::cache`].
    pub cache: CacheWish,
    /// As in [`crate::BuildRequest::spool_dir`].
    pub spool_dir: Option<std::path::PathBuf>,
}

/// What an image holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inspection {
    /// The reference as it was given.
    pub reference: String,
    /// `sha256:...` of the platform's manifest.
    pub manifest_digest: String,
    /// Architecture in OCI spelling ("amd64").
    pub arch: String,
    /// `PRETTY_NAME` of os-release.
    pub os: Option<String>,
    /// Kernels, ordered by version.
    pub kernels: Vec<Kernel>,
    /// Bootloaders found, in the order in which a build prefers them.
    pub bootloaders: Vec<Bootloader>,
    /// `SELINUX=` of /etc/selinux/config ("enforcing"); `None` without a policy.
    pub selinux: Option<String>,
    /// Filesystem that the image's install configuration names for root.
    pub default_filesystem: Option<String>,
    /// /usr/lib/ostree/prepare-root.conf, verbatim.
    pub prepare_root: Option<String>,
    /// Labels of the image config.
    pub labels: BTreeMap<String, String>,
    /// Sum of the compressed layers, in bytes.
    pub compressed_bytes: u64,
    /// Sum of the file contents of the merged tree, in bytes.
    pub unpacked_bytes: u64,
    /// Layers, lowest first.
    pub layers: Vec<InspectedLayer>,
}

/// One kernel below /usr/lib/modules.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Kernel {
    /// Name of its directory ("6.12.0-1.x86_64").
    pub version: String,
    /// Path of the kernel in the image.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Length of the initramfs beside it, in bytes; `None` if there is none.
    pub initramfs_size: Option<u64>,
}

/// One bootloader.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Bootloader {
    /// What it is ("grub2", "shim", "systemd-boot").
    pub name: String,
    /// Where it was found in the image.
    pub path: String,
}

/// One layer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InspectedLayer {
    /// Digest of the blob.
    pub digest: String,
    /// Length of the blob in bytes.
    pub compressed_bytes: u64,
    /// Length of its tar in bytes.
    pub unpacked_bytes: u64,
}

/// Looks at an image.
///
/// # Errors
/// Anything a stage reports; an [`crate::ErrorKind`] in the chain says whose fault it is.
pub fn inspect(_request: &InspectRequest, _progress: &dyn Progress) -> anyhow::Result<Inspection> {
    anyhow::bail!("not wired yet")
}
