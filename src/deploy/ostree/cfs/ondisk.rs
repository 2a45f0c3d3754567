//! How a composefs image looks: the EROFS structures that it uses.
//! Sources: the kernel's `fs/erofs/erofs_fs.h`, composefs' `lcfs-erofs.h`.

use zerocopy::{
    Immutable, IntoBytes, KnownLayout,
    little_endian::{U16, U32, U64},
};

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;
/// Inodes start at multiples of this many bytes; their number (`nid`) counts these.
pub(super) const SLOT: usize = 32;
/// Where the superblock is.
pub(super) const SUPERBLOCK_OFFSET: usize = 1024;
/// Where the first inode is.
pub(super) const INODES_OFFSET: usize = SUPERBLOCK_OFFSET + size_of::<Superblock>();

/// `LCFS_EROFS_MAGIC`.
pub(super) const HEADER_MAGIC: u32 = 0xd078_629a;
/// `LCFS_EROFS_VERSION`: of the header, always 1.
pub(super) const HEADER_VERSION: u32 = 1;
/// `LCFS_EROFS_FLAGS_HAS_ACL`: some inode has a POSIX access control list.
pub(super) const HEADER_HAS_ACL: u32 = 1;
/// `EROFS_SUPER_MAGIC_V1`.
pub(super) const SUPER_MAGIC: u32 = 0xe0f5_e1e2;
/// `EROFS_FEATURE_COMPAT_MTIME`.
pub(super) const COMPAT_MTIME: u32 = 2;
/// `EROFS_FEATURE_COMPAT_XATTR_FILTER`.
pub(super) const COMPAT_XATTR_FILTER: u32 = 4;
/// Binary logarithm of [`BLOCK`].
pub(super) const BLOCK_BITS: u8 = 12;

/// `EROFS_INODE_FLAT_PLAIN`: data in blocks.
pub(super) const FLAT_PLAIN: u16 = 0;
/// `EROFS_INODE_FLAT_INLINE`: the last, partial block follows the inode.
pub(super) const FLAT_INLINE: u16 = 2;
/// `EROFS_INODE_CHUNK_BASED`: addresses of chunks follow the inode.
pub(super) const CHUNK_BASED: u16 = 4;
/// Largest logarithm of blocks a chunk can have (5 bits).
pub(super) const CHUNK_BITS_MAX: u32 = 31;
/// `EROFS_NULL_ADDR`: a chunk that is not here.
pub(super) const NULL_ADDRESS: u32 = u32::MAX;

/// `EROFS_FT_*`: the type in a directory entry.
pub(super) mod file_type {
    pub(crate) const REGULAR: u8 = 1;
    pub(crate) const DIRECTORY: u8 = 2;
    pub(crate) const CHARACTER_DEVICE: u8 = 3;
    pub(crate) const SYMLINK: u8 = 7;
}

/// `struct lcfs_erofs_header_s`, at byte 0.
#[derive(IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: U32,
    pub(super) version: U32,
    pub(super) flags: U32,
    /// Layout version: 0.
    pub(super) composefs_version: U32,
}

/// `struct erofs_super_block`.
#[derive(IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Superblock {
    pub(super) magic: U32,
    pub(super) checksum: U32,
    pub(super) feature_compat: U32,
    pub(super) block_bits: u8,
    pub(super) extension_slots: u8,
    pub(super) root_nid: U16,

    pub(super) inode_count: U64,
    /// Seconds since 1970, of every compact inode.
    pub(super) build_time: U64,
    pub(super) build_time_nsec: U32,
    /// Blocks of all data beside inodes, and blocks before it.
    pub(super) blocks: U32,
    /// Block from which `nid` counts.
    pub(super) meta_block: U32,
    /// Block from which ids of shared attributes count.
    pub(super) xattr_block: U32,
    pub(super) uuid: [u8; 16],
    pub(super) volume_name: [u8; 16],
    pub(super) feature_incompat: U32,
    pub(super) rest: [u8; 44],
}

/// `struct erofs_inode_compact`.
#[derive(IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct CompactInode {
    /// Data layout shifted by one; bit 0 clear.
    pub(super) format: U16,
    pub(super) xattr_count: U16,
    pub(super) mode: U16,
    pub(super) link_count: U16,
    /// Bytes.
    pub(super) size: U32,
    pub(super) reserved: U32,
    /// First data block, or the chunk format.
    pub(super) data: U32,
    pub(super) number: U32,
    pub(super) uid: U16,
    pub(super) gid: U16,
    pub(super) reserved2: U32,
}

/// `struct erofs_inode_extended`.
#[derive(IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ExtendedInode {
    /// Data layout shifted by one; bit 0 set.
    pub(super) format: U16,
    pub(super) xattr_count: U16,
    pub(super) mode: U16,
    pub(super) reserved: U16,
    /// Bytes.
    pub(super) size: U64,

    /// First data block, or the chunk format.
    pub(super) data: U32,
    pub(super) number: U32,
    pub(super) uid: U32,
    pub(super) gid: U32,
    /// Seconds since 1970.
    pub(super) mtime: U64,
    pub(super) mtime_nsec: U32,
    pub(super) link_count: U32,
    pub(super) reserved2: [u8; 16],
}

/// `struct erofs_xattr_ibody_header`, before the attributes of an inode.
#[derive(IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct XattrHeader {
    /// A clear bit: an attribute with this hash of its name may be there.
    pub(super) name_filter: U32,
    pub(super) shared_count: u8,
    pub(super) reserved: [u8; 7],
}

/// `struct erofs_xattr_entry`, before name and value.
#[derive(IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct XattrEntry {
    pub(super) name_len: u8,
    /// Which prefix the name lacks.
    pub(super) name_index: u8,
    pub(super) value_len: U16,
}

/// `struct erofs_dirent`.
#[derive(IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Dirent {
    pub(super) nid: U64,
    /// Bytes from the start of the block.
    pub(super) name_offset: U16,
    pub(super) file_type: u8,
    pub(super) reserved: u8,
}

const _: () = {
    assert!(size_of::<Header>() == 16);
    assert!(size_of::<Superblock>() == 128);
    assert!(size_of::<CompactInode>() == 32);
    assert!(size_of::<ExtendedInode>() == 64);
    assert!(size_of::<XattrHeader>() == 12);
    assert!(size_of::<XattrEntry>() == 4);
    assert!(size_of::<Dirent>() == 12);
};
