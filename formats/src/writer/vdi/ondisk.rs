//! The VDI header as it is in the file, little-endian. Names are those of
//! VirtualBox, `VDICore.h`.

use zerocopy::{
    Immutable, IntoBytes,
    little_endian::{U32, U64},
};

/// `VDIPREHEADER` and `VDIHEADER1PLUS`, and zeros to the end of the sector.
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C, packed)]
pub(super) struct Header {
    /// Text for people.
    pub(super) file_info: [u8; 64],
    pub(super) signature: U32,
    pub(super) version: U32,
    /// Bytes of what follows this and is not padding.
    pub(super) header_size: U32,
    pub(super) image_type: U32,
    pub(super) flags: U32,
    pub(super) comment: [u8; 256],
    /// Offset of the block map in bytes.
    pub(super) offset_blocks: U32,
    /// Offset of the first block in bytes.
    pub(super) offset_data: U32,
    pub(super) cylinders: U32,
    pub(super) heads: U32,
    pub(super) sectors: U32,
    pub(super) sector_size: U32,
    pub(super) unused: U32,
    /// Size of the disk in bytes.
    pub(super) disk_size: U64,
    pub(super) block_size: U32,
    pub(super) block_extra: U32,
    pub(super) block_count: U32,
    pub(super) blocks_allocated: U32,
    pub(super) uuid_create: [u8; 16],
    pub(super) uuid_modify: [u8; 16],
    pub(super) uuid_linkage: [u8; 16],
    pub(super) uuid_parent_modify: [u8; 16],
    /// Another geometry, unset, and padding.
    pub(super) rest: [u8; 56],
}

impl Header {
    pub(super) const SIGNATURE: u32 = 0xbeda_107f;
    pub(super) const VERSION: u32 = 0x0001_0001;
    /// `VDIHEADER1PLUS`.
    pub(super) const SIZE: u32 = 0x190;
    pub(super) const TYPE_NORMAL: u32 = 1;
}

const _: () = assert!(size_of::<Header>() == 512);

/// Map entry of a block that reads as zero (`VDI_IMAGE_BLOCK_FREE`).
pub(super) const FREE: u32 = u32::MAX;
