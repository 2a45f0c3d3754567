//! A disk: a [`Layout`] in plain numbers, and [`assemble`], which puts the
//! partition table and the volumes' bytes where it says.

use uuid::Uuid;

/// The partition table of a disk as plain numbers.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Size of the whole disk in bytes, a multiple of `sector_size`.
    pub size: u64,
    /// Bytes per logical sector: 512 or 4096.
    pub sector_size: u32,
    /// Disk GUID.
    pub uuid: Uuid,
    /// Partitions in table order.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// First byte, a multiple of the sector size (and of 1 MiB by custom).
    pub offset: u64,
    /// Length in bytes, a multiple of the sector size.
    pub size: u64,
    /// Partition type GUID.
    pub type_uuid: Uuid,
    /// Unique partition GUID.
    pub uuid: Uuid,
    /// GPT name, at most 36 UTF-16 units.
    pub name: String,
    /// GPT attribute bits.
    pub attributes: u64,
}
