//! A disk: a [`Layout`] in plain numbers, and [`assemble`], which puts the
//! partition table and the volumes' bytes where it says.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{Error, Result, partition::gpt, sparse::Sparse};

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

/// The whole disk: the table that `layout` describes, and each volume in the
/// partition of that index (from 0). Partitions without a volume read as zero.
///
/// # Errors
/// As [`gpt::table`]; [`Error::Unsupported`] for a volume of another size than
/// its partition, or without one; [`Error::Overlap`] for two volumes in one partition.
pub fn assemble(layout: &Layout, volumes: &[(usize, Sparse)]) -> Result<Sparse> {
    assemble_with_boot_code(layout, volumes, None)
}

/// As [`assemble`], with code for a BIOS in the master boot record.
///
/// # Errors
/// As [`assemble`].
pub fn assemble_with_boot_code(
    layout: &Layout,
    volumes: &[(usize, Sparse)],
    boot_code: Option<&[u8; gpt::BOOT_CODE_BYTES]>,
) -> Result<Sparse> {
    let mut disk = gpt::table(layout, boot_code)?;
    let mut placed = BTreeMap::new();
    for (index, volume) in volumes {
        let Some(partition) = layout.partitions.get(*index) else {
            let why = format!("the disk has {} partitions", layout.partitions.len());
            return Err(Error::Unsupported { what: format!("volume for partition {}", index + 1), why });
        };
        check_volume(*index, partition, volume)?;
        if placed.insert(partition.offset, volume).is_some() {
            return Err(Error::Overlap { offset: partition.offset, len: volume.len() });
        }
    }
    for (offset, volume) in placed {
        disk.place(offset, volume)?;
    }
    Ok(disk)
}

fn check_volume(index: usize, partition: &Partition, volume: &Sparse) -> Result<()> {
    if volume.len() == partition.size {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!("volume of {} bytes", volume.len()),
        why: format!("partition {} '{}' has {} bytes", index + 1, partition.name, partition.size),
    })
}
