//! Filesystems: from a [`Tree`] to the bytes of a partition.

mod contents;
pub mod ext4;
pub mod fat;
pub mod iso9660;
pub mod squashfs;

pub(crate) use contents::Claims;
pub use contents::Contents;
use uuid::Uuid;

use crate::{
    Result,
    data::Data,
    sparse::Sparse,
    tree::{Time, Tree},
};

/// What makes one filesystem distinct from another of the same content.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Filesystem UUID. FAT uses its first four bytes as the volume id.
    pub uuid: Uuid,
    /// Volume label; each filesystem has its own limit.
    pub label: String,
    /// Creation time; also stands for every "last written" and "last checked" time.
    pub time: Time,
    /// Bytes per sector of the disk: 512 or 4096.
    pub sector_size: u32,
    /// Where the partition starts on its disk, in bytes. FAT records it.
    pub offset: u64,
    /// What is not written reads as anything instead of zeros: the volume is encrypted.
    pub on_noise: bool,
}

/// A kind of filesystem. Pure: no clock, no randomness, no I/O but reading content.
pub trait Filesystem: Sync {
    /// The name users write ("ext4").
    fn name(&self) -> &'static str;

    /// Smallest size in bytes that [`Filesystem::mkfs`] accepts for this tree. Reads no file data.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] and [`crate::Error::Unsupported`] for what the filesystem cannot hold.
    fn min_size(&self, tree: &Tree, identity: &Identity) -> Result<u64>;

    /// A filesystem of exactly `size` bytes that holds `tree`.
    ///
    /// # Errors
    /// As [`Filesystem::min_size`], and [`crate::Error::TooSmall`].
    fn mkfs(&self, tree: &Tree, identity: &Identity, size: u64) -> Result<Sparse>;
}

/// Every filesystem there is, in the order help texts show them.
pub static FILESYSTEMS: &[&dyn Filesystem] = &[&ext4::Ext4, &fat::Fat];

/// The filesystem of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Filesystem> {
    FILESYSTEMS.iter().copied().find(|filesystem| filesystem.name() == name)
}

/// Reads the filesystem that fills `volume`; `None` if it is none of those known here.
/// Whatever the bytes are, this ends, and memory follows the number of inodes.
#[must_use]
pub fn read(volume: &Data) -> Option<Contents> {
    [ext4::read, fat::read].into_iter().find_map(|read| read(volume))
}
