//! Disk formats: from a disk's bytes to the file that is shipped.

pub mod qcow2;
pub mod raw;

use crate::{Result, sparse::Sparse};

/// What a format's file is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk of 512-byte sectors.
    Disk,
    /// An optical disc of 2,048-byte sectors.
    Optical,
}

/// What is fixed for a format: names, paths, and what it asks of the disk.
#[derive(Debug)]
pub struct Spec {
    /// The name users write ("qcow2").
    pub name: &'static str,
    /// Other names that are accepted.
    pub aliases: &'static [&'static str],
    /// Path of the file below the output directory ("qcow2/disk.qcow2").
    pub path: &'static str,
    /// The disk's size must be a multiple of this many bytes.
    pub size_multiple: u64,
    /// What the file is used as.
    pub medium: Medium,
    /// One line for help texts.
    pub about: &'static str,
}

/// How clusters are compressed, in formats that can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Deflate: readable by every consumer of the format.
    #[default]
    Zlib,
    /// Zstandard: smaller and faster, for newer consumers.
    Zstd,
}

/// Choices of the user that formats honour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How to compress.
    pub compression: Compression,
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

/// Hears how far a writer is.
pub trait Progress: Sync {
    /// `bytes` more of the virtual disk's data (not of its gaps) are done.
    fn advance(&self, bytes: u64);
}

/// Progress that nobody watches.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}

/// A disk format. Deterministic: the same disk and options give the same bytes on any number of cores.
pub trait FormatWriter: Sync {
    /// Names, paths and demands.
    fn spec(&self) -> &'static Spec;

    /// Writes `disk` to `out`, reading each byte of it once.
    ///
    /// # Errors
    /// [`crate::Error::Io`] for reading and writing, [`crate::Error::Limit`] for a disk the format cannot hold.
    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()>;
}

/// Every format there is, in the order help texts show them.
pub static WRITERS: &[&dyn FormatWriter] = &[&raw::Raw, &qcow2::Qcow2];

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
