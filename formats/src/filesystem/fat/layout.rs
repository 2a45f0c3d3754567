//! What goes on a FAT volume and where: directories and files as lists, and
//! the clusters of each.

use super::{
    geometry::{Geometry, Width},
    names::{self, Name},
    ondisk::ENTRY_BYTES,
};
use crate::{
    Error, Result,
    filesystem::Identity,
    sparse::Sparse,
    tree::{Kind, NodeId, Time, Tree},
};

/// Most entries of a directory: readers stop at 2 MiB.
const MAX_SLOTS: usize = 65_536;
/// The root directory has this index.
pub(super) const ROOT: usize = 0;
/// End-of-chain mark, cut to the width of an entry.
const END: u32 = 0x0fff_ffff;

/// What an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Index in [`Contents::directories`].
    Directory(usize),
    /// Index in [`Contents::files`].
    File(usize),
}

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) mtime: Time,
    pub(super) target: Target,
}

/// A directory.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) parent: usize,
    pub(super) mtime: Time,
    pub(super) entries: Vec<Entry>,
    /// 32-byte entries, those of long names, `.`, `..` and the label included.
    pub(super) slots: usize,
}

/// A whole volume's content, without positions.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub(super) label: Option<[u8; 11]>,
    /// Parents before children.
    pub(super) directories: Vec<Directory>,
    pub(super) files: Vec<&'a Sparse>,
}

/// A directory that is yet to be read.
struct Pending {
    node: NodeId,
    path: String,
    parent: usize,
}

impl<'a> Contents<'a> {
    pub(super) fn new(tree: &'a Tree, identity: &Identity) -> Result<Self> {
        let label = label(&identity.label)?;
        let mut contents = Self { label, directories: Vec::new(), files: Vec::new() };
        let mut pending = vec![Pending { node: tree.root(), path: String::new(), parent: ROOT }];
        let mut index = 0;
        while index < pending.len() {
            let directory = contents.directory(tree, index, &mut pending)?;
            contents.directories.push(directory);
            index += 1;
        }
        Ok(contents)
    }

    fn directory(&mut self, tree: &'a Tree, index: usize, pending: &mut Vec<Pending>) -> Result<Directory> {
        let Pending { node, ref path, parent } = pending[index];
        let path = path.clone();
        let children = tree.children(node).ok_or_else(|| refuse(&path, "not a directory"))?;
        let names = names::assign(&path, children)?;
        let mut slots = if index == ROOT { usize::from(self.label.is_some()) } else { 2 };
        let mut entries = Vec::with_capacity(names.len());
        for ((text, &child), name) in children.iter().zip(names) {
            let path = names::join(&path, &String::from_utf8_lossy(text));
            let target = self.target(tree, child, path, index, pending)?;
            slots += name.slots();
            entries.push(Entry { name, mtime: tree.node(child).meta.mtime, target });
        }
        if slots > MAX_SLOTS {
            let what = format!("{path}/: directory entries");
            return Err(Error::Limit { what, found: slots as u64, allowed: MAX_SLOTS as u64 });
        }
        Ok(Directory { parent, mtime: tree.node(node).meta.mtime, entries, slots })
    }

    fn target(
        &mut self,
        tree: &'a Tree,
        node: NodeId,
        path: String,
        parent: usize,
        pending: &mut Vec<Pending>,
    ) -> Result<Target> {
        match &tree.node(node).kind {
            Kind::Directory(_) => {
                pending.push(Pending { node, path, parent });
                Ok(Target::Directory(pending.len() - 1))
            }
            Kind::File(content) => {
                check_length(&path, content)?;
                self.files.push(content);
                Ok(Target::File(self.files.len() - 1))
            }
            Kind::Symlink(_) => Err(refuse(&path, "vfat has no symbolic links; copy the file instead")),
            Kind::CharDevice(..) | Kind::BlockDevice(..) => Err(refuse(&path, "vfat has no devices")),
            Kind::Fifo | Kind::Socket => Err(refuse(&path, "vfat has no pipes or sockets")),
        }
    }

    /// Entries of the root directory.
    pub(super) fn root_slots(&self) -> u64 {
        self.directories[ROOT].slots as u64
    }

    /// Clusters that directories and files take.
    pub(super) fn clusters(&self, width: Width, cluster_bytes: u64) -> u64 {
        let directories = self.directory_clusters(width, cluster_bytes).sum::<u64>();
        directories + self.file_clusters(cluster_bytes).sum::<u64>()
    }

    /// Clusters of each directory; none for a root directory outside the clusters.
    fn directory_clusters(&self, width: Width, cluster_bytes: u64) -> impl Iterator<Item = u64> {
        self.directories.iter().enumerate().map(move |(index, directory)| match width {
            Width::Fat16 if index == ROOT => 0,
            _ => ((directory.slots * ENTRY_BYTES) as u64).div_ceil(cluster_bytes).max(1),
        })
    }

    fn file_clusters(&self, cluster_bytes: u64) -> impl Iterator<Item = u64> {
        self.files.iter().map(move |content| content.len().div_ceil(cluster_bytes))
    }
}

fn check_length(path: &str, content: &Sparse) -> Result<()> {
    let allowed = u64::from(u32::MAX);
    if content.len() <= allowed {
        return Ok(());
    }
    Err(Error::Limit { what: format!("{path}: file length in bytes"), found: content.len(), allowed })
}

fn refuse(path: &str, why: &str) -> Error {
    Error::Unsupported { what: path.into(), why: why.into() }
}

/// The volume label padded with spaces; `None` for an empty one.
fn label(text: &str) -> Result<Option<[u8; 11]>> {
    let what = || format!("vfat label '{text}'");
    if text.len() > 11 {
        return Err(Error::Limit { what: what() + ": bytes", found: text.len() as u64, allowed: 11 });
    }
    let fine = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !b"\"*+,./:;<=>?[\\]|".contains(&byte);
    if !text.bytes().all(fine) || text.starts_with(' ') || text == "NO NAME" {
        return Err(refuse(&what(), "use up to 11 letters, digits, '-' and '_'"));
    }
    let mut padded = [b' '; 11];
    padded[..text.len()].copy_from_slice(text.as_bytes());
    Ok((!text.is_empty()).then_some(padded))
}

/// First clusters, and the allocation table that follows from them.
#[derive(Debug)]
pub(super) struct Allocation {
    /// Of each directory; 0 for a root directory outside the clusters.
    pub(super) directories: Vec<u32>,
    /// Of each file; 0 for an empty one.
    pub(super) files: Vec<u32>,
    /// The table's entries as far as they are used, numbers not yet cut to the width.
    pub(super) table: Vec<u32>,
}

impl Allocation {
    pub(super) fn new(contents: &Contents<'_>, geometry: &Geometry) -> Self {
        let bytes = geometry.cluster_bytes();
        let media = END & !0xff | u32::from(super::ondisk::MEDIA_FIXED);
        let mut table = vec![media, END];
        let directories = contents
            .directory_clusters(geometry.width, bytes)
            .map(|count| chain(&mut table, count))
            .collect();
        let files = contents.file_clusters(bytes).map(|count| chain(&mut table, count)).collect();
        Self { directories, files, table }
    }

    /// Clusters in use.
    pub(super) const fn used(&self) -> u64 {
        self.table.len() as u64 - 2
    }
}

/// Appends a run of `count` clusters to the table; its first cluster, or 0 for none.
fn chain(table: &mut Vec<u32>, count: u64) -> u32 {
    if count == 0 {
        return 0;
    }
    // The geometry holds all of them, so the numbers stay below 2^28.
    let first = table.len() as u32;
    table.extend(first + 1..first + count as u32);
    table.push(END);
    first
}
