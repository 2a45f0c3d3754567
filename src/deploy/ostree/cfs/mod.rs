//! `.ostree.cfs`: the composefs image of a deployment, an EROFS file system
//! of metadata whose regular files are redirected into `ostree/repo/objects`.
//!
//! ```text
//! 0                composefs header
//! 1024             EROFS superblock
//! 1152             inodes breadth first, each with attributes and inline data
//! next 32 bytes    attributes that several inodes share
//! next 4096 bytes  blocks of directories and of long symbolic links
//! ```
//!
//! The same bytes as libcomposefs' layout version 0. A file with content
//! names its object in `trusted.overlay.redirect`; 256 whiteouts in the root
//! hide the object directories of the data layer; times are 0 and every name
//! is an inode of its own. Sources: composefs' `lcfs-writer-erofs.c`,
//! ostree's `ostree-repo-composefs.c`. Left out: layout version 1, inline
//! file content, devices (ostree stores none).

mod emit;
mod layout;
mod ondisk;
mod xattr;

use std::{borrow::Cow, collections::HashMap, ops::Range};

use anyhow::{Context, bail, ensure};
use diskwright_formats::tree::{Kind, Meta, NodeId, Tree};

use self::{
    layout::Layout,
    xattr::{Attribute, Attributes},
};
use super::{checksum::Checksum, repo::Repo};

/// Directories every deployment has, made where the tree lacks them.
const MOUNT_POINTS: [&[u8]; 5] = [b"usr", b"etc", b"boot", b"var", b"sysroot"];
const MOUNT_POINT_MODE: u32 = 0o040_755;
const WHITEOUT_MODE: u32 = 0o020_644;
/// Attributes that overlayfs itself would take are escaped by this after [`OVERLAY`].
const ESCAPE: &[u8] = b"overlay.";
const OVERLAY: &[u8] = b"trusted.overlay.";
const NAME_MAX: usize = 255;
const TARGET_MAX: usize = 4095;

/// What is known of fs-verity digests: object checksum to digest of the object's content.
pub type Digests = HashMap<Checksum, Checksum>;

/// The image of the tree below `root`, whose files `repo` has hashed. With
/// `digests`, every file with content carries its fs-verity digest.
///
/// # Errors
/// Devices, pipes and sockets, files without a checksum or digest, and what
/// EROFS cannot hold; the message names the path.
pub fn image(tree: &Tree, root: NodeId, repo: &Repo, digests: Option<&Digests>) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder { tree, repo, digests, inodes: Vec::new(), attributes: Attributes::default() };
    builder.walk(root)?;
    let Builder { inodes, attributes, .. } = builder;
    let xattrs = attributes.into_table();
    let layout = Layout::new(&inodes, &xattrs)?;
    Ok(emit::emit(&inodes, &xattrs, &layout))
}

/// An inode; its index in the list of all is its number.
#[derive(Debug)]
struct Inode<'a> {
    /// Its name in its parent, empty for the root.
    name: Cow<'a, [u8]>,
    /// The root is its own.
    parent: usize,
    /// What is in it, sorted by name.
    children: Range<usize>,
    /// The whole `st_mode`.
    mode: u32,
    uid: u32,
    gid: u32,
    link_count: u32,
    /// Numbers of attributes, sorted by name.
    xattrs: Vec<u32>,
    content: Content<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Directory,
    /// A regular file without content.
    Empty,
    /// A regular file whose content is an object.
    External(External),
    Symlink(&'a [u8]),
    Whiteout,
}

#[derive(Clone, Copy, Debug)]
struct External {
    /// Bytes.
    size: u64,
    chunk_format: u32,
}

impl Inode<'_> {
    /// Bytes of content; not known here for directories.
    const fn size(&self) -> u64 {
        match self.content {
            Content::External(file) => file.size,
            Content::Symlink(target) => target.len() as u64,
            Content::Directory | Content::Empty | Content::Whiteout => 0,
        }
    }
}

/// The path of an inode, for messages.
fn path_of(inodes: &[Inode<'_>], mut index: usize) -> String {
    let mut names = Vec::new();
    while index != 0 {
        names.push(inodes[index].name.escape_ascii().to_string());
        index = inodes[index].parent;
    }
    names.reverse();
    format!("/{}", names.join("/"))
}

fn child_path(inodes: &[Inode<'_>], parent: usize, name: &[u8]) -> String {
    let parent = path_of(inodes, parent);
    format!("{}/{}", parent.trim_end_matches('/'), name.escape_ascii())
}

/// What a name stands for while the tree is walked.
#[derive(Clone, Copy)]
enum Entry {
    Node(NodeId),
    MountPoint,
    Whiteout,
}

struct Builder<'a> {
    tree: &'a Tree,
    repo: &'a Repo,
    digests: Option<&'a Digests>,
    inodes: Vec<Inode<'a>>,
    attributes: Attributes<'a>,
}

impl<'a> Builder<'a> {
    /// Lists all inodes breadth first.
    fn walk(&mut self, root: NodeId) -> anyhow::Result<()> {
        ensure!(self.tree.children(root).is_some(), "the root of a composefs image must be a directory");
        let mut entries = vec![Entry::Node(root)];
        self.add(root, Cow::default(), 0, entries[0])?;
        let mut index = 0;
        while let Some(&entry) = entries.get(index) {
            let names = self.names(entry, index == 0);
            let start = entries.len();
            self.inodes[index].children = start..start + names.len();
            for (name, entry) in names {
                let added = self.add(root, name.clone(), index, entry);
                added.with_context(|| child_path(&self.inodes, index, &name))?;
                entries.push(entry);
            }
            index += 1;
        }
        Ok(())
    }

    /// The names in a directory, sorted.
    fn names(&self, entry: Entry, is_root: bool) -> Vec<(Cow<'a, [u8]>, Entry)> {
        let Entry::Node(id) = entry else { return Vec::new() };
        let Some(children) = self.tree.children(id) else { return Vec::new() };
        let own = children.iter().map(|(name, &id)| (Cow::from(&**name), Entry::Node(id)));
        let mut names: Vec<_> = own.collect();
        if is_root {
            let missing = |name: &[u8]| !children.contains_key(name);
            let mount_points = MOUNT_POINTS.into_iter().filter(|name| missing(name));
            names.extend(mount_points.map(|name| (Cow::from(name), Entry::MountPoint)));
            let fan_out = (0..=u8::MAX).map(|byte| format!("{byte:02x}").into_bytes());
            let whiteouts = fan_out.filter(|name| missing(name));
            names.extend(whiteouts.map(|name| (Cow::from(name), Entry::Whiteout)));
            names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        names
    }

    fn add(&mut self, root: NodeId, name: Cow<'a, [u8]>, parent: usize, entry: Entry) -> anyhow::Result<()> {
        ensure!(name.len() <= NAME_MAX, "name of over 255 bytes");
        let root_meta = &self.tree.node(root).meta;
        let (mode, uid, gid) = match entry {
            Entry::Node(id) => {
                let node = self.tree.node(id);
                (node.st_mode(), node.meta.uid, node.meta.gid)
            }
            Entry::MountPoint => (MOUNT_POINT_MODE, 0, 0),
            Entry::Whiteout => (WHITEOUT_MODE, root_meta.uid, root_meta.gid),
        };
        let content = self.content(entry)?;
        let xattrs = match entry {
            Entry::Node(id) => self.node_xattrs(id, content, parent == 0 && name.is_empty()),
            Entry::MountPoint => Ok(Vec::new()),
            Entry::Whiteout => self.whiteout_xattrs(root_meta),
        }?;
        let is_directory = matches!(content, Content::Directory);
        if is_directory && let Some(parent) = self.inodes.get_mut(parent) {
            parent.link_count += 1;
        }
        let link_count = if is_directory { 2 } else { 1 };
        self.inodes.push(Inode { name, parent, children: 0..0, mode, uid, gid, link_count, xattrs, content });
        Ok(())
    }

    fn content(&self, entry: Entry) -> anyhow::Result<Content<'a>> {
        let id = match entry {
            Entry::Node(id) => id,
            Entry::MountPoint => return Ok(Content::Directory),
            Entry::Whiteout => return Ok(Content::Whiteout),
        };
        Ok(match &self.tree.node(id).kind {
            Kind::Directory(_) => Content::Directory,
            Kind::File(content) if content.is_empty() => Content::Empty,
            Kind::File(content) => {
                let size = content.len();
                Content::External(External { size, chunk_format: layout::chunk_format(size)? })
            }
            Kind::Symlink(target) => {
                let fits = (1..=TARGET_MAX).contains(&target.len());
                ensure!(fits, "symbolic link with a target of {} bytes", target.len());
                Content::Symlink(target)
            }
            _ => bail!("ostree stores no devices, pipes or sockets"),
        })
    }

    /// The node's own attributes with overlayfs' escaped, and those that overlayfs needs.
    fn node_xattrs(&mut self, id: NodeId, content: Content<'_>, is_root: bool) -> anyhow::Result<Vec<u32>> {
        // Attributes without a value are not part of the commit, hence not of its image.
        let own = self.tree.node(id).meta.xattrs.iter().filter(|(_, value)| !value.is_empty());
        let mut xattrs: Vec<_> =
            own.map(|(name, value)| Attribute { name: escape(name), value: Cow::from(&**value) }).collect();
        if is_root {
            xattrs.push(overlay(b"trusted.overlay.opaque", &b"y"[..]));
        }
        if matches!(content, Content::External(_)) {
            let checksum = self.repo.checksum(id).context("a file that was not hashed")?;
            xattrs.push(overlay(b"trusted.overlay.metacopy", self.metacopy(checksum)?));
            xattrs.push(overlay(b"trusted.overlay.redirect", redirect(checksum)));
        }
        xattrs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        xattrs.into_iter().map(|attribute| self.attributes.add(attribute)).collect()
    }

    fn whiteout_xattrs(&mut self, root: &'a Meta) -> anyhow::Result<Vec<u32>> {
        let label = root.xattrs.get_key_value(&b"security.selinux"[..]);
        let label =
            label.map(|(name, value)| Attribute { name: Cow::from(&**name), value: Cow::from(&**value) });
        label.into_iter().map(|label| self.attributes.add(label)).collect()
    }

    /// overlayfs' `struct ovl_metacopy` with the digest, or nothing without one.
    fn metacopy(&self, object: Checksum) -> anyhow::Result<Vec<u8>> {
        const VERSION: u8 = 0;
        const FLAGS: u8 = 0;
        const SHA256: u8 = 1;
        const LEN: u8 = 4 + Checksum::LEN as u8;
        let Some(digests) = self.digests else { return Ok(Vec::new()) };
        let digest = digests.get(&object).with_context(|| format!("no fs-verity digest of {object}"))?;
        Ok([&[VERSION, LEN, FLAGS, SHA256], &digest.as_bytes()[..]].concat())
    }
}

fn overlay<'a>(name: &'static [u8], value: impl Into<Cow<'a, [u8]>>) -> Attribute<'a> {
    Attribute { name: Cow::from(name), value: value.into() }
}

fn escape(name: &[u8]) -> Cow<'_, [u8]> {
    match name.strip_prefix(OVERLAY) {
        Some(rest) => Cow::from([OVERLAY, ESCAPE, rest].concat()),
        None => Cow::from(name),
    }
}

/// The object's path below `objects`.
fn redirect(object: Checksum) -> Vec<u8> {
    let name = object.to_string();
    format!("/{}/{}.file", &name[..2], &name[2..]).into_bytes()
}
