//! Deployments: each is a checkout of a commit that is there, file by file,
//! has an origin, and the composefs image that its initramfs will mount.
//!
//! The commit is compared with the directories in step, so a commit that
//! claims endless trees costs no more than what is on the disk. `/etc` belongs
//! to the machine and is not compared; neither is the stateroot's `/var`.

use std::collections::HashSet;

use diskwright_formats::tree::{Children, Kind, Meta, Node, NodeId, Tree};
use rayon::prelude::*;

use super::{
    filesystems::read_small,
    ostree::Objects,
    report::{Deployment, Findings},
};
use crate::deploy::{
    ostree::{
        QUOTED_WHITEOUT, cfs,
        checksum::Checksum,
        object::{Commit, DirMeta, DirTree, ObjectKind, TreeIds},
        repo::{Repo, hash_file},
        verity,
    },
    rootfs::Rootfs,
    system::{composefs_mode, key_file_value},
};

const CHECK: &str = "deployment";
/// Where stateroots are.
const STATEROOTS: &str = "ostree/deploy";
/// The composefs image of a deployment.
const IMAGE: &[u8] = b".ostree.cfs";
/// Largest metadata object: libostree's own limit.
const METADATA_MAX: u64 = 128 << 20;
/// Largest origin.
const TEXT_MAX: u64 = 1 << 20;
/// Largest composefs image that is compared.
const IMAGE_MAX: u64 = 1 << 30;
/// Directories may be nested this deep.
const DEPTH_MAX: usize = 2048;

/// A deployment and its root directory.
pub(super) struct Deployed {
    pub(super) described: Deployment,
    pub(super) root: NodeId,
}

/// Finds the deployments and checks each. `wrong` are objects that are not what their names say.
pub(super) fn check(
    tree: &mut Tree,
    objects: &Objects,
    wrong: &HashSet<NodeId>,
    (volume, size): (&str, u64),
    findings: &mut Findings,
) -> Vec<Deployed> {
    let mut found = Vec::new();
    let mut shared = Shared::default();
    let list = |tree: &Tree, path: &str| -> Vec<(String, NodeId)> {
        let children = tree.lookup(path).and_then(|node| tree.children(node));
        let children = children.into_iter().flatten();
        children.map(|(name, &node)| (String::from_utf8_lossy(name).into_owned(), node)).collect()
    };
    for (stateroot, _) in list(tree, STATEROOTS) {
        let directory = format!("{STATEROOTS}/{stateroot}/deploy");
        for (name, root) in list(tree, &directory) {
            if tree.children(root).is_none() {
                continue;
            }
            let path = format!("{directory}/{name}");
            let mut one = Check {
                tree,
                objects,
                wrong,
                place: format!("{volume}: /{path}"),
                size,
                shared: &mut shared,
                findings,
                has_whiteouts: false,
            };
            if let Some(deployment) = one.deployment(&path, &stateroot, &name, root) {
                found.push(Deployed { described: deployment, root });
            }
        }
    }
    if found.is_empty() {
        findings.error(CHECK, format!("{volume}: /{STATEROOTS}"), "no deployment");
    }
    found
}

/// What all deployments share: work is bounded for all of them together.
#[derive(Default)]
struct Shared {
    /// Bytes of holes hashed so far.
    holes: u64,
    digests: Option<cfs::Digests>,
}

struct Check<'a> {
    tree: &'a mut Tree,
    objects: &'a Objects,
    wrong: &'a HashSet<NodeId>,
    place: String,
    /// Bytes of the volume: no object is larger.
    size: u64,
    /// What the deployments before came to.
    shared: &'a mut Shared,
    findings: &'a mut Findings,
    /// The commit has files that stand for whiteouts, which the deployment has in their place.
    has_whiteouts: bool,
}

impl Check<'_> {
    fn deployment(&mut self, path: &str, stateroot: &str, name: &str, root: NodeId) -> Option<Deployment> {
        let commit = name.split_once('.').and_then(|(commit, serial)| {
            serial.parse::<u32>().ok()?;
            commit.parse::<Checksum>().ok()
        });
        let Some(commit) = commit else {
            self.findings.warning(CHECK, &self.place, "not named after a commit");
            return None;
        };
        let origin = self.origin(path);
        if !self.tree.node(root).meta.immutable {
            self.findings.warning(CHECK, &self.place, "not immutable (chattr +i)");
        }
        let rootfs = Rootfs { tree: self.tree, root };
        let composefs = composefs_mode(&rootfs).unwrap_or_else(|error| {
            self.findings.error(CHECK, &self.place, error.to_string());
            "no".to_owned()
        });
        if let Some(ids) = self.root_ids(commit) {
            let mut repo = Repo::default();
            self.directory(ids, root, "", 0, &mut repo);
            self.image(root, ids, &composefs, &repo);
        }
        let (path, stateroot) = (format!("/{path}"), stateroot.to_owned());
        Some(Deployment { path, stateroot, commit: commit.to_string(), origin, composefs })
    }

    fn error(&mut self, path: &str, what: impl Into<String>) {
        self.findings.error(CHECK, format!("{}{path}", self.place), what);
    }

    fn origin(&mut self, path: &str) -> Option<String> {
        let node = self.tree.lookup(format!("{path}.origin"));
        let text = node.and_then(|node| read_small(self.tree, node, TEXT_MAX));
        let Some(text) = text.and_then(|text| String::from_utf8(text).ok()) else {
            self.error(".origin", "missing, or no text");
            return None;
        };
        let value = ["container-image-reference", "refspec", "baserefspec"];
        let found = value.iter().find_map(|key| key_file_value(&text, "origin", key));
        if found.as_deref().is_none_or(str::is_empty) {
            self.error(".origin", "names nothing to update from");
        }
        found
    }

    fn object(&self, checksum: Checksum, kind: ObjectKind) -> Option<Vec<u8>> {
        read_small(self.tree, *self.objects.get(&(checksum, kind))?, METADATA_MAX)
    }

    fn root_ids(&mut self, commit: Checksum) -> Option<TreeIds> {
        let Some(bytes) = self.object(commit, ObjectKind::Commit) else {
            self.error("", format!("its commit {commit} is not in the repository"));
            return None;
        };
        match Commit::parse(&bytes) {
            Ok(commit) => Some(commit.root),
            Err(error) => {
                self.error("", format!("its commit {commit}: {error:#}"));
                None
            }
        }
    }

    /// Compares a directory with the objects it was made of. Tells `repo` the files' checksums.
    fn directory(&mut self, ids: TreeIds, node: NodeId, path: &str, depth: usize, repo: &mut Repo) {
        let meta = self.object(ids.dirmeta, ObjectKind::DirMeta);
        let listing = self.object(ids.dirtree, ObjectKind::DirTree);
        // Objects that are missing or corrupt are in the findings already.
        let (Some(meta), Some(listing)) = (meta, listing) else { return };
        let (Ok(meta), Ok(listing)) = (DirMeta::parse(&meta), DirTree::parse(&listing)) else { return };
        let Some(children) = self.tree.children(node).cloned() else {
            return self.error(path, "not a directory");
        };
        if depth > DEPTH_MAX {
            return self.error(path, "nested too deep");
        }
        self.directory_meta(&meta, node, path);
        let mut known: HashSet<&[u8]> = HashSet::new();
        for (name, checksum) in &listing.files {
            if let Some(name) = name.strip_prefix(QUOTED_WHITEOUT) {
                known.insert(name.as_bytes());
                self.whiteout(children.get(name.as_bytes()), &format!("{path}/{name}"));
                continue;
            }
            known.insert(name.as_bytes());
            self.file(children.get(name.as_bytes()), *checksum, &format!("{path}/{name}"), repo);
        }
        for (name, ids) in &listing.directories {
            known.insert(name.as_bytes());
            let below = format!("{path}/{name}");
            match children.get(name.as_bytes()) {
                Some(_) if below == "/etc" => {}
                Some(&child) => self.directory(*ids, child, &below, depth + 1, repo),
                None => self.error(&below, "missing, though the commit has it"),
            }
        }
        let is_root = path.is_empty();
        let own: &[&[u8]] = if is_root { &[b"etc", IMAGE] } else { &[] };
        for name in children.keys().filter(|name| !known.contains(&***name) && !own.contains(&&***name)) {
            let place = format!("{}{path}/{}", self.place, name.escape_ascii());
            self.findings.warning(CHECK, place, "not in the commit");
        }
    }

    fn directory_meta(&mut self, meta: &DirMeta, node: NodeId, path: &str) {
        let found = &self.tree.node(node).meta;
        let same = (found.uid, found.gid, found.mode) == (meta.uid, meta.gid, meta.mode);
        let visible = found.xattrs.iter().filter(|(_, value)| !value.is_empty());
        if !same || !visible.eq(meta.xattrs.iter()) {
            let what = format!(
                "owner {}:{}, mode {:o} and attributes are not the commit's {}:{}, {:o}",
                found.uid, found.gid, found.mode, meta.uid, meta.gid, meta.mode
            );
            self.error(path, what);
        }
    }

    /// The device that a file of the commit stands for.
    fn whiteout(&mut self, node: Option<&NodeId>, path: &str) {
        self.has_whiteouts = true;
        if !node.is_some_and(|&node| matches!(self.tree.node(node).kind, Kind::CharDevice(0, 0))) {
            self.error(path, "no whiteout, though the commit quotes one");
        }
    }

    /// A hard link of its object, or an equal file.
    fn file(&mut self, node: Option<&NodeId>, checksum: Checksum, path: &str, repo: &mut Repo) {
        let Some(&node) = node else {
            return self.error(path, "missing, though the commit has it");
        };
        repo.set_checksum(node, checksum);
        let object = self.objects.get(&(checksum, ObjectKind::File));
        if object == Some(&node) {
            if self.wrong.contains(&node) {
                self.error(path, format!("corrupt: it is the object {checksum}"));
            }
            return;
        }
        let budget = object.map(|&object| content_len(self.tree, object));
        let found = content_len(self.tree, node);
        if budget != Some(found) {
            return self.error(path, format!("{found} bytes, not the object {checksum}"));
        }
        self.shared.holes = self.shared.holes.saturating_add(hole_len(self.tree, node));
        if self.shared.holes > self.size {
            return self.error(path, "too much of it and of files before it are holes, not hashed");
        }
        match hash_file(self.tree.node(node), &mut vec![0; 1 << 16], &()) {
            Ok(found) if found == checksum => {}
            Ok(found) => self.error(path, format!("is {found}, the commit has {checksum}")),
            Err(error) => self.error(path, format!("{error:#}")),
        }
    }

    /// The composefs image: there if it is wanted, and the bytes that the commit gives.
    fn image(&mut self, root: NodeId, ids: TreeIds, mode: &str, repo: &Repo) {
        let path = "/.ostree.cfs";
        let wanted = !matches!(mode, "no" | "false" | "0" | "maybe");
        let Some(image) = self.tree.child(root, IMAGE) else {
            if wanted {
                self.error(path, format!("missing, though prepare-root.conf says composefs '{mode}'"));
            }
            return;
        };
        let Some(found) = read_small(self.tree, image, IMAGE_MAX) else {
            return self.error(path, "cannot be read");
        };
        if matches!(mode, "verity" | "signed") && !self.tree.node(image).meta.verity {
            self.error(path, format!("without fs-verity, though prepare-root.conf says composefs '{mode}'"));
        }
        // The image is made of the commit's names, and those are not all here.
        if self.has_whiteouts {
            return;
        }
        let commit_root = self.commit_root(root, ids);
        let has_digests = matches!(mode, "verity" | "signed");
        if has_digests && self.shared.digests.is_none() {
            self.shared.digests = Some(self.digests());
        }
        let digests = self.shared.digests.as_ref().filter(|_| has_digests);
        match cfs::image(self.tree, commit_root, repo, digests) {
            Ok(expected) if expected == found => {}
            Ok(expected) => {
                let at = expected.iter().zip(&found).position(|(a, b)| a != b);
                let at = at.unwrap_or(expected.len().min(found.len()));
                self.error(path, format!("not the image of its commit, from byte {at} on"));
            }
            // Files that could not be compared were found before.
            Err(error) => self.error(path, format!("cannot be compared: {error:#}")),
        }
    }

    /// Digests of all objects that could be hashed.
    fn digests(&self) -> cfs::Digests {
        let files = self.objects.par_iter().filter(|((_, kind), _)| *kind == ObjectKind::File);
        let digest =
            |(&(checksum, _), &node): (&(Checksum, ObjectKind), &NodeId)| match &self.tree.node(node).kind {
                Kind::File(content) if !content.is_empty() && content.len() <= self.size => {
                    Some((checksum, verity::digest(content).ok()?))
                }
                _ => None,
            };
        files.filter_map(digest).collect()
    }

    /// The deployment's root with the commit's names only.
    fn commit_root(&mut self, root: NodeId, ids: TreeIds) -> NodeId {
        let listing = self.object(ids.dirtree, ObjectKind::DirTree).unwrap_or_default();
        let listing = DirTree::parse(&listing).unwrap_or_default();
        let names = listing.files.iter().map(|(name, _)| *name);
        let names: HashSet<&str> = names.chain(listing.directories.iter().map(|(name, _)| *name)).collect();
        let children = self.tree.children(root).cloned().unwrap_or_default();
        let kept = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| names.contains(name));
        let children: Children = children.into_iter().filter(|(name, _)| kept(name)).collect();
        let meta = Meta { immutable: false, ..self.tree.node(root).meta.clone() };
        self.tree.add(Node { meta, kind: Kind::Directory(children) })
    }
}

fn hole_len(tree: &Tree, node: NodeId) -> u64 {
    match &tree.node(node).kind {
        Kind::File(content) => content.len() - content.data_len(),
        _ => 0,
    }
}

fn content_len(tree: &Tree, node: NodeId) -> u64 {
    match &tree.node(node).kind {
        Kind::File(content) => content.len(),
        _ => 0,
    }
}
