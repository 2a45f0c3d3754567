//! Where everything in a composefs image goes: numbers only.
//!
//! An inode and what follows it inline may cross a block's end, but inline
//! data may not: the inode moves on, or the data moves to a block of its own.
//! The rules are libcomposefs', to the byte.

use anyhow::{Context, ensure};

use super::{
    Content, Inode,
    ondisk::{
        BLOCK, BLOCK_BITS, CHUNK_BITS_MAX, CompactInode, Dirent, ExtendedInode, INODES_OFFSET, SLOT,
        XattrHeader,
    },
    xattr::Table,
};

/// A directory's last, partial block is inline up to this size.
const INLINE_NAMES_MAX: usize = BLOCK / 2;
/// Bytes of the one chunk address behind a regular file.
const CHUNK_ADDRESS: usize = size_of::<u32>();

/// Where one inode is and where its data are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Byte of the image.
    pub(super) offset: usize,
    /// Whether the inode is a compact one.
    pub(super) compact: bool,
    /// Bytes of attributes behind the inode.
    pub(super) xattr_len: usize,
    /// Bytes of data behind those.
    pub(super) tail_len: usize,
    /// Blocks of data elsewhere.
    pub(super) block_count: usize,
    /// The first of them, 0 without any.
    pub(super) block: usize,
}

impl Place {
    /// The inode's number for directory entries.
    pub(super) const fn nid(&self) -> u64 {
        (self.offset / SLOT) as u64
    }

    const fn inode_len(&self) -> usize {
        if self.compact { size_of::<CompactInode>() } else { size_of::<ExtendedInode>() }
    }

    /// Where the inline data are.
    pub(super) const fn tail_offset(&self) -> usize {
        self.offset + self.inode_len() + self.xattr_len
    }

    /// `i_xattr_icount`.
    pub(super) fn xattr_count(&self) -> u16 {
        match self.xattr_len {
            0 => 0,
            len => ((len - size_of::<XattrHeader>()) / 4 + 1) as u16,
        }
    }
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    /// By inode number.
    pub(super) places: Vec<Place>,
    /// Where the shared attributes are.
    pub(super) shared_offset: usize,
    /// The block after the last.
    pub(super) end_block: usize,
}

impl Layout {
    pub(super) fn new(inodes: &[Inode<'_>], xattrs: &Table<'_>) -> anyhow::Result<Self> {
        let mut at = INODES_OFFSET;
        let mut places = Vec::with_capacity(inodes.len());
        for index in 0..inodes.len() {
            let place = place(inodes, index, xattrs, at).with_context(|| super::path_of(inodes, index))?;
            at = place.tail_offset() + place.tail_len;
            places.push(place);
        }
        let shared_offset = at.next_multiple_of(SLOT);
        let mut end_block = (shared_offset + xattrs.shared.len()).div_ceil(BLOCK);
        for place in places.iter_mut().filter(|place| place.block_count > 0) {
            place.block = end_block;
            end_block += place.block_count;
        }
        ensure!(u32::try_from(end_block).is_ok(), "composefs image of over 16 TiB");
        Ok(Self { places, shared_offset, end_block })
    }
}

/// The place of an inode, which starts at the first slot from byte `at` unless its data need it further on.
fn place(inodes: &[Inode<'_>], index: usize, xattrs: &Table<'_>, at: usize) -> anyhow::Result<Place> {
    let inode = &inodes[index];
    let xattr_len = xattrs.inline_len(&inode.xattrs);
    ensure!(inode.xattrs.len() <= usize::from(u8::MAX), "over 255 extended attributes");
    ensure!(xattr_len / 4 < usize::from(u16::MAX), "over 256 KiB of extended attributes");
    let (block_count, tail_len) = match inode.content {
        Content::Directory => directory_len(inodes, index),
        Content::Symlink(target) => (0, target.len()),
        Content::External(_) => (0, CHUNK_ADDRESS),
        Content::Empty | Content::Whiteout => (0, 0),
    };
    let mut place = Place {
        offset: at.next_multiple_of(SLOT),
        compact: is_compact(inode),
        xattr_len,
        tail_len,
        block_count,
        block: 0,
    };
    match inode.content {
        Content::Symlink(_) => settle_symlink(&mut place),
        _ => settle(&mut place),
    }
    Ok(place)
}

fn is_compact(inode: &Inode<'_>) -> bool {
    let short = |number: u32| number <= u32::from(u16::MAX);
    short(inode.uid) && short(inode.gid) && short(inode.link_count) && u32::try_from(inode.size()).is_ok()
}

/// A symbolic link stays in one block with its target, or the target gets a block.
fn settle_symlink(place: &mut Place) {
    let end = place.tail_offset() + place.tail_len;
    if end - place.offset >= BLOCK {
        place.block_count += 1;
        place.tail_len = 0;
    }
    if place.offset / BLOCK != (end - 1) / BLOCK {
        place.offset = place.offset.next_multiple_of(BLOCK);
    }
}

/// Inline data that would cross the end of a block move on with the inode, as
/// little as will do; if that does not help, they get a block.
fn settle(place: &mut Place) {
    let room = |place: &Place| BLOCK - place.tail_offset() % BLOCK;
    let left = room(place);
    if left >= place.tail_len {
        return;
    }
    let moved = Place { offset: place.offset + left.next_multiple_of(SLOT), ..*place };
    if room(&moved) >= place.tail_len {
        *place = moved;
    } else {
        place.block_count += 1;
        place.tail_len = 0;
        place.offset = place.offset.next_multiple_of(BLOCK);
    }
}

/// Blocks and inline bytes of a directory's entries.
fn directory_len(inodes: &[Inode<'_>], index: usize) -> (usize, usize) {
    let (mut block_count, mut filled) = (0, 0);
    for (name, _) in entries(inodes, index) {
        let len = entry_len(name);
        if filled + len > BLOCK {
            block_count += 1;
            filled = 0;
        }
        filled += len;
    }
    if filled > INLINE_NAMES_MAX { (block_count + 1, 0) } else { (block_count, filled) }
}

/// Bytes of a directory entry with its name.
pub(super) const fn entry_len(name: &[u8]) -> usize {
    size_of::<Dirent>() + name.len()
}

/// Names and inodes of a directory with `.` and `..`, sorted by bytes.
pub(super) fn entries<'a>(inodes: &'a [Inode<'a>], index: usize) -> impl Iterator<Item = (&'a [u8], usize)> {
    let inode = &inodes[index];
    let name = |child: usize| &*inodes[child].name;
    let before = inode.children.clone().filter(move |&child| name(child) < &b"."[..]);
    let between =
        inode.children.clone().filter(move |&child| name(child) > &b"."[..] && name(child) < &b".."[..]);
    let after = inode.children.clone().filter(move |&child| name(child) > &b".."[..]);
    let named = move |child| (name(child), child);
    let dot = std::iter::once((&b"."[..], index));
    let dots = std::iter::once((&b".."[..], inode.parent));
    before.map(named).chain(dot).chain(between.map(named)).chain(dots).chain(after.map(named))
}

/// `i_u` of an external file: blocks of its one chunk, as a logarithm.
///
/// # Errors
/// If one chunk does not hold `size` bytes.
pub(super) fn chunk_format(size: u64) -> anyhow::Result<u32> {
    let bits = (u64::BITS - (size - 1).leading_zeros()).max(u32::from(BLOCK_BITS)) - u32::from(BLOCK_BITS);
    ensure!(bits <= CHUNK_BITS_MAX, "file of over 8 TiB");
    Ok(bits)
}
