//! The superblock and its copies. Source: the kernel's ext4 documentation,
//! "Super Block".

use uuid::Uuid;
use zerocopy::{IntoBytes, little_endian::U32};

use super::{
    checksum::Checksum,
    inode::Inodes,
    ondisk::{
        BLOCK_BYTES, CHECKSUM_CRC32C, DESCRIPTOR_BYTES, ERRORS_CONTINUE, EXTRA_ISIZE, FEATURES_COMPAT,
        FEATURES_INCOMPAT, FEATURES_RO_COMPAT, FIRST_INODE, FLAG_UNSIGNED_HASH, GROUP_BLOCKS, HASH_HALF_MD4,
        INODE_BYTES, JOURNAL_BACKUP_BLOCKS, JOURNAL_INODE, LOG_FLEX_GROUPS, MOUNT_XATTR_USER_ACL,
        NO_MOUNT_LIMIT, REVISION_DYNAMIC, RO_COMPAT_VERITY, STATE_CLEAN, SUPER_MAGIC, Superblock, halves,
        zeroed,
    },
};
use crate::{data::Data, filesystem::Identity};

/// Longest label in bytes.
pub(super) const LABEL_MAX: usize = 16;
/// log2 of the block size in KiB.
const LOG_BLOCK_SIZE: u32 = (BLOCK_BYTES / 1024).ilog2();
/// One block in so many is reserved for root, as mke2fs does,
const RESERVED_PART: u64 = 20;
/// but at most one free block in so many.
const RESERVED_FREE_PART: u64 = 2;

/// Seed of name hashes: told by the UUID, so that a filesystem is the same each time it is made.
pub(super) fn hash_seed(uuid: &Uuid) -> [u32; 4] {
    [1, 2, 3, 4].map(|word| Checksum::of_filesystem(uuid).with(&[word]).value())
}

/// The superblock of group 0, without its checksum.
pub(super) fn new(inodes: &Inodes<'_>, identity: &Identity) -> Superblock {
    let mut superblock = Superblock {
        first_data_block: 0.into(),
        log_block_size: LOG_BLOCK_SIZE.into(),
        log_cluster_size: LOG_BLOCK_SIZE.into(),
        blocks_per_group: (GROUP_BLOCKS as u32).into(),
        clusters_per_group: (GROUP_BLOCKS as u32).into(),
        max_mnt_count: NO_MOUNT_LIMIT.into(),
        magic: SUPER_MAGIC.into(),
        state: STATE_CLEAN.into(),
        errors: ERRORS_CONTINUE.into(),
        rev_level: REVISION_DYNAMIC.into(),
        first_ino: FIRST_INODE.into(),
        inode_size: (INODE_BYTES as u16).into(),
        feature_compat: FEATURES_COMPAT.into(),
        feature_incompat: FEATURES_INCOMPAT.into(),
        feature_ro_compat: FEATURES_RO_COMPAT.into(),
        uuid: *identity.uuid.as_bytes(),
        journal_inum: JOURNAL_INODE.into(),
        hash_seed: hash_seed(&identity.uuid).map(U32::new),
        def_hash_version: HASH_HALF_MD4,
        desc_size: (DESCRIPTOR_BYTES as u16).into(),
        default_mount_opts: MOUNT_XATTR_USER_ACL.into(),
        min_extra_isize: EXTRA_ISIZE.into(),
        want_extra_isize: EXTRA_ISIZE.into(),
        flags: FLAG_UNSIGNED_HASH.into(),
        log_groups_per_flex: LOG_FLEX_GROUPS,
        checksum_type: CHECKSUM_CRC32C,
        ..zeroed()
    };
    if inodes.layout.inventory.has_verity() {
        superblock.feature_ro_compat |= RO_COMPAT_VERITY;
    }
    set_counts(&mut superblock, inodes);
    set_times(&mut superblock, identity);
    set_journal(&mut superblock, inodes);
    let label = identity.label.as_bytes();
    superblock.volume_name[..label.len()].copy_from_slice(label);
    superblock
}

fn set_counts(superblock: &mut Superblock, inodes: &Inodes<'_>) {
    let (layout, geometry) = (inodes.layout, &inodes.layout.geometry);
    let used: u64 = (0..geometry.group_count()).map(|group| layout.used_blocks(group)).sum();
    let free = geometry.blocks - used;
    let reserved = (geometry.blocks / RESERVED_PART).min(free / RESERVED_FREE_PART);
    let (lo, hi) = halves(geometry.blocks);
    (superblock.blocks_count_lo, superblock.blocks_count_hi) = (lo.into(), hi.into());
    let (lo, hi) = halves(reserved);
    (superblock.r_blocks_count_lo, superblock.r_blocks_count_hi) = (lo.into(), hi.into());
    let (lo, hi) = halves(free);
    (superblock.free_blocks_count_lo, superblock.free_blocks_count_hi) = (lo.into(), hi.into());
    let inode_count = geometry.inode_count() as u32;
    superblock.inodes_count = inode_count.into();
    superblock.free_inodes_count = (inode_count - layout.inventory.last_inode()).into();
    superblock.inodes_per_group = (geometry.inodes_per_group as u32).into();
    superblock.reserved_gdt_blocks = (geometry.reserved_blocks as u16).into();
}

/// Every time is the time of creation; 40 bits from 1970 on.
fn set_times(superblock: &mut Superblock, identity: &Identity) {
    let seconds = u64::try_from(identity.time.seconds).unwrap_or(0).min((1 << 40) - 1);
    let (lo, hi) = halves(seconds);
    for field in [&mut superblock.wtime, &mut superblock.lastcheck, &mut superblock.mkfs_time] {
        *field = lo.into();
    }
    for field in [&mut superblock.wtime_hi, &mut superblock.lastcheck_hi, &mut superblock.mkfs_time_hi] {
        *field = hi as u8;
    }
}

/// The copy of the journal inode's `i_block` and size.
fn set_journal(superblock: &mut Superblock, inodes: &Inodes<'_>) {
    let (size, size_hi) = halves(inodes.layout.journal_blocks() * BLOCK_BYTES);
    superblock.jnl_backup_type = JOURNAL_BACKUP_BLOCKS;
    let (block, sizes) = superblock.jnl_blocks.split_at_mut(15);
    block.as_mut_bytes().copy_from_slice(&inodes.journal_block());
    sizes.copy_from_slice(&[size_hi.into(), size.into()]);
}

/// Makes it the copy of another group.
pub(super) fn set_group(superblock: &mut Superblock, group: u64) {
    superblock.block_group_nr = (group as u16).into();
}

/// With its checksum.
pub(super) fn render(superblock: &Superblock) -> Data {
    let mut bytes = superblock.as_bytes().to_vec();
    let at = std::mem::offset_of!(Superblock, checksum);
    let checksum = Checksum::NEW.with(&bytes[..at]).value();
    bytes[at..].copy_from_slice(&checksum.to_le_bytes());
    Data::from_bytes(bytes)
}
