//! ext4, read back into a [`Tree`]: names, owners, modes, times, extended
//! attributes, link targets, hard links and content by reference.
//!
//! Every metadata checksum on the way is compared, every block is taken once
//! (so loops end and crossed links show), link counts are counted. Features
//! read: those written here, and what current kernels and mke2fs add. Left
//! out on purpose: block-mapped files, inline data, values in inodes of their
//! own, encryption (a fault at the inode that has it); replaying a journal (a
//! warning); bitmaps, counters and backups, which e2fsck compares.

mod content;
mod directory;
mod inode;
mod superblock;
mod xattr;

use std::collections::HashMap;

use self::{inode::Record, superblock::Volume};
use super::ondisk::ROOT_INODE;
use crate::{
    data::Data,
    filesystem::Contents,
    tree::{Kind, Meta, NodeId, Tree},
};

/// Directories are followed this deep: no path of the kernel's 4096 bytes is deeper.
const DEPTH_MAX: usize = 2048;

/// Reads an ext4 filesystem; `None` without its magic number.
#[must_use]
pub fn read(volume: &Data) -> Option<Contents> {
    let mut reader = Reader {
        volume: Volume::open(volume)?,
        tree: Tree::new(Meta::root(0)),
        nodes: HashMap::new(),
        directories: Vec::new(),
        attributes: xattr::Cache::default(),
    };
    if reader.volume.readable {
        reader.walk();
        reader.check_links();
    }
    let Reader { volume, tree, nodes, .. } = reader;
    let Volume { uuid, label, faults, sealed, .. } = volume;
    let sealed = sealed.into_iter().filter_map(|(inode, stored)| Some((nodes.get(&inode)?.node, stored)));
    let sealed = sealed.collect();
    Some(Contents {
        filesystem: "ext4",
        uuid: uuid.to_string(),
        label,
        tree,
        sealed,
        faults: faults.into_list(),
    })
}

/// A directory found; paths are made of these only for messages.
struct Found {
    parent: usize,
    name: Box<[u8]>,
    inode: u32,
    node: NodeId,
    depth: usize,
}

/// A file or link, and how many names it has.
struct Names {
    node: NodeId,
    is_directory: bool,
    seen: u32,
    stored: u16,
}

struct Reader {
    volume: Volume,
    tree: Tree,
    nodes: HashMap<u32, Names>,
    directories: Vec<Found>,
    attributes: xattr::Cache,
}

impl Reader {
    fn walk(&mut self) {
        let Some(root) = self.inode(ROOT_INODE, "/") else { return };
        let node = self.tree.root();
        *self.tree.node_mut(node) = match self.node(&root, "/") {
            Some(node) if matches!(node.kind, Kind::Directory(_)) => node,
            _ => return self.volume.faults.error("/", "inode 2 is no directory"),
        };
        self.remember(&root, node);
        self.directories.push(Found { parent: 0, name: Box::default(), inode: ROOT_INODE, node, depth: 0 });
        let mut index = 0;
        while index < self.directories.len() {
            self.directory(index);
            index += 1;
        }
    }

    fn directory(&mut self, index: usize) {
        let (number, path) = (self.directories[index].inode, self.path(index, b""));
        let Some(record) = self.inode(number, &path) else { return };
        let parent = self.directories[self.directories[index].parent].inode;
        for (name, inode, file_type) in self.volume.names(&record, parent, &path) {
            self.entry(index, name, inode, file_type);
        }
    }

    fn entry(&mut self, index: usize, name: Box<[u8]>, number: u32, file_type: u8) {
        let parent = self.directories[index].node;
        if let Some(names) = self.nodes.get_mut(&number) {
            names.seen += 1;
            let node = names.node;
            if names.is_directory {
                let path = self.path(index, &name);
                return self.volume.faults.error(path, "a second name of a directory");
            }
            self.tree.link(parent, name, node);
            return;
        }
        let path = self.path(index, &name);
        let Some(record) = self.inode(number, &path) else { return };
        if file_type != 0 && file_type != record.file_type() {
            let what = format!("the name says type {file_type}, inode {number} is {}", record.file_type());
            self.volume.faults.error(&path, what);
        }
        let Some(node) = self.node(&record, &path) else { return };
        let is_directory = matches!(node.kind, Kind::Directory(_));
        let node = self.tree.add(node);
        self.remember(&record, node);
        self.tree.link(parent, name.clone(), node);
        if is_directory {
            let depth = self.directories[index].depth + 1;
            if depth > DEPTH_MAX {
                return self.volume.faults.error("directories", format!("over {DEPTH_MAX} deep"));
            }
            self.directories.push(Found { parent: index, name, inode: number, node, depth });
        }
    }

    fn remember(&mut self, record: &Record, node: NodeId) {
        let is_directory = record.is_directory();
        let stored = record.inode.links_count.get();
        self.nodes.insert(record.number, Names { node, is_directory, seen: 1, stored });
    }

    /// A node without names: `None` if there is nothing that could be one.
    fn node(&mut self, record: &Record, path: &str) -> Option<crate::tree::Node> {
        let xattrs = self.attributes.read(&mut self.volume, record, path);
        let kind = self.volume.kind(record, path)?;
        Some(crate::tree::Node { meta: record.meta(xattrs), kind })
    }

    fn inode(&mut self, number: u32, path: &str) -> Option<Record> {
        let record = self.volume.inode(number, path);
        record.map_err(|what| self.volume.faults.error(path, format!("inode {number}: {what}"))).ok()
    }

    /// The path of `name` in a directory; long ones lose their start.
    fn path(&self, mut index: usize, name: &[u8]) -> String {
        const PARTS: usize = 64;
        let mut parts = vec![name.escape_ascii().to_string()];
        while index != 0 && parts.len() < PARTS {
            parts.push(self.directories[index].name.escape_ascii().to_string());
            index = self.directories[index].parent;
        }
        parts.push(if index == 0 { String::new() } else { "...".to_owned() });
        parts.reverse();
        parts.join("/")
    }

    fn check_links(&mut self) {
        let wrong = self
            .nodes
            .iter()
            .filter(|(_, names)| !names.is_directory && u32::from(names.stored) != names.seen);
        let mut wrong: Vec<_> = wrong.map(|(&inode, names)| (inode, names.seen, names.stored)).collect();
        wrong.sort_unstable();
        for (inode, seen, stored) in wrong {
            let what = format!("{seen} names, its link count is {stored}");
            self.volume.faults.error(format!("inode {inode}"), what);
        }
    }
}
