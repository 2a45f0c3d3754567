//! Where everything goes: numbers only. Sectors count from the start of the
//! medium; directories are in the order of the path table (level by level,
//! by parent, by identifier), files in the order of the directories' records.

use std::collections::BTreeMap;

use super::{
    names::{self, Identifiers},
    ondisk::{EXTENT_MAX, RECORD_BYTES, RECORD_MAX, SECTOR, SYSTEM_SECTORS},
    susp::{self, Facts, Packed},
};
use crate::{
    Error, Result,
    tree::{Kind, Node, NodeId, Tree},
};

/// Longest name, in bytes: Linux's.
const NAME_MAX: usize = 255;
/// Longest target of a symbolic link, in bytes: Linux's.
const LINK_MAX: usize = 4095;
/// Bytes of a path table entry without its identifier.
const PATH_ENTRY_BYTES: usize = 8;
/// A directory's parent is a number of 16 bits in the path table.
const DIRECTORIES_MAX: usize = u16::MAX as usize;
/// Volume descriptors: primary, boot record, terminator.
const DESCRIPTORS: u32 = 3;

/// A medium's layout.
#[derive(Debug)]
pub struct Layout {
    pub(super) directories: Vec<Directory>,
    /// First sector of each regular file.
    pub(super) files: BTreeMap<NodeId, u32>,
    /// Names of each node, `.` and `..` too.
    pub(super) links: BTreeMap<NodeId, u32>,
    pub(super) catalog: u32,
    pub(super) path_table_bytes: u32,
    pub(super) path_table_l: u32,
    pub(super) path_table_m: u32,
    /// First sector that is free.
    end: u32,
}

/// A directory and its place.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) node: NodeId,
    pub(super) parent: usize,
    /// In path table and records; the root's is a zero byte.
    pub(super) identifier: Vec<u8>,
    pub(super) children: Vec<Child>,
    pub(super) first: u32,
    /// Sectors of its records; those of continuation areas follow.
    pub(super) sectors: u32,
}

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) name: Box<[u8]>,
    pub(super) identifier: Vec<u8>,
    pub(super) node: NodeId,
    /// Its place in the list, if it is a directory.
    pub(super) directory: Option<usize>,
}

impl Layout {
    /// Lays `tree` out. Reads no content.
    ///
    /// # Errors
    /// [`Error::Limit`] for names, links, directories or content past what the format holds;
    /// [`Error::Unsupported`] for extended attributes.
    pub fn new(tree: &Tree) -> Result<Self> {
        check(tree)?;
        let mut directories = directories(tree)?;
        let links = links(tree);
        let path_table_bytes = directories.iter().map(|directory| path_entry_bytes(&directory.identifier));
        let path_table_bytes = path_table_bytes.sum::<usize>() as u32;
        let mut space = Space { at: u64::from(SYSTEM_SECTORS + DESCRIPTORS) };
        let catalog = space.take(1)?;
        let path_table_l = space.take(sectors(path_table_bytes.into()))?;
        let path_table_m = space.take(sectors(path_table_bytes.into()))?;
        for index in 0..directories.len() {
            let shape = Shape::measure(tree, &directories, index, &links);
            directories[index].sectors = shape.records.sectors;
            let total = shape.records.sectors + shape.areas.sectors;
            directories[index].first = space.take(total.into())?;
        }
        let files = files(tree, &directories, &mut space)?;
        let end = space.take(0)?;
        Ok(Self { directories, files, links, catalog, path_table_bytes, path_table_l, path_table_m, end })
    }

    /// Bytes from the start of the medium to the end of the last file: whole sectors.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end as u64 * SECTOR
    }

    /// Never: there is always a root.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The sector at which a regular file's content starts.
    #[must_use]
    pub fn sector_of(&self, file: NodeId) -> Option<u32> {
        self.files.get(&file).copied()
    }
}

/// What is free, in sectors.
struct Space {
    at: u64,
}

impl Space {
    fn take(&mut self, sectors: u64) -> Result<u32> {
        let (first, end) = (self.at, self.at.saturating_add(sectors));
        self.at = end;
        if end > u64::from(u32::MAX) {
            let what = "ISO 9660 volume: sectors".into();
            return Err(Error::Limit { what, found: end, allowed: u32::MAX.into() });
        }
        Ok(first as u32)
    }
}

/// How many sectors a directory's records and continuation areas take.
#[derive(Default)]
pub(super) struct Shape {
    pub(super) records: Cursor,
    pub(super) areas: Cursor,
}

impl Shape {
    fn measure(tree: &Tree, directories: &[Directory], index: usize, links: &BTreeMap<NodeId, u32>) -> Self {
        let mut shape = Self::default();
        for entry in entries(directories, index) {
            let node = tree.node(entry.node);
            let packed = entry.packed(node, links);
            for _ in 0..extent_count(node) {
                shape.records.place(record_bytes(entry.identifier, &packed));
                for area in &packed.areas {
                    shape.areas.place(area.len());
                }
            }
        }
        shape
    }
}

/// Where pieces go that do not cross the boundary of a sector.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// Sectors touched.
    pub(super) sectors: u32,
    used: usize,
}

impl Cursor {
    /// Sector (from 0) and offset in it of a piece of `len` bytes, a sector at most.
    pub(super) fn place(&mut self, len: usize) -> (u32, u32) {
        if self.sectors == 0 || self.used + len > SECTOR as usize {
            self.sectors += 1;
            self.used = 0;
        }
        let offset = self.used as u32;
        self.used += len;
        (self.sectors - 1, offset)
    }
}

/// What a directory's records are made of: `.`, `..`, then the children.
pub(super) struct Entry<'a> {
    pub(super) identifier: &'a [u8],
    pub(super) node: NodeId,
    pub(super) directory: Option<usize>,
    name: &'a [u8],
    is_root: bool,
}

impl Entry<'_> {
    /// The system use entries of its record.
    pub(super) fn packed(&self, node: &Node, links: &BTreeMap<NodeId, u32>) -> Packed {
        let facts = Facts {
            name: self.name,
            links: links.get(&self.node).copied().unwrap_or(1),
            serial: self.node.index() as u32 + 1,
            is_root: self.is_root,
        };
        susp::pack(&susp::entries(node, &facts), RECORD_MAX - head_bytes(self.identifier))
    }
}

/// The entries of a directory in the order of its records.
pub(super) fn entries(directories: &[Directory], index: usize) -> impl Iterator<Item = Entry<'_>> {
    let directory = &directories[index];
    let dot = |identifier: &'static [u8], at: usize, is_root| Entry {
        identifier,
        node: directories[at].node,
        directory: Some(at),
        name: b"",
        is_root,
    };
    let dots = [dot(&[0], index, index == 0), dot(&[1], directory.parent, false)];
    dots.into_iter().chain(directory.children.iter().map(|child| Entry {
        identifier: &child.identifier,
        node: child.node,
        directory: child.directory,
        name: &child.name,
        is_root: false,
    }))
}

/// Bytes of a record without system use entries: even.
pub(super) const fn head_bytes(identifier: &[u8]) -> usize {
    (RECORD_BYTES + identifier.len()).next_multiple_of(2)
}

/// Bytes of a record: even.
pub(super) fn record_bytes(identifier: &[u8], packed: &Packed) -> usize {
    (head_bytes(identifier) + packed.inline.len()).next_multiple_of(2)
}

/// Records that a node takes: one for each extent.
pub(super) fn extent_count(node: &Node) -> u64 {
    match &node.kind {
        Kind::File(content) => content.len().div_ceil(EXTENT_MAX).max(1),
        _ => 1,
    }
}

/// Bytes of a path table entry: even.
pub(super) const fn path_entry_bytes(identifier: &[u8]) -> usize {
    (PATH_ENTRY_BYTES + identifier.len()).next_multiple_of(2)
}

/// Whole sectors for so many bytes.
pub(super) const fn sectors(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR)
}

fn directories(tree: &Tree) -> Result<Vec<Directory>> {
    let mut directories = vec![directory(tree.root(), 0, vec![0])];
    let mut index = 0;
    while index < directories.len() {
        let mut children = children(tree, directories[index].node);
        for child in children.iter_mut().filter(|child| tree.children(child.node).is_some()) {
            child.directory = Some(directories.len());
            directories.push(directory(child.node, index, child.identifier.clone()));
        }
        directories[index].children = children;
        index += 1;
    }
    let found = directories.len() as u64;
    if directories.len() > DIRECTORIES_MAX {
        let allowed = DIRECTORIES_MAX as u64;
        return Err(Error::Limit { what: "ISO 9660 volume: directories".into(), found, allowed });
    }
    Ok(directories)
}

const fn directory(node: NodeId, parent: usize, identifier: Vec<u8>) -> Directory {
    Directory { node, parent, identifier, children: Vec::new(), first: 0, sectors: 0 }
}

/// Names of a directory in the order of their identifiers.
fn children(tree: &Tree, directory: NodeId) -> Vec<Child> {
    let mut identifiers = Identifiers::default();
    let mut found: Vec<_> = tree
        .children(directory)
        .into_iter()
        .flatten()
        .map(|(name, &node)| {
            let is_directory = tree.children(node).is_some();
            (identifiers.unique(name, is_directory), is_directory, name.clone(), node)
        })
        .collect();
    found.sort();
    let child = |(identifier, is_directory, name, node)| {
        let identifier = names::bytes(&identifier, is_directory);
        Child { name, identifier, node, directory: None }
    };
    found.into_iter().map(child).collect()
}

/// How many names each node has.
fn links(tree: &Tree) -> BTreeMap<NodeId, u32> {
    let mut links = BTreeMap::new();
    for (_, id) in tree.walk() {
        let below = tree.children(id).into_iter().flatten();
        let subdirectories = below.filter(|(_, child)| tree.children(**child).is_some()).count() as u32;
        let count = links.entry(id).or_insert(0);
        *count += 1;
        if tree.children(id).is_some() {
            *count = 2 + subdirectories;
        }
    }
    links
}

/// Places every regular file once, whatever names it has.
fn files(tree: &Tree, directories: &[Directory], space: &mut Space) -> Result<BTreeMap<NodeId, u32>> {
    let mut files = BTreeMap::new();
    for child in directories.iter().flat_map(|directory| &directory.children) {
        if let Kind::File(content) = &tree.node(child.node).kind
            && !files.contains_key(&child.node)
        {
            files.insert(child.node, space.take(sectors(content.len()))?);
        }
    }
    Ok(files)
}

fn check(tree: &Tree) -> Result<()> {
    for (path, id) in tree.walk() {
        let name = path.rsplit(|&byte| byte == b'/').next().map_or(0, <[u8]>::len);
        let path = || path.escape_ascii().to_string();
        let limit = |what: &str, found: usize, allowed: usize| {
            let what = format!("{}: {what}, bytes", path());
            Err(Error::Limit { what, found: found as u64, allowed: allowed as u64 })
        };
        let node = tree.node(id);
        if name > NAME_MAX {
            return limit("name", name, NAME_MAX);
        }
        if let Kind::Symlink(target) = &node.kind
            && target.len() > LINK_MAX
        {
            return limit("target", target.len(), LINK_MAX);
        }
        if !node.meta.xattrs.is_empty() {
            let why = "ISO 9660 has no extended attributes".into();
            return Err(Error::Unsupported { what: path(), why });
        }
    }
    Ok(())
}
