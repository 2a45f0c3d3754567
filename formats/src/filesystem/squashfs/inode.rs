//! Inodes: each in the short form where that can say all there is, else in the long one.

use zerocopy::IntoBytes;

use super::{
    content::Stored,
    directory::Listing,
    ondisk::{
        BLOCK_DEVICE, CHAR_DEVICE, DIRECTORY, Directory, EXTENDED, ExtendedDirectory, ExtendedRegular, FIFO,
        FILE, InodeHead, LISTING_EXTRA, NONE, Regular, SOCKET, SYMLINK,
    },
};
use crate::tree::{Kind, Node, Time};

/// What an inode says beside the node's own.
pub(super) struct Facts {
    pub(super) number: u32,
    pub(super) links: u32,
    /// Places in the table of ids.
    pub(super) owner: [u16; 2],
    /// The set of attributes, or [`NONE`].
    pub(super) xattrs: u32,
}

/// The type that listings show.
pub(super) const fn kind(node: &Node) -> u16 {
    match node.kind {
        Kind::Directory(_) => DIRECTORY,
        Kind::File(_) => FILE,
        Kind::Symlink(_) => SYMLINK,
        Kind::BlockDevice(..) => BLOCK_DEVICE,
        Kind::CharDevice(..) => CHAR_DEVICE,
        Kind::Fifo => FIFO,
        Kind::Socket => SOCKET,
    }
}

/// Seconds since 1970 in 32 bits.
pub(super) fn seconds(time: Time) -> u32 {
    u32::try_from(time.seconds.max(0)).unwrap_or(u32::MAX)
}

fn head(node: &Node, facts: &Facts, is_long: bool) -> Vec<u8> {
    let [uid, gid] = facts.owner.map(Into::into);
    let kind = kind(node) + if is_long { EXTENDED } else { 0 };
    let (mode, mtime, number) = (node.meta.mode.into(), seconds(node.meta.mtime).into(), facts.number.into());
    InodeHead { kind: kind.into(), mode, uid, gid, mtime, number }.as_bytes().to_vec()
}

/// A directory whose listing is written.
pub(super) fn directory(node: &Node, facts: &Facts, listing: &Listing, parent: u32) -> Vec<u8> {
    let len = listing.len + LISTING_EXTRA;
    let (start, offset) = (listing.place.start.into(), listing.place.offset.into());
    let (links, parent) = (facts.links.into(), parent.into());
    let short = u16::try_from(len).ok().filter(|_| listing.index_count == 0 && facts.xattrs == NONE);
    let mut bytes = head(node, facts, short.is_none());
    if let Some(len) = short {
        let directory = Directory { start, links, listing: len.into(), offset, parent };
        bytes.extend_from_slice(directory.as_bytes());
        return bytes;
    }
    let (index_count, xattrs) = (listing.index_count.into(), facts.xattrs.into());
    let directory =
        ExtendedDirectory { links, listing: len.into(), start, parent, index_count, offset, xattrs };
    bytes.extend_from_slice(directory.as_bytes());
    bytes.extend_from_slice(&listing.index);
    bytes
}

/// A regular file of `size` bytes.
pub(super) fn file(node: &Node, facts: &Facts, stored: &Stored, size: u64, block_bytes: u32) -> Vec<u8> {
    let sparse = sparse(stored, size, block_bytes);
    let short = u32::try_from(stored.start).ok().zip(u32::try_from(size).ok());
    let short = short.filter(|_| facts.links == 1 && facts.xattrs == NONE && sparse == 0);
    let (fragment, offset) = stored.fragment.unwrap_or((NONE, 0));
    let (fragment, offset) = (fragment.into(), offset.into());
    let mut bytes = head(node, facts, short.is_none());
    if let Some((start, size)) = short {
        let file = Regular { start: start.into(), fragment, offset, size: size.into() };
        bytes.extend_from_slice(file.as_bytes());
    } else {
        let (links, xattrs) = (facts.links.into(), facts.xattrs.into());
        let (start, size, sparse) = (stored.start.into(), size.into(), sparse.into());
        let file = ExtendedRegular { start, size, sparse, links, fragment, offset, xattrs };
        bytes.extend_from_slice(file.as_bytes());
    }
    stored.blocks.iter().for_each(|block| bytes.extend_from_slice(&block.to_le_bytes()));
    bytes
}

/// Bytes in blocks that are not stored; never all of the file, as the kernel's count of its blocks is not 0.
fn sparse(stored: &Stored, size: u64, block_bytes: u32) -> u64 {
    let len = |at: usize| (size - at as u64 * u64::from(block_bytes)).min(block_bytes.into());
    let holes = stored.blocks.iter().enumerate().filter(|(_, block)| **block == 0);
    holes.map(|(at, _)| len(at)).sum::<u64>().min(size.saturating_sub(1))
}

/// Anything without content.
pub(super) fn other(node: &Node, facts: &Facts) -> Vec<u8> {
    let is_long = facts.xattrs != NONE;
    let mut bytes = head(node, facts, is_long);
    bytes.extend_from_slice(&facts.links.to_le_bytes());
    match &node.kind {
        Kind::Symlink(target) => {
            bytes.extend_from_slice(&(target.len() as u32).to_le_bytes());
            bytes.extend_from_slice(target);
        }
        &Kind::CharDevice(major, minor) | &Kind::BlockDevice(major, minor) => {
            bytes.extend_from_slice(&device(major, minor).to_le_bytes());
        }
        _ => {}
    }
    if is_long {
        bytes.extend_from_slice(&facts.xattrs.to_le_bytes());
    }
    bytes
}

/// A device number as Linux's `new_encode_dev` puts it.
const fn device(major: u32, minor: u32) -> u32 {
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}
