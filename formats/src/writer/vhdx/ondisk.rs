//! VHDX structures as they are in the file, little-endian. Names are those of
//! Microsoft's [MS-VHDX].

use uuid::{Uuid, uuid};
use zerocopy::{
    Immutable, IntoBytes,
    little_endian::{U16, U32, U64},
};

/// Section 2.2.1, "File Type Identifier"; 512 of them are the creator's name in UTF-16.
pub(super) const FILE_SIGNATURE: [u8; 8] = *b"vhdxfile";

/// Section 2.2.2, "Headers".
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Header {
    pub(super) signature: [u8; 4],
    /// CRC-32C of the structure with this field zero.
    pub(super) checksum: U32,
    pub(super) sequence_number: U64,

    pub(super) file_write_guid: [u8; 16],

    pub(super) data_write_guid: [u8; 16],

    /// Zero: the log is empty.
    pub(super) log_guid: [u8; 16],

    pub(super) log_version: U16,
    pub(super) version: U16,
    pub(super) log_length: U32,
    pub(super) log_offset: U64,

    pub(super) reserved: [u8; 4016],
}

impl Header {
    pub(super) const SIGNATURE: [u8; 4] = *b"head";
    pub(super) const VERSION: u16 = 1;
}

const _: () = assert!(size_of::<Header>() == 4096);

/// Section 2.2.3.1, "Region Table Header"; the table has 64 KiB.
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct RegionTableHeader {
    pub(super) signature: [u8; 4],
    /// CRC-32C of the table with this field zero.
    pub(super) checksum: U32,
    pub(super) entry_count: U32,
    pub(super) reserved: U32,
}

impl RegionTableHeader {
    pub(super) const SIGNATURE: [u8; 4] = *b"regi";
}

/// Section 2.2.3.2, "Region Table Entry".
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct RegionTableEntry {
    pub(super) guid: [u8; 16],
    /// Bytes, a multiple of 1 MiB, as is `length`.
    pub(super) file_offset: U64,
    pub(super) length: U32,
    pub(super) required: U32,
}

pub(super) const BAT_REGION: Uuid = uuid!("2dc27766-f623-4200-9d64-115e9bfd4a08");
pub(super) const METADATA_REGION: Uuid = uuid!("8b7ca206-4790-4b9a-b8fe-575f050f886e");

/// Section 2.6.1.1, "Metadata Table Header".
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct MetadataTableHeader {
    pub(super) signature: [u8; 8],
    pub(super) reserved: U16,
    pub(super) entry_count: U16,
    pub(super) reserved2: [u8; 20],
}

impl MetadataTableHeader {
    pub(super) const SIGNATURE: [u8; 8] = *b"metadata";
}

const _: () = assert!(size_of::<MetadataTableHeader>() == 32);

/// Section 2.6.1.2, "Metadata Table Entry".
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct MetadataTableEntry {
    pub(super) item_id: [u8; 16],
    /// Bytes from the start of the region, at least 64 KiB.
    pub(super) offset: U32,
    pub(super) length: U32,
    pub(super) flags: U32,
    pub(super) reserved: U32,
}

impl MetadataTableEntry {
    pub(super) const IS_VIRTUAL_DISK: u32 = 1 << 1;
    pub(super) const IS_REQUIRED: u32 = 1 << 2;
}

const _: () = assert!(size_of::<MetadataTableEntry>() == 32);

/// Section 2.6.2, "Known Metadata Items".
pub(super) const FILE_PARAMETERS: Uuid = uuid!("caa16737-fa36-4d43-b3b6-33f0aa44e76b");
pub(super) const VIRTUAL_DISK_SIZE: Uuid = uuid!("2fa54224-cd1b-4876-b211-5dbed83bf4b8");
pub(super) const VIRTUAL_DISK_ID: Uuid = uuid!("beca12ab-b2e6-4523-93ef-c309e000c746");
pub(super) const LOGICAL_SECTOR_SIZE: Uuid = uuid!("8141bf1d-a96f-4709-ba47-f233a8faab5f");
pub(super) const PHYSICAL_SECTOR_SIZE: Uuid = uuid!("cda348c7-445d-4471-9cc9-e9885251c556");

/// Section 2.5.1.1, state of a payload block; the entry is this and the offset, a multiple of 1 MiB.
pub(super) const PAYLOAD_BLOCK_FULLY_PRESENT: u64 = 6;
