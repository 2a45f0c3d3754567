//! QCOW2 structures as they are in the file, big-endian. Names are those of
//! QEMU's `docs/interop/qcow2.txt`.

use zerocopy::{
    Immutable, IntoBytes,
    big_endian::{U32, U64},
};

/// Section "Header", version 3; version 2 ends after `snapshots_offset`.
#[derive(Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Header {
    /// [`Header::MAGIC`].
    pub(super) magic: U32,
    pub(super) version: U32,
    pub(super) backing_file_offset: U64,

    pub(super) backing_file_size: U32,
    /// Cluster size as a power of two.
    pub(super) cluster_bits: U32,
    /// Virtual size in bytes.
    pub(super) size: U64,

    pub(super) crypt_method: U32,
    /// Entries of the L1 table.
    pub(super) l1_size: U32,
    pub(super) l1_table_offset: U64,

    pub(super) refcount_table_offset: U64,
    pub(super) refcount_table_clusters: U32,
    pub(super) nb_snapshots: U32,

    pub(super) snapshots_offset: U64,
    pub(super) incompatible_features: U64,

    pub(super) compatible_features: U64,
    pub(super) autoclear_features: U64,

    /// Width of a reference count: `1 << refcount_order` bits.
    pub(super) refcount_order: U32,
    /// Length of this structure; header extensions follow it.
    pub(super) header_length: U32,
    /// 0 for deflate, 1 for Zstandard (with [`Header::INCOMPAT_COMPRESSION`]).
    pub(super) compression_type: u8,
    pub(super) padding: [u8; 7],
}

impl Header {
    pub(super) const MAGIC: u32 = u32::from_be_bytes(*b"QFI\xfb");
    pub(super) const VERSION_2: u32 = 2;
    pub(super) const VERSION_3: u32 = 3;
    pub(super) const LENGTH: u32 = size_of::<Self>() as u32;
    /// Incompatible feature bit 3: `compression_type` is not 0.
    pub(super) const INCOMPAT_COMPRESSION: u64 = 1 << 3;
    pub(super) const COMPRESSION_ZSTD: u8 = 1;
    /// Reference counts of 16 bits.
    pub(super) const REFCOUNT_ORDER: u32 = 4;
}

const _: () = assert!(size_of::<Header>() == 112);

/// L1 and L2 entry: the cluster's reference count is exactly one.
pub(super) const OFLAG_COPIED: u64 = 1 << 63;
/// L2 entry: the cluster is compressed.
const OFLAG_COMPRESSED: u64 = 1 << 62;
/// Unit of a compressed cluster's length.
const SECTOR_BYTES: u64 = 512;

/// L2 entry of a compressed cluster: its host offset, and above it how many
/// more sectors it touches than the one it starts in.
pub(super) const fn compressed_entry(offset: u64, len: u64, cluster_bits: u32) -> u64 {
    let sectors = (offset + len - 1) / SECTOR_BYTES - offset / SECTOR_BYTES;
    OFLAG_COMPRESSED | sectors << (62 - (cluster_bits - 8)) | offset
}
