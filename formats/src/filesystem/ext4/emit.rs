//! The bytes at the numbers of a [`Layout`], in ascending order.
//!
//! Fixed metadata (superblocks, descriptors, bitmaps, inode tables) and
//! content are two ascending streams, merged on the way out. The content of
//! files is never looked at.

use std::{iter::Peekable, vec};

use rayon::prelude::*;

use super::{
    blocks::Blocks,
    checksum::Checksum,
    directory, extent, group,
    inode::Inodes,
    inventory::{Entry, FAST_SYMLINK_END},
    journal,
    layout::{Layout, Placement},
    ondisk::{BLOCK_BYTES, BLOCK_LEN, JOURNAL_INODE, ROOT_INODE, SUPERBLOCK_OFFSET},
    resize_inode, superblock,
};
use crate::{Result, data::Data, filesystem::Identity, sparse::Sparse, tree::Kind};

/// Entries of the inventory rendered by one thread at a time.
const CHUNK: usize = 4096;

/// Data and its offset in bytes.
pub(super) type Piece = (u64, Data);

/// A filesystem of `size` bytes.
pub(super) fn emit(layout: &Layout<'_>, identity: &Identity, size: u64) -> Result<Sparse> {
    let seed = Checksum::of_filesystem(&identity.uuid);
    let inodes = Inodes { layout, time: identity.time, on_noise: identity.on_noise, seed };
    let fixed = fixed(&inodes, identity);
    let mut out = Out { sparse: Sparse::new(size), fixed: fixed.into_iter().peekable() };
    let double_indirect = resize_inode::double_indirect(&layout.geometry);
    out.put(layout.resize * BLOCK_BYTES, Data::from_bytes(double_indirect))?;
    put_journal(&mut out, layout, identity, seed)?;
    put_lost_found(&mut out, layout, seed)?;
    put_names(&mut out, layout, seed)?;
    put_xattrs(&mut out, layout, seed)?;
    put_files(&mut out, layout, seed)?;
    out.finish()
}

/// Merges content with fixed metadata, both ascending.
struct Out {
    sparse: Sparse,
    fixed: Peekable<vec::IntoIter<Piece>>,
}

impl Out {
    fn put(&mut self, offset: u64, data: Data) -> Result<()> {
        while let Some((offset, data)) = self.fixed.next_if(|&(fixed, _)| fixed < offset) {
            self.sparse.insert(offset, data)?;
        }
        self.sparse.insert(offset, data)
    }

    fn put_all(&mut self, blocks: Blocks) -> Result<()> {
        blocks.into_pieces().try_for_each(|(offset, data)| self.put(offset, data))
    }

    fn finish(mut self) -> Result<Sparse> {
        self.fixed.try_for_each(|(offset, data)| self.sparse.insert(offset, data))?;
        Ok(self.sparse)
    }
}

/// Superblocks, descriptors, bitmaps and inode tables, ascending.
fn fixed(inodes: &Inodes<'_>, identity: &Identity) -> Vec<Piece> {
    let geometry = &inodes.layout.geometry;
    let (mut pieces, descriptors) = group::render(inodes);
    let descriptors = Data::from_bytes(descriptors);
    let mut superblock = superblock::new(inodes, identity);
    for group in geometry.supers() {
        let start = geometry.group(group).start;
        let within = if group == 0 { SUPERBLOCK_OFFSET } else { 0 };
        superblock::set_group(&mut superblock, group);
        pieces.push((start * BLOCK_BYTES + within, superblock::render(&superblock)));
        pieces.push(((start + 1) * BLOCK_BYTES, descriptors.clone()));
    }
    let reserved = 1 + geometry.descriptor_blocks;
    pieces.push((reserved * BLOCK_BYTES, Data::from_bytes(resize_inode::indirect(geometry))));
    pieces.sort_by_key(|&(offset, _)| offset);
    pieces
}

fn put_journal(out: &mut Out, layout: &Layout<'_>, identity: &Identity, seed: Checksum) -> Result<()> {
    let place = layout.journal();
    let superblock = journal::superblock(layout.journal_blocks(), &identity.uuid);
    if let Some(first) = place.extents.first() {
        out.put(first.physical * BLOCK_BYTES, Data::from_bytes(superblock))?;
    }
    let mut blocks = Blocks::default();
    push_nodes(&mut blocks, &place, seed.of_inode(JOURNAL_INODE));
    out.put_all(blocks)
}

fn put_lost_found(out: &mut Out, layout: &Layout<'_>, seed: Checksum) -> Result<()> {
    let Some(inode) = layout.inventory.lost_found() else { return Ok(()) };
    let seed = seed.of_inode(inode);
    let mut blocks = Blocks::default();
    push_content(&mut blocks, &layout.lost_found(), &directory::lost_found(inode, ROOT_INODE, seed), seed);
    out.put_all(blocks)
}

/// Directories and long symbolic links.
fn put_names(out: &mut Out, layout: &Layout<'_>, seed: Checksum) -> Result<()> {
    let entries = layout.inventory.entries();
    let chunks: Vec<Blocks> = entries
        .par_chunks(CHUNK)
        .enumerate()
        .map(|(chunk, entries)| names(layout, chunk * CHUNK, entries, seed))
        .collect();
    chunks.into_iter().try_for_each(|blocks| out.put_all(blocks))
}

fn names(layout: &Layout<'_>, first: usize, entries: &[Entry], seed: Checksum) -> Blocks {
    let inventory = layout.inventory;
    let (mut blocks, mut placement) = (Blocks::default(), Placement::default());
    for (index, entry) in (first..).zip(entries) {
        let inode = inventory.inode(entry);
        let seed = seed.of_inode(inode);
        let bytes = match &inventory.node(entry).kind {
            Kind::Directory(_) => {
                directory::render(&inventory.names(entry), inode, entry.parent, &inventory.hasher, seed)
            }
            Kind::Symlink(target) if target.len() >= FAST_SYMLINK_END => {
                let mut block = target.to_vec();
                block.resize(BLOCK_LEN, 0);
                block
            }
            _ => continue,
        };
        layout.find(index, &mut placement);
        push_content(&mut blocks, &placement, &bytes, seed);
    }
    blocks
}

fn put_xattrs(out: &mut Out, layout: &Layout<'_>, seed: Checksum) -> Result<()> {
    let xattrs = &layout.inventory.xattrs;
    let mut blocks = Blocks::default();
    for (block, &place) in xattrs.blocks().iter().zip(&layout.xattr_blocks) {
        blocks.push(place, &xattrs.render(block, place, seed));
    }
    out.put_all(blocks)
}

fn put_files(out: &mut Out, layout: &Layout<'_>, seed: Checksum) -> Result<()> {
    let mut placement = Placement::default();
    for (index, entry) in layout.inventory.entries().iter().enumerate() {
        let Some(content) = layout.inventory.content(entry) else { continue };
        if entry.blocks == 0 {
            continue;
        }
        layout.find(index, &mut placement);
        put_file(out, content, &placement)?;
        if !placement.nodes.is_empty() {
            let mut blocks = Blocks::default();
            push_nodes(&mut blocks, &placement, seed.of_inode(layout.inventory.inode(entry)));
            out.put_all(blocks)?;
        }
    }
    Ok(())
}

/// The pieces of a file, cut where its extents end.
fn put_file(out: &mut Out, content: &Sparse, placement: &Placement) -> Result<()> {
    let mut extents = placement.extents.iter().peekable();
    for piece in content.pieces() {
        let mut done = 0;
        while done < piece.data.len() {
            let at = piece.offset + done;
            while extents.next_if(|extent| (extent.logical + extent.count) * BLOCK_BYTES <= at).is_some() {}
            let Some(extent) = extents.peek() else { break };
            let end = (extent.logical + extent.count) * BLOCK_BYTES;
            let len = (end - at).min(piece.data.len() - done);
            let place = extent.physical * BLOCK_BYTES + (at - extent.logical * BLOCK_BYTES);
            out.put(place, piece.data.slice(done, len))?;
            done += len;
        }
    }
    Ok(())
}

/// Metadata content and the extent tree's nodes after it.
fn push_content(blocks: &mut Blocks, placement: &Placement, bytes: &[u8], seed: Checksum) {
    for extent in &placement.extents {
        let start = extent.logical as usize * BLOCK_LEN;
        blocks.push(extent.physical, &bytes[start..start + extent.count as usize * BLOCK_LEN]);
    }
    push_nodes(blocks, placement, seed);
}

fn push_nodes(blocks: &mut Blocks, placement: &Placement, seed: Checksum) {
    let (_, nodes) = extent::tree(&placement.extents, &placement.nodes, seed);
    for (&place, node) in placement.nodes.iter().zip(&nodes) {
        blocks.push(place, node);
    }
}
