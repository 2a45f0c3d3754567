//! Structures of sparse extents as they are in the file, little-endian. Names
//! are those of VMware's "Virtual Disk Format 5.0".

use zerocopy::{
    Immutable, IntoBytes,
    little_endian::{U16, U32, U64},
};

/// Unit of offsets and lengths.
pub(super) const SECTOR: u64 = 512;

/// `SparseExtentHeader`. Offsets and sizes are in sectors.
#[derive(Clone, Debug, IntoBytes, Immutable)]
#[repr(C, packed)]
pub(super) struct Header {
    pub(super) magic: [u8; 4],
    pub(super) version: U32,
    pub(super) flags: U32,
    /// Size of the disk.
    pub(super) capacity: U64,
    pub(super) grain_size: U64,
    pub(super) descriptor_offset: U64,
    pub(super) descriptor_size: U64,
    pub(super) num_gtes_per_gt: U32,
    /// The redundant grain directory.
    pub(super) rgd_offset: U64,
    pub(super) gd_offset: U64,
    /// What metadata takes before the first grain.
    pub(super) over_head: U64,
    pub(super) unclean_shutdown: u8,
    pub(super) single_end_line_char: u8,
    pub(super) non_end_line_char: u8,
    pub(super) double_end_line_char: [u8; 2],
    pub(super) compress_algorithm: U16,
    pub(super) pad: [u8; 433],
}

impl Header {
    /// Flags: the four newline characters are valid.
    pub(super) const FLAG_NL_DETECT: u32 = 1 << 0;
    /// Flags: there is a redundant grain directory.
    pub(super) const FLAG_RGD: u32 = 1 << 1;
    /// Flags: grains are compressed.
    pub(super) const FLAG_COMPRESS: u32 = 1 << 16;
    /// Flags: grains and metadata have markers.
    pub(super) const FLAG_MARKER: u32 = 1 << 17;
    /// `gd_offset`: the footer knows.
    pub(super) const GD_AT_END: u64 = u64::MAX;
    pub(super) const COMPRESSION_DEFLATE: u16 = 1;
}

impl Default for Header {
    fn default() -> Self {
        Self {
            magic: [0; 4],
            version: U32::ZERO,
            flags: U32::ZERO,
            capacity: U64::ZERO,
            grain_size: U64::ZERO,
            descriptor_offset: U64::ZERO,
            descriptor_size: U64::ZERO,
            num_gtes_per_gt: U32::ZERO,
            rgd_offset: U64::ZERO,
            gd_offset: U64::ZERO,
            over_head: U64::ZERO,
            unclean_shutdown: 0,
            single_end_line_char: 0,
            non_end_line_char: 0,
            double_end_line_char: [0; 2],
            compress_algorithm: U16::ZERO,
            pad: [0; 433],
        }
    }
}

const _: () = assert!(size_of::<Header>() == SECTOR as usize);

/// Precedes a compressed grain.
#[derive(Debug, IntoBytes, Immutable)]
#[repr(C, packed)]
pub(super) struct GrainMarker {
    /// First sector of the grain on the disk.
    pub(super) lba: U64,
    /// Bytes of the compressed grain that follows at once.
    pub(super) size: U32,
}

/// Precedes metadata, and fills a sector.
#[derive(Debug, IntoBytes, Immutable)]
#[repr(C, packed)]
pub(super) struct MetadataMarker {
    /// Sectors that follow.
    pub(super) num_sectors: U64,
    /// 0 tells a metadata marker from a grain's.
    pub(super) size: U32,
    pub(super) kind: U32,
    pub(super) pad: [u8; 496],
}

impl MetadataMarker {
    pub(super) const END_OF_STREAM: u32 = 0;
    pub(super) const GRAIN_TABLE: u32 = 1;
    pub(super) const GRAIN_DIRECTORY: u32 = 2;
    pub(super) const FOOTER: u32 = 3;

    pub(super) fn new(kind: u32, num_sectors: u64) -> Self {
        Self { num_sectors: num_sectors.into(), size: U32::ZERO, kind: kind.into(), pad: [0; 496] }
    }
}

const _: () = assert!(size_of::<MetadataMarker>() == SECTOR as usize);
