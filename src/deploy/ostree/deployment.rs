//! A deployment: the commit's tree as hard links to its objects, private
//! copies of /etc, the stateroot's /var, and the names under which a boot
//! finds them.
//!
//! ```text
//! /ostree/deploy/STATEROOT/deploy/COMMIT.0/          checkout, immutable
//! /ostree/deploy/STATEROOT/deploy/COMMIT.0.origin    what to update from
//! /ostree/deploy/STATEROOT/backing/COMMIT.0/         for transient roots
//! /ostree/deploy/STATEROOT/var/                      seeded from the commit once
//! /ostree/boot.1 -> boot.1.1, boot.1.1/STATEROOT/BOOTCSUM/0 -> the deployment
//! ```

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, Node, NodeId, Time, Tree},
};

use super::{checksum::Checksum, repo::Repo};

/// Names one inode can have before a copy takes over; ext4 ends at 65,000.
const MAX_NAMES: u32 = 64_000;
/// A regular file of this name in a commit stands for a whiteout of overlayfs, a device of number 0:0,
/// under the rest of the name.
pub const QUOTED_WHITEOUT: &str = ".ostree-wh.";
/// What libostree leaves so that the first boot's jobs of "files were updated" run.
const UPDATED_STAMP: &[u8] = b".updated";

/// The parts of a deployment that are not shared with the repository.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deployment {
    /// The deployment's root directory.
    pub root: NodeId,
    /// Its `etc`: private copies.
    pub etc: NodeId,
    /// The stateroot's `var`: private copies.
    pub var: NodeId,
}

/// Checks a commit's tree out.
pub(super) struct Checkout<'a> {
    tree: &'a mut Tree,
    repo: &'a mut Repo,
    names: HashMap<NodeId, u32>,
}

impl<'a> Checkout<'a> {
    pub(super) fn new(tree: &'a mut Tree, repo: &'a mut Repo) -> Self {
        Self { tree, repo, names: HashMap::new() }
    }

    /// The deployment of the commit whose tree is `commit`.
    pub(super) fn deploy(&mut self, commit: NodeId) -> Result<Deployment> {
        let root = self.directory(commit, true)?;
        let etc = self.tree.lookup_from(commit, "usr/etc").context("the image has no /etc")?;
        let etc = self.directory(etc, false)?;
        self.tree.unlink(etc, UPDATED_STAMP);
        self.tree.link(root, *b"etc", etc);
        let var = match self.tree.child(commit, b"var").filter(|&var| self.tree.children(var).is_some()) {
            Some(var) => self.directory(var, false)?,
            None => self.tree.add_directory(Meta::root(0o755)),
        };
        self.tree.unlink(var, UPDATED_STAMP);
        if self.tree.lookup_from(commit, "usr/lib/tmpfiles.d").is_none() {
            self.legacy_var(var);
        }
        Ok(Deployment { root, etc, var })
    }

    /// `shared`: files are names of their objects, and whiteouts are unpacked. Else everything is a private copy.
    fn directory(&mut self, from: NodeId, shared: bool) -> Result<NodeId> {
        let meta = Meta { mtime: Time::default(), ..self.tree.node(from).meta.clone() };
        let directory = self.tree.add_directory(meta);
        for (name, node) in self.tree.children(from).cloned().unwrap_or_default() {
            let (name, child) = match &self.tree.node(node).kind {
                Kind::Directory(_) => (name, self.directory(node, shared)?),
                Kind::File(_) if shared && name.starts_with(QUOTED_WHITEOUT.as_bytes()) => {
                    (name[QUOTED_WHITEOUT.len()..].into(), self.whiteout(node))
                }
                _ => (name, self.file(node, shared)),
            };
            ensure!(
                !matches!(&*name, b"" | b"." | b".."),
                "a file {QUOTED_WHITEOUT}{} quotes a whiteout of no name",
                name.escape_ascii()
            );
            self.tree.link(directory, name, child);
        }
        Ok(directory)
    }

    fn whiteout(&mut self, quoted: NodeId) -> NodeId {
        let meta = self.tree.node(quoted).meta.clone();
        self.tree.add(Node {
            meta: Meta { mtime: Time::default(), verity: false, ..meta },
            kind: Kind::CharDevice(0, 0),
        })
    }

    /// Empty files are copies: one inode could not carry all their names.
    fn file(&mut self, node: NodeId, shared: bool) -> NodeId {
        let object = self.repo.object(self.tree, node);
        let empty = matches!(&self.tree.node(object).kind, Kind::File(content) if content.is_empty());
        let names = self.names.entry(object).or_insert(1);
        if shared && !empty && *names < MAX_NAMES {
            *names += 1;
            return object;
        }
        let mut copy = self.tree.node(object).clone();
        copy.meta.verity = false;
        self.tree.add(copy)
    }

    /// What a tree without tmpfiles.d needs in /var.
    fn legacy_var(&mut self, var: NodeId) {
        for (name, mode) in [(&b"tmp"[..], 0o1777), (b"lib", 0o755), (b"log", 0o755)] {
            if self.tree.child(var, name).is_none() {
                let directory = self.tree.add_directory(Meta::root(mode));
                self.tree.link(var, name, directory);
            }
        }
        for (name, target) in [(&b"run"[..], &b"../run"[..]), (b"lock", b"../run/lock")] {
            if self.tree.child(var, name).is_none() {
                let link = self.tree.add_symlink(target);
                self.tree.link(var, name, link);
            }
        }
    }
}

/// What the `ostree` directory of the physical root is made of.
pub(super) struct Ostree<'a> {
    pub stateroot: &'a str,
    pub commit: Checksum,
    pub bootcsum: &'a str,
    pub origin: &'a str,
    pub deployment: Deployment,
    pub repo: NodeId,
    pub time: Time,
}

impl Ostree<'_> {
    /// The `ostree` directory. Makes the deployment's root immutable.
    pub(super) fn directory(&self, tree: &mut Tree) -> NodeId {
        let deployment = format!("{}.0", self.commit);
        tree.node_mut(self.deployment.root).meta.immutable = true;
        let origin = format!("[origin]\ncontainer-image-reference={}\n", self.origin);
        let origin = text_file(tree, &origin, 0o644, self.time);
        let ostree = self.empty(tree, 0o755);
        let deploy = self.subdirectory(tree, ostree, "deploy", 0o755);
        let stateroot = self.subdirectory(tree, deploy, self.stateroot, 0o755);
        let deploys = self.subdirectory(tree, stateroot, "deploy", 0o755);
        tree.link(deploys, deployment.as_bytes(), self.deployment.root);
        tree.link(deploys, format!("{deployment}.origin").into_bytes(), origin);
        tree.link(stateroot, *b"var", self.deployment.var);
        let stamp = text_file(tree, "", 0o644, self.time);
        tree.link(self.deployment.var, *b".ostree-selabeled", stamp);
        let backing = self.subdirectory(tree, stateroot, "backing", 0o700);
        let backing = self.subdirectory(tree, backing, &deployment, 0o700);
        let transient = self.subdirectory(tree, backing, "root-transient", 0o700);
        let mode = tree.node(self.deployment.root).meta.mode;
        self.subdirectory(tree, transient, "upper", mode);
        self.subdirectory(tree, transient, "work", 0o700);
        self.subdirectory(tree, ostree, "bootc", 0o755);
        self.boot_links(tree, ostree, &deployment);
        tree.link(ostree, *b"repo", self.repo);
        ostree
    }

    fn boot_links(&self, tree: &mut Tree, ostree: NodeId, deployment: &str) {
        let boot = self.subdirectory(tree, ostree, "boot.1.1", 0o755);
        let stateroot = self.subdirectory(tree, boot, self.stateroot, 0o755);
        let checksum = self.subdirectory(tree, stateroot, self.bootcsum, 0o755);
        let target = format!("../../../deploy/{}/deploy/{deployment}", self.stateroot);
        for (directory, name, target) in [(checksum, "0", target), (ostree, "boot.1", "boot.1.1".to_owned())]
        {
            let link = tree.add_symlink(target.into_bytes());
            tree.node_mut(link).meta.mtime = self.time;
            tree.link(directory, name.as_bytes(), link);
        }
    }

    fn empty(&self, tree: &mut Tree, mode: u16) -> NodeId {
        tree.add_directory(Meta { mtime: self.time, ..Meta::root(mode) })
    }

    fn subdirectory(&self, tree: &mut Tree, parent: NodeId, name: &str, mode: u16) -> NodeId {
        let directory = self.empty(tree, mode);
        tree.link(parent, name.as_bytes(), directory);
        directory
    }
}

/// A file of root's, in memory, without a name.
pub(super) fn text_file(tree: &mut Tree, text: &str, mode: u16, time: Time) -> NodeId {
    let content = Sparse::from_bytes(Arc::<[u8]>::from(text.as_bytes()));
    tree.add_file(Meta { mtime: time, ..Meta::root(mode) }, content)
}
