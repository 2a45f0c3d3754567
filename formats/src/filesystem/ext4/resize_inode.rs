//! The resize inode: a file whose blocks are the reserved group descriptor
//! blocks, so that nobody else takes them before the filesystem grows.
//!
//! ```text
//! inode 7 -> double indirect block -> reserved blocks of group 0, at the index they will have
//! reserved block of group 0 -> the same block of each backup group
//! ```
//! Its size is that of a file with all direct, indirect and double indirect
//! blocks. Source: e2fsprogs and the kernel agree on it; the kernel's
//! documentation, "Block Groups", has the outline.

use super::{
    extent::InodeBlock,
    geometry::Geometry,
    ondisk::{ADDRESSES_PER_BLOCK, BLOCK_BYTES, BLOCK_LEN},
};

/// Direct block addresses in `i_block`.
const DIRECT: u64 = 12;
/// Where `i_block` has the double indirect block, in bytes.
const DOUBLE_AT: usize = 13 * 4;

/// Size of the file in bytes.
pub(super) const SIZE: u64 =
    (DIRECT + ADDRESSES_PER_BLOCK + ADDRESSES_PER_BLOCK * ADDRESSES_PER_BLOCK) * BLOCK_BYTES;

/// `i_block` with the double indirect block at `place`.
pub(super) fn inode_block(place: u64) -> InodeBlock {
    let mut block = [0; 60];
    block[DOUBLE_AT..DOUBLE_AT + 4].copy_from_slice(&(place as u32).to_le_bytes());
    block
}

/// Blocks the file has: the double indirect one, and the reserved ones of all groups.
pub(super) fn blocks(geometry: &Geometry) -> u64 {
    1 + geometry.reserved_blocks * geometry.supers().count() as u64
}

/// Reserved blocks of the primary copy.
fn reserved(geometry: &Geometry) -> std::ops::Range<u64> {
    let first = 1 + geometry.descriptor_blocks;
    first..first + geometry.reserved_blocks
}

/// The double indirect block.
pub(super) fn double_indirect(geometry: &Geometry) -> Vec<u8> {
    let mut block = vec![0; BLOCK_LEN];
    for place in reserved(geometry) {
        // Block 1 holds descriptor block 0.
        let slot = ((place - 1) % ADDRESSES_PER_BLOCK) as usize * 4;
        block[slot..slot + 4].copy_from_slice(&(place as u32).to_le_bytes());
    }
    block
}

/// The reserved blocks of group 0, in order.
pub(super) fn indirect(geometry: &Geometry) -> Vec<u8> {
    let backups: Vec<_> = geometry.supers().skip(1).map(|group| geometry.group(group).start).collect();
    let mut blocks = Vec::new();
    for place in reserved(geometry) {
        let start = blocks.len();
        blocks.extend(backups.iter().flat_map(|backup| ((backup + place) as u32).to_le_bytes()));
        blocks.resize(start + BLOCK_LEN, 0);
    }
    blocks
}
