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
