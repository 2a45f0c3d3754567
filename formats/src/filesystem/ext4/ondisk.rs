//! How ext4 looks on disk: structures, magic numbers and feature bits.
//!
//! Little endian, but for the journal, which is big endian. Field names are
//! the kernel's without their prefixes. Source: the kernel's documentation,
//! "ext4 Data Structures and Algorithms" (`Documentation/filesystems/ext4`),
//! sections named at each structure, and "Journal (jbd2)" of the same.

use zerocopy::{
    FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout,
    big_endian::U32 as Be32,
    little_endian::{U16, U32, U64},
};

/// Bytes per block. The only size written here.
pub(super) const BLOCK_BYTES: u64 = 4096;
/// [`BLOCK_BYTES`] as the length of a buffer.
pub(super) const BLOCK_LEN: usize = BLOCK_BYTES as usize;
/// Blocks per block group: one bitmap block's bits.
pub(super) const GROUP_BLOCKS: u64 = 8 * BLOCK_BYTES;
/// Block groups whose bitmaps and inode tables lie together.
pub(super) const FLEX_GROUPS: u64 = 16;
/// log2 of [`FLEX_GROUPS`].
pub(super) const LOG_FLEX_GROUPS: u8 = 4;
/// Bytes per inode.
pub(super) const INODE_BYTES: u64 = 256;
/// Bytes of an inode beyond the original 128 that have fields.
pub(super) const EXTRA_ISIZE: u16 = 32;
/// Bytes per group descriptor with the `64bit` feature.
pub(super) const DESCRIPTOR_BYTES: u64 = 64;
/// Group descriptors in a block.
pub(super) const DESCRIPTORS_PER_BLOCK: u64 = BLOCK_BYTES / DESCRIPTOR_BYTES;
/// Block addresses in an indirect block.
pub(super) const ADDRESSES_PER_BLOCK: u64 = BLOCK_BYTES / 4;
/// Bytes per sector, the unit of `i_blocks`.
pub(super) const SECTOR_BYTES: u64 = 512;

/// Where the primary superblock starts, in bytes.
pub(super) const SUPERBLOCK_OFFSET: u64 = 1024;
/// `s_magic`.
pub(super) const SUPER_MAGIC: u16 = 0xEF53;
/// `s_state`: cleanly unmounted.
pub(super) const STATE_CLEAN: u16 = 1;
/// `s_errors`: carry on.
pub(super) const ERRORS_CONTINUE: u16 = 1;
/// `s_rev_level`: inode sizes and features vary.
pub(super) const REVISION_DYNAMIC: u32 = 1;
/// `s_checksum_type`: crc32c.
pub(super) const CHECKSUM_CRC32C: u8 = 1;
/// `s_flags`: name hashes take bytes as unsigned.
pub(super) const FLAG_UNSIGNED_HASH: u32 = 2;
/// `s_default_mount_opts`: `user_xattr` and `acl`.
pub(super) const MOUNT_XATTR_USER_ACL: u32 = 0x4 | 0x8;
/// `s_jnl_backup_type`: `s_jnl_blocks` holds the journal inode's `i_block` and size.
pub(super) const JOURNAL_BACKUP_BLOCKS: u8 = 1;
/// `s_max_mnt_count`: no check after a number of mounts.
pub(super) const NO_MOUNT_LIMIT: u16 = 0xFFFF;

/// `s_feature_compat`: has_journal, ext_attr, resize_inode, dir_index.
pub(super) const FEATURES_COMPAT: u32 = 0x4 | 0x8 | 0x10 | 0x20;
/// `s_feature_incompat`: filetype, extent, 64bit, flex_bg.
pub(super) const FEATURES_INCOMPAT: u32 = 0x2 | 0x40 | 0x80 | 0x200;
/// `s_feature_ro_compat`: sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum.
pub(super) const FEATURES_RO_COMPAT: u32 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400;

/// `s_feature_incompat`: the journal must be replayed.
pub(super) const INCOMPAT_RECOVER: u32 = 0x4;
/// `s_feature_incompat`: block numbers have 64 bits.
pub(super) const INCOMPAT_64BIT: u32 = 0x80;
/// `s_feature_incompat`: the checksum seed is stored.
pub(super) const INCOMPAT_CSUM_SEED: u32 = 0x2000;
/// `s_feature_incompat` that can be read: those written, recover, ea_inode, csum_seed, largedir,
/// inline_data and casefold.
pub(super) const INCOMPAT_READ: u32 =
    FEATURES_INCOMPAT | INCOMPAT_RECOVER | 0x400 | INCOMPAT_CSUM_SEED | 0x4000 | 0x8000 | 0x2_0000;
/// `s_feature_ro_compat`: metadata_csum.
pub(super) const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
/// `s_state`: errors were seen.
pub(super) const STATE_ERRORS: u16 = 2;

/// Inode of the root directory.
pub(super) const ROOT_INODE: u32 = 2;
/// Inode that keeps the reserved group descriptor blocks.
pub(super) const RESIZE_INODE: u32 = 7;
/// Inode of the journal.
pub(super) const JOURNAL_INODE: u32 = 8;
/// First inode that is not reserved; lost+found by custom.
pub(super) const FIRST_INODE: u32 = 11;

/// "Super Block".
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Superblock {
    pub(super) inodes_count: U32,
    pub(super) blocks_count_lo: U32,
    pub(super) r_blocks_count_lo: U32,
    pub(super) free_blocks_count_lo: U32,

    pub(super) free_inodes_count: U32,
    pub(super) first_data_block: U32,
    /// log2 of the block size in KiB.
    pub(super) log_block_size: U32,
    pub(super) log_cluster_size: U32,

    pub(super) blocks_per_group: U32,
    pub(super) clusters_per_group: U32,
    pub(super) inodes_per_group: U32,
    pub(super) mtime: U32,

    pub(super) wtime: U32,
    pub(super) mnt_count: U16,
    pub(super) max_mnt_count: U16,
    pub(super) magic: U16,
    pub(super) state: U16,
    pub(super) errors: U16,
    pub(super) minor_rev_level: U16,

    pub(super) lastcheck: U32,
    pub(super) checkinterval: U32,
    pub(super) creator_os: U32,
    pub(super) rev_level: U32,

    pub(super) def_resuid: U16,
    pub(super) def_resgid: U16,
    pub(super) first_ino: U32,
    pub(super) inode_size: U16,
    pub(super) block_group_nr: U16,
    pub(super) feature_compat: U32,

    pub(super) feature_incompat: U32,
    pub(super) feature_ro_compat: U32,
    pub(super) uuid: [u8; 16],
    pub(super) volume_name: [u8; 16],
    pub(super) last_mounted: [u8; 64],
    pub(super) algorithm_usage_bitmap: U32,

    pub(super) prealloc_blocks: u8,
    pub(super) prealloc_dir_blocks: u8,
    pub(super) reserved_gdt_blocks: U16,
    pub(super) journal_uuid: [u8; 16],
    pub(super) journal_inum: U32,
    pub(super) journal_dev: U32,
    pub(super) last_orphan: U32,
    pub(super) hash_seed: [U32; 4],
    pub(super) def_hash_version: u8,
    pub(super) jnl_backup_type: u8,
    pub(super) desc_size: U16,

    pub(super) default_mount_opts: U32,
    pub(super) first_meta_bg: U32,
    pub(super) mkfs_time: U32,
    /// `i_block` of the journal inode, then its size: high word, low word.
    pub(super) jnl_blocks: [U32; 17],

    pub(super) blocks_count_hi: U32,
    pub(super) r_blocks_count_hi: U32,
    pub(super) free_blocks_count_hi: U32,
    pub(super) min_extra_isize: U16,
    pub(super) want_extra_isize: U16,

    pub(super) flags: U32,
    pub(super) raid_stride: U16,
    pub(super) mmp_interval: U16,
    pub(super) mmp_block: U64,

    pub(super) raid_stripe_width: U32,
    pub(super) log_groups_per_flex: u8,
    pub(super) checksum_type: u8,
    pub(super) reserved_pad: U16,
    /// Snapshot, error, quota and encryption fields: all zero.
    pub(super) unused: [u8; 0x274 - 0x178],
    pub(super) wtime_hi: u8,
    pub(super) mtime_hi: u8,
    pub(super) mkfs_time_hi: u8,
    pub(super) lastcheck_hi: u8,
    pub(super) reserved: [u8; 0x3FC - 0x278],
    /// crc32c of all before it.
    pub(super) checksum: U32,
}
const _: () = assert!(size_of::<Superblock>() == 1024);

/// `bg_flags`: the inode bitmap is not written, no inode is used.
pub(super) const GROUP_INODE_UNINIT: u16 = 1;
/// `bg_flags`: the block bitmap is not written, only fixed metadata is used.
pub(super) const GROUP_BLOCK_UNINIT: u16 = 2;
/// `bg_flags`: the unused part of the inode table is zero.
pub(super) const GROUP_INODE_ZEROED: u16 = 4;

/// "Block Group Descriptors".
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct GroupDescriptor {
    pub(super) block_bitmap_lo: U32,
    pub(super) inode_bitmap_lo: U32,
    pub(super) inode_table_lo: U32,
    pub(super) free_blocks_count_lo: U16,
    pub(super) free_inodes_count_lo: U16,

    pub(super) used_dirs_count_lo: U16,
    pub(super) flags: U16,
    pub(super) exclude_bitmap_lo: U32,
    pub(super) block_bitmap_csum_lo: U16,
    pub(super) inode_bitmap_csum_lo: U16,
    pub(super) itable_unused_lo: U16,
    pub(super) checksum: U16,

    pub(super) block_bitmap_hi: U32,
    pub(super) inode_bitmap_hi: U32,
    pub(super) inode_table_hi: U32,
    pub(super) free_blocks_count_hi: U16,
    pub(super) free_inodes_count_hi: U16,

    pub(super) used_dirs_count_hi: U16,
    pub(super) itable_unused_hi: U16,
    pub(super) exclude_bitmap_hi: U32,
    pub(super) block_bitmap_csum_hi: U16,
    pub(super) inode_bitmap_csum_hi: U16,
    pub(super) reserved: U32,
}
const _: () = assert!(size_of::<GroupDescriptor>() as u64 == DESCRIPTOR_BYTES);

/// `i_flags`: `chattr +i`.
pub(super) const INODE_IMMUTABLE: u32 = 0x10;
/// `i_flags`: a directory with a hash index.
pub(super) const INODE_INDEX: u32 = 0x1000;
/// `i_flags`: `i_block` holds an extent tree.
pub(super) const INODE_EXTENTS: u32 = 0x8_0000;

/// `i_flags`: fs-verity.
pub(super) const INODE_VERITY: u32 = 0x10_0000;
/// `s_feature_ro_compat`: verity.
pub(super) const RO_COMPAT_VERITY: u32 = 0x8000;
/// `i_flags`: encrypted.
pub(super) const INODE_ENCRYPTED: u32 = 0x800;
/// `i_flags`: content lies in the inode.
pub(super) const INODE_INLINE_DATA: u32 = 0x1000_0000;

/// "Index Nodes", with the fields beyond 128 bytes.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Inode {
    pub(super) mode: U16,
    pub(super) uid: U16,
    pub(super) size_lo: U32,
    pub(super) atime: U32,
    pub(super) ctime: U32,

    pub(super) mtime: U32,
    pub(super) dtime: U32,
    pub(super) gid: U16,
    pub(super) links_count: U16,
    /// Sectors of 512 bytes, metadata blocks included.
    pub(super) blocks_lo: U32,

    pub(super) flags: U32,
    pub(super) version: U32,
    pub(super) block: [u8; 60],
    pub(super) generation: U32,
    pub(super) file_acl_lo: U32,
    pub(super) size_hi: U32,

    pub(super) obso_faddr: U32,
    pub(super) blocks_hi: U16,
    pub(super) file_acl_hi: U16,
    pub(super) uid_hi: U16,
    pub(super) gid_hi: U16,
    pub(super) checksum_lo: U16,
    pub(super) reserved: U16,

    pub(super) extra_isize: U16,
    pub(super) checksum_hi: U16,
    pub(super) ctime_extra: U32,
    pub(super) mtime_extra: U32,
    pub(super) atime_extra: U32,

    pub(super) crtime: U32,
    pub(super) crtime_extra: U32,
    pub(super) version_hi: U32,
    pub(super) projid: U32,

    /// Extended attributes kept in the inode.
    pub(super) xattrs: [u8; INODE_XATTR_LEN],
}
const _: () = assert!(size_of::<Inode>() as u64 == INODE_BYTES);

/// Bytes of an inode after its fields.
pub(super) const INODE_XATTR_LEN: usize = INODE_BYTES as usize - 128 - EXTRA_ISIZE as usize;

/// `eh_magic`.
pub(super) const EXTENT_MAGIC: u16 = 0xF30A;
/// Longest extent that counts as written, in blocks.
pub(super) const EXTENT_MAX_BLOCKS: u64 = 32768;

/// "Extent Tree": header of a node.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ExtentHeader {
    pub(super) magic: U16,
    pub(super) entries: U16,
    pub(super) max: U16,
    pub(super) depth: U16,
    pub(super) generation: U32,
}
const _: () = assert!(size_of::<ExtentHeader>() == 12);

/// "Extent Tree": a run of blocks, in a leaf.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ExtentLeaf {
    pub(super) block: U32,
    pub(super) len: U16,
    pub(super) start_hi: U16,
    pub(super) start_lo: U32,
}
const _: () = assert!(size_of::<ExtentLeaf>() == 12);

/// "Extent Tree": a node below, in an index node.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ExtentIndex {
    pub(super) block: U32,
    pub(super) leaf_lo: U32,
    pub(super) leaf_hi: U16,
    pub(super) unused: U16,
}
const _: () = assert!(size_of::<ExtentIndex>() == 12);

/// Longest name, in bytes.
pub(super) const NAME_MAX: usize = 255;
/// `det_reserved_ft`: the entry is a checksum.
pub(super) const DIRENT_CHECKSUM: u8 = 0xDE;

/// "Linear (Classic) Directories": what precedes a name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct DirEntry {
    pub(super) inode: U32,
    pub(super) rec_len: U16,
    pub(super) name_len: u8,
    pub(super) file_type: u8,
}
const _: () = assert!(size_of::<DirEntry>() == 8);

/// "Linear (Classic) Directories": the last 12 bytes of a leaf block.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct DirTail {
    pub(super) entry: DirEntry,
    pub(super) checksum: U32,
}
const _: () = assert!(size_of::<DirTail>() == 12);

/// `hash_version`: half of an MD4; the superblock says how bytes are taken.
pub(super) const HASH_HALF_MD4: u8 = 1;

/// "Hash Tree Directories": what follows "." and ".." in the root.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct DxRootInfo {
    pub(super) reserved: U32,
    pub(super) hash_version: u8,
    pub(super) info_len: u8,
    pub(super) indirect_levels: u8,
    pub(super) unused_flags: u8,
}
const _: () = assert!(size_of::<DxRootInfo>() == 8);

/// "Hash Tree Directories": first entry of a node; its hash is the lower bound.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct DxCount {
    pub(super) limit: U16,
    pub(super) count: U16,
    pub(super) block: U32,
}
const _: () = assert!(size_of::<DxCount>() == 8);

/// "Hash Tree Directories": a further entry.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct DxEntry {
    pub(super) hash: U32,
    pub(super) block: U32,
}
const _: () = assert!(size_of::<DxEntry>() == 8);

/// "Hash Tree Directories": the last 8 bytes of an index block.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct DxTail {
    pub(super) reserved: U32,
    pub(super) checksum: U32,
}
const _: () = assert!(size_of::<DxTail>() == 8);

/// `h_magic` of extended attributes, in an inode and in a block.
pub(super) const XATTR_MAGIC: u32 = 0xEA02_0000;
/// Most inodes that may share an attribute block.
pub(super) const XATTR_REFCOUNT_MAX: u32 = 1024;

/// "Extended Attributes": header of an attribute block.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct XattrHeader {
    pub(super) magic: U32,
    pub(super) refcount: U32,
    pub(super) blocks: U32,
    pub(super) hash: U32,

    pub(super) checksum: U32,
    pub(super) reserved: [U32; 3],
}
const _: () = assert!(size_of::<XattrHeader>() == 32);

/// "Extended Attributes": what precedes a name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct XattrEntry {
    pub(super) name_len: u8,
    pub(super) name_index: u8,
    pub(super) value_offset: U16,
    pub(super) value_inode: U32,
    pub(super) value_size: U32,
    pub(super) hash: U32,
}
const _: () = assert!(size_of::<XattrEntry>() == 16);

/// `h_magic` of the journal.
pub(super) const JOURNAL_MAGIC: u32 = 0xC03B_3998;
/// `h_blocktype`: superblock, version 2.
pub(super) const JOURNAL_SUPERBLOCK_V2: u32 = 4;

/// "Journal (jbd2)", "Super Block".
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct JournalSuperblock {
    pub(super) magic: Be32,
    pub(super) block_type: Be32,
    pub(super) header_sequence: Be32,
    pub(super) block_size: Be32,

    pub(super) max_len: Be32,
    /// First block of the log.
    pub(super) first: Be32,
    /// First transaction expected.
    pub(super) sequence: Be32,
    /// Where the log starts; 0: it is empty.
    pub(super) start: Be32,

    pub(super) errno: Be32,
    pub(super) feature_compat: Be32,
    pub(super) feature_incompat: Be32,
    pub(super) feature_ro_compat: Be32,

    pub(super) uuid: [u8; 16],
    pub(super) users_count: Be32,
    /// Dynamic superblock, checksum and users: all zero.
    pub(super) unused: [u8; 1024 - 0x44],
}
const _: () = assert!(size_of::<JournalSuperblock>() == 1024);

/// A zeroed structure.
pub(super) fn zeroed<T: FromZeros>() -> T {
    T::new_zeroed()
}

/// The low and the high half of a block number or a count.
pub(super) const fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

/// The low and the high half of a 32-bit field that was split later.
pub(super) const fn words(value: u32) -> (u16, u16) {
    (value as u16, (value >> 16) as u16)
}
