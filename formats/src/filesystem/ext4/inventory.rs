//! What a tree asks of a filesystem before any position is known: inode
//! numbers, link counts, attribute sets, blocks of content.
//!
//! Inodes are numbered directory by directory: the names of one directory
//! follow each other, subdirectories come after. A node without a name below
//! the root has no number. Everything ext4 cannot hold is refused here.

use std::{collections::BTreeMap, ops::RangeInclusive};

use rayon::prelude::*;

use super::{
    directory::{self, LOST_FOUND_BLOCKS, Name, TYPE_DIRECTORY},
    extent::Run,
    htree::{self, Hasher},
    ondisk::{BLOCK_BYTES, FIRST_INODE, NAME_MAX, ROOT_INODE},
    verity,
    xattr::{Stored, Table},
};
use crate::{
    Error, Result,
    sparse::Sparse,
    tree::{Kind, Node, NodeId, Time, Tree},
};

/// The directory e2fsck puts lost inodes in.
const LOST_FOUND: &[u8] = b"lost+found";
/// Most names of an inode that is not a directory; a directory counts on as 1.
pub(super) const LINKS_MAX: u32 = 65_000;
/// Longest target of a symbolic link that the kernel follows, in bytes.
const TARGET_MAX: usize = 4095;
/// Shorter targets are kept in the inode.
pub(super) const FAST_SYMLINK_END: usize = 60;
/// Largest file in bytes: block numbers in a file have 32 bits, the last one is reserved.
const FILE_MAX: u64 = u32::MAX as u64 * BLOCK_BYTES;
/// Seconds that 34 bits hold.
const SECONDS: RangeInclusive<i64> = i32::MIN as i64..=i32::MIN as i64 + (1 << 34) - 1;
/// Device numbers: 12 bits and 20 bits.
const MAJOR_MAX: u32 = (1 << 12) - 1;
const MINOR_MAX: u32 = (1 << 20) - 1;
/// Beside the inodes needed, this part of them and [`SPARE_INODES`] more are kept free.
const SPARE_PART: u64 = 16;
const SPARE_INODES: u64 = 256;

/// An inode of the tree.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: NodeId,
    pub(super) links: u32,
    /// Inode of the directory in which it was met first.
    pub(super) parent: u32,
    /// Blocks of content, without extent tree nodes and attributes.
    pub(super) blocks: u64,
    pub(super) xattrs: Stored,
}

/// All inodes of a filesystem.
pub(super) struct Inventory<'a> {
    tree: &'a Tree,
    /// Root first.
    entries: Vec<Entry>,
    /// Inode number by node; 0 for nodes without a name.
    numbers: Vec<u32>,
    /// Whether lost+found must be added.
    adds_lost_found: bool,
    /// Content of files with fs-verity, with what checks it.
    sealed: BTreeMap<NodeId, Sparse>,
    /// Attribute sets.
    pub(super) xattrs: Table,
    /// Hash of names in indexed directories.
    pub(super) hasher: Hasher,
}

impl<'a> Inventory<'a> {
    pub(super) fn new(tree: &'a Tree, hasher: Hasher) -> Result<Self> {
        let adds_lost_found = tree.child(tree.root(), LOST_FOUND).is_none();
        let numbers = vec![0; tree.node_count()];
        let mut inventory = Self {
            tree,
            entries: Vec::new(),
            numbers,
            adds_lost_found,
            sealed: BTreeMap::new(),
            xattrs: Table::new(),
            hasher,
        };
        inventory.number()?;
        inventory.seal()?;
        inventory.measure()?;
        inventory.collect_xattrs()?;
        Ok(inventory)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn node(&self, entry: &Entry) -> &'a Node {
        self.tree.node(entry.node)
    }

    /// What is stored of a regular file, past its end too.
    pub(super) fn content(&self, entry: &Entry) -> Option<&Sparse> {
        match &self.tree.node(entry.node).kind {
            Kind::File(content) => Some(self.sealed.get(&entry.node).unwrap_or(content)),
            _ => None,
        }
    }

    /// Whether a file has fs-verity.
    pub(super) fn has_verity(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// The inode number of an entry.
    pub(super) fn inode(&self, entry: &Entry) -> u32 {
        self.numbers[entry.node.index()]
    }

    /// The entry with that inode number, and its index.
    pub(super) fn by_inode(&self, inode: u32) -> Option<(usize, &Entry)> {
        let index = match inode {
            ROOT_INODE => 0,
            _ => inode.checked_sub(self.first())? as usize + 1,
        };
        self.entries.get(index).map(|entry| (index, entry))
    }

    /// The inode of a lost+found that is not in the tree.
    pub(super) fn lost_found(&self) -> Option<u32> {
        self.adds_lost_found.then_some(FIRST_INODE)
    }

    /// The highest inode number in use.
    pub(super) fn last_inode(&self) -> u32 {
        (self.first() + self.entries.len() as u32).saturating_sub(2).max(FIRST_INODE - 1)
    }

    /// Inodes a filesystem should have at least.
    pub(super) fn inodes_wanted(&self) -> u64 {
        let used = u64::from(self.last_inode());
        used + used / SPARE_PART + SPARE_INODES
    }

    /// Blocks of content, without extent tree nodes.
    pub(super) fn blocks(&self) -> u64 {
        let lost_found = if self.adds_lost_found { LOST_FOUND_BLOCKS } else { 0 };
        let content: u64 = self.entries.iter().map(|entry| entry.blocks).sum();
        content + self.xattrs.blocks().len() as u64 + lost_found
    }

    /// The names of a directory, sorted by bytes; a lost+found that was added comes first.
    pub(super) fn names(&self, entry: &Entry) -> Vec<Name<'a>> {
        let added = self.lost_found().filter(|_| entry.node == self.tree.root());
        let added = added.map(|inode| Name { name: LOST_FOUND, inode, file_type: TYPE_DIRECTORY });
        let children = self.tree.children(entry.node).into_iter().flatten();
        let names = children.map(|(name, &child)| Name {
            name,
            inode: self.numbers[child.index()],
            file_type: directory::file_type(&self.tree.node(child).kind),
        });
        added.into_iter().chain(names).collect()
    }

    /// First inode number of an entry other than the root.
    fn first(&self) -> u32 {
        FIRST_INODE + u32::from(self.adds_lost_found)
    }

    fn number(&mut self) -> Result<()> {
        let first = self.first();
        let subdirectories = u32::from(self.adds_lost_found);
        self.enter(self.tree.root(), ROOT_INODE, ROOT_INODE, 2 + subdirectories);
        let mut stack = vec![0];
        while let Some(directory) = stack.pop() {
            let (node, below) = (self.entries[directory].node, stack.len());
            for (name, &child) in self.tree.children(node).into_iter().flatten() {
                self.check_name(node, name)?;
                let is_directory = matches!(self.tree.node(child).kind, Kind::Directory(_));
                let number = self.numbers[child.index()];
                if number == 0 {
                    let index = self.entries.len();
                    let links = if is_directory { 2 } else { 1 };
                    self.enter(child, first + index as u32 - 1, self.numbers[node.index()], links);
                    if is_directory {
                        self.entries[directory].links += 1;
                        stack.push(index);
                    }
                } else if is_directory {
                    return Err(self.unsupported(child, "a directory can have only one name"));
                } else {
                    self.entries[(number - first) as usize + 1].links += 1;
                }
            }
            stack[below..].reverse();
        }
        Ok(())
    }

    /// Lays tree and descriptor after the content of files with fs-verity. Reads nothing.
    fn seal(&mut self) -> Result<()> {
        for entry in &self.entries {
            let node = self.tree.node(entry.node);
            match &node.kind {
                _ if !node.meta.verity => {}
                Kind::File(content) => {
                    self.within(entry.node, "size in bytes", content.len(), FILE_MAX)?;
                    self.sealed.insert(entry.node, verity::sealed(content)?);
                }
                _ => return Err(self.unsupported(entry.node, "only regular files can have fs-verity")),
            }
        }
        Ok(())
    }

    fn enter(&mut self, node: NodeId, inode: u32, parent: u32, links: u32) {
        self.numbers[node.index()] = inode;
        self.entries.push(Entry { node, links, parent, blocks: 0, xattrs: Stored::default() });
    }

    fn check_name(&self, directory: NodeId, name: &[u8]) -> Result<()> {
        if name.len() > NAME_MAX {
            return Err(self.limit(directory, "name in it, bytes", name.len() as u64, NAME_MAX as u64));
        }
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|&byte| byte == b'/' || byte == 0) {
            let name = String::from_utf8_lossy(name);
            return Err(self.unsupported(directory, &format!("{name:?} in it is not a valid name")));
        }
        Ok(())
    }

    /// Checks every inode and counts the blocks of its content.
    fn measure(&mut self) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        let mistake = entries
            .par_iter_mut()
            .filter_map(|entry| match self.content_blocks(entry) {
                Ok(blocks) => {
                    entry.blocks = blocks;
                    None
                }
                Err(error) => Some(error),
            })
            .find_first(|_| true);
        self.entries = entries;
        mistake.map_or(Ok(()), Err)
    }

    fn content_blocks(&self, entry: &Entry) -> Result<u64> {
        let node = self.node(entry);
        self.check_meta(entry, node)?;
        match &node.kind {
            Kind::Directory(_) => {
                let names = self.names(entry);
                let (leaves, blocks) = directory::measure(names.iter().map(|name| name.name), &self.hasher);
                let allowed = htree::LEAVES_MAX;
                self.within(entry.node, "directory, blocks", leaves as u64, allowed as u64)?;
                Ok(blocks)
            }
            Kind::File(content) => {
                let stored = self.content(entry).unwrap_or(content);
                self.within(entry.node, "size in bytes", stored.len(), FILE_MAX)?;
                Ok(runs(stored).map(|run| run.count).sum())
            }
            Kind::Symlink(target) => self.symlink_blocks(entry, target),
            &Kind::CharDevice(major, minor) | &Kind::BlockDevice(major, minor) => {
                self.within(entry.node, "major device number", major.into(), MAJOR_MAX.into())?;
                self.within(entry.node, "minor device number", minor.into(), MINOR_MAX.into())?;
                Ok(0)
            }
            Kind::Fifo | Kind::Socket => Ok(0),
        }
    }

    fn symlink_blocks(&self, entry: &Entry, target: &[u8]) -> Result<u64> {
        self.within(entry.node, "symbolic link's target, bytes", target.len() as u64, TARGET_MAX as u64)?;
        if target.is_empty() || target.contains(&0) {
            return Err(self.unsupported(entry.node, "the target of a symbolic link is a path"));
        }
        Ok(u64::from(target.len() >= FAST_SYMLINK_END))
    }

    fn check_meta(&self, entry: &Entry, node: &Node) -> Result<()> {
        let is_directory = matches!(node.kind, Kind::Directory(_));
        if !is_directory {
            self.within(entry.node, "hard links", entry.links.into(), LINKS_MAX.into())?;
        }
        if node.meta.immutable && !is_directory && !matches!(node.kind, Kind::File(_)) {
            return Err(self.unsupported(entry.node, "only files and directories can be immutable"));
        }
        self.within(entry.node, "mode", node.meta.mode.into(), 0o7777)?;
        self.check_time(entry.node, node.meta.mtime)
    }

    fn check_time(&self, node: NodeId, time: Time) -> Result<()> {
        self.within(node, "nanoseconds of its time", time.nanoseconds.into(), 999_999_999)?;
        if SECONDS.contains(&time.seconds) {
            return Ok(());
        }
        let (first, last) = (SECONDS.start(), SECONDS.end());
        let why = format!("time {} is not within {first}..={last} seconds since 1970", time.seconds);
        Err(self.unsupported(node, &why))
    }

    fn collect_xattrs(&mut self) -> Result<()> {
        let tree = self.tree;
        for entry in &mut self.entries {
            let path = || path(tree, entry.node);
            entry.xattrs = self.xattrs.add(&tree.node(entry.node).meta.xattrs, &path)?;
        }
        Ok(())
    }

    fn within(&self, node: NodeId, what: &str, found: u64, allowed: u64) -> Result<()> {
        if found > allowed { Err(self.limit(node, what, found, allowed)) } else { Ok(()) }
    }

    fn limit(&self, node: NodeId, what: &str, found: u64, allowed: u64) -> Error {
        Error::Limit { what: format!("{}: {what}", path(self.tree, node)), found, allowed }
    }

    fn unsupported(&self, node: NodeId, why: &str) -> Error {
        Error::Unsupported { what: path(self.tree, node), why: why.into() }
    }
}

/// The first path of a node, for an error. Slow.
fn path(tree: &Tree, node: NodeId) -> String {
    // Not `Tree::walk`, which does not end where a directory is below itself.
    let mut parents = BTreeMap::from([(tree.root(), (tree.root(), &b""[..]))]);
    let mut stack = vec![tree.root()];
    while let Some(directory) = stack.pop() {
        for (name, &child) in tree.children(directory).into_iter().flatten() {
            parents.entry(child).or_insert_with(|| {
                stack.push(child);
                (directory, name)
            });
        }
    }
    let (mut parts, mut at) = (Vec::new(), node);
    while let Some(&(parent, name)) = parents.get(&at).filter(|_| at != tree.root()) {
        parts.push(String::from_utf8_lossy(name));
        at = parent;
    }
    parts.reverse();
    if parts.is_empty() { "/".into() } else { parts.join("/") }
}

/// The blocks of a file that hold data, ascending, never touching.
pub(super) fn runs(content: &Sparse) -> impl Iterator<Item = Run> {
    let mut pieces = content.pieces().iter().peekable();
    std::iter::from_fn(move || {
        let first = pieces.next()?;
        let start = first.offset / BLOCK_BYTES;
        let mut end = first.end().div_ceil(BLOCK_BYTES);
        while let Some(piece) = pieces.next_if(|piece| piece.offset / BLOCK_BYTES <= end) {
            end = end.max(piece.end().div_ceil(BLOCK_BYTES));
        }
        Some(Run { start, count: end - start })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data::Data, tree::Meta};

    #[test]
    fn only_whole_blocks_are_holes() {
        let mut content = Sparse::new(10 * BLOCK_BYTES);
        for (offset, len) in [(100, 8), (4000, 100), (3 * 4096, 4096), (4 * 4096, 1), (40_900, 60)] {
            content.insert(offset, Data::from_bytes(vec![1; len])).unwrap();
        }
        let found: Vec<_> = runs(&content).map(|run| (run.start, run.count)).collect();
        assert_eq!(found, [(0, 2), (3, 2), (9, 1)]);
    }

    #[test]
    fn a_directory_below_itself_is_refused() {
        let mut tree = Tree::new(Meta::root(0o755));
        let directory = tree.add_directory(Meta::root(0o755));
        tree.link(tree.root(), *b"usr", directory);
        tree.link(directory, *b"loop", directory);
        let error = Inventory::new(&tree, Hasher::new([0; 4])).err().unwrap();
        assert!(matches!(&error, Error::Unsupported { what, .. } if what == "usr"), "{error}");
    }
}
