//! A disk: a [`Layout`] in plain numbers, and [`assemble`], which puts the
//! partition table and the volumes' bytes where it says.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    Error, Result,
    data::Data,
    partition::{BOOT_CODE_BYTES, gpt, mbr},
    sparse::Sparse,
};

/// The kind of a partition table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableKind {
    /// GUID partition table.
    #[default]
    Gpt,
    /// The PC's older table, in the master boot record alone.
    Dos,
}

/// The partition table of a disk as plain numbers.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Size of the whole disk in bytes, a multiple of `sector_size`.
    pub size: u64,
    /// How the table is written.
    pub kind: TableKind,
    /// Bytes per logical sector: 512 or 4096.
    pub sector_size: u32,
    /// Disk GUID; its first four bytes are a dos table's disk signature.
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
    /// Type in a dos table; `None` is the one that means what `type_uuid` does.
    pub dos_type: Option<u8>,
    /// Unique partition GUID.
    pub uuid: Uuid,
    /// GPT name, at most 36 UTF-16 units.
    pub name: String,
    /// GPT attribute bits; in a dos table [`BIOS_BOOTABLE`] alone, which marks the active partition.
    pub attributes: u64,
}

/// The attribute of a partition that a BIOS boots from.
pub const BIOS_BOOTABLE: u64 = 1 << 2;

/// The whole disk: the table that `layout` describes, and each volume in the
/// partition of that index (from 0). Partitions without a volume read as zero.
///
/// # Errors
/// As [`gpt::table`] and [`mbr::table`]; [`Error::Unsupported`] for a volume of another size than
/// its partition, or without one; [`Error::Overlap`] for two volumes in one partition.
pub fn assemble(layout: &Layout, volumes: &[(usize, Sparse)]) -> Result<Sparse> {
    assemble_with_boot_code(layout, volumes, None)
}

/// What a BIOS starts.
#[derive(Clone, Debug)]
pub struct BootCode {
    /// Code of the master boot record.
    pub code: [u8; BOOT_CODE_BYTES],
    /// What lies right after that sector, before the first partition.
    pub embedded: Option<Data>,
}

/// As [`assemble`], with code for a BIOS.
///
/// # Errors
/// As [`assemble`]; [`Error::Overlap`] where the code meets a table or a partition.
pub fn assemble_with_boot_code(
    layout: &Layout,
    volumes: &[(usize, Sparse)],
    boot: Option<&BootCode>,
) -> Result<Sparse> {
    let code = boot.map(|boot| &boot.code);
    let mut disk = match layout.kind {
        TableKind::Gpt => gpt::table(layout, code)?,
        TableKind::Dos => mbr::table(layout, code)?,
    };
    if let Some(embedded) = boot.and_then(|boot| boot.embedded.clone()) {
        check_gap(layout, &embedded)?;
        disk.insert(layout.sector_size.into(), embedded)?;
    }
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

/// Empty partitions are gaps too, so that what is embedded must be kept out of them here.
fn check_gap(layout: &Layout, embedded: &Data) -> Result<()> {
    let first = layout.partitions.iter().map(|partition| partition.offset).min().unwrap_or(layout.size);
    let (offset, len) = (u64::from(layout.sector_size), embedded.len());
    if offset + len > first { Err(Error::Overlap { offset, len }) } else { Ok(()) }
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
