//! QCOW2 structures as they are in the file, big-endian. Names are those of
//! QEMU's `docs/interop/qcow2.txt`.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    big_endian::{U32, U64},
};

/// Section "Header", version 3. Version 2 ends after `snapshots_offset`.
#[derive(Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Header {
    /// [`Header::MAGIC`].
    pub(crate) magic: [u8; 4],
    pub(crate) version: U32,
    pub(crate) backing_file_offset: U64,

    pub(crate) backing_file_size: U32,
    /// Cluster size as a power of two.
    pub(crate) cluster_bits: U32,
    /// Virtual size in bytes.
    pub(crate) size: U64,

    pub(crate) crypt_method: U32,
    /// Entries of the L1 table.
    pub(crate) l1_size: U32,
    pub(crate) l1_table_offset: U64,

    pub(crate) refcount_table_offset: U64,
    pub(crate) refcount_table_clusters: U32,
    pub(crate) nb_snapshots: U32,

    pub(crate) snapshots_offset: U64,
    pub(crate) incompatible_features: U64,

    pub(crate) compatible_features: U64,
    pub(crate) autoclear_features: U64,

    /// Width of a reference count: `1 << refcount_order` bits.
    pub(crate) refcount_order: U32,
    /// Length of this structure; header extensions follow it.
    pub(crate) header_length: U32,
    /// 0 for deflate, 1 for Zstandard (with [`INCOMPAT_COMPRESSION`]).
    pub(crate) compression_type: u8,
    pub(crate) padding: [u8; 7],
}

impl Header {
    pub(crate) const MAGIC: [u8; 4] = *b"QFI\xfb";
    pub(crate) const VERSION_2: u32 = 2;
    pub(crate) const VERSION_3: u32 = 3;
    /// Length of version 2.
    pub(crate) const LENGTH_2: usize = 72;
    /// Length of version 3 without a compression type.
    pub(crate) const LENGTH_3: usize = 104;
    /// Length with all that is here.
    pub(crate) const LENGTH: u32 = size_of::<Self>() as u32;
    pub(crate) const COMPRESSION_ZSTD: u8 = 1;
    /// Reference counts of 16 bits.
    pub(crate) const REFCOUNT_ORDER: u32 = 4;
}

const _: () = assert!(size_of::<Header>() == 112);

/// Incompatible feature bits, and what they mean for a reader that refuses them.
pub(crate) const REFUSED_FEATURES: [(u64, &str); 4] = [
    (1 << 0, "it was not closed properly; run `qemu-img check -r all` on it"),
    (1 << 1, "it is marked corrupt; run `qemu-img check -r all` on it"),
    (1 << 2, "its data is in another file"),
    (1 << 4, "it has extended L2 entries, which are not read"),
];
/// Incompatible feature bit 3: `compression_type` is not 0.
pub(crate) const INCOMPAT_COMPRESSION: u64 = 1 << 3;

/// L1 and L2 entries: the host offset.
pub(crate) const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
/// L1 and L2 entry: the cluster's reference count is exactly one.
pub(crate) const OFLAG_COPIED: u64 = 1 << 63;
/// L2 entry: the cluster is compressed.
pub(crate) const OFLAG_COMPRESSED: u64 = 1 << 62;
/// L2 entry, version 3: the cluster reads as zero.
pub(crate) const OFLAG_ZERO: u64 = 1;
/// Unit of a compressed cluster's length.
const SECTOR_BYTES: u64 = 512;

/// L2 entry of a compressed cluster: its host offset, and above it how many
/// more sectors it touches than the one it starts in.
pub(crate) const fn compressed_entry(offset: u64, len: u64, cluster_bits: u32) -> u64 {
    let sectors = (offset + len - 1) / SECTOR_BYTES - offset / SECTOR_BYTES;
    OFLAG_COMPRESSED | sectors << (62 - (cluster_bits - 8)) | offset
}
