//! FAT structures as they are on the disk, little-endian. Section numbers are
//! those of Microsoft's "FAT: General Overview of On-Disk Format" 1.03.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    little_endian::{U16, U32},
};

/// The boot sector's last two bytes, at offset 510 for any sector size.
pub(super) const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Offset of [`BOOT_SIGNATURE`].
pub(super) const BOOT_SIGNATURE_OFFSET: usize = 510;
/// Formatter's name; readers that look at it expect a known one.
pub(super) const OEM_NAME: [u8; 8] = *b"mkfs.fat";
/// Media byte of a fixed disk, repeated in the first FAT entry.
pub(super) const MEDIA_FIXED: u8 = 0xf8;
/// BIOS number of the first hard disk.
pub(super) const DRIVE_FIXED: u8 = 0x80;
/// Says that volume id, label and type follow.
pub(super) const EXTENDED_SIGNATURE: u8 = 0x29;
/// `int 0x18; hlt; jmp -3`: tells a BIOS to try the next device.
pub(super) const BOOT_CODE: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];
/// Sectors per track that BIOSes assume of a large disk.
pub(super) const TRACK_SECTORS: u16 = 63;
/// Heads that BIOSes assume of a large disk.
pub(super) const HEAD_COUNT: u16 = 255;
/// Copies of the allocation table.
pub(super) const FAT_COUNT: u8 = 2;
/// FAT32: sector of [`FsInfo`].
pub(super) const FSINFO_SECTOR: u16 = 1;
/// FAT32: sector of the copy of the boot sector; that of [`FsInfo`] follows it.
pub(super) const BACKUP_SECTOR: u16 = 6;

/// BIOS parameter block, section "Boot Sector and BPB", both types.
#[derive(Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Bpb {
    /// x86 jump over this block.
    pub(super) jump: [u8; 3],
    pub(super) oem_name: [u8; 8],
    pub(super) sector_bytes: U16,
    pub(super) cluster_sectors: u8,

    /// Sectors before the first FAT, the boot sector included.
    pub(super) reserved_sectors: U16,
    pub(super) fat_count: u8,
    /// FAT16: entries of the root directory; FAT32: 0.
    pub(super) root_entries: U16,
    /// Sectors of the volume; 0 if the number is in `total_sectors_32`.
    pub(super) total_sectors_16: U16,
    pub(super) media: u8,
    /// FAT16: sectors of one FAT; FAT32: 0.
    pub(super) fat_sectors_16: U16,
    pub(super) track_sectors: U16,
    pub(super) head_count: U16,
    /// Sectors of the disk before this partition.
    pub(super) hidden_sectors: U32,
    pub(super) total_sectors_32: U32,
}

/// What FAT32 adds to [`Bpb`].
#[derive(Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Bpb32 {
    /// Sectors of one FAT.
    pub(super) fat_sectors: U32,
    /// 0: all FATs are kept equal.
    pub(super) flags: U16,
    pub(super) version: U16,
    pub(super) root_cluster: U32,
    pub(super) fsinfo_sector: U16,
    pub(super) backup_sector: U16,
    pub(super) reserved: [u8; 12],
}

/// End of the parameter block, both types.
#[derive(Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Extended {
    pub(super) drive: u8,
    pub(super) reserved: u8,
    pub(super) signature: u8,
    pub(super) volume_id: U32,
    /// Padded with spaces; "NO NAME    " for none.
    pub(super) label: [u8; 11],
    /// For people only; readers count clusters.
    pub(super) type_name: [u8; 8],
}

const _: () = assert!(size_of::<Bpb>() == 36 && size_of::<Bpb32>() == 28 && size_of::<Extended>() == 26);

/// FAT32's summary, section "FSInfo Sector Structure".
#[derive(Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct FsInfo {
    /// [`FsInfo::LEAD`].
    pub(super) lead: U32,
    pub(super) reserved: [u8; 480],
    /// [`FsInfo::STRUCT`].
    pub(super) signature: U32,
    pub(super) free_clusters: U32,
    /// Where to look for a free cluster first.
    pub(super) next_free: U32,
    pub(super) reserved_2: [u8; 12],
    /// [`FsInfo::TRAIL`].
    pub(super) trail: U32,
}

impl FsInfo {
    pub(super) const LEAD: u32 = 0x4161_5252;
    pub(super) const STRUCT: u32 = 0x6141_7272;
    pub(super) const TRAIL: u32 = 0xaa55_0000;
    /// `next_free` of a full volume.
    pub(super) const UNKNOWN: u32 = 0xffff_ffff;
}

const _: () = assert!(size_of::<FsInfo>() == 512);

/// Directory entry attribute: the entry is the volume's label.
pub(super) const ATTR_VOLUME_ID: u8 = 0x08;
/// Directory entry attribute: the entry is a directory.
pub(super) const ATTR_DIRECTORY: u8 = 0x10;
/// Directory entry attribute: changed since the last backup.
pub(super) const ATTR_ARCHIVE: u8 = 0x20;
/// Directory entry attribute: the entry is a [`LongEntry`].
pub(super) const ATTR_LONG_NAME: u8 = 0x0f;

/// Short directory entry, section "Directory Structure".
#[derive(Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ShortEntry {
    /// Eight bytes and three, padded with spaces.
    pub(super) name: [u8; 11],
    pub(super) attributes: u8,
    pub(super) nt_reserved: u8,
    /// Hundredths of a second after `created_time`, 0 to 199.
    pub(super) created_hundredths: u8,
    pub(super) created_time: U16,

    pub(super) created_date: U16,
    pub(super) accessed_date: U16,
    pub(super) cluster_high: U16,
    pub(super) written_time: U16,
    pub(super) written_date: U16,
    pub(super) cluster_low: U16,
    /// Length in bytes; 0 for directories.
    pub(super) size: U32,
}

/// Thirteen UTF-16 units of a long name, section "Long File Name Implementation".
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct LongEntry {
    /// From 1; the last part of the name comes first and has [`LongEntry::LAST`].
    pub(super) order: u8,
    pub(super) name_1: [U16; 5],
    /// [`ATTR_LONG_NAME`].
    pub(super) attributes: u8,
    pub(super) kind: u8,
    /// Sum of the short name that follows.
    pub(super) checksum: u8,

    pub(super) name_2: [U16; 6],
    pub(super) cluster: U16,
    pub(super) name_3: [U16; 2],
}

impl LongEntry {
    pub(super) const LAST: u8 = 0x40;
    /// UTF-16 units in one entry.
    pub(super) const UNITS: usize = 13;
}

/// Bytes of a directory entry of either form.
pub(super) const ENTRY_BYTES: usize = 32;

const _: () = assert!(size_of::<ShortEntry>() == ENTRY_BYTES && size_of::<LongEntry>() == ENTRY_BYTES);
