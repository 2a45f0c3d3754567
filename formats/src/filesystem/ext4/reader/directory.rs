//! Names in directories. Blocks are read one after the other; the hash index
//! is only compared with its checksums.

use zerocopy::FromBytes;

use super::super::{
    checksum::Checksum,
    ondisk::{DIRENT_CHECKSUM, DirEntry, INODE_INDEX},
};
use super::{inode::Record, superblock::Volume};

/// A name, its inode, and the type it claims.
pub(super) type Name = (Box<[u8]>, u32, u8);

/// Bytes of the entry that holds a block's checksum, and of what precedes a name.
const TAIL_BYTES: usize = 12;
const HEAD_BYTES: usize = 8;
/// Where the root of an index and a node below it keep their limit and count.
const ROOT_COUNT_AT: usize = 0x20;
const NODE_COUNT_AT: usize = 8;
/// Bytes of an entry of an index, and of its checksum's tail.
const INDEX_ENTRY_BYTES: usize = 8;

impl Volume {
    /// The names of a directory but `.` and `..`, which are compared.
    pub(super) fn names(&mut self, record: &Record, parent: u32, path: &str) -> Vec<Name> {
        let mut names = Vec::new();
        let extents = self.extents(record, path);
        let blocks = extents.iter().flat_map(|extent| {
            (0..extent.len).map(move |index| (extent.block + index, extent.start + index))
        });
        for (logical, physical) in blocks {
            let read = self.read_block(physical).and_then(|block| {
                let is_indexed = record.inode.flags.get() & INODE_INDEX != 0;
                check(record.seed, &block, is_indexed && logical == 0)?;
                entries(&block, &mut names)
            });
            if let Err(what) = read {
                self.faults.error(path, format!("directory block {logical} (at {physical}): {what}"));
                break;
            }
        }
        self.dots(record.number, parent, &mut names, path);
        names
    }

    fn dots(&mut self, own: u32, parent: u32, names: &mut Vec<Name>, path: &str) {
        let found = |name: &[u8]| names.iter().find(|entry| *entry.0 == *name).map(|entry| entry.1);
        for (name, right) in [(&b"."[..], own), (b"..", parent)] {
            if found(name) != Some(right) {
                let what = format!("'{}' is not inode {right}", name.escape_ascii());
                self.faults.error(path, what);
            }
        }
        names.retain(|(name, ..)| !matches!(&**name, b"." | b".."));
        names.sort_unstable();
        for pair in names.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            self.faults.error(path, format!("two entries named '{}'", pair[0].0.escape_ascii()));
        }
    }
}

fn entries(block: &[u8], names: &mut Vec<Name>) -> Result<(), String> {
    let mut at = 0;
    while at < block.len() {
        let rest = &block[at..];
        let (entry, name) = DirEntry::read_from_prefix(rest).map_err(|_| format!("entry at {at}"))?;
        let (len, name_len) = (usize::from(entry.rec_len.get()), usize::from(entry.name_len));
        if len < HEAD_BYTES || len % 4 != 0 || len > rest.len() {
            return Err(format!("entry at byte {at} is {len} bytes long"));
        }
        at += len;
        if entry.inode.get() == 0 {
            continue;
        }
        if name_len + HEAD_BYTES > len {
            return Err(format!("entry at byte {at} has a name of {name_len} bytes"));
        }
        let name = &name[..name_len];
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err(format!("entry named '{}'", name.escape_ascii()));
        }
        names.push((name.into(), entry.inode.get(), entry.file_type));
    }
    Ok(())
}

/// Compares the checksum of a block: that of an index, or that of a leaf.
fn check(seed: Option<Checksum>, block: &[u8], is_root: bool) -> Result<(), String> {
    let Some(seed) = seed else { return Ok(()) };
    let word = |at: usize| usize::from(u16::from_le_bytes([block[at], block[at + 1]]));
    let is_node = block[..4] == [0; 4] && word(4) == block.len();
    let (stored, computed) = if is_root || is_node {
        let at = if is_root { ROOT_COUNT_AT } else { NODE_COUNT_AT };
        let (limit, count) = (word(at), word(at + 2));
        let tail = at + limit * INDEX_ENTRY_BYTES;
        if count > limit || tail + INDEX_ENTRY_BYTES > block.len() {
            return Err(format!("index of {count} entries, {limit} at most"));
        }
        let seed = seed.with(&block[..at + count * INDEX_ENTRY_BYTES]);
        (&block[tail + 4..tail + 8], seed.with(&block[tail..tail + 4]).with(&[0; 4]))
    } else {
        let tail = block.len() - TAIL_BYTES;
        if block[tail + 7] != DIRENT_CHECKSUM {
            return Err("no checksum".to_owned());
        }
        (&block[tail + 8..], seed.with(&block[..tail]))
    };
    if stored == computed.value().to_le_bytes() {
        return Ok(());
    }
    Err(format!("wrong checksum, the bytes have {:08x}", computed.value()))
}
