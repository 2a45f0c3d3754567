//! The PC's partition table in the master boot record: four partitions.
//!
//! ```text
//! 440 bytes of code | disk signature | 0 | 4 records | 55 aa | (GRUB) | partitions ...
//! ```
//!
//! The signature is the disk GUID's first four bytes; Linux names partitions
//! by it (`PARTUUID=signature-NN`). Source: UEFI Specification 2.10, section
//! 5.2.1 "Legacy Master Boot Record". Left out on purpose: extended
//! partitions, names and GUIDs, which the table has no place for.

use std::ops::Range;

use uuid::{Uuid, uuid};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, little_endian::U32};

use super::{BOOT_CODE_BYTES, check_places};
use crate::{
    Error, Result,
    data::Data,
    disk::{BIOS_BOOTABLE, Layout, Partition, TableKind},
    sparse::Sparse,
};

/// Records of the table.
pub const RECORD_COUNT: usize = 4;
/// The sector's last two bytes.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Bytes that are the table's, whatever the sector size.
const MBR_BYTES: usize = 512;
/// What everybody takes for the geometry of a disk.
const HEADS: u64 = 255;
const SECTORS_PER_TRACK: u64 = 63;
const CYLINDERS: u64 = 1024;
/// Cylinder, head and sector of what is past the last cylinder.
const BEYOND: [u8; 3] = [0xfe, 0xff, 0xff];
/// Types by what their GUIDs mean; everything else is Linux data.
const TYPES: [(Uuid, u8); 4] = [
    (uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), 0xef), // EFI system partition
    (uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), 0x82), // swap
    (uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"), 0x8e), // LVM
    (uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"), 0x0c), // FAT with LBA
];
const LINUX: u8 = 0x83;
const LINUX_DATA: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
/// Type of the record that protects a GUID partition table.
const PROTECTIVE: u8 = 0xee;
/// How the header of a GUID partition table begins.
const GPT_SIGNATURE: [u8; 8] = *b"EFI PART";
/// The other value of `boot_indicator`.
const ACTIVE: u8 = 0x80;

/// One of the four, section 5.2.1, table 5-2.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Record {
    /// 0x80: active.
    boot_indicator: u8,
    first_chs: [u8; 3],
    kind: u8,
    last_chs: [u8; 3],
    /// In sectors.
    first_lba: U32,
    /// In sectors.
    count: U32,
}

#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct MasterBootRecord {
    code: [u8; BOOT_CODE_BYTES],
    disk_signature: [u8; 4],
    reserved: [u8; 2],
    records: [Record; RECORD_COUNT],
    signature: [u8; 2],
}
const _: () = assert!(size_of::<MasterBootRecord>() == MBR_BYTES);

/// The bytes of the disk that partitions may use: all after the first sector that can be counted.
///
/// # Errors
/// [`Error::Unsupported`] for other sectors than 512 and 4096 bytes or a disk that is not whole sectors.
pub fn usable(size: u64, sector_size: u32) -> Result<Range<u64>> {
    let sector = u64::from(sector_size);
    if !matches!(sector_size, 512 | 4096) || !size.is_multiple_of(sector) {
        let what = format!("disk of {size} bytes in sectors of {sector} bytes");
        return Err(Error::Unsupported { what, why: "use whole sectors of 512 or 4096 bytes".into() });
    }
    Ok(sector..size.min(u64::from(u32::MAX) * sector).max(sector))
}

/// The disk's first sector; all after it is a gap.
///
/// # Errors
/// As [`usable`], [`Error::Overlap`] and [`Error::Beyond`] for partitions in the wrong place,
/// [`Error::Limit`] for more than four, [`Error::Unsupported`] for misaligned or empty ones.
pub fn table(layout: &Layout, boot_code: Option<&[u8; BOOT_CODE_BYTES]>) -> Result<Sparse> {
    let sector = u64::from(layout.sector_size);
    let count = layout.partitions.len();
    if count > RECORD_COUNT {
        let (found, allowed) = (count as u64, RECORD_COUNT as u64);
        return Err(Error::Limit { what: "partitions of a dos table".into(), found, allowed });
    }
    check_places(&layout.partitions, &usable(layout.size, layout.sector_size)?, sector)?;
    let mut mbr: MasterBootRecord = zerocopy::FromZeros::new_zeroed();
    mbr.code = boot_code.copied().unwrap_or([0; BOOT_CODE_BYTES]);
    mbr.disk_signature = disk_signature(layout.uuid);
    for (record, partition) in mbr.records.iter_mut().zip(&layout.partitions) {
        *record = Record::new(partition, sector);
    }
    mbr.signature = SIGNATURE;
    let mut disk = Sparse::new(layout.size);
    disk.insert(0, Data::from_bytes(mbr.as_bytes()))?;
    Ok(disk)
}

/// What `PARTUUID=` begins with, as it is on the disk (little endian). Never zero, which means none.
#[must_use]
pub fn disk_signature(uuid: Uuid) -> [u8; 4] {
    let [a, b, c, d, ..] = *uuid.as_bytes();
    if [a, b, c, d] == [0; 4] { [1, 0, 0, 0] } else { [a, b, c, d] }
}

impl Record {
    fn partition(&self) -> Partition {
        let by_type = TYPES.iter().find(|(_, kind)| *kind == self.kind);
        Partition {
            offset: u64::from(self.first_lba.get()) * MBR_BYTES as u64,
            size: u64::from(self.count.get()) * MBR_BYTES as u64,
            type_uuid: by_type.map_or(LINUX_DATA, |(uuid, _)| *uuid),
            dos_type: Some(self.kind),
            uuid: Uuid::nil(),
            name: String::new(),
            attributes: if self.boot_indicator == ACTIVE { BIOS_BOOTABLE } else { 0 },
        }
    }

    fn new(partition: &Partition, sector: u64) -> Self {
        let (first, count) = (partition.offset / sector, partition.size / sector);
        let by_meaning = TYPES.iter().find(|(uuid, _)| *uuid == partition.type_uuid);
        let kind = partition.dos_type.or(by_meaning.map(|(_, kind)| *kind)).unwrap_or(LINUX);
        Self {
            boot_indicator: if partition.attributes & BIOS_BOOTABLE == 0 { 0 } else { ACTIVE },
            first_chs: chs(first),
            kind,
            last_chs: chs(first + count - 1),
            // within 32 bits: the usable bytes end there
            first_lba: (first as u32).into(),
            count: (count as u32).into(),
        }
    }
}

/// The partitions of a disk in sectors of 512 bytes; `None` if it has no such table, or a GUID
/// partition table too.
#[must_use]
pub fn read(disk: &Data) -> Option<Layout> {
    let mut sector = [0; MBR_BYTES];
    disk.read_exact_at(&mut sector, 0).ok()?;
    let mbr = MasterBootRecord::read_from_bytes(&sector).ok()?;
    let used = || mbr.records.iter().filter(|record| record.kind != 0);
    let sound = used().all(|record| matches!(record.boot_indicator, 0 | ACTIVE) && record.kind != PROTECTIVE);
    let mut header = [0; GPT_SIGNATURE.len()];
    let gpt = [512, 4096]
        .into_iter()
        .any(|at| disk.read_exact_at(&mut header, at).is_ok() && header == GPT_SIGNATURE);
    if mbr.signature != SIGNATURE || !sound || gpt || used().next().is_none() {
        return None;
    }
    let [a, b, c, d] = mbr.disk_signature;
    Some(Layout {
        size: disk.len(),
        kind: TableKind::Dos,
        sector_size: MBR_BYTES as u32,
        uuid: Uuid::from_bytes([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        partitions: used().map(Record::partition).collect(),
    })
}

/// Cylinder, head and sector of a sector's number.
const fn chs(lba: u64) -> [u8; 3] {
    let (track, sector) = (lba / SECTORS_PER_TRACK, lba % SECTORS_PER_TRACK + 1);
    let (cylinder, head) = (track / HEADS, track % HEADS);
    if cylinder >= CYLINDERS {
        return BEYOND;
    }
    [head as u8, sector as u8 | (cylinder >> 2) as u8 & 0xc0, cylinder as u8]
}
