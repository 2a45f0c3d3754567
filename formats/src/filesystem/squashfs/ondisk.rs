//! How SquashFS looks on disk. Source: Linux, `fs/squashfs/squashfs_fs.h`, whose names of structures and
//! constants are cited. Little endian throughout; positions count bytes from the superblock.

use zerocopy::{
    Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::{I16, LittleEndian, U16, U32, U64},
};

type Half = U16<LittleEndian>;
type Word = U32<LittleEndian>;
type Long = U64<LittleEndian>;

/// `SQUASHFS_MAGIC`.
pub(super) const MAGIC: u32 = 0x7371_7368;
/// `SQUASHFS_MAJOR`.
pub(super) const MAJOR: u16 = 4;
/// `SQUASHFS_METADATA_SIZE`: bytes of a block of metadata before it is compressed.
pub(super) const METADATA_BYTES: usize = 8192;
/// In the length of a block of metadata: it is stored as it is (`SQUASHFS_COMPRESSED_BIT`).
pub(super) const METADATA_PLAIN: u16 = 1 << 15;
/// In the length of a block of data: it is stored as it is (`SQUASHFS_COMPRESSED_BIT_BLOCK`).
pub(super) const BLOCK_PLAIN: u32 = 1 << 24;
/// `SQUASHFS_INVALID_FRAG`, `SQUASHFS_INVALID_XATTR`: none.
pub(super) const NONE: u32 = u32::MAX;
/// `SQUASHFS_INVALID_BLK`: there is no such table.
pub(super) const NO_TABLE: u64 = u64::MAX;
/// The filesystem's length is a multiple of this.
pub(super) const PADDING: u64 = 4096;

/// `SQUASHFS_DUPLICATES`: equal files are stored once.
pub(super) const FLAG_DUPLICATES: u16 = 1 << 6;
/// `SQUASHFS_EXPORT`: inodes are found by number.
pub(super) const FLAG_EXPORT: u16 = 1 << 7;
/// `SQUASHFS_NO_XATTR`.
pub(super) const FLAG_NO_XATTRS: u16 = 1 << 9;

/// `SQUASHFS_DIR_TYPE` and those after it; `EXTENDED` more for the longer form (`SQUASHFS_LDIR_TYPE` ...).
pub(super) const DIRECTORY: u16 = 1;
pub(super) const FILE: u16 = 2;
pub(super) const SYMLINK: u16 = 3;
pub(super) const BLOCK_DEVICE: u16 = 4;
pub(super) const CHAR_DEVICE: u16 = 5;
pub(super) const FIFO: u16 = 6;
pub(super) const SOCKET: u16 = 7;
pub(super) const EXTENDED: u16 = 7;

/// `struct squashfs_super_block`.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Superblock {
    pub(super) magic: Word,
    pub(super) inode_count: Word,
    /// Seconds since 1970.
    pub(super) time: Word,
    /// Bytes.
    pub(super) block_bytes: Word,

    pub(super) fragment_count: Word,
    pub(super) compression: Half,
    /// Logarithm of `block_bytes`.
    pub(super) block_log: Half,
    pub(super) flags: Half,
    pub(super) id_count: Half,
    pub(super) major: Half,
    pub(super) minor: Half,

    /// Reference of the root's inode.
    pub(super) root: Long,
    /// Bytes, without padding.
    pub(super) bytes_used: Long,

    pub(super) id_table: Long,
    pub(super) xattr_table: Long,

    pub(super) inode_table: Long,
    pub(super) directory_table: Long,

    pub(super) fragment_table: Long,
    pub(super) export_table: Long,
}
const _: () = assert!(size_of::<Superblock>() == 96);

/// `struct squashfs_base_inode`: how every inode begins.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct InodeHead {
    pub(super) kind: Half,
    /// Without the bits of the type.
    pub(super) mode: Half,
    /// Places in the table of ids.
    pub(super) uid: Half,
    pub(super) gid: Half,
    /// Seconds since 1970.
    pub(super) mtime: Word,
    pub(super) number: Word,
}
const _: () = assert!(size_of::<InodeHead>() == 16);

/// `struct squashfs_dir_inode`, behind the head.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Directory {
    /// Block of its listing, from the table's start.
    pub(super) start: Word,
    pub(super) links: Word,
    /// Bytes of its listing, and [`LISTING_EXTRA`].
    pub(super) listing: Half,
    /// Where in that block the listing begins.
    pub(super) offset: Half,
    pub(super) parent: Word,
}
const _: () = assert!(size_of::<Directory>() == 16);

/// `struct squashfs_ldir_inode`, behind the head; its index follows.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ExtendedDirectory {
    pub(super) links: Word,
    pub(super) listing: Word,
    pub(super) start: Word,
    pub(super) parent: Word,
    pub(super) index_count: Half,
    pub(super) offset: Half,
    pub(super) xattrs: Word,
}
const _: () = assert!(size_of::<ExtendedDirectory>() == 24);

/// What `.` and `..`, which are not stored, count in the length of a listing.
pub(super) const LISTING_EXTRA: u32 = 3;

/// `struct squashfs_dir_index`; the name follows.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct IndexEntry {
    /// Where in the listing a head is, in bytes.
    pub(super) at: Word,
    /// The block that it is in, from the table's start.
    pub(super) start: Word,
    /// Bytes of the first name below that head, less one.
    pub(super) name_len: Word,
}
const _: () = assert!(size_of::<IndexEntry>() == 12);

/// `struct squashfs_dir_header`: entries follow, whose inodes are all in one block.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ListingHead {
    /// Entries, less one.
    pub(super) count: Word,
    /// The block of their inodes, from the table's start.
    pub(super) start: Word,
    /// From which their numbers are counted.
    pub(super) number: Word,
}
const _: () = assert!(size_of::<ListingHead>() == 12);

/// `SQUASHFS_DIR_COUNT`: entries below one head.
pub(super) const LISTING_COUNT: usize = 256;

/// `struct squashfs_dir_entry`; the name follows.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ListingEntry {
    /// Of the inode in its block.
    pub(super) offset: Half,
    pub(super) number: I16<LittleEndian>,
    /// Type, never the longer form's.
    pub(super) kind: Half,
    /// Bytes of the name, less one.
    pub(super) name_len: Half,
}
const _: () = assert!(size_of::<ListingEntry>() == 8);

/// `struct squashfs_reg_inode`, behind the head; lengths of blocks follow.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Regular {
    /// Its first block.
    pub(super) start: Word,
    pub(super) fragment: Word,
    /// Where in the fragment it begins.
    pub(super) offset: Word,
    /// Bytes.
    pub(super) size: Word,
}
const _: () = assert!(size_of::<Regular>() == 16);

/// `struct squashfs_lreg_inode`, behind the head; lengths of blocks follow.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ExtendedRegular {
    pub(super) start: Long,
    pub(super) size: Long,
    /// Bytes that are in no block.
    pub(super) sparse: Long,
    pub(super) links: Word,
    pub(super) fragment: Word,
    pub(super) offset: Word,
    pub(super) xattrs: Word,
}
const _: () = assert!(size_of::<ExtendedRegular>() == 40);

/// `struct squashfs_fragment_entry`.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Fragment {
    pub(super) start: Long,
    /// As that of a block.
    pub(super) len: Word,
    pub(super) unused: Word,
}
const _: () = assert!(size_of::<Fragment>() == 16);

/// `struct squashfs_xattr_id`: a set of attributes.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct XattrSet {
    /// Reference of the first one.
    pub(super) place: Long,
    pub(super) count: Word,
    /// Bytes.
    pub(super) len: Word,
}
const _: () = assert!(size_of::<XattrSet>() == 16);

/// `struct squashfs_xattr_id_table`; places of the blocks of sets follow.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct XattrTable {
    /// First block of names and values.
    pub(super) start: Long,
    pub(super) count: Word,
    pub(super) unused: Word,
}
const _: () = assert!(size_of::<XattrTable>() == 16);
