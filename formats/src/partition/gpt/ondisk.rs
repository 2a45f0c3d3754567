//! How a GUID partition table looks on disk, little endian. Source: UEFI
//! Specification 2.10, sections 5.2 and 5.3.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    little_endian::{U16, U32, U64},
};

/// Offset of the MBR's last two bytes.
pub(super) const MBR_SIGNATURE_AT: usize = 510;
/// The MBR's last two bytes.
pub(super) const MBR_SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Offset of the MBR's first partition record.
pub(super) const MBR_RECORDS_AT: usize = 446;
/// Bytes of a partition record of the MBR, and where in it the type is.
pub(super) const MBR_RECORD_BYTES: usize = 16;
pub(super) const MBR_TYPE_AT: usize = 4;
/// Type of the record that protects a GPT.
pub(super) const MBR_PROTECTIVE: u8 = 0xee;

/// `Signature`.
pub(super) const SIGNATURE: [u8; 8] = *b"EFI PART";
/// Smallest and usual `SizeOfPartitionEntry`, in bytes.
pub(super) const ENTRY_BYTES: usize = 128;

/// Section 5.3.2, "GPT Header".
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    pub(super) signature: [u8; 8],
    pub(super) revision: U32,
    pub(super) header_bytes: U32,
    /// crc32 of `header_bytes`, with this field zero.
    pub(super) checksum: U32,
    pub(super) reserved: U32,

    pub(super) my_lba: U64,
    pub(super) alternate_lba: U64,
    pub(super) first_usable: U64,
    pub(super) last_usable: U64,

    pub(super) disk_guid: [u8; 16],
    pub(super) entries_lba: U64,
    pub(super) entry_count: U32,
    pub(super) entry_bytes: U32,
    pub(super) entries_checksum: U32,
}
const _: () = assert!(size_of::<Header>() == 92);

/// Section 5.3.3, "GPT Partition Entry Array".
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Entry {
    /// Zero: the entry is not used.
    pub(super) type_guid: [u8; 16],
    pub(super) guid: [u8; 16],
    pub(super) first_lba: U64,
    /// Inclusive.
    pub(super) last_lba: U64,
    pub(super) attributes: U64,
    pub(super) name: [U16; 36],
}
const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);
