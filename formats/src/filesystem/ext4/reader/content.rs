//! What an inode holds: extents, link targets, device numbers.

use zerocopy::FromBytes;

use super::super::ondisk::{
    EXTENT_MAGIC, EXTENT_MAX_BLOCKS, ExtentHeader, ExtentIndex, ExtentLeaf, INODE_ENCRYPTED, INODE_EXTENTS,
    INODE_INLINE_DATA,
};
use super::{inode::Record, superblock::Volume};
use crate::{
    sparse::Sparse,
    tree::{Children, Kind},
};

/// Levels of an extent tree below the inode.
const DEPTH_MAX: u16 = 5;
/// Bytes of an entry of any kind in a node of the extent tree, and of its header.
const ENTRY_BYTES: usize = 12;
/// A longer target is no path.
const TARGET_MAX: u64 = 4095;

/// A run of blocks of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// First block in the file.
    pub(super) block: u64,
    /// Blocks.
    pub(super) len: u64,
    /// First block on the volume.
    pub(super) start: u64,
    /// Reads as its blocks, else as zeros.
    pub(super) written: bool,
}

impl Volume {
    /// Type and content; `None` for what can be nothing.
    pub(super) fn kind(&mut self, record: &Record, path: &str) -> Option<Kind> {
        let device = || device(&record.inode.block);
        match record.mode() & 0o170_000 {
            0o040_000 => Some(Kind::Directory(Children::new())),
            0o100_000 => Some(Kind::File(self.content(record, path))),
            0o120_000 => self.target(record, path).map(Kind::Symlink),
            0o020_000 => Some(Kind::CharDevice(device().0, device().1)),
            0o060_000 => Some(Kind::BlockDevice(device().0, device().1)),
            0o010_000 => Some(Kind::Fifo),
            0o140_000 => Some(Kind::Socket),
            _ => {
                self.faults.error(path, format!("inode {}: mode {:o}", record.number, record.mode()));
                None
            }
        }
    }

    /// The content of a file, cut at its size.
    pub(super) fn content(&mut self, record: &Record, path: &str) -> Sparse {
        let extents = self.extents(record, path);
        let content = self.bytes_of(&extents, record.size(), path);
        if record.has_verity() {
            let end = extents.last().map_or(0, |last| (last.block + last.len) * self.block);
            let stored = self.bytes_of(&extents, end, path);
            self.sealed.insert(record.number, stored);
        }
        content
    }

    /// The bytes of the blocks before `size`.
    fn bytes_of(&mut self, extents: &[Extent], size: u64, path: &str) -> Sparse {
        let mut content = Sparse::new(size);
        for extent in extents.iter().filter(|extent| extent.written) {
            let at = extent.block * self.block;
            let len = (extent.len * self.block).min(size.saturating_sub(at));
            let data = self.bytes.slice(extent.start * self.block, len);
            if let Err(error) = content.insert(at, data) {
                self.faults.error(path, error.to_string());
            }
        }
        content
    }

    fn target(&mut self, record: &Record, path: &str) -> Option<Box<[u8]>> {
        let size = record.size();
        let inline = record.inode.flags.get() & INODE_EXTENTS == 0;
        if size == 0 || size > TARGET_MAX || (inline && size as usize > record.inode.block.len()) {
            self.faults.error(path, format!("symbolic link with a target of {size} bytes"));
            return None;
        }
        if inline {
            return Some(record.inode.block[..size as usize].into());
        }
        match self.content(record, path).to_vec() {
            Ok(target) => Some(target.into()),
            Err(error) => {
                self.faults.error(path, error.to_string());
                None
            }
        }
    }

    /// The extents of an inode in order. Blocks that another inode has are left out.
    pub(super) fn extents(&mut self, record: &Record, path: &str) -> Vec<Extent> {
        let flags = record.inode.flags.get();
        let mut extents = Vec::new();
        if flags & INODE_ENCRYPTED != 0 {
            self.faults.error(path, "encrypted content cannot be read");
        } else if flags & INODE_INLINE_DATA != 0 {
            self.faults.error(path, "content in the inode (inline_data) cannot be read");
        } else if flags & INODE_EXTENTS == 0 && record.size() > 0 {
            self.faults.error(path, "content in block lists instead of extents cannot be read");
        } else if flags & INODE_EXTENTS != 0 {
            let root = record.inode.block;
            if let Err(what) = self.extent_node(record, &root, None, &mut extents) {
                self.faults.error(path, format!("extents of inode {}: {what}", record.number));
            }
        }
        extents
    }

    fn extent_node(
        &mut self,
        record: &Record,
        node: &[u8],
        depth: Option<u16>,
        extents: &mut Vec<Extent>,
    ) -> Result<(), String> {
        let (header, entries) = ExtentHeader::read_from_prefix(node).map_err(|_| "short node".to_owned())?;
        let (count, max) = (header.entries.get(), header.max.get());
        let fits = count <= max && usize::from(max) * ENTRY_BYTES <= entries.len();
        if header.magic.get() != EXTENT_MAGIC || !fits || header.depth.get() > DEPTH_MAX {
            return Err(format!("header of magic {:04x}, {count} of {max} entries", header.magic));
        }
        if depth.is_some_and(|depth| depth != header.depth.get()) {
            return Err(format!("node of depth {} in the wrong level", header.depth));
        }
        let entries = entries.chunks_exact(ENTRY_BYTES).take(count.into());
        if header.depth.get() == 0 {
            return entries.into_iter().try_for_each(|entry| self.leaf(entry, extents));
        }
        for entry in entries {
            let (index, _) = ExtentIndex::read_from_prefix(entry).map_err(|_| "short entry".to_owned())?;
            let block = u64::from(index.leaf_hi.get()) << 32 | u64::from(index.leaf_lo.get());
            let child = self.extent_block(record, block)?;
            self.extent_node(record, &child, Some(header.depth.get() - 1), extents)?;
        }
        Ok(())
    }

    /// A node of its own block, its checksum compared.
    fn extent_block(&mut self, record: &Record, number: u64) -> Result<Vec<u8>, String> {
        if !self.claims.take(number, 1) {
            return Err(format!("block {number} has another use"));
        }
        let bytes = self.read_block(number)?;
        let max = u16::from_le_bytes([bytes[4], bytes[5]]);
        let end = ENTRY_BYTES * (usize::from(max) + 1);
        if let (Some(seed), Some(stored)) = (record.seed, bytes.get(end..end + 4)) {
            let computed = seed.with(&bytes[..end]).value();
            if stored != computed.to_le_bytes() {
                return Err(format!("block {number}: wrong checksum, the bytes have {computed:08x}"));
            }
        }
        Ok(bytes)
    }

    fn leaf(&mut self, entry: &[u8], extents: &mut Vec<Extent>) -> Result<(), String> {
        let (leaf, _) = ExtentLeaf::read_from_prefix(entry).map_err(|_| "short entry".to_owned())?;
        let start = u64::from(leaf.start_hi.get()) << 32 | u64::from(leaf.start_lo.get());
        let raw = u64::from(leaf.len.get());
        let written = raw <= EXTENT_MAX_BLOCKS;
        let len = if written { raw } else { raw - EXTENT_MAX_BLOCKS };
        if len == 0 || start == 0 || start + len > self.blocks {
            return Err(format!("{len} blocks from {start} of {}", self.blocks));
        }
        if !self.claims.take(start, len) {
            return Err(format!("{len} blocks from {start} have another use"));
        }
        let block = u64::from(leaf.block.get());
        if extents.last().is_some_and(|last: &Extent| last.block + last.len > block) {
            return Err(format!("extent of block {block} out of order"));
        }
        extents.push(Extent { block, len, start, written });
        Ok(())
    }
}

/// The old 16-bit form in the first word, the new one in the second.
fn device(block: &[u8]) -> (u32, u32) {
    let word = |at: usize| block[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
    match (word(0), word(4)) {
        (0, new) => (new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00),
        (old, _) => (old >> 8 & 0xFF, old & 0xFF),
    }
}
