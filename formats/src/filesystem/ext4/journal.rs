//! The journal: an inode's worth of blocks, clean and empty, so that only its
//! superblock is not zero. Source: the kernel's ext4 documentation, "Journal
//! (jbd2)". Left out: its feature bits, which the kernel sets on the first mount.

use uuid::Uuid;
use zerocopy::IntoBytes;

use super::ondisk::{BLOCK_BYTES, JOURNAL_MAGIC, JOURNAL_SUPERBLOCK_V2, JournalSuperblock, zeroed};

/// The first 1024 bytes of a journal of that many blocks.
pub(super) fn superblock(blocks: u64, uuid: &Uuid) -> Vec<u8> {
    let superblock = JournalSuperblock {
        magic: JOURNAL_MAGIC.into(),
        block_type: JOURNAL_SUPERBLOCK_V2.into(),
        block_size: (BLOCK_BYTES as u32).into(),
        max_len: (blocks as u32).into(),
        first: 1.into(),
        sequence: 1.into(),
        uuid: *uuid.as_bytes(),
        users_count: 1.into(),
        ..zeroed()
    };
    superblock.as_bytes().to_vec()
}
