//! Where everything goes: numbers only.
//!
//! ```text
//! resize inode's block | journal | lost+found | directories, long symbolic links | attribute blocks | files
//! ```
//! in this order, with no gap, around the fixed metadata of [`Geometry`]. An
//! extent tree's nodes follow the content they describe. Since nothing is left
//! out on the way, a block is in use exactly if it lies before
//! [`Layout::end`] or is fixed metadata, and the first block of an inode's
//! content says where all of it is.

use super::{
    directory::LOST_FOUND_BLOCKS,
    extent::{self, Extent, Run},
    geometry::{Geometry, Misfit, journal_blocks},
    inventory::{self, Entry, Inventory},
};
use crate::tree::Kind;

/// More blocks than anything has.
const ENDLESS: u64 = 1 << 48;

/// The content of one inode on the disk.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// Ascending, within the inode and on the disk.
    pub(super) extents: Vec<Extent>,
    /// Blocks of extent tree nodes.
    pub(super) nodes: Vec<u64>,
}

impl Placement {
    /// Blocks on the disk.
    pub(super) fn blocks(&self) -> u64 {
        self.extents.iter().map(|extent| extent.count).sum::<u64>() + self.nodes.len() as u64
    }
}

/// A filesystem in plain numbers.
pub(super) struct Layout<'a> {
    pub(super) geometry: Geometry,
    pub(super) inventory: &'a Inventory<'a>,
    /// The resize inode's double indirect block.
    pub(super) resize: u64,
    journal: (u64, u64),
    lost_found: u64,
    /// Where the content of each entry of the inventory starts.
    starts: Vec<u64>,
    /// Where each attribute block is.
    pub(super) xattr_blocks: Vec<u64>,
    /// The first block after all content.
    pub(super) end: u64,
}

impl<'a> Layout<'a> {
    /// In at most `blocks` blocks, with the journal one step smaller than usual if need be.
    pub(super) fn new(inventory: &'a Inventory<'a>, blocks: u64) -> Result<Self, Misfit> {
        let geometry = Geometry::new(blocks, inventory.inodes_wanted())?;
        let [usual, smaller] = journal_blocks(blocks);
        let layout = Self::with_journal(geometry, inventory, usual);
        layout.or_else(|(geometry, _)| {
            Self::with_journal(geometry, inventory, smaller).map_err(|(_, misfit)| misfit)
        })
    }

    fn with_journal(
        geometry: Geometry,
        inventory: &'a Inventory<'a>,
        journal: u64,
    ) -> Result<Self, (Geometry, Misfit)> {
        let needed = inventory.blocks() + journal + geometry.occupied_count();
        if needed > geometry.blocks {
            let misfit = geometry.misfit(needed);
            return Err((geometry, misfit));
        }
        let layout = Self::place(geometry, inventory, journal);
        if layout.end > layout.geometry.blocks {
            let misfit = layout.geometry.misfit(layout.end);
            return Err((layout.geometry, misfit));
        }
        Ok(layout)
    }

    fn place(geometry: Geometry, inventory: &'a Inventory<'a>, journal: u64) -> Self {
        let starts = vec![0; inventory.entries().len()];
        let mut layout = Self {
            geometry,
            inventory,
            resize: 0,
            journal: (0, journal),
            lost_found: 0,
            starts,
            xattr_blocks: Vec::new(),
            end: 0,
        };
        layout.resize = layout.take(1);
        let mut placement = Placement::default();
        layout.journal.0 = layout.take_runs(blocks(journal), &mut placement);
        if inventory.lost_found().is_some() {
            layout.lost_found = layout.take(LOST_FOUND_BLOCKS);
        }
        layout.place_entries(false, &mut placement);
        layout.xattr_blocks = inventory.xattrs.blocks().iter().map(|_| layout.take(1)).collect();
        layout.place_entries(true, &mut placement);
        layout
    }

    fn place_entries(&mut self, files: bool, placement: &mut Placement) {
        for (index, entry) in self.inventory.entries().iter().enumerate() {
            if entry.blocks > 0 && self.is_file(entry) == files {
                self.starts[index] = match self.inventory.content(entry) {
                    Some(content) => self.take_runs(inventory::runs(content), placement),
                    None => self.take_runs(blocks(entry.blocks), placement),
                };
            }
        }
    }

    fn is_file(&self, entry: &Entry) -> bool {
        matches!(self.inventory.node(entry).kind, Kind::File(_))
    }

    /// Takes the next `count` blocks; returns the first.
    fn take(&mut self, count: u64) -> u64 {
        let start = self.geometry.nth(self.end, 0);
        self.end = self.geometry.after(start, count);
        start
    }

    /// Takes blocks for the runs and the extent tree over them; returns the first.
    fn take_runs(&mut self, runs: impl IntoIterator<Item = Run>, placement: &mut Placement) -> u64 {
        let start = self.geometry.nth(self.end, 0);
        self.end = self.fill(start, runs, placement);
        start
    }

    /// Where runs of content are that start at `start`; returns the block after them.
    fn fill(&self, start: u64, runs: impl IntoIterator<Item = Run>, placement: &mut Placement) -> u64 {
        extent::map(runs, self.geometry.runs(start, ENDLESS), &mut placement.extents);
        placement.nodes.clear();
        let mut end = placement.extents.last().map_or(start, |extent| extent.physical + extent.count);
        let nodes = extent::node_count(placement.extents.len());
        for run in self.geometry.runs(end, nodes) {
            end = run.start + run.count;
            placement.nodes.extend(run.start..end);
        }
        end
    }

    /// Where the content of an entry is.
    pub(super) fn find(&self, index: usize, placement: &mut Placement) {
        let entry = &self.inventory.entries()[index];
        let start = self.starts[index];
        match self.inventory.content(entry) {
            Some(content) => self.fill(start, inventory::runs(content), placement),
            None => self.fill(start, blocks(entry.blocks), placement),
        };
    }

    /// Blocks of the journal.
    pub(super) fn journal_blocks(&self) -> u64 {
        self.journal.1
    }

    /// Where the journal is.
    pub(super) fn journal(&self) -> Placement {
        let mut placement = Placement::default();
        self.fill(self.journal.0, blocks(self.journal.1), &mut placement);
        placement
    }

    /// Where a lost+found that was added is.
    pub(super) fn lost_found(&self) -> Placement {
        let mut placement = Placement::default();
        self.fill(self.lost_found, blocks(LOST_FOUND_BLOCKS), &mut placement);
        placement
    }

    /// Blocks in use within a group.
    pub(super) fn used_blocks(&self, group: u64) -> u64 {
        let blocks = self.geometry.group(group);
        let content_end = self.end.clamp(blocks.start, blocks.end);
        let after = self.geometry.occupied_in(content_end..blocks.end);
        content_end - blocks.start + after.map(|range| range.end - range.start).sum::<u64>()
    }

    /// Inodes in use within a group: the first so many.
    pub(super) fn used_inodes(&self, group: u64) -> u64 {
        let per_group = self.geometry.inodes_per_group;
        u64::from(self.inventory.last_inode()).saturating_sub(group * per_group).min(per_group)
    }

    /// Whether only the group's own superblock copy is in use, so that its bitmap need not be
    /// written. Never for the last group: its bitmap says where the filesystem ends.
    pub(super) fn is_untouched(&self, group: u64) -> bool {
        let blocks = self.geometry.group(group);
        let own = self.geometry.super_len(group);
        let is_last = group + 1 == self.geometry.group_count();
        group > 0 && !is_last && self.end <= blocks.start && self.used_blocks(group) == own
    }
}

fn blocks(count: u64) -> Option<Run> {
    (count > 0).then_some(Run { start: 0, count })
}
