//! Extent trees: which logical blocks of an inode lie where.
//!
//! ```text
//! i_block    12-byte header, up to 4 entries
//! block      12-byte header, up to 340 entries, 4-byte checksum
//! ```
//! Entries are extents in a leaf and child nodes above. A tree is packed
//! full from the left; its nodes are numbered level by level, leaves first.
//! Source: the kernel's ext4 documentation, "Extent Tree".

use zerocopy::IntoBytes;

use super::{
    checksum::Checksum,
    ondisk::{BLOCK_LEN, EXTENT_MAGIC, EXTENT_MAX_BLOCKS, ExtentHeader, ExtentIndex, ExtentLeaf, halves},
};

/// Entries in `i_block`.
const ROOT_ENTRIES: usize = 4;
/// Entries in a block.
const BLOCK_ENTRIES: usize = (BLOCK_LEN - size_of::<ExtentHeader>()) / size_of::<ExtentLeaf>();

/// `i_block`: the root of an extent tree, or whatever else the inode keeps there.
pub(super) type InodeBlock = [u8; 60];

/// Consecutive blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First block.
    pub(super) start: u64,
    /// How many; never zero.
    pub(super) count: u64,
}

/// Consecutive blocks of a file at consecutive places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// First block within the file.
    pub(super) logical: u64,
    /// Where it is on the disk.
    pub(super) physical: u64,
    /// How many, at most [`EXTENT_MAX_BLOCKS`].
    pub(super) count: u64,
}

/// Lays the `logical` runs over the `physical` ones, which hold as many blocks.
pub(super) fn map(
    logical: impl IntoIterator<Item = Run>,
    physical: impl IntoIterator<Item = Run>,
    extents: &mut Vec<Extent>,
) {
    extents.clear();
    let mut places = physical.into_iter();
    let mut place = Run { start: 0, count: 0 };
    for mut run in logical {
        while run.count > 0 {
            if place.count == 0 {
                let Some(next) = places.next() else { return };
                place = next;
            }
            let count = run.count.min(place.count).min(EXTENT_MAX_BLOCKS);
            extents.push(Extent { logical: run.start, physical: place.start, count });
            run = Run { start: run.start + count, count: run.count - count };
            place = Run { start: place.start + count, count: place.count - count };
        }
    }
}

/// Blocks that the tree over this many extents needs beside `i_block`.
pub(super) const fn node_count(extents: usize) -> u64 {
    let mut nodes = 0;
    let mut entries = extents;
    while entries > ROOT_ENTRIES {
        entries = entries.div_ceil(BLOCK_ENTRIES);
        nodes += entries as u64;
    }
    nodes
}

/// The tree over `extents`: `i_block`, and the nodes' blocks in the order of `places`.
///
/// `places` holds [`node_count`] block numbers.
pub(super) fn tree(extents: &[Extent], places: &[u64], seed: Checksum) -> (InodeBlock, Vec<Vec<u8>>) {
    let mut blocks = Vec::new();
    let mut depth = 0;
    let mut entries: Vec<(u64, [u8; 12])> =
        extents.iter().map(|extent| (extent.logical, leaf(extent))).collect();
    while entries.len() > ROOT_ENTRIES {
        let mut above = Vec::new();
        for chunk in entries.chunks(BLOCK_ENTRIES) {
            let place = places[blocks.len()];
            above.push((chunk[0].0, index(chunk[0].0, place)));
            blocks.push(node(chunk, depth, seed));
        }
        entries = above;
        depth += 1;
    }
    let mut root = [0; 60];
    write_node(&mut root, &entries, ROOT_ENTRIES, depth);
    (root, blocks)
}

fn leaf(extent: &Extent) -> [u8; 12] {
    let (start_lo, start_hi) = halves(extent.physical);
    zerocopy::transmute!(ExtentLeaf {
        block: (extent.logical as u32).into(),
        len: (extent.count as u16).into(),
        start_hi: (start_hi as u16).into(),
        start_lo: start_lo.into(),
    })
}

fn index(logical: u64, place: u64) -> [u8; 12] {
    let (leaf_lo, leaf_hi) = halves(place);
    zerocopy::transmute!(ExtentIndex {
        block: (logical as u32).into(),
        leaf_lo: leaf_lo.into(),
        leaf_hi: (leaf_hi as u16).into(),
        unused: 0.into(),
    })
}

fn node(entries: &[(u64, [u8; 12])], depth: u16, seed: Checksum) -> Vec<u8> {
    let mut block = vec![0; BLOCK_LEN];
    write_node(&mut block, entries, BLOCK_ENTRIES, depth);
    let tail = BLOCK_LEN - size_of::<u32>();
    let checksum = seed.with(&block[..tail]).value();
    block[tail..].copy_from_slice(&checksum.to_le_bytes());
    block
}

fn write_node(out: &mut [u8], entries: &[(u64, [u8; 12])], max: usize, depth: u16) {
    let header = ExtentHeader {
        magic: EXTENT_MAGIC.into(),
        entries: (entries.len() as u16).into(),
        max: (max as u16).into(),
        depth: depth.into(),
        generation: 0.into(),
    };
    let (head, rest) = out.split_at_mut(size_of::<ExtentHeader>());
    head.copy_from_slice(header.as_bytes());
    for (slot, (_, entry)) in rest.chunks_exact_mut(size_of::<ExtentLeaf>()).zip(entries) {
        slot.copy_from_slice(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_split_where_the_disk_or_the_extent_ends() {
        let logical = [Run { start: 0, count: 3 }, Run { start: 9, count: 40_000 }];
        let physical = [Run { start: 100, count: 2 }, Run { start: 200, count: 50_000 }];
        let mut extents = Vec::new();
        map(logical, physical, &mut extents);
        let found: Vec<_> = extents.iter().map(|e| (e.logical, e.physical, e.count)).collect();
        assert_eq!(found, [(0, 100, 2), (2, 200, 1), (9, 201, 32_768), (32_777, 32_969, 7_232)]);
    }

    #[test]
    fn nodes_are_counted_level_by_level() {
        let counts = [0, 4, 5, 340, 341, 1360, 1361, 340 * 340 * 4, 340 * 340 * 4 + 1];
        let nodes = [0, 0, 1, 1, 2, 4, 5 + 1, 340 * 4 + 4, 1361 + 5 + 1];
        assert_eq!(counts.map(node_count), nodes);
    }
}
