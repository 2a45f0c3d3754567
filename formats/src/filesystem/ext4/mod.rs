//! ext4, written offline: 4096-byte blocks, 256-byte inodes, metadata
//! checksums, a clean journal and room to grow.
//!
//! The features are those of e2fsprogs 1.46: every current kernel, GRUB and
//! e2fsck reads them. Sizes of groups, journal and inode tables follow
//! mke2fs. A tree is counted ([`mod@inventory`]), laid out in numbers
//! ([`geometry`], [`layout`]) and written in ascending order ([`emit`]).
//!
//! 5 % of the blocks are reserved for root as mke2fs does, or half of the
//! free ones if that is less. One inode for 16 KiB, or the number the tree
//! needs and a sixteenth more. Left out: `metadata_csum_seed` and
//! `orphan_file`, which older GRUB and e2fsck refuse, filesystems past
//! 16 TiB, attribute values of more than a block.

mod blocks;
mod checksum;
mod directory;
mod emit;
mod extent;
mod geometry;
mod group;
mod htree;
mod inode;
mod inventory;
mod journal;
mod layout;
mod ondisk;
mod reader;
mod resize_inode;
mod superblock;
mod verity;
mod xattr;

use self::{
    geometry::{MAX_BLOCKS, MIN_BLOCKS},
    htree::Hasher,
    inventory::Inventory,
    layout::Layout,
    ondisk::BLOCK_BYTES,
    superblock::LABEL_MAX,
};
pub use self::{reader::read, verity::is_sealed};
use crate::{
    Error, Result,
    filesystem::{Filesystem, Identity},
    sparse::Sparse,
    tree::Tree,
};

/// The fourth extended filesystem.
#[derive(Clone, Copy, Debug)]
pub struct Ext4;

impl Filesystem for Ext4 {
    fn name(&self) -> &'static str {
        "ext4"
    }

    fn min_size(&self, tree: &Tree, identity: &Identity) -> Result<u64> {
        let inventory = inventory(tree, identity)?;
        Ok(smallest(&inventory, identity)?.geometry.blocks * BLOCK_BYTES)
    }

    fn mkfs(&self, tree: &Tree, identity: &Identity, size: u64) -> Result<Sparse> {
        let inventory = inventory(tree, identity)?;
        let blocks = size / BLOCK_BYTES;
        let what = || format!("ext4 filesystem '{}'", identity.label);
        if blocks > MAX_BLOCKS {
            let allowed = MAX_BLOCKS * BLOCK_BYTES;
            return Err(Error::Limit { what: format!("{}: bytes", what()), found: size, allowed });
        }
        let layout = match Layout::new(&inventory, blocks.max(MIN_BLOCKS)) {
            Ok(layout) if blocks >= MIN_BLOCKS => layout,
            // Another group's tables may cost more than the group holds: leave it to be grown into.
            _ => smallest(&inventory, identity)?,
        };
        if layout.geometry.blocks > blocks {
            let needed = layout.geometry.blocks * BLOCK_BYTES;
            return Err(Error::TooSmall { what: what(), needed, given: size });
        }
        emit::emit(&layout, identity, size)
    }
}

fn inventory<'a>(tree: &'a Tree, identity: &Identity) -> Result<Inventory<'a>> {
    let label = identity.label.len();
    if label > LABEL_MAX {
        let what = format!("ext4 label '{}', bytes", identity.label);
        return Err(Error::Limit { what, found: label as u64, allowed: LABEL_MAX as u64 });
    }
    Inventory::new(tree, Hasher::new(superblock::hash_seed(&identity.uuid)))
}

/// The layout in the fewest blocks: each that is too small names the next to try.
fn smallest<'a>(inventory: &'a Inventory<'a>, identity: &Identity) -> Result<Layout<'a>> {
    let mut blocks = MIN_BLOCKS.max(inventory.blocks());
    loop {
        if blocks > MAX_BLOCKS {
            let what = format!("ext4 filesystem '{}': bytes", identity.label);
            let (found, allowed) = (blocks.saturating_mul(BLOCK_BYTES), MAX_BLOCKS * BLOCK_BYTES);
            return Err(Error::Limit { what, found, allowed });
        }
        match Layout::new(inventory, blocks) {
            Ok(layout) => return Ok(layout),
            Err(misfit) => blocks = misfit.try_blocks,
        }
    }
}
