//! Directories: names and the inodes they name.
//!
//! ```text
//! block  ".", "..", names ... , 12-byte tail with the checksum
//! ```
//! One block is a plain list in the order of bytes; more are leaves below a
//! hash index ([`super::htree`]). The last entry of a block reaches to the
//! tail. Source: the kernel's ext4 documentation, "Directory Entries".

use zerocopy::IntoBytes;

use super::{
    checksum::Checksum,
    htree::{Arrangement, Hasher},
    ondisk::{BLOCK_LEN, DIRENT_CHECKSUM, DirEntry, DirTail},
};
use crate::tree::Kind;

/// Bytes for entries in a block.
pub(super) const LEAF_LEN: usize = BLOCK_LEN - size_of::<DirTail>();
/// Bytes of "." and of "..".
const DOT_LEN: usize = 12;
/// Blocks of lost+found, so that e2fsck need not allocate any.
pub(super) const LOST_FOUND_BLOCKS: u64 = 4;

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u32,
    pub(super) file_type: u8,
}

/// `file_type` of a directory.
pub(super) const TYPE_DIRECTORY: u8 = 2;

/// `file_type` in a directory entry.
pub(super) const fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Directory(_) => TYPE_DIRECTORY,
        Kind::CharDevice(..) => 3,
        Kind::BlockDevice(..) => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink(_) => 7,
    }
}

/// Bytes of an entry, padded.
pub(super) const fn entry_len(name: &[u8]) -> usize {
    (size_of::<DirEntry>() + name.len()).next_multiple_of(4)
}

/// Whether the names fit into one block.
fn is_linear<'a>(names: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut room = LEAF_LEN - 2 * DOT_LEN;
    for name in names {
        match room.checked_sub(entry_len(name)) {
            Some(left) => room = left,
            None => return false,
        }
    }
    true
}

/// Leaves beside the root of an index (none: a plain list), and blocks of the directory.
pub(super) fn measure<'a>(names: impl Iterator<Item = &'a [u8]> + Clone, hasher: &Hasher) -> (usize, u64) {
    if is_linear(names.clone()) {
        return (0, 1);
    }
    let arrangement = Arrangement::new(names, hasher);
    (arrangement.leaf_count(), arrangement.block_count())
}

/// The directory's blocks, in order; as many as [`measure`] says.
pub(super) fn render(names: &[Name<'_>], own: u32, parent: u32, hasher: &Hasher, seed: Checksum) -> Vec<u8> {
    if is_linear(names.iter().map(|name| name.name)) {
        let dots = [dot(own), dot_dot(parent)];
        return leaf(dots.into_iter().chain(names.iter().copied()), seed);
    }
    Arrangement::new(names.iter().map(|name| name.name), hasher).render(names, own, parent, seed)
}

/// An empty directory with room for many names.
pub(super) fn lost_found(own: u32, parent: u32, seed: Checksum) -> Vec<u8> {
    let mut blocks = leaf([dot(own), dot_dot(parent)].into_iter(), seed);
    (1..LOST_FOUND_BLOCKS).for_each(|_| blocks.extend(leaf(std::iter::empty(), seed)));
    blocks
}

pub(super) const fn dot(inode: u32) -> Name<'static> {
    Name { name: b".", inode, file_type: TYPE_DIRECTORY }
}

pub(super) const fn dot_dot(inode: u32) -> Name<'static> {
    Name { name: b"..", inode, file_type: TYPE_DIRECTORY }
}

/// A block of entries, which must fit.
pub(super) fn leaf<'a>(names: impl Iterator<Item = Name<'a>>, seed: Checksum) -> Vec<u8> {
    let mut block = vec![0; BLOCK_LEN];
    let (mut at, mut next) = (0, 0);
    for name in names {
        let len = entry_len(name.name);
        write_entry(&mut block, next, len, &name);
        (at, next) = (next, next + len);
    }
    let rec_len = std::mem::offset_of!(DirEntry, rec_len);
    block[at + rec_len..at + rec_len + 2].copy_from_slice(&((LEAF_LEN - at) as u16).to_le_bytes());
    write_tail(&mut block, seed);
    block
}

/// An entry of `rec_len` bytes at `at`.
pub(super) fn write_entry(block: &mut [u8], at: usize, rec_len: usize, name: &Name<'_>) {
    let entry = DirEntry {
        inode: name.inode.into(),
        rec_len: (rec_len as u16).into(),
        name_len: name.name.len() as u8,
        file_type: name.file_type,
    };
    let start = at + size_of::<DirEntry>();
    block[at..start].copy_from_slice(entry.as_bytes());
    block[start..start + name.name.len()].copy_from_slice(name.name);
}

fn write_tail(block: &mut [u8], seed: Checksum) {
    let entry = DirEntry {
        inode: 0.into(),
        rec_len: (size_of::<DirTail>() as u16).into(),
        name_len: 0,
        file_type: DIRENT_CHECKSUM,
    };
    let tail = DirTail { entry, checksum: seed.with(&block[..LEAF_LEN]).value().into() };
    block[LEAF_LEN..].copy_from_slice(tail.as_bytes());
}
