//! What of a container image becomes ostree content: paths moved, runtime
//! directories emptied, as ostree-ext's import does it.

use std::collections::HashSet;

use anyhow::{Context, Result};
use diskwright_formats::tree::{Kind, Meta, NodeId, Tree};

/// Top directories whose content belongs to a running system.
const RUNTIME: [&[u8]; 5] = [b"run", b"tmp", b"proc", b"sys", b"dev"];
/// Files that container runtimes leave empty in `etc`.
const RUNTIME_FILES: [&[u8]; 2] = [b"hostname", b"resolv.conf"];

/// Top directories that every system may hold content in.
const SYSTEM: [&[u8]; 3] = [b"usr", b"etc", b"var"];

/// What of a layer is taken.
pub(super) struct Filter<'a> {
    /// Directories of layers that no member describes; copies of them join the set.
    pub implicit: &'a mut HashSet<NodeId>,
    /// Whether content beside /usr, /etc and /var can be on the deployed system.
    pub all: bool,
}

impl Filter<'_> {
    /// As [`filter`]; returns also how many top names were left out.
    pub(super) fn layer(&mut self, tree: &mut Tree, root: NodeId) -> Result<(NodeId, usize)> {
        let filtered = filter(tree, root)?;
        if self.implicit.contains(&root) {
            self.implicit.insert(filtered);
        }
        if tree.child(root, b"usr").is_none_or(|usr| self.implicit.contains(&usr)) {
            self.implicit.extend(tree.child(filtered, b"usr"));
        }
        let mut dropped = 0;
        if !self.all
            && let Some(children) = tree.children_mut(filtered)
        {
            let before = children.len();
            children.retain(|name, _| SYSTEM.contains(&&**name));
            dropped = before - children.len();
        }
        Ok((filtered, dropped))
    }
}

/// The directory `root` as ostree stores it: `etc` below `usr`, runtime
/// directories without content. Makes new directories where it changes one;
/// everything else is shared with `root`.
pub(super) fn filter(tree: &mut Tree, root: NodeId) -> Result<NodeId> {
    let filtered = tree.add_directory(tree.node(root).meta.clone());
    let children = tree.children(root).cloned().context("the root of a layer is no directory")?;
    for (name, node) in &children {
        let is_directory = tree.children(*node).is_some();
        let node = match &**name {
            b"etc" if is_directory => continue,
            name if RUNTIME.contains(&name) && is_directory => {
                tree.add_directory(tree.node(*node).meta.clone())
            }
            b"sysroot" if is_directory => without_repository(tree, *node),
            _ => *node,
        };
        tree.link(filtered, name.clone(), node);
    }
    if let Some(&etc) = children.get(&b"etc"[..])
        && tree.children(etc).is_some()
    {
        move_etc(tree, filtered, etc);
    }
    Ok(filtered)
}

/// Takes the empty files out that a container runtime mounts over.
pub(super) fn remove_runtime_files(tree: &mut Tree, root: NodeId) {
    let Some(etc) = tree.lookup_from(root, "usr/etc") else { return };
    for name in RUNTIME_FILES {
        let empty = |id: NodeId| matches!(&tree.node(id).kind, Kind::File(content) if content.is_empty());
        if tree.child(etc, name).is_some_and(empty) {
            tree.unlink(etc, name);
        }
    }
}

/// `sysroot` without the objects that chunked images carry there.
fn without_repository(tree: &mut Tree, sysroot: NodeId) -> NodeId {
    if tree.lookup_from(sysroot, "ostree/repo").is_none() {
        return sysroot;
    }
    let copy = shallow_copy(tree, sysroot);
    if let Some(ostree) = tree.child(copy, b"ostree") {
        let ostree = shallow_copy(tree, ostree);
        tree.unlink(ostree, b"repo");
        tree.link(copy, *b"ostree", ostree);
    }
    copy
}

/// Puts `etc` at `usr/etc`, over what is there.
fn move_etc(tree: &mut Tree, root: NodeId, etc: NodeId) {
    let usr = tree.child(root, b"usr").filter(|&usr| tree.children(usr).is_some());
    let usr = match usr {
        Some(usr) => shallow_copy(tree, usr),
        None => {
            let Meta { uid, gid, .. } = tree.node(etc).meta;
            tree.add_directory(Meta { uid, gid, ..Meta::root(0o755) })
        }
    };
    tree.link(root, *b"usr", usr);
    let etc = match tree.child(usr, b"etc").filter(|&below| tree.children(below).is_some()) {
        Some(below) => union(tree, below, etc),
        None => etc,
    };
    tree.link(usr, *b"etc", etc);
}

/// A directory with the names of both; `upper` wins.
fn union(tree: &mut Tree, lower: NodeId, upper: NodeId) -> NodeId {
    let merged = shallow_copy(tree, lower);
    tree.node_mut(merged).meta = tree.node(upper).meta.clone();
    for (name, node) in tree.children(upper).cloned().unwrap_or_default() {
        let below = tree.child(merged, &name).filter(|&below| tree.children(below).is_some());
        let node = match below {
            Some(below) if tree.children(node).is_some() => union(tree, below, node),
            _ => node,
        };
        tree.link(merged, name, node);
    }
    merged
}

/// Another directory with the same names.
fn shallow_copy(tree: &mut Tree, directory: NodeId) -> NodeId {
    let node = tree.node(directory).clone();
    tree.add(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright_formats::sparse::Sparse;

    fn file(tree: &mut Tree, path: &str) -> NodeId {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = tree.root();
        for part in parent.split('/').filter(|part| !part.is_empty()) {
            at = tree.child(at, part.as_bytes()).unwrap_or_else(|| {
                let made = tree.add_directory(Meta::root(0o755));
                tree.link(at, part.as_bytes(), made);
                made
            });
        }
        let node = tree.add_file(Meta::root(0o644), Sparse::new(0));
        tree.link(at, name.as_bytes(), node);
        node
    }

    #[test]
    fn etc_moves_runtime_directories_empty_and_the_source_stays() {
        let mut tree = Tree::new(Meta::root(0o755));
        let passwd = file(&mut tree, "etc/passwd");
        file(&mut tree, "etc/hostname");
        file(&mut tree, "usr/etc/x/old");
        file(&mut tree, "etc/x/new");
        file(&mut tree, "run/lock");
        file(&mut tree, "sysroot/ostree/repo/objects/a");
        let root = tree.root();
        let filtered = filter(&mut tree, root).unwrap();
        remove_runtime_files(&mut tree, filtered);
        let found = |path: &str| tree.lookup_from(filtered, path);
        assert_eq!(found("usr/etc/passwd"), Some(passwd));
        for there in ["run", "usr/etc/x/old", "usr/etc/x/new", "sysroot/ostree"] {
            assert!(found(there).is_some(), "{there}");
        }
        for gone in ["etc", "run/lock", "usr/etc/hostname", "sysroot/ostree/repo"] {
            assert!(found(gone).is_none(), "{gone}");
        }
        assert!(tree.lookup("run/lock").is_some() && tree.lookup("usr/etc/passwd").is_none());
    }
}
