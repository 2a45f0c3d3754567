//! The build: what is asked ([`BuildRequest`]), what comes of it
//! ([`BuildReport`]), and [`build`], the only place where the stages meet.

use std::path::PathBuf;

use diskwright_formats::writer::Compression;
use serde::Serialize;

use crate::progress::Progress;

/// Everything a user can ask of one build. Plain values: nothing in here has been checked
/// against the image, and names (types, filesystems) not against the registries.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The image, in the transports' syntax ("oci:dir:tag") or as a bare registry reference.
    pub reference: String,
    /// Names or aliases of disk formats, in the user's order; empty means `qcow2`.
    pub types: Vec<String>,
    /// Filesystem of the root volume; `None` means what the image declares.
    pub rootfs: Option<String>,
    /// Architecture wanted, in OCI or uname spelling; `None` means the host's.
    pub target_arch: Option<String>,
    /// Directory below which each format puts its file ("qcow2/disk.qcow2").
    pub output: PathBuf,
    /// Owner of every file and directory created: uid, and gid if it was given.
    pub chown: Option<(u32, Option<u32>)>,
    /// The blueprint file: YAML, TOML or JSON.
    pub blueprint: Option<PathBuf>,
    /// Kernel arguments to append, in order; one argument each.
    pub kargs: Vec<String>,
    /// Leave out the kernel arguments that every disk gets by default.
    pub no_default_kernel_args: bool,
    /// The reference that the installed system updates from; `None` means `reference`.
    pub target_imgref: Option<String>,
    /// Size of the disk; `None` leaves it to the blueprint and then to the default.
    pub size: Option<SizeWish>,
    /// How clusters are compressed, in formats that can.
    pub compression: Compression,
    /// Whether registries must speak TLS with a valid certificate.
    pub tls_verify: bool,
    /// Where verified layers are kept between builds.
    pub cache: CacheWish,
    /// Directory for temporary content; `None` means `$TMPDIR`, then `/var/tmp`.
    pub spool_dir: Option<PathBuf>,
    /// Time of everything that needs one, in seconds since 1970; `None` means the image's own.
    pub source_date_epoch: Option<i64>,
}

/// How large the disk shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeWish {
    /// This many bytes.
    Absolute(u64),
    /// What the content needs, and this many bytes of free space on the root volume.
    PlusFree(u64),
    /// What the content needs.
    Fit,
}

/// Where verified layers are kept between builds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheWish {
    /// In the user's cache directory.
    #[default]
    Default,
    /// In this directory.
    At(PathBuf),
    /// Nowhere.
    Off,
}

/// What a build made.
#[derive(Clone, Debug, Serialize)]
pub struct BuildReport {
    /// `sha256:...` of the platform's manifest that was built.
    pub manifest_digest: String,
    /// One entry for each file, in the order of the request's types.
    pub outputs: Vec<BuiltOutput>,
}

/// One file a build made.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltOutput {
    /// Name of the format ("qcow2").
    #[serde(rename = "type")]
    pub type_name: String,
    /// Where the file is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
}

/// Turns an image into disks.
///
/// # Errors
/// Anything a stage reports; an [`crate::ErrorKind`] in the chain says whose fault it is.
pub fn build(_request: &BuildRequest, _progress: &dyn Progress) -> anyhow::Result<BuildReport> {
    anyhow::bail!("not wired yet")
}
