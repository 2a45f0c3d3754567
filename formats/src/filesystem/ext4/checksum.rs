//! `metadata_csum`: crc32c over every metadata structure, seeded so that a
//! block found at the wrong place does not match.
//!
//! The filesystem's seed is the crc of its UUID; an inode's seed goes on with
//! its number and generation. Source: the kernel's ext4 documentation,
//! "Checksums".

use uuid::Uuid;

/// A crc32c that more bytes can be added to. Neither seed nor result is inverted.
#[derive(Clone, Copy)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// Before the first byte.
    pub(super) const NEW: Self = Self(!0);

    /// Seed of everything outside inodes.
    pub(super) fn of_filesystem(uuid: &Uuid) -> Self {
        Self::NEW.with(uuid.as_bytes())
    }

    /// A seed that the superblock stores.
    pub(super) const fn from_value(value: u32) -> Self {
        Self(value)
    }

    /// Seed of an inode and its blocks. Generations are all zero where they are written here.
    pub(super) fn of_inode(self, inode: u32) -> Self {
        self.of_generation(inode, 0)
    }

    /// Seed of an inode of another generation.
    pub(super) fn of_generation(self, inode: u32, generation: u32) -> Self {
        self.with(&inode.to_le_bytes()).with(&generation.to_le_bytes())
    }

    /// With more bytes.
    pub(super) fn with(self, bytes: &[u8]) -> Self {
        Self(!crc32c::crc32c_append(!self.0, bytes))
    }

    /// The value as it is stored.
    pub(super) const fn value(self) -> u32 {
        self.0
    }
}
