//! Which inodes there are, and their numbers. A directory's children are numbered one after the other, level
//! by level; content lies in the order of paths.

use super::xattr;
use crate::{
    Error, Result,
    tree::{Kind, NodeId, Tree},
};

/// Longest name, in bytes: Linux's.
const NAME_MAX: usize = 255;
/// Longest target of a symbolic link, in bytes: Linux's.
const LINK_MAX: usize = 4095;

/// Numbers by node.
pub(super) struct Layout {
    /// Inode number of each node of the arena, from 1; 0 for what no name reaches.
    numbers: Vec<u32>,
    /// Names of each node; of a directory, `.` and `..` too.
    links: Vec<u32>,
    /// Directories and their parents, level by level.
    pub(super) directories: Vec<(NodeId, NodeId)>,
    /// Regular files in the order of their content.
    pub(super) files: Vec<NodeId>,
    pub(super) inode_count: u32,
}

impl Layout {
    pub(super) fn new(tree: &Tree) -> Result<Self> {
        let none = vec![0; tree.node_count()];
        let mut layout = Self {
            numbers: none.clone(),
            links: none,
            directories: vec![(tree.root(), tree.root())],
            files: Vec::new(),
            inode_count: 0,
        };
        layout.number(tree.root());
        let mut at = 0;
        while let Some(&(directory, _)) = layout.directories.get(at) {
            layout.number_children(tree, directory);
            at += 1;
        }
        layout.order_files(tree)?;
        Ok(layout)
    }

    fn number(&mut self, node: NodeId) {
        self.inode_count += 1;
        self.numbers[node.index()] = self.inode_count;
    }

    fn number_children(&mut self, tree: &Tree, directory: NodeId) {
        let mut links = 2;
        for &child in tree.children(directory).into_iter().flat_map(|children| children.values()) {
            if self.numbers[child.index()] == 0 {
                self.number(child);
            }
            if tree.children(child).is_some() {
                self.directories.push((child, directory));
                links += 1;
            }
            self.links[child.index()] += 1;
        }
        self.links[directory.index()] = links;
    }

    fn order_files(&mut self, tree: &Tree) -> Result<()> {
        let mut is_seen = vec![false; tree.node_count()];
        for (path, id) in tree.walk() {
            check(tree, &path, id)?;
            if matches!(tree.node(id).kind, Kind::File(_)) && !is_seen[id.index()] {
                is_seen[id.index()] = true;
                self.files.push(id);
            }
        }
        Ok(())
    }

    pub(super) fn number_of(&self, node: NodeId) -> u32 {
        self.numbers[node.index()]
    }

    pub(super) fn links_of(&self, node: NodeId) -> u32 {
        self.links[node.index()]
    }
}

/// That the format has a place for it.
fn check(tree: &Tree, path: &[u8], id: NodeId) -> Result<()> {
    let shown = || path.escape_ascii().to_string();
    let limit = |what: &str, found: usize, allowed: usize| {
        let what = format!("{}: {what}, bytes", shown());
        Err(Error::Limit { what, found: found as u64, allowed: allowed as u64 })
    };
    let node = tree.node(id);
    let name = path.rsplit(|&byte| byte == b'/').next().map_or(0, <[u8]>::len);
    if name > NAME_MAX {
        return limit("name", name, NAME_MAX);
    }
    if let Kind::Symlink(target) = &node.kind
        && target.len() > LINK_MAX
    {
        return limit("target", target.len(), LINK_MAX);
    }
    if node.meta.verity {
        let why = "SquashFS has no fs-verity".into();
        return Err(Error::Unsupported { what: shown(), why });
    }
    xattr::check(&node.meta.xattrs, &shown)
}
