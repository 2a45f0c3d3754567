//! The inodes and names of one filesystem, metadata complete, content by
//! reference.
//!
//! A [`Tree`] is an arena: nodes are added once and named by [`NodeId`].
//! A hard link is one node with several names. Nodes that no name reaches
//! from the root are simply not part of the filesystem, so several trees can
//! share one arena ([`Tree::set_root`]).

use std::{collections::BTreeMap, sync::Arc};

use crate::sparse::Sparse;

/// A node of one [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The node's place in its arena, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A point in time: seconds since 1970 (may be negative) and nanoseconds after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub seconds: i64,
    /// Nanoseconds, below 1,000,000,000, counted forward from `seconds`.
    pub nanoseconds: u32,
}

/// Extended attributes: full name ("security.selinux") to value, sorted by name bytes.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// What is known of a node beside its type and content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Time,
    /// Extended attributes; most nodes share few sets, hence the `Arc`.
    pub xattrs: Arc<Xattrs>,
    /// `chattr +i`.
    pub immutable: bool,
    /// fs-verity: the content is sealed, and checked whenever it is read. Regular files only.
    pub verity: bool,
}

impl Meta {
    /// Owner and group 0, time 0, no attributes.
    #[must_use]
    pub fn root(mode: u16) -> Self {
        Self { mode, ..Self::default() }
    }
}

/// Names in a directory, sorted by bytes, and the nodes they name. No `.` or `..`.
pub type Children = BTreeMap<Box<[u8]>, NodeId>;

/// The type of a node, with its content.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory.
    Directory(Children),
    /// A regular file. Gaps of its content are holes.
    File(Sparse),
    /// A symbolic link and its target.
    Symlink(Box<[u8]>),
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// An inode.
#[derive(Clone, Debug)]
pub struct Node {
    /// Mode, owner, times, attributes.
    pub meta: Meta,
    /// Type and content.
    pub kind: Kind,
}

impl Node {
    /// The full `st_mode`: file type bits and permissions.
    #[must_use]
    pub const fn st_mode(&self) -> u32 {
        let kind = match self.kind {
            Kind::Fifo => 0o010_000,
            Kind::CharDevice(..) => 0o020_000,
            Kind::Directory(_) => 0o040_000,
            Kind::BlockDevice(..) => 0o060_000,
            Kind::File(_) => 0o100_000,
            Kind::Symlink(_) => 0o120_000,
            Kind::Socket => 0o140_000,
        };
        kind | self.meta.mode as u32
    }
}

/// Inodes and names of one filesystem.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    root: NodeId,
}

impl Tree {
    /// A tree of one empty directory.
    #[must_use]
    pub fn new(root: Meta) -> Self {
        let root = Node { meta: root, kind: Kind::Directory(Children::new()) };
        Self { nodes: vec![root], root: NodeId(0) }
    }

    /// The root directory.
    #[must_use]
    pub const fn root(&self) -> NodeId {
        self.root
    }

    /// Makes another directory of the arena the root.
    pub const fn set_root(&mut self, root: NodeId) {
        self.root = root;
    }

    /// How many nodes the arena holds, reached by a name or not.
    #[must_use]
    pub const fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node, to change.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// Adds a node without a name.
    ///
    /// # Panics
    /// Past 2³² nodes.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 inodes"));
        self.nodes.push(node);
        id
    }

    /// Adds an empty directory without a name.
    pub fn add_directory(&mut self, meta: Meta) -> NodeId {
        self.add(Node { meta, kind: Kind::Directory(Children::new()) })
    }

    /// Adds a regular file without a name.
    pub fn add_file(&mut self, meta: Meta, content: Sparse) -> NodeId {
        self.add(Node { meta, kind: Kind::File(content) })
    }

    /// Adds a symbolic link (mode 0777) without a name.
    pub fn add_symlink(&mut self, target: impl Into<Box<[u8]>>) -> NodeId {
        self.add(Node { meta: Meta::root(0o777), kind: Kind::Symlink(target.into()) })
    }

    /// The names in `directory`; `None` if it is not a directory.
    #[must_use]
    pub fn children(&self, directory: NodeId) -> Option<&Children> {
        match &self.node(directory).kind {
            Kind::Directory(children) => Some(children),
            _ => None,
        }
    }

    /// The names in `directory`, to change; `None` if it is not a directory.
    pub fn children_mut(&mut self, directory: NodeId) -> Option<&mut Children> {
        match &mut self.node_mut(directory).kind {
            Kind::Directory(children) => Some(children),
            _ => None,
        }
    }

    /// Gives `node` the name `name` in `directory`; returns the node that had it before.
    ///
    /// # Panics
    /// If `directory` is not a directory.
    pub fn link(&mut self, directory: NodeId, name: impl Into<Box<[u8]>>, node: NodeId) -> Option<NodeId> {
        self.children_mut(directory).expect("link into a directory").insert(name.into(), node)
    }

    /// Takes the name `name` out of `directory`; returns the node that had it.
    pub fn unlink(&mut self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.children_mut(directory)?.remove(name)
    }

    /// The node that `name` names in `directory`.
    #[must_use]
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.children(directory)?.get(name).copied()
    }

    /// The node at `path` below the root ("usr/lib"); symbolic links are not followed.
    #[must_use]
    pub fn lookup(&self, path: impl AsRef<[u8]>) -> Option<NodeId> {
        self.lookup_from(self.root, path)
    }

    /// The node at `path` below `start`; symbolic links are not followed.
    #[must_use]
    pub fn lookup_from(&self, start: NodeId, path: impl AsRef<[u8]>) -> Option<NodeId> {
        let mut parts = path.as_ref().split(|&byte| byte == b'/').filter(|part| !part.is_empty());
        parts.try_fold(start, |at, part| self.child(at, part))
    }

    /// A tree of its own with everything below `root`; content is shared, inodes are not.
    ///
    /// # Panics
    /// If `root` is not a directory.
    #[must_use]
    pub fn extract(&self, root: NodeId) -> Self {
        assert!(self.children(root).is_some(), "extract a directory");
        let mut tree = Self { nodes: Vec::new(), root: NodeId(0) };
        let mut copies = BTreeMap::new();
        tree.root = self.copy_into(&mut tree, root, &mut copies);
        tree
    }

    fn copy_into(&self, tree: &mut Self, id: NodeId, copies: &mut BTreeMap<NodeId, NodeId>) -> NodeId {
        if let Some(&copy) = copies.get(&id) {
            return copy;
        }
        let node = self.node(id);
        let kind = match &node.kind {
            Kind::Directory(children) => {
                let mut names = Children::new();
                for (name, &child) in children {
                    names.insert(name.clone(), self.copy_into(tree, child, copies));
                }
                Kind::Directory(names)
            }
            other => other.clone(),
        };
        let copy = tree.add(Node { meta: node.meta.clone(), kind });
        copies.insert(id, copy);
        copy
    }

    /// As [`Tree::extract`], but the nodes move: what `root` does not reach is freed.
    ///
    /// # Panics
    /// If `root` is not a directory.
    #[must_use]
    pub fn into_subtree(mut self, root: NodeId) -> Self {
        assert!(self.children(root).is_some(), "a subtree is a directory");
        let mut tree = Self { nodes: Vec::new(), root: NodeId(0) };
        let mut places = vec![None; self.nodes.len()];
        tree.root = self.move_into(&mut tree, root, &mut places);
        tree
    }

    fn move_into(&mut self, tree: &mut Self, id: NodeId, places: &mut [Option<NodeId>]) -> NodeId {
        if let Some(place) = places[id.index()] {
            return place;
        }
        let nothing = Node { meta: Meta::default(), kind: Kind::Fifo };
        let mut node = std::mem::replace(self.node_mut(id), nothing);
        if let Kind::Directory(children) = &mut node.kind {
            for child in children.values_mut() {
                *child = self.move_into(tree, *child, places);
            }
        }
        let place = tree.add(node);
        places[id.index()] = Some(place);
        place
    }

    /// Visits every name below the root, parents first, siblings by bytes.
    /// A node with several names is visited once for each.
    pub fn walk(&self) -> Walk<'_> {
        Walk { tree: self, stack: vec![(Vec::new(), self.root)] }
    }
}

/// Iterator over (path without leading slash, node); the root has the empty path.
#[derive(Debug)]
pub struct Walk<'a> {
    tree: &'a Tree,
    stack: Vec<(Vec<u8>, NodeId)>,
}

impl Iterator for Walk<'_> {
    type Item = (Vec<u8>, NodeId);

    fn next(&mut self) -> Option<Self::Item> {
        let (path, id) = self.stack.pop()?;
        if let Some(children) = self.tree.children(id) {
            for (name, &child) in children.iter().rev() {
                let mut below = path.clone();
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend_from_slice(name);
                self.stack.push((below, child));
            }
        }
        Some((path, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_link_is_one_node_with_two_names() {
        let mut tree = Tree::new(Meta::root(0o755));
        let directory = tree.add_directory(Meta::root(0o755));
        let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(*b"x"));
        tree.link(tree.root(), *b"usr", directory);
        tree.link(directory, *b"b", file);
        tree.link(tree.root(), *b"a", file);
        assert_eq!(tree.lookup("a"), tree.lookup("/usr/b"));
        let paths: Vec<_> = tree.walk().map(|(path, _)| String::from_utf8(path).unwrap()).collect();
        assert_eq!(paths, ["", "a", "usr", "usr/b"]);
        let moved = tree.into_subtree(directory);
        assert_eq!((moved.node_count(), moved.walk().count()), (2, 2));
        assert!(moved.lookup("b").is_some());
    }
}
