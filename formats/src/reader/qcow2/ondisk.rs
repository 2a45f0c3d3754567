//! QCOW2 structures as they are in the file, big-endian. Names are those of
//! QEMU's `docs/interop/qcow2.txt`.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    big_endian::{U32, U64},
};

/// Section "Header". Version 2 ends after `snapshots_offset`.
#[derive(Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 4],
    pub(super) version: U32,
    pub(super) backing_file_offset: U64,

    pub(super) backing_file_size: U32,
    pub(super) cluster_bits: U32,
    /// Virtual size in bytes.
    pub(super) size: U64,

    pub(super) crypt_method: U32,
    /// Entries.
    pub(super) l1_size: U32,
    pub(super) l1_table_offset: U64,

    pub(super) refcount_table_offset: U64,
    pub(super) refcount_table_clusters: U32,
    pub(super) nb_snapshots: U32,

    pub(super) snapshots_offset: U64,
    pub(super) incompatible_features: U64,

    pub(super) compatible_features: U64,
    pub(super) autoclear_features: U64,

    pub(super) refcount_order: U32,
    pub(super) header_length: U32,
    pub(super) compression_type: u8,
    pub(super) padding: [u8; 7],
}

impl Header {
    /// Length of version 2.
    pub(super) const LENGTH_2: usize = 72;
    /// Length of version 3 without a compression type.
    pub(super) const LENGTH_3: usize = 104;
}

const _: () = assert!(size_of::<Header>() == 112);

/// Incompatible feature bits, and what they mean for a reader that refuses them.
pub(super) const REFUSED_FEATURES: [(u64, &str); 4] = [
    (1 << 0, "it was not closed properly; run `qemu-img check -r all` on it"),
    (1 << 1, "it is marked corrupt; run `qemu-img check -r all` on it"),
    (1 << 2, "its data is in another file"),
    (1 << 4, "it has extended L2 entries, which are not read"),
];
/// Incompatible feature bit 3: `compression_type` is not 0.
pub(super) const INCOMPAT_COMPRESSION: u64 = 1 << 3;

/// L1 and L2 entries: the host offset.
pub(super) const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
/// L2 entry: the cluster is compressed.
pub(super) const OFLAG_COMPRESSED: u64 = 1 << 62;
/// L2 entry, version 3: the cluster reads as zero.
pub(super) const OFLAG_ZERO: u64 = 1;
