//! An `ostree fsck` of our own: every object hashed from what is on the disk
//! (owner, mode, attributes, content) and compared with its name, everything
//! reachable from every commit present, every ref a commit.
//!
//! Left out: bare-user and archive repositories (a warning), signatures,
//! detached metadata, whose names are those of their commits.

use std::collections::{HashMap, HashSet};

use diskwright_formats::tree::{Kind, NodeId, Tree};
use rayon::prelude::*;

use super::{
    deployments::{self, Deployed},
    filesystems::{Volumes, read_small},
    report::Findings,
};
use crate::{
    deploy::{
        ostree::{
            checksum::Checksum,
            object::{Commit, DirTree, ObjectKind, TreeIds},
            refs::validate_ref,
            repo::hash_file,
        },
        rootfs::Rootfs,
        system::key_file_value,
    },
    progress::Progress,
};

const CHECK: &str = "ostree";
/// Where a repository is on its filesystem.
pub(super) const REPO: &str = "ostree/repo";
/// Largest metadata object: libostree's own limit.
const METADATA_MAX: u64 = 128 << 20;
/// Largest ref or configuration.
const TEXT_MAX: u64 = 1 << 20;
/// Files are read and hashed in pieces of this many bytes.
const BUFFER: usize = 1 << 20;
/// Refs may be nested this deep.
const REF_DEPTH: usize = 64;

/// What the check of a disk's repository came to.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) objects: usize,
    pub(super) bytes: u64,
    pub(super) refs: usize,
    pub(super) deployments: Vec<Deployed>,
}

/// The objects of a repository, by name.
pub(super) type Objects = HashMap<(Checksum, ObjectKind), NodeId>;

/// Checks the repository of the disk, and the deployments made of it.
pub(super) fn check(volumes: &mut Volumes, progress: &dyn Progress, findings: &mut Findings) -> Checked {
    let holds = |tree: &Tree| tree.lookup(REPO).is_some_and(|repo| tree.children(repo).is_some());
    let found = volumes
        .list
        .iter()
        .position(|volume| volume.contents.as_ref().is_some_and(|contents| holds(&contents.tree)));
    let Some(volume) = found.map(|index| &mut volumes.list[index]) else {
        if volumes.hides_system() {
            return Checked::default();
        }
        findings.error(CHECK, "disk", format!("no filesystem that could be read has a repository /{REPO}"));
        return Checked::default();
    };
    let (place, size) = (volume.place(), volume.entry.size);
    let Some(contents) = &mut volume.contents else { return Checked::default() };
    let repository = Repository::read(&contents.tree, place, findings);
    let (bytes, wrong) = repository.hash(size, progress, findings);
    let refs = repository.refs(findings);
    repository.reach(findings);
    let Repository { objects, place, .. } = repository;
    let deployments = match wrong {
        Some(wrong) => deployments::check(&mut contents.tree, &objects, &wrong, (&place, size), findings),
        None => Vec::new(),
    };
    Checked { objects: objects.len(), bytes, refs, deployments }
}

struct Repository<'a> {
    tree: &'a Tree,
    root: Rootfs<'a>,
    objects: Objects,
    /// Of the volume.
    place: String,
}

impl<'a> Repository<'a> {
    fn read(tree: &'a Tree, place: String, findings: &mut Findings) -> Self {
        let root = Rootfs { tree, root: tree.lookup(REPO).unwrap_or(tree.root()) };
        let mut repository = Self { tree, root, objects: Objects::new(), place };
        let fsverity = repository.config(findings);
        for (directory, _) in root.list("objects") {
            repository.fan_out(directory, findings);
        }
        if fsverity {
            repository.sealed(findings);
        }
        for (name, _) in root.list("state").iter().filter(|(name, _)| name.ends_with(b".commitpartial")) {
            let at = repository.at(&format!("state/{}", name.escape_ascii()));
            findings.error(CHECK, at, "a commit that was not pulled completely");
        }
        repository
    }

    fn at(&self, path: &str) -> String {
        format!("{}: /{REPO}/{path}", self.place)
    }

    /// Returns whether objects must have fs-verity.
    fn config(&self, findings: &mut Findings) -> bool {
        let text = self.tree.lookup_from(self.root.root, "config");
        let text = text.and_then(|node| read_small(self.tree, node, TEXT_MAX));
        let Some(text) = text.and_then(|text| String::from_utf8(text).ok()) else {
            findings.error(CHECK, self.at("config"), "missing, or no text");
            return false;
        };
        match key_file_value(&text, "core", "mode").as_deref() {
            Some("bare") => {}
            Some(mode) => {
                findings.warning(CHECK, self.at("config"), format!("mode '{mode}' is read as 'bare'"));
            }
            None => findings.error(CHECK, self.at("config"), "names no mode"),
        }
        if key_file_value(&text, "core", "repo_version").as_deref() != Some("1") {
            findings.error(CHECK, self.at("config"), "repo_version is not 1");
        }
        let fsverity = key_file_value(&text, "ex-integrity", "fsverity");
        fsverity.is_some_and(|value| matches!(value.as_str(), "true" | "yes" | "1"))
    }

    /// Objects whose checksums begin with the directory's name.
    fn fan_out(&mut self, directory: &[u8], findings: &mut Findings) {
        let directory = String::from_utf8_lossy(directory).into_owned();
        for (name, node) in self.root.list(&format!("objects/{directory}")) {
            let name = String::from_utf8_lossy(name).into_owned();
            let parsed = name.split_once('.').and_then(|(rest, extension)| {
                let checksum = format!("{directory}{rest}").parse::<Checksum>().ok()?;
                Some((checksum, ObjectKind::from_extension(extension)?))
            });
            match parsed {
                Some(key) => drop(self.objects.insert(key, node)),
                None => {
                    let at = self.at(&format!("objects/{directory}/{name}"));
                    findings.warning(CHECK, at, "no name of an object");
                }
            }
        }
    }

    /// Every regular file object has fs-verity.
    fn sealed(&self, findings: &mut Findings) {
        let is_file = |node: &NodeId| matches!(self.tree.node(*node).kind, Kind::File(_));
        let files =
            self.objects.iter().filter(|((_, kind), node)| *kind == ObjectKind::File && is_file(node));
        let mut open: Vec<_> = files.filter(|(_, node)| !self.tree.node(**node).meta.verity).collect();
        open.sort_unstable();
        for (key, _) in open {
            findings.error(CHECK, self.object_at(*key), "without fs-verity, which the configuration demands");
        }
    }

    fn object_at(&self, (checksum, kind): (Checksum, ObjectKind)) -> String {
        let name = checksum.to_string();
        self.at(&format!("objects/{}/{}.{}", &name[..2], &name[2..], kind.extension()))
    }

    /// Hashes all objects on all cores: the bytes read, and the objects that are not their names.
    /// `size` of the volume bounds what holes may add; `None` past that.
    fn hash(
        &self,
        size: u64,
        progress: &dyn Progress,
        findings: &mut Findings,
    ) -> (u64, Option<HashSet<NodeId>>) {
        let mut objects: Vec<_> = self.objects.iter().map(|(&key, &node)| (key, node)).collect();
        objects.sort_unstable_by_key(|(key, _)| *key);
        let (bytes, holes) = objects.iter().fold((0_u64, 0_u64), |(bytes, holes), (_, node)| {
            match &self.tree.node(*node).kind {
                Kind::File(content) => (
                    bytes.saturating_add(content.len()),
                    holes.saturating_add(content.len() - content.data_len()),
                ),
                _ => (bytes, holes),
            }
        });
        let mut wrong = HashSet::new();
        if holes > size {
            let at = self.at("objects");
            findings.error(CHECK, at, format!("{holes} bytes of holes in objects, which are not hashed"));
            return (0, None);
        }
        progress.begin("hashing objects", Some(bytes));
        let hashed: Vec<_> = objects
            .par_iter()
            .with_max_len(64)
            .map_init(
                || vec![0; BUFFER],
                |buffer, &(key, node)| self.hash_one(key, node, buffer, progress).err(),
            )
            .collect();
        for ((key, node), what) in objects.iter().zip(hashed) {
            if let Some(what) = what {
                findings.error(CHECK, self.object_at(*key), what);
                wrong.insert(*node);
            }
        }
        (bytes, Some(wrong))
    }

    fn hash_one(
        &self,
        (name, kind): (Checksum, ObjectKind),
        node: NodeId,
        buffer: &mut [u8],
        progress: &dyn Progress,
    ) -> Result<(), String> {
        let found = match kind {
            ObjectKind::CommitMeta => return Ok(()),
            ObjectKind::File => {
                hash_file(self.tree.node(node), buffer, progress).map_err(|error| format!("{error:#}"))?
            }
            _ => {
                let bytes =
                    read_small(self.tree, node, METADATA_MAX).ok_or("cannot be read, or too large")?;
                progress.advance(bytes.len() as u64);
                let found = Checksum::of(&bytes);
                if found == name {
                    kind.validate(&bytes).map_err(|error| format!("{error:#}"))?;
                }
                found
            }
        };
        if found == name {
            return Ok(());
        }
        Err(format!("corrupt: what is on the disk (owner, mode, attributes, content) hashes to {found}"))
    }

    /// Reads every ref; returns how many there are.
    fn refs(&self, findings: &mut Findings) -> usize {
        let mut count = 0;
        let top =
            |name: &str| self.root.lookup(format!("refs/{name}")).map(|node| (node, name.to_owned(), 0));
        let mut stack: Vec<_> = ["heads", "remotes", "mirrors"].into_iter().filter_map(top).collect();
        if !stack.iter().any(|(_, name, _)| name == "heads") {
            findings.error(CHECK, self.at("refs/heads"), "missing");
        }
        while let Some((node, name, depth)) = stack.pop() {
            let Some(children) = self.tree.children(node) else {
                count += 1;
                self.one_ref(node, &name, findings);
                continue;
            };
            if depth == REF_DEPTH {
                findings.error(CHECK, self.at(&format!("refs/{name}")), "nested too deep");
                continue;
            }
            for (child, &id) in children {
                stack.push((id, format!("{name}/{}", String::from_utf8_lossy(child)), depth + 1));
            }
        }
        count
    }

    fn one_ref(&self, node: NodeId, name: &str, findings: &mut Findings) {
        let at = self.at(&format!("refs/{name}"));
        let plain = name.split_once('/').map_or(name, |(_, rest)| rest);
        if let Err(error) = validate_ref(plain) {
            findings.error(CHECK, &at, error.to_string());
        }
        // An alias; libostree follows it when it lists refs.
        let node = match &self.tree.node(node).kind {
            Kind::Symlink(_) => self.root.lookup(format!("refs/{name}")),
            _ => Some(node),
        };
        let text = node.and_then(|node| read_small(self.tree, node, TEXT_MAX));
        let checksum = text.as_deref().map(String::from_utf8_lossy);
        match checksum.as_deref().map(|text| text.trim_end().parse::<Checksum>()) {
            None => findings.error(CHECK, at, "cannot be read"),
            Some(Err(error)) => findings.error(CHECK, at, error.to_string()),
            Some(Ok(commit)) if !self.objects.contains_key(&(commit, ObjectKind::Commit)) => {
                findings.error(CHECK, at, format!("points to the commit {commit}, which is not there"));
            }
            Some(Ok(_)) => {}
        }
    }

    /// Follows every commit down to its files.
    fn reach(&self, findings: &mut Findings) {
        let mut seen = HashSet::new();
        let mut stack: Vec<(Checksum, ObjectKind)> = Vec::new();
        let mut commits: Vec<_> =
            self.objects.keys().filter(|(_, kind)| *kind == ObjectKind::Commit).collect();
        commits.sort_unstable();
        stack.extend(commits.into_iter().rev());
        if stack.is_empty() {
            findings.error(CHECK, self.at("objects"), "no commits");
        }
        while let Some(key) = stack.pop() {
            for wanted in self.references(key) {
                if !self.objects.contains_key(&wanted) {
                    let what = format!("missing; {}.{} refers to it", key.0, key.1.extension());
                    if seen.insert(wanted) {
                        findings.error(CHECK, self.object_at(wanted), what);
                    }
                } else if seen.insert(wanted) && wanted.1 == ObjectKind::DirTree {
                    stack.push(wanted);
                }
            }
        }
        let unused = self.objects.keys().filter(|key| {
            !seen.contains(key) && !matches!(key.1, ObjectKind::Commit | ObjectKind::CommitMeta)
        });
        let unused = unused.count();
        if unused > 0 {
            findings.warning(CHECK, self.at("objects"), format!("{unused} objects that no commit reaches"));
        }
    }

    /// What an object refers to; nothing if it cannot be read, which was said when it was hashed.
    fn references(&self, (checksum, kind): (Checksum, ObjectKind)) -> Vec<(Checksum, ObjectKind)> {
        let node = self.objects.get(&(checksum, kind));
        let Some(bytes) = node.and_then(|&node| read_small(self.tree, node, METADATA_MAX)) else {
            return Vec::new();
        };
        let tree = |ids: TreeIds| [(ids.dirtree, ObjectKind::DirTree), (ids.dirmeta, ObjectKind::DirMeta)];
        match kind {
            ObjectKind::Commit => Commit::parse(&bytes).map_or(Vec::new(), |commit| tree(commit.root).into()),
            ObjectKind::DirTree => DirTree::parse(&bytes).map_or(Vec::new(), |listing| {
                let files = listing.files.into_iter().map(|(_, file)| (file, ObjectKind::File));
                files.chain(listing.directories.into_iter().flat_map(|(_, ids)| tree(ids))).collect()
            }),
            _ => Vec::new(),
        }
    }
}
