//! Block groups and their fixed metadata: numbers only.
//!
//! ```text
//! group 0, 1 and powers of 3, 5, 7:  superblock | descriptors | reserved descriptors
//! first group of each 16, after it:  block bitmaps | inode bitmaps | inode tables
//! everything else:                   content
//! ```
//! Sizes follow mke2fs: room for descriptors of 1024 times the size, a
//! journal by size, and no last group that is too small to be of use.
//! Source: the kernel's ext4 documentation, "Layout" and "Block Groups".

use std::ops::Range;

use super::{
    extent::Run,
    ondisk::{
        ADDRESSES_PER_BLOCK, BLOCK_BYTES, DESCRIPTORS_PER_BLOCK, FLEX_GROUPS, GROUP_BLOCKS, INODE_BYTES,
    },
};

/// Smallest filesystem: mke2fs makes no journal below.
pub(super) const MIN_BLOCKS: u64 = 2048;
/// Largest filesystem: block numbers of the resize inode have 32 bits.
pub(super) const MAX_BLOCKS: u64 = u32::MAX as u64;
/// Bytes of filesystem for which there is an inode.
const INODE_RATIO: u64 = 16384;
/// Most inodes in a group: the bits of a bitmap block.
const GROUP_INODES_MAX: u64 = GROUP_BLOCKS;
/// Inodes in a block.
const INODES_PER_BLOCK: u64 = BLOCK_BYTES / INODE_BYTES;
/// How many times the filesystem's size the reserved descriptors can hold.
const GROWTH: u64 = 1024;
/// A last group with fewer blocks for content is left out.
const LAST_GROUP_CONTENT: u64 = 50;

/// Filesystem blocks below which a journal of that many blocks is made.
const JOURNALS: [(u64, u64); 8] = [
    (32_768, 1_024),
    (256 << 10, 4_096),
    (512 << 10, 8_192),
    (4_096 << 10, 16_384),
    (8_192 << 10, 32_768),
    (16_384 << 10, 65_536),
    (32_768 << 10, 131_072),
    (u64::MAX, 262_144),
];

/// Blocks of the journal by default, and one step smaller.
pub(super) fn journal_blocks(blocks: u64) -> [u64; 2] {
    let step = JOURNALS.partition_point(|&(below, _)| below <= blocks);
    [JOURNALS[step].1, JOURNALS[step.saturating_sub(1)].1]
}

/// Where the bitmaps and the inode table of a group are, in blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupTables {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
}

/// The fixed part of a filesystem.
#[derive(Debug)]
pub(super) struct Geometry {
    /// Blocks of the filesystem.
    pub(super) blocks: u64,
    /// Blocks of group descriptors in each copy.
    pub(super) descriptor_blocks: u64,
    /// Blocks after them for descriptors to come.
    pub(super) reserved_blocks: u64,
    /// A multiple of 16, at most 32,768.
    pub(super) inodes_per_group: u64,
    /// One for each group.
    pub(super) tables: Vec<GroupTables>,
    /// Blocks by which the filesystem must grow to gain anything.
    step: u64,
    /// Blocks in use by what is above, ascending, never touching.
    occupied: Vec<Range<u64>>,
}

/// Why a filesystem of some size does not do, and the next size to try, in blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misfit {
    pub(super) try_blocks: u64,
}

impl Geometry {
    /// Of at most `blocks` blocks (`MIN_BLOCKS..=MAX_BLOCKS`), with `inodes` inodes or more.
    pub(super) fn new(blocks: u64, inodes: u64) -> Result<Self, Misfit> {
        let inodes = inodes.max(blocks * BLOCK_BYTES / INODE_RATIO);
        let mut geometry = Self::sized(blocks, inodes)?;
        let last = geometry.group(geometry.group_count() - 1);
        let useful = geometry.overhead(geometry.group_count() - 1) + LAST_GROUP_CONTENT;
        if geometry.group_count() > 1 && last.end - last.start < useful {
            geometry = Self::sized(last.start, inodes)?;
            geometry.step = useful;
        }
        geometry.place()?;
        Ok(geometry)
    }

    fn sized(blocks: u64, inodes: u64) -> Result<Self, Misfit> {
        let groups = blocks.div_ceil(GROUP_BLOCKS);
        let descriptor_blocks = groups.div_ceil(DESCRIPTORS_PER_BLOCK);
        let inodes_per_group = inodes.div_ceil(groups).next_multiple_of(INODES_PER_BLOCK);
        if inodes_per_group > GROUP_INODES_MAX {
            return Err(Misfit { try_blocks: blocks + GROUP_BLOCKS });
        }
        let grown = blocks.saturating_mul(GROWTH).min(MAX_BLOCKS);
        let grown = grown.div_ceil(GROUP_BLOCKS).div_ceil(DESCRIPTORS_PER_BLOCK);
        let reserved_blocks = grown.saturating_sub(descriptor_blocks).min(ADDRESSES_PER_BLOCK);
        Ok(Self {
            blocks,
            descriptor_blocks,
            reserved_blocks,
            inodes_per_group,
            tables: Vec::new(),
            step: 1,
            occupied: Vec::new(),
        })
    }

    /// Finds places for bitmaps and tables, 16 groups at a time.
    fn place(&mut self) -> Result<(), Misfit> {
        let backups: Vec<_> = self.supers().map(|group| self.super_run(group)).collect();
        let mut occupied = backups.clone();
        for first in (0..self.group_count()).step_by(FLEX_GROUPS as usize) {
            let groups = FLEX_GROUPS.min(self.group_count() - first);
            let mut places = Places { at: first * GROUP_BLOCKS, backups: &backups, taken: &mut occupied };
            let block_bitmaps: Vec<_> = (0..groups).map(|_| places.take(1)).collect();
            let inode_bitmaps: Vec<_> = (0..groups).map(|_| places.take(1)).collect();
            for (block_bitmap, inode_bitmap) in block_bitmaps.into_iter().zip(inode_bitmaps) {
                let inode_table = places.take(self.table_blocks());
                self.tables.push(GroupTables { block_bitmap, inode_bitmap, inode_table });
            }
            let end = places.at;
            if end > self.blocks {
                return Err(self.misfit(end));
            }
        }
        self.occupied = merge(occupied);
        Ok(())
    }

    pub(super) const fn group_count(&self) -> u64 {
        self.blocks.div_ceil(GROUP_BLOCKS)
    }

    /// Blocks of a group; the last one may be shorter.
    pub(super) fn group(&self, group: u64) -> Range<u64> {
        let start = group * GROUP_BLOCKS;
        start..(start + GROUP_BLOCKS).min(self.blocks)
    }

    /// Blocks of an inode table.
    pub(super) const fn table_blocks(&self) -> u64 {
        self.inodes_per_group / INODES_PER_BLOCK
    }

    pub(super) const fn inode_count(&self) -> u64 {
        self.inodes_per_group * self.group_count()
    }

    /// Groups that hold a superblock and group descriptors, ascending.
    pub(super) fn supers(&self) -> impl Iterator<Item = u64> {
        (0..self.group_count()).filter(|&group| has_super(group))
    }

    /// Superblock, descriptors and reserved descriptors of a group in [`Geometry::supers`].
    pub(super) fn super_run(&self, group: u64) -> Range<u64> {
        let start = group * GROUP_BLOCKS;
        start..start + self.super_len(group)
    }

    /// Blocks of the superblock and descriptors in a group; most have none.
    pub(super) fn super_len(&self, group: u64) -> u64 {
        if has_super(group) { 1 + self.descriptor_blocks + self.reserved_blocks } else { 0 }
    }

    fn overhead(&self, group: u64) -> u64 {
        2 + self.table_blocks() + self.super_len(group)
    }

    /// `needed` blocks are more than there are.
    pub(super) fn misfit(&self, needed: u64) -> Misfit {
        Misfit { try_blocks: needed.max(self.blocks + self.step) }
    }

    /// Blocks of fixed metadata.
    pub(super) fn occupied_count(&self) -> u64 {
        self.occupied.iter().map(|range| range.end - range.start).sum()
    }

    /// The parts of `blocks` that are fixed metadata.
    pub(super) fn occupied_in(&self, blocks: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let first = self.occupied.partition_point(|range| range.end <= blocks.start);
        let within = self.occupied[first..].iter().take_while(move |range| range.start < blocks.end);
        within.map(move |range| range.start.max(blocks.start)..range.end.min(blocks.end))
    }

    /// `count` blocks for content from `start` on, around fixed metadata.
    /// Past the end of the filesystem the runs go on, for the caller to see how much is missing.
    pub(super) fn runs(&self, start: u64, count: u64) -> impl Iterator<Item = Run> {
        let mut next = self.occupied.partition_point(|range| range.end <= start);
        let (mut at, mut left) = (start, count);
        std::iter::from_fn(move || {
            while let Some(range) = self.occupied.get(next).filter(|range| range.start <= at) {
                at = range.end.max(at);
                next += 1;
            }
            let room = self.occupied.get(next).map_or(u64::MAX, |range| range.start - at);
            let run = Run { start: at, count: left.min(room) };
            at += run.count;
            left -= run.count;
            (run.count > 0).then_some(run)
        })
    }

    /// The block after `count` blocks for content from `start` on.
    pub(super) fn after(&self, start: u64, count: u64) -> u64 {
        self.runs(start, count).last().map_or(start, |run| run.start + run.count)
    }

    /// The place of the block for content that lies `index` such blocks after `start`.
    pub(super) fn nth(&self, start: u64, index: u64) -> u64 {
        self.after(start, index + 1) - 1
    }
}

/// Takes runs of blocks in ascending order, around superblock copies.
struct Places<'a> {
    at: u64,
    backups: &'a [Range<u64>],
    taken: &'a mut Vec<Range<u64>>,
}

impl Places<'_> {
    fn take(&mut self, count: u64) -> u64 {
        let first = self.backups.partition_point(|copy| copy.end <= self.at);
        for copy in &self.backups[first..] {
            if copy.start >= self.at + count {
                break;
            }
            self.at = copy.end;
        }
        let start = self.at;
        self.at += count;
        self.taken.push(start..self.at);
        start
    }
}

/// `sparse_super`: groups 0 and 1, and the powers of 3, 5 and 7.
fn has_super(group: u64) -> bool {
    let power_of = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || [3, 5, 7].into_iter().any(power_of)
}

fn merge(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, range| {
        let meets = next.start <= range.end;
        if meets {
            range.end = range.end.max(next.end);
        }
        meets
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_where_sparse_super_puts_them() {
        let groups: Vec<_> = (0..130).filter(|&group| has_super(group)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn content_goes_around_metadata() {
        let geometry = Geometry::new(80_000, 1000).unwrap();
        let total: u64 = geometry.runs(0, 60_000).map(|run| run.count).sum();
        assert_eq!(total, 60_000);
        for run in geometry.runs(0, 60_000) {
            assert_eq!(geometry.occupied_in(run.start..run.start + run.count).count(), 0);
        }
        assert_eq!(geometry.nth(0, 0), geometry.runs(0, 1).next().unwrap().start);
    }

    #[test]
    fn tables_wider_than_a_group_avoid_superblock_copies() {
        let geometry = Geometry::new(16 * GROUP_BLOCKS, 16 * GROUP_INODES_MAX).unwrap();
        let all: u64 = geometry.group_count() * (2 + geometry.table_blocks());
        let copies: u64 = geometry.supers().map(|g| geometry.super_run(g)).map(|r| r.end - r.start).sum();
        assert_eq!(geometry.occupied_count(), all + copies);
    }
}
