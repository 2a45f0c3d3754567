//! VHD structures as they are in the file, big-endian. Names follow
//! Microsoft's "Virtual Hard Disk Image Format Specification", 1.0.

use zerocopy::{
    Immutable, IntoBytes,
    big_endian::{U16, U32, U64},
};

/// "Hard Disk Footer Format".
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Footer {
    pub(super) cookie: [u8; 8],
    pub(super) features: U32,
    pub(super) file_format_version: U32,
    /// Offset of the dynamic header in bytes; all ones for a fixed disk.
    pub(super) data_offset: U64,
    /// Seconds since 2000.
    pub(super) time_stamp: U32,
    pub(super) creator_application: [u8; 4],
    pub(super) creator_version: U32,
    pub(super) creator_host_os: [u8; 4],

    /// Bytes.
    pub(super) original_size: U64,
    /// Bytes.
    pub(super) current_size: U64,
    pub(super) cylinders: U16,
    pub(super) heads: u8,
    pub(super) sectors_per_track: u8,
    pub(super) disk_type: U32,
    /// Ones' complement of the sum of all bytes, with this field zero.
    pub(super) checksum: U32,
    pub(super) unique_id: [u8; 16],
    pub(super) saved_state: u8,
    pub(super) reserved: [u8; 427],
}

impl Footer {
    pub(super) const COOKIE: [u8; 8] = *b"conectix";
    /// Always set.
    pub(super) const FEATURE_RESERVED: u32 = 2;
    pub(super) const VERSION: u32 = 0x0001_0000;
    pub(super) const NO_OFFSET: u64 = u64::MAX;
    /// 2000-01-01, in seconds since 1970.
    pub(super) const EPOCH: i64 = 946_684_800;
    /// QEMU's, for disks whose size is `current_size` and not what the geometry makes.
    pub(super) const APPLICATION: [u8; 4] = *b"qem2";
    pub(super) const APPLICATION_VERSION: u32 = 0x0005_0003;
    pub(super) const HOST_OS: [u8; 4] = *b"Wi2k";
    pub(super) const TYPE_FIXED: u32 = 2;
    pub(super) const TYPE_DYNAMIC: u32 = 3;
}

const _: () = assert!(size_of::<Footer>() == 512);

/// "Dynamic Disk Header Format".
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct DynamicHeader {
    pub(super) cookie: [u8; 8],
    /// All ones: there is nothing further.
    pub(super) data_offset: U64,
    /// Offset of the block allocation table in bytes.
    pub(super) table_offset: U64,
    pub(super) header_version: U32,
    pub(super) max_table_entries: U32,

    pub(super) block_size: U32,
    /// As in [`Footer`].
    pub(super) checksum: U32,
    /// Of a parent, which there is none of, and reserved.
    pub(super) parent: [u8; 984],
}

impl DynamicHeader {
    pub(super) const COOKIE: [u8; 8] = *b"cxsparse";
    pub(super) const VERSION: u32 = 0x0001_0000;
}

const _: () = assert!(size_of::<DynamicHeader>() == 1024);

/// Table entry of a block that is not there.
pub(super) const UNUSED: u32 = u32::MAX;

/// The checksum of a structure whose own checksum field is zero.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>()
}
