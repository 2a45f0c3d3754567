//! How ISO 9660 looks on disc. Sources: ECMA-119, 4th edition (sections are
//! cited); "El Torito" Bootable CD-ROM Format Specification 1.0; SUSP 1.12 and
//! RRIP 1.12 for the entries behind a directory record. Positions count from 0.

use zerocopy::{
    Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::{BigEndian, LittleEndian, U16, U32},
};

/// Bytes of a logical sector, which is also the logical block here.
pub(super) const SECTOR: u64 = 2048;
/// Sectors before the first volume descriptor: the system area.
pub(super) const SYSTEM_SECTORS: u32 = 16;
/// `Standard Identifier` of every volume descriptor.
pub(super) const STANDARD_ID: [u8; 5] = *b"CD001";
/// Bytes of a directory record without its identifier.
pub(super) const RECORD_BYTES: usize = size_of::<Record>();
/// Longest directory record, in bytes; its length is even.
pub(super) const RECORD_MAX: usize = 254;
/// `File Flags`: a directory.
pub(super) const FLAG_DIRECTORY: u8 = 0x02;
/// `File Flags`: another record of the same file follows.
pub(super) const FLAG_MULTI_EXTENT: u8 = 0x80;
/// Longest extent of a file, in bytes: whole sectors.
pub(super) const EXTENT_MAX: u64 = 0xffff_f800;

/// Section 7.2.3: a number in both byte orders.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Both16 {
    little: U16<LittleEndian>,
    big: U16<BigEndian>,
}

impl From<u16> for Both16 {
    fn from(value: u16) -> Self {
        Self { little: value.into(), big: value.into() }
    }
}

/// Section 7.3.3: a number in both byte orders.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Both32 {
    little: U32<LittleEndian>,
    big: U32<BigEndian>,
}

impl From<u32> for Both32 {
    fn from(value: u32) -> Self {
        Self { little: value.into(), big: value.into() }
    }
}

/// Section 9.1, "Directory Record", up to the identifier.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Record {
    /// Bytes of the whole record.
    pub(super) length: u8,
    pub(super) extended_attribute_length: u8,
    /// First sector of the extent.
    pub(super) extent: Both32,
    /// Bytes of the extent.
    pub(super) data_length: Both32,
    /// Section 9.1.5.
    pub(super) recorded: [u8; 7],
    pub(super) flags: u8,
    pub(super) unit_size: u8,
    pub(super) gap_size: u8,
    pub(super) volume: Both16,
    pub(super) identifier_length: u8,
}
const _: () = assert!(RECORD_BYTES == 33);

/// Section 9.4, "Path Table", an entry up to the identifier, little endian.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct PathEntryL {
    pub(super) identifier_length: u8,
    pub(super) extended_attribute_length: u8,
    pub(super) extent: U32<LittleEndian>,
    /// Number of the parent in the table, from 1.
    pub(super) parent: U16<LittleEndian>,
}

/// The same, big endian.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct PathEntryM {
    pub(super) identifier_length: u8,
    pub(super) extended_attribute_length: u8,
    pub(super) extent: U32<BigEndian>,
    pub(super) parent: U16<BigEndian>,
}
const _: () = assert!(size_of::<PathEntryL>() == 8 && size_of::<PathEntryM>() == 8);

/// Section 8.4, "Primary Volume Descriptor".
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct PrimaryDescriptor {
    /// 1.
    pub(super) kind: u8,
    pub(super) standard_id: [u8; 5],
    pub(super) version: u8,
    pub(super) unused_7: u8,
    pub(super) system_id: [u8; 32],
    pub(super) volume_id: [u8; 32],
    pub(super) unused_72: [u8; 8],
    /// Sectors of the volume.
    pub(super) volume_space: Both32,
    pub(super) unused_88: [u8; 32],
    pub(super) volume_set_size: Both16,
    pub(super) volume_sequence: Both16,
    pub(super) block_bytes: Both16,
    pub(super) path_table_bytes: Both32,
    pub(super) path_table_l: U32<LittleEndian>,
    pub(super) path_table_l_optional: U32<LittleEndian>,
    pub(super) path_table_m: U32<BigEndian>,
    pub(super) path_table_m_optional: U32<BigEndian>,
    pub(super) root: Record,
    /// Identifier of the root: one zero byte.
    pub(super) root_identifier: u8,
    pub(super) volume_set_id: [u8; 128],
    pub(super) publisher: [u8; 128],
    pub(super) data_preparer: [u8; 128],
    pub(super) application: [u8; 128],
    pub(super) copyright_file: [u8; 37],
    pub(super) abstract_file: [u8; 37],
    pub(super) bibliographic_file: [u8; 37],
    /// Section 8.4.26.1.
    pub(super) created: [u8; 17],
    pub(super) modified: [u8; 17],
    pub(super) expires: [u8; 17],
    pub(super) effective: [u8; 17],
    pub(super) file_structure_version: u8,
    pub(super) reserved_882: u8,
    pub(super) application_use: [u8; 512],
    pub(super) reserved_1395: [u8; 653],
}
const _: () = assert!(size_of::<PrimaryDescriptor>() == SECTOR as usize);

/// Section 8.2, "Boot Record", as El Torito uses it (its section 2.0).
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BootRecord {
    /// 0.
    pub(super) kind: u8,
    pub(super) standard_id: [u8; 5],
    pub(super) version: u8,
    pub(super) boot_system_id: [u8; 32],
    pub(super) unused_39: [u8; 32],
    /// Sector of the boot catalogue.
    pub(super) catalog: U32<LittleEndian>,
    pub(super) unused_75: [u8; 1973],
}
const _: () = assert!(size_of::<BootRecord>() == SECTOR as usize);

/// El Torito, section 2.1, "Validation Entry".
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ValidationEntry {
    /// 1.
    pub(super) header_id: u8,
    pub(super) platform: u8,
    pub(super) reserved: [u8; 2],
    pub(super) id: [u8; 24],
    /// Makes the sum of the entry's 16-bit words zero.
    pub(super) checksum: U16<LittleEndian>,
    pub(super) key: [u8; 2],
}
const _: () = assert!(size_of::<ValidationEntry>() == 32);

/// El Torito, section 2.3, "Section Header".
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SectionHeader {
    /// 0x90, or 0x91 for the last.
    pub(super) header_id: u8,
    pub(super) platform: u8,
    pub(super) entry_count: U16<LittleEndian>,
    pub(super) id: [u8; 28],
}
const _: () = assert!(size_of::<SectionHeader>() == 32);

/// El Torito, sections 2.2 and 2.4, "Initial/Default Entry" and "Section Entry".
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BootEntry {
    /// 0x88: bootable.
    pub(super) indicator: u8,
    /// 0: no emulation.
    pub(super) media: u8,
    /// 0: the usual one.
    pub(super) load_segment: U16<LittleEndian>,
    pub(super) system_type: u8,
    pub(super) unused: u8,
    /// Virtual sectors of 512 bytes.
    pub(super) sector_count: U16<LittleEndian>,
    pub(super) start: U32<LittleEndian>,
    pub(super) reserved: [u8; 20],
}
const _: () = assert!(size_of::<BootEntry>() == 32);
