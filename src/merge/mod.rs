//! Layers to one tree: whiteouts, opaque directories, replaced types, hard
//! links into lower layers (OCI image specification, layer.md).
//!
//! Every layer keeps a tree of its own, whiteouts included as the empty files
//! they are, because the deployment records each layer; the merged tree
//! shares their files. All of them live in one arena. Content stays in the
//! spooled layers.

mod tar;

use std::{collections::HashSet, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::{
    data::Data,
    tree::{Kind, Meta, Node, NodeId, Tree, Xattrs},
};

use crate::source::Layer;
use tar::{Archive, Entry, Type, shown};

/// In front of the name of what a layer removes.
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Marks a directory whose lower content is gone.
pub const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
/// How names of extended attributes begin (xattr(7)).
const NAMESPACES: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system."];
/// Symbolic links followed on the way to a parent before the layer is called hostile.
const MAX_LINKS: usize = 40;
/// Deepest directory; later stages walk trees recursively.
const MAX_DEPTH: usize = 1024;

/// The trees of an image.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The arena; its root is the merged tree.
    pub tree: Tree,
    /// The root of each layer's own tree, lowest first.
    pub layers: Vec<NodeId>,
    /// Directories of layers that no member describes: what they say of lower ones is nothing.
    pub implicit: HashSet<NodeId>,
}

/// Merges `layers`, lowest first.
///
/// # Errors
/// A layer that is no valid tar archive, names with `..`, hard links to
/// nothing; the chain names layer and member.
pub fn merge(layers: &[Layer]) -> Result<Merged> {
    let mut merged = Merged::default();
    let count = layers.len();
    for (index, layer) in layers.iter().enumerate() {
        let data = Data::from_source(layer.tar.clone(), 0, layer.tar_len);
        merged
            .add_layer(data)
            .with_context(|| format!("merging layer {} of {count} ({})", index + 1, layer.digest))?;
    }
    Ok(merged)
}

impl Default for Merged {
    fn default() -> Self {
        Self { tree: Tree::new(Meta::root(0o755)), layers: Vec::new(), implicit: HashSet::new() }
    }
}

impl Merged {
    /// Reads one layer and applies it to the tree.
    ///
    /// # Errors
    /// As [`merge`].
    pub fn add_layer(&mut self, tar: Data) -> Result<()> {
        let mut builder = Builder::new(&mut self.tree);
        let mut archive = Archive::new(tar);
        while let Some(entry) = archive.next()? {
            let path = shown(&entry.path);
            builder.add(entry).with_context(|| format!("adding '{path}'"))?;
        }
        let layer = builder.root;
        self.implicit.extend(builder.implicit);
        let root = self.tree.root();
        overlay(&mut self.tree, root, layer, &self.implicit);
        self.layers.push(layer);
        Ok(())
    }
}

/// Builds the tree of one layer in the arena that holds the lower ones.
struct Builder<'a> {
    tree: &'a mut Tree,
    root: NodeId,
    /// Directories that no member describes: their metadata says nothing about lower ones.
    implicit: HashSet<NodeId>,
    /// Few distinct sets are shared by many members.
    xattrs: HashSet<Arc<Xattrs>>,
}

impl<'a> Builder<'a> {
    fn new(tree: &'a mut Tree) -> Self {
        let root = tree.add_directory(Meta::root(0o755));
        Self { tree, root, implicit: HashSet::from([root]), xattrs: HashSet::new() }
    }

    fn add(&mut self, entry: Entry) -> Result<()> {
        for name in entry.xattrs.keys() {
            let known = NAMESPACES
                .iter()
                .any(|namespace| name.len() > namespace.len() && name.starts_with(namespace));
            ensure!(
                known,
                "extended attribute '{}': Linux has user, trusted, security and system only",
                shown(name)
            );
        }
        let meta = self.meta(&entry);
        let parts = components(&entry.path)?;
        let Some((name, parents)) = parts.split_last() else {
            ensure!(matches!(entry.kind, Type::Directory), "the root of a layer must be a directory");
            self.describe(self.root, meta);
            return Ok(());
        };
        let Some(parent) = self.parent(parents, &meta, name.starts_with(WHITEOUT_PREFIX))? else {
            return Ok(());
        };
        let kind = match entry.kind {
            Type::Directory => return self.directory(parent, name, meta),
            Type::Hardlink(target) => return self.hardlink(parent, name, &target),
            Type::File(content) => Kind::File(content),
            Type::Symlink(target) => Kind::Symlink(target.into()),
            Type::CharDevice(major, minor) => Kind::CharDevice(major, minor),
            Type::BlockDevice(major, minor) => Kind::BlockDevice(major, minor),
            Type::Fifo => Kind::Fifo,
        };
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { meta.mode };
        let node = self.tree.add(Node { meta: Meta { mode, ..meta }, kind });
        self.tree.link(parent, *name, node);
        Ok(())
    }

    fn meta(&mut self, entry: &Entry) -> Meta {
        let shared = self.xattrs.get(&entry.xattrs).cloned().unwrap_or_else(|| {
            let shared = Arc::new(entry.xattrs.clone());
            self.xattrs.insert(shared.clone());
            shared
        });
        let Entry { mode, uid, gid, mtime, .. } = *entry;
        Meta { mode, uid, gid, mtime, xattrs: shared, immutable: false, verity: false }
    }

    fn describe(&mut self, directory: NodeId, meta: Meta) {
        self.tree.node_mut(directory).meta = meta;
        self.implicit.remove(&directory);
    }

    /// The directory to add to, made where it is missing. `None` for a
    /// whiteout below something this layer made a non-directory: what it
    /// names is gone with the lower directory.
    fn parent(&mut self, parts: &[&[u8]], meta: &Meta, whiteout: bool) -> Result<Option<NodeId>> {
        let mut way = Way::new(self.root, parts);
        while let Some(part) = way.next()? {
            let here = way.here();
            let Some(child) = self.tree.child(here, &part) else {
                let made = self.tree.add_directory(Meta { mode: 0o755, ..bare(meta) });
                self.implicit.insert(made);
                self.tree.link(here, part, made);
                way.enter(made);
                continue;
            };
            match &self.tree.node(child).kind {
                Kind::Directory(_) => way.enter(child),
                _ if whiteout => return Ok(None),
                Kind::Symlink(target) => way.follow(target)?,
                _ => bail!("'{}' on the way is not a directory", shown(&part)),
            }
        }
        Ok(Some(way.here()))
    }

    fn directory(&mut self, parent: NodeId, name: &[u8], meta: Meta) -> Result<()> {
        match self.tree.child(parent, name) {
            Some(old) if self.tree.children(old).is_some() => self.describe(old, meta),
            _ => {
                let node = self.tree.add_directory(meta);
                self.tree.link(parent, name, node);
            }
        }
        Ok(())
    }

    /// A second name for a file of this layer, or else of the layers below.
    fn hardlink(&mut self, parent: NodeId, name: &[u8], target: &[u8]) -> Result<()> {
        let shown = shown(target);
        let parts = components(target).with_context(|| format!("hard link to '{shown}'"))?;
        let found = match self.find(self.root, &parts)? {
            Some(found) => Some(found),
            None => self.find(self.tree.root(), &parts)?,
        };
        let node = found.with_context(|| format!("hard link to missing '{shown}'"))?;
        ensure!(self.tree.children(node).is_none(), "hard link to directory '{shown}'");
        self.tree.link(parent, name, node);
        Ok(())
    }

    /// The node at a path; symbolic links on the way are followed, a last one is not.
    fn find(&self, root: NodeId, parts: &[&[u8]]) -> Result<Option<NodeId>> {
        let Some((name, parents)) = parts.split_last() else { return Ok(Some(root)) };
        let mut way = Way::new(root, parents);
        while let Some(part) = way.next()? {
            let Some(child) = self.tree.child(way.here(), &part) else { return Ok(None) };
            match &self.tree.node(child).kind {
                Kind::Directory(_) => way.enter(child),
                Kind::Symlink(target) => way.follow(target)?,
                _ => return Ok(None),
            }
        }
        Ok(self.tree.child(way.here(), name))
    }
}

/// A walk along a path inside a root, symbolic links followed as the kernel does in a chroot.
struct Way {
    /// Directories entered, the root first.
    at: Vec<NodeId>,
    /// Parts still to go, the next one last.
    todo: Vec<Box<[u8]>>,
    links: usize,
}

impl Way {
    fn new(root: NodeId, parts: &[&[u8]]) -> Self {
        Self { at: vec![root], todo: parts.iter().rev().map(|&part| part.into()).collect(), links: 0 }
    }

    fn here(&self) -> NodeId {
        self.at[self.at.len() - 1]
    }

    /// The next name to look up here; `..` is gone already and stops at the root.
    fn next(&mut self) -> Result<Option<Box<[u8]>>> {
        ensure!(self.at.len() <= MAX_DEPTH, "directories are nested deeper than {MAX_DEPTH}");
        while self.todo.pop_if(|part| &**part == b"..").is_some() {
            self.at.truncate((self.at.len() - 1).max(1));
        }
        Ok(self.todo.pop())
    }

    fn enter(&mut self, directory: NodeId) {
        self.at.push(directory);
    }

    fn follow(&mut self, target: &[u8]) -> Result<()> {
        self.links += 1;
        ensure!(self.links <= MAX_LINKS, "too many symbolic links on the way");
        if target.starts_with(b"/") {
            self.at.truncate(1);
        }
        let parts = target.split(|&byte| byte == b'/').rev();
        self.todo.extend(parts.filter(|part| !part.is_empty() && *part != b".").map(Box::from));
        Ok(())
    }
}

/// Owner and group only.
fn bare(meta: &Meta) -> Meta {
    Meta { uid: meta.uid, gid: meta.gid, ..Meta::default() }
}

/// The parts of a member's path; leading slashes and `.` say nothing, `..` is refused.
fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    let parts: Vec<_> =
        path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && part != b".").collect();
    ensure!(!parts.iter().any(|part| part == b".."), "path with '..' leaves the layer");
    Ok(parts)
}

/// Applies the directory `upper` of a layer to the directory `lower`.
///
/// `implicit` directories of the layer leave the metadata of lower ones alone.
pub fn overlay(tree: &mut Tree, lower: NodeId, upper: NodeId, implicit: &HashSet<NodeId>) {
    if !implicit.contains(&upper) {
        tree.node_mut(lower).meta = tree.node(upper).meta.clone();
    }
    let children = tree.children(upper).cloned().unwrap_or_default();
    if children.contains_key(OPAQUE_MARKER)
        && let Some(below) = tree.children_mut(lower)
    {
        below.clear();
    }
    for name in children.keys() {
        if let Some(removed) = name.strip_prefix(WHITEOUT_PREFIX) {
            tree.unlink(lower, removed);
        }
    }
    for (name, node) in children {
        if name.starts_with(WHITEOUT_PREFIX) {
            continue;
        }
        if tree.children(node).is_none() {
            tree.link(lower, name, node);
            continue;
        }
        let below = tree.child(lower, &name).filter(|&below| tree.children(below).is_some());
        let below = below.unwrap_or_else(|| {
            let made = tree.add_directory(tree.node(node).meta.clone());
            tree.link(lower, name, made);
            made
        });
        overlay(tree, below, node, implicit);
    }
}
