//! Disk formats: from a disk's bytes to the file that is shipped.

pub mod compressed;
pub mod containerdisk;
pub mod gce;
pub mod iso;
pub mod netboot;
mod options;
pub mod ova;
mod parts;
mod progress;
pub mod qcow2;
pub mod raw;
pub mod vagrant;
pub mod vdi;
pub mod vhd;
pub mod vhdx;
pub mod vmdk;

pub use self::{
    options::{Compression, Firmware, Machine, Options, Qcow2Version, Uses},
    progress::Progress,
};
use crate::{Error, Result, sparse::Sparse};

/// What a format's file is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk of 512-byte sectors.
    Disk,
    /// An optical disc of 2,048-byte sectors.
    Optical,
    /// Files that machines fetch from a server: a directory of them, of any length.
    Network,
}

/// What is fixed for a format: names, paths, and what it asks of the disk.
#[derive(Debug)]
pub struct Spec {
    /// The name users write ("qcow2").
    pub name: &'static str,
    /// Other names that are accepted.
    pub aliases: &'static [&'static str],
    /// Path of the file below the output directory ("qcow2/disk.qcow2"); of [`Medium::Network`] that of the
    /// file to begin with. Formats of one path write the same bytes, and one file serves them all.
    pub path: &'static str,
    /// The disk's size must be a multiple of this many bytes.
    pub size_multiple: u64,
    /// What the file is used as.
    pub medium: Medium,
    /// One line for help texts.
    pub about: &'static str,
}

impl Spec {
    /// What follows the first dot of the file's name ("tar.gz").
    #[must_use]
    pub fn extension(&self) -> &'static str {
        let name = self.path.rsplit('/').next().unwrap_or(self.path);
        name.split_once('.').map_or("", |(_, extension)| extension)
    }

    /// Whether the disk has a size that the format can have.
    fn check(&self, disk: &Sparse) -> Result<()> {
        if disk.len().is_multiple_of(self.size_multiple) {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!("{} disk of {} bytes", self.name, disk.len()),
            why: format!("its size must be a multiple of {} bytes", self.size_multiple),
        })
    }

    /// [`Self::check`], and that the disk is no larger than `allowed` bytes.
    fn check_limit(&self, disk: &Sparse, allowed: u64) -> Result<()> {
        self.check(disk)?;
        if disk.len() <= allowed {
            return Ok(());
        }
        Err(Error::Limit { what: format!("{} disk: bytes", self.name), found: disk.len(), allowed })
    }
}

/// Where a format goes. Bytes may arrive in any order and from several
/// threads; what is never written reads as zero.
pub trait Output: Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The underlying write error.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()>;

    /// Sets the final length in bytes.
    ///
    /// # Errors
    /// The underlying error.
    fn set_len(&self, len: u64) -> std::io::Result<()>;
}

impl Output for std::fs::File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        std::fs::File::set_len(self, len)
    }
}

/// A disk format. Deterministic: the same disk and options give the same bytes on any number of cores.
pub trait FormatWriter: Sync {
    /// Names, paths and demands.
    fn spec(&self) -> &'static Spec;

    /// Which choices of the user make a difference to it.
    fn uses(&self) -> Uses {
        Uses::empty()
    }

    /// Writes `disk` to `out`, reading each byte of it once.
    ///
    /// # Errors
    /// [`crate::Error::Io`] for reading and writing, [`crate::Error::Limit`] for a disk the format cannot
    /// hold, [`crate::Error::Unsupported`] for a size or options it cannot have.
    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()>;
}

/// Every format there is, in the order help texts show them.
pub static WRITERS: &[&dyn FormatWriter] = &[
    &raw::RAW,
    &compressed::XZ,
    &compressed::ZSTD,
    &compressed::GZIP,
    &qcow2::QCOW2,
    &vmdk::STREAM,
    &vmdk::SPARSE,
    &ova::Ova,
    &vhd::FIXED,
    &vhd::DYNAMIC,
    &vhd::AZURE,
    &vhdx::Vhdx,
    &vdi::Vdi,
    &raw::AMI,
    &gce::Gce,
    &qcow2::OCI,
    &containerdisk::ContainerDisk,
    &vagrant::Vagrant,
    &iso::Iso,
    &netboot::Netboot,
];

/// The format with that name or alias.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn FormatWriter> {
    WRITERS.iter().copied().find(|writer| {
        let spec = writer.spec();
        spec.name == name || spec.aliases.contains(&name)
    })
}

/// Whether all bytes are zero; compares whole runs, at the speed of memory.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|run| run == &ZEROS[..run.len()])
}
