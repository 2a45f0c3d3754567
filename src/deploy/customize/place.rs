//! Paths as the booted system will see them, and the only way to change it.
//!
//! The root is the deployment with /etc and /var laid over it. Symbolic links
//! of the image are followed inside it: `..` stops at the root, an absolute
//! target starts there, too many links are an error (path_resolution(7)).

use anyhow::{Context as _, Result, bail, ensure};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, Node, NodeId, Time, Tree},
};

use super::{MountPoint, System};

/// The kernel's `MAXSYMLINKS`.
const LINKS_MAX: usize = 40;
/// Larger configuration files are refused before they are read.
const TEXT_MAX: u64 = 16 << 20;
/// Directories below /var that need another mode than 0755 if we are the first to make them.
const DIRECTORY_MODES: &[(&str, u16)] = &[("var/roothome", 0o700), ("var/tmp", 0o1777)];

/// A directory in /etc or /var: the only thing that can be linked into.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    node: NodeId,
    /// Where it is, links resolved: "var/home".
    path: String,
}

impl Directory {
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// The system of one deployment, seen from its root.
#[derive(Debug)]
pub(super) struct Root<'a> {
    tree: &'a mut Tree,
    system: System,
    time: Time,
}

/// The way from the root to where resolution stands.
struct Walk {
    /// Directories entered and their names; the root is not among them.
    entered: Vec<(String, NodeId)>,
    /// Names to go, the next one last.
    left: Vec<String>,
    links: usize,
}

impl Walk {
    fn to(path: &str) -> Self {
        let mut walk = Self { entered: Vec::new(), left: Vec::new(), links: 0 };
        walk.go(path);
        walk
    }

    fn go(&mut self, path: &str) {
        if path.starts_with('/') {
            self.entered.clear();
        }
        let names = path.rsplit('/').filter(|name| !name.is_empty() && *name != ".");
        self.left.extend(names.map(str::to_owned));
    }

    fn path(&self) -> String {
        let names: Vec<_> = self.entered.iter().map(|(name, _)| name.as_str()).collect();
        names.join("/")
    }

    /// The directory it stands in, if that is ours to change.
    fn directory(&self) -> Option<Directory> {
        let (top, _) = self.entered.first()?;
        let (_, node) = self.entered.last()?;
        matches!(top.as_str(), "etc" | "var").then(|| Directory { node: *node, path: self.path() })
    }
}

impl<'a> Root<'a> {
    pub(super) const fn new(tree: &'a mut Tree, system: System, time: Time) -> Self {
        Self { tree, system, time }
    }

    pub(super) const fn time(&self) -> Time {
        self.time
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.tree.node(id)
    }

    fn child(&self, walk: &Walk, name: &str) -> Option<NodeId> {
        match (walk.entered.last(), name) {
            (None, "etc") => Some(self.system.etc),
            (None, "var") => Some(self.system.var),
            (None, _) => self.tree.child(self.system.deployment, name.as_bytes()),
            (Some((_, directory)), _) => self.tree.child(*directory, name.as_bytes()),
        }
    }

    /// One step; gives the node if that ends the walk at something not a directory,
    /// and the name if nothing has it.
    fn step(&self, walk: &mut Walk, name: &str) -> Result<Step> {
        if name == ".." {
            walk.entered.pop();
            return Ok(Step::On);
        }
        let Some(node) = self.child(walk, name) else { return Ok(Step::Missing) };
        match &self.node(node).kind {
            Kind::Directory(_) => walk.entered.push((name.to_owned(), node)),
            Kind::Symlink(target) => {
                walk.links += 1;
                ensure!(walk.links <= LINKS_MAX, "too many symbolic links at /{}/{name}", walk.path());
                let target = std::str::from_utf8(target)
                    .with_context(|| format!("the target of /{}/{name} is not UTF-8", walk.path()))?;
                ensure!(target.len() < 4096, "the target of /{}/{name} is too long", walk.path());
                walk.go(target);
            }
            _ => return Ok(Step::End(node)),
        }
        Ok(Step::On)
    }

    /// What `path` names, links followed; `None` if nothing does.
    pub(super) fn find(&self, path: &str) -> Result<Option<NodeId>> {
        let mut walk = Walk::to(path);
        while let Some(name) = walk.left.pop() {
            match self.step(&mut walk, &name)? {
                Step::On => {}
                Step::End(node) if walk.left.is_empty() => return Ok(Some(node)),
                Step::End(_) | Step::Missing => return Ok(None),
            }
        }
        Ok(Some(walk.entered.last().map_or(self.system.deployment, |(_, node)| *node)))
    }

    /// Where `path` is, links resolved as far as anything of it exists: "var/roothome".
    pub(super) fn place(&self, path: &str) -> Result<String> {
        let mut walk = Walk::to(path);
        while let Some(name) = walk.left.pop() {
            if !matches!(self.step(&mut walk, &name)?, Step::On) {
                let rest: Vec<_> = walk.left.iter().rev().map(String::as_str).collect();
                return Ok([&[walk.path().as_str(), &name], &rest[..]].concat().join("/"));
            }
        }
        Ok(walk.path())
    }

    /// The directory at `path`, made with its parents (root, 0755) if missing.
    pub(super) fn directory(&mut self, path: &str) -> Result<Directory> {
        let mut walk = Walk::to(path);
        while let Some(name) = walk.left.pop() {
            match self.step(&mut walk, &name)? {
                Step::On => {}
                Step::End(_) => bail!("/{}/{name} is not a directory", walk.path()),
                Step::Missing => self.make(&mut walk, &name)?,
            }
        }
        walk.directory().with_context(|| read_only(path, &walk.path()))
    }

    /// Where a volume can be mounted: in /var, or on an empty directory of the image.
    pub(super) fn mount_point(&mut self, path: &str) -> Result<MountPoint> {
        if let Some(node) = self.find(path)?.filter(|node| !self.is_in_var(path, *node)) {
            let Kind::Directory(children) = &self.node(node).kind else { bail!("is not a directory") };
            ensure!(children.is_empty(), "the image has files there, which the volume would hide");
            return Ok(MountPoint { node: None, path: path.to_owned(), meta: self.node(node).meta.clone() });
        }
        let Directory { node, path } = self.directory(path)?;
        ensure!(path.starts_with("var"), "/{path} belongs to the deployment; mount below /var instead");
        Ok(MountPoint { node: Some(node), meta: self.node(node).meta.clone(), path: format!("/{path}") })
    }

    /// Whether `path`, which names `node`, ends in /var.
    fn is_in_var(&mut self, path: &str, node: NodeId) -> bool {
        self.directory(path).is_ok_and(|found| found.node == node && found.path.starts_with("var"))
    }

    fn make(&mut self, walk: &mut Walk, name: &str) -> Result<()> {
        let parent = walk.directory().with_context(|| read_only(name, &walk.path()))?;
        let path = format!("{}/{name}", parent.path);
        let mode = DIRECTORY_MODES.iter().find(|(known, _)| *known == path).map_or(0o755, |(_, mode)| *mode);
        let meta = Meta { mtime: self.time, ..Meta::root(mode) };
        let made = self.add_directory(&parent, name, meta);
        walk.entered.push((name.to_owned(), made.node));
        Ok(())
    }

    /// The node of the name in a directory of ours; links are not followed.
    pub(super) fn entry(&self, directory: &Directory, name: &str) -> Option<NodeId> {
        self.tree.child(directory.node, name.as_bytes())
    }

    /// Metadata of a directory of ours.
    pub(super) fn meta_mut(&mut self, directory: &Directory) -> &mut Meta {
        &mut self.tree.node_mut(directory.node).meta
    }

    /// Gives a new node the name, which the old node loses.
    pub(super) fn put(&mut self, directory: &Directory, name: impl Into<Box<[u8]>>, node: Node) {
        let node = self.tree.add(node);
        self.tree.link(directory.node, name, node);
    }

    pub(super) fn add_directory(&mut self, directory: &Directory, name: &str, meta: Meta) -> Directory {
        let node = self.tree.add_directory(meta);
        self.tree.link(directory.node, name.as_bytes(), node);
        Directory { node, path: format!("{}/{name}", directory.path) }
    }

    /// Names in the directory at `path`, sorted; none if there is none.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>> {
        let Some(node) = self.find(path)? else { return Ok(Vec::new()) };
        let children = self.tree.children(node).into_iter().flat_map(|children| children.keys());
        Ok(children.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect())
    }

    /// What has the name in the directory at `path`; a link there is not followed.
    pub(super) fn entry_at(&self, path: &str, name: &str) -> Result<Option<&Node>> {
        let Some(directory) = self.find(path)? else { return Ok(None) };
        Ok(self.tree.child(directory, name.as_bytes()).map(|node| self.node(node)))
    }

    /// Where a symbolic link in the directory at `path` leads; `None` for all else.
    pub(super) fn link_at(&self, path: &str, name: &str) -> Result<Option<String>> {
        Ok(match self.entry_at(path, name)? {
            Some(Node { kind: Kind::Symlink(target), .. }) => {
                Some(String::from_utf8_lossy(target).into_owned())
            }
            _ => None,
        })
    }

    /// Makes a symbolic link, in place of another one.
    pub(super) fn symlink(&mut self, path: &str, name: &str, target: &str) -> Result<()> {
        let directory = self.directory(path)?;
        if let Some(node) = self.entry(&directory, name) {
            ensure!(
                matches!(self.node(node).kind, Kind::Symlink(_)),
                "{path}/{name} exists and is no symbolic link"
            );
        }
        let meta = Meta { mtime: self.time, ..Meta::root(0o777) };
        self.put(&directory, name.as_bytes(), Node { meta, kind: Kind::Symlink(target.as_bytes().into()) });
        Ok(())
    }

    /// Makes a symbolic link in place of whatever file had the name.
    pub(super) fn symlink_over(&mut self, path: &str, name: &str, target: &str) -> Result<()> {
        if let Some(Kind::File(_)) = self.entry_at(path, name)?.map(|node| &node.kind) {
            let directory = self.directory(path)?;
            self.tree.unlink(directory.node, name.as_bytes());
        }
        self.symlink(path, name, target)
    }

    /// Takes a name away from a directory of ours, and a directory of links (`x.wants`) if nothing is left in it.
    pub(super) fn remove(&mut self, path: &str, name: &str) -> Result<()> {
        let directory = self.directory(path)?;
        self.tree.unlink(directory.node, name.as_bytes());
        let empty = self.tree.children(directory.node).is_none_or(std::collections::BTreeMap::is_empty);
        match path.rsplit_once('/') {
            Some((parent, own)) if empty && own.contains('.') => {
                let parent = self.directory(parent)?;
                self.tree.unlink(parent.node, own.as_bytes());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes a text below /etc or /var by its path; missing parents are made.
    pub(super) fn write_text(&mut self, path: &str, mode: u16, text: String) -> Result<()> {
        let (parent, name) = path.rsplit_once('/').context("not an absolute path")?;
        let directory = self.directory(parent)?;
        self.write(&directory, name, &Meta::root(mode), text.into_bytes())
    }

    /// The text of a configuration file; `None` if there is none.
    pub(super) fn config(&self, path: &str) -> Result<Option<String>> {
        let text = self.text(path)?.map(String::from_utf8).transpose();
        text.with_context(|| format!("{path} is not UTF-8"))
    }

    /// The content of the regular file at `path`; `None` if there is none.
    pub(super) fn text(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(node) = self.find(path)? else { return Ok(None) };
        let Kind::File(content) = &self.node(node).kind else { bail!("{path} is not a regular file") };
        ensure!(content.len() <= TEXT_MAX, "{path} is larger than {} MiB", TEXT_MAX >> 20);
        content.to_vec().map(Some).with_context(|| format!("reading {path}"))
    }

    /// Writes a regular file: a new node, with the metadata of the old one if there was one.
    pub(super) fn write(
        &mut self,
        directory: &Directory,
        name: &str,
        new: &Meta,
        content: Vec<u8>,
    ) -> Result<()> {
        let old = self.entry(directory, name).map(|node| self.node(node));
        let meta = match old {
            Some(Node { kind: Kind::Directory(_), .. }) => bail!("/{}/{name} is a directory", directory.path),
            Some(Node { kind: Kind::File(_), meta }) => meta.clone(),
            _ => new.clone(),
        };
        let meta = Meta { mtime: self.time, ..meta };
        self.put(directory, name.as_bytes(), Node { meta, kind: Kind::File(Sparse::from_bytes(content)) });
        Ok(())
    }
}

enum Step {
    On,
    End(NodeId),
    Missing,
}

fn read_only(path: &str, place: &str) -> String {
    let path = if path.is_empty() { "/" } else { path };
    format!(
        "{path} would be in /{place}, which is part of the read-only image; only /etc and /var and what \
         links into them can be written, the rest belongs in the Containerfile"
    )
}
