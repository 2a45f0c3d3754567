//! An ostree repository of mode `bare`, in memory until it becomes a directory.
//!
//! ```text
//! repo/config              key file
//! repo/.lock               empty
//! repo/refs/heads/NAME     checksum of a commit, newline
//! repo/objects/XX/YY.KIND  object with the checksum XXYY: files as themselves, the rest serialized
//! repo/{extensions,state,tmp/cache,refs/mirrors,refs/remotes}
//! ```
//!
//! File objects are nodes of the arena that also holds the trees they came
//! from, so a deployment that uses [`Repo::object`] shares its inodes with
//! the repository, as a checkout by hard links does. Extended attributes with
//! an empty value are left out, because libostree does not see them. Source: ostree's
//! `ostree-repo.c` and manual. Left out: archive and bare-user modes,
//! summaries, deltas, signatures.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, Node, NodeId, Time, Tree},
    units::MIB,
    writer::Progress,
};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{
    cfs::Digests,
    checksum::Checksum,
    object::{Commit, DirMeta, DirTree, ObjectKind, TreeIds, Variant, file_header, visible_xattrs},
    refs::validate_ref,
    verity,
};

const S_IFLNK: u32 = 0o120_000;
/// Symbolic links have no permissions of their own: the kernel always shows these.
const SYMLINK_MODE: u16 = 0o777;
/// Files are read and hashed in pieces of this many bytes.
const CHUNK: usize = MIB as usize;
/// Directories may be nested this deep: no path of the kernel's 4096 bytes is deeper.
const DEPTH_MAX: usize = 2048;

/// What the repository's `config` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepoConfig {
    /// `sysroot.bootloader`, "none" if not given: what libostree runs after it wrote a boot entry.
    pub bootloader: Option<String>,
    /// `sysroot.bls-append-except-default`, from `[install.ostree]` of the image.
    pub bls_append_except_default: Option<String>,
    /// Whether objects must carry fs-verity.
    pub fsverity: bool,
}

impl RepoConfig {
    /// The key file, as libostree and bootc leave it.
    #[must_use]
    pub fn text(&self) -> String {
        let bootloader = self.bootloader.as_deref().unwrap_or("none");
        let mut text = format!(
            "[core]\nrepo_version=1\nmode=bare\n\n\
             [sysroot]\nbootloader={bootloader}\nbootprefix=true\nreadonly=true\n"
        );
        if let Some(value) = &self.bls_append_except_default {
            text.push_str(&format!("bls-append-except-default={value}\n"));
        }
        if self.fsverity {
            text.push_str("\n[ex-integrity]\nfsverity=true\n");
        }
        text
    }
}

/// A repository. It belongs to one [`Tree`]: every node given to it must be of the same arena.
#[derive(Debug, Default)]
pub struct Repo {
    config: RepoConfig,
    /// Checksums of the files hashed so far, objects among them.
    hashed: HashMap<NodeId, Checksum>,
    files: BTreeMap<Checksum, FileObject>,
    metadata: BTreeMap<(Checksum, ObjectKind), Arc<[u8]>>,
    refs: BTreeMap<String, Checksum>,
}

#[derive(Clone, Copy, Debug)]
enum FileObject {
    /// A node with the object's content and metadata, but for its time.
    Like(NodeId),
    /// The object itself.
    Node(NodeId),
}

impl Repo {
    /// An empty repository.
    #[must_use]
    pub fn new(config: RepoConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Hashes every regular file and symbolic link at or below `start` that
    /// was not hashed before, on all cores. `progress` hears of the bytes
    /// hashed. A node that was hashed must not change any more, its time excepted.
    ///
    /// # Errors
    /// Reading content; the message names the path below `start`.
    pub fn hash_files(&mut self, tree: &Tree, start: NodeId, progress: &dyn Progress) -> anyhow::Result<()> {
        let fresh = self.unhashed(tree, start);
        let hash = |buffer: &mut Vec<u8>, &file: &NodeId| {
            let checksum = hash_file(tree.node(file), buffer, progress);
            checksum.map(|checksum| (file, checksum)).map_err(|error| (file, error))
        };
        let hashed: Result<Vec<_>, _> =
            fresh.par_iter().with_max_len(64).map_init(|| vec![0; CHUNK], hash).collect();
        match hashed {
            Ok(hashed) => self.hashed.extend(hashed),
            Err((file, error)) => {
                return Err(error).with_context(|| format!("hashing {}", path_of(tree, start, file)));
            }
        }
        Ok(())
    }

    /// Files and links at or below `start` without a checksum, each once, in order of the walk.
    fn unhashed(&self, tree: &Tree, start: NodeId) -> Vec<NodeId> {
        let mut seen = HashSet::new();
        let mut fresh = Vec::new();
        let mut stack = vec![start];
        while let Some(id) = stack.pop() {
            match &tree.node(id).kind {
                Kind::Directory(children) => stack.extend(children.values().rev()),
                Kind::File(_) | Kind::Symlink(_) if !self.hashed.contains_key(&id) && seen.insert(id) => {
                    fresh.push(id);
                }
                _ => {}
            }
        }
        fresh
    }

    /// The checksum of a file or symbolic link, if it was hashed.
    #[must_use]
    pub fn checksum(&self, file: NodeId) -> Option<Checksum> {
        self.hashed.get(&file).copied()
    }

    /// Takes the checksum of a file or symbolic link from who has hashed it.
    pub fn set_checksum(&mut self, file: NodeId, checksum: Checksum) {
        self.hashed.insert(file, checksum);
    }

    /// Makes a hashed file an object of the repository, whether or not a tree names it.
    ///
    /// # Errors
    /// If it was not hashed.
    pub fn add_file(&mut self, file: NodeId) -> anyhow::Result<Checksum> {
        let checksum = self.checksum(file).context("a file that was not hashed")?;
        self.files.entry(checksum).or_insert(FileObject::Like(file));
        Ok(checksum)
    }

    /// The object of a hashed file: same content, mode, owner and attributes,
    /// time 0. Equal files share one object; link it to share its inode.
    ///
    /// # Panics
    /// If `file` was not hashed.
    pub fn object(&mut self, tree: &mut Tree, file: NodeId) -> NodeId {
        let checksum = self.add_file(file).expect("objects are made of hashed files");
        self.object_by_checksum(tree, checksum).expect("the file was added just now")
    }

    /// The object with that checksum, if the repository has it.
    pub fn object_by_checksum(&mut self, tree: &mut Tree, checksum: Checksum) -> Option<NodeId> {
        let object = self.files.get_mut(&checksum)?;
        let like = match *object {
            FileObject::Node(node) => return Some(node),
            FileObject::Like(like) => like,
        };
        let mut node = tree.node(like).clone();
        node.meta.mtime = Time::default();
        node.meta.immutable = false;
        node.meta.verity = self.config.fsverity && matches!(node.kind, Kind::File(_));
        node.meta.xattrs = visible_xattrs(&node.meta.xattrs);
        if matches!(node.kind, Kind::Symlink(_)) {
            node.meta.mode = SYMLINK_MODE;
        }
        let node = tree.add(node);
        *object = FileObject::Node(node);
        self.hashed.insert(node, checksum);
        Some(node)
    }

    /// The fs-verity digest of every object with content, computed on all cores; `None` where the
    /// repository has no fs-verity. `progress` hears of the bytes read.
    ///
    /// # Errors
    /// Reading content.
    pub fn digests(&self, tree: &Tree, progress: &dyn Progress) -> anyhow::Result<Option<Digests>> {
        if !self.config.fsverity {
            return Ok(None);
        }
        let digest = |(&checksum, object): (&Checksum, &FileObject)| {
            let (FileObject::Like(node) | FileObject::Node(node)) = *object;
            let Kind::File(content) = &tree.node(node).kind else { return Ok(None) };
            let digest = verity::digest(content).with_context(|| format!("hashing object {checksum}"))?;
            progress.advance(content.len());
            Ok(Some((checksum, digest)))
        };
        let digests: anyhow::Result<Vec<_>> = self.files.par_iter().map(digest).collect();
        Ok(Some(digests?.into_iter().flatten().collect()))
    }

    /// Writes the objects of `dir` and all below it; files must have been hashed.
    ///
    /// # Errors
    /// Devices, pipes and sockets, names that are not UTF-8 and files without
    /// a checksum; the message names the path below `dir`.
    pub fn write_tree(&mut self, tree: &Tree, dir: NodeId) -> anyhow::Result<TreeIds> {
        self.write_directory(tree, dir, "", 0)
    }

    fn write_directory(
        &mut self,
        tree: &Tree,
        dir: NodeId,
        path: &str,
        depth: usize,
    ) -> anyhow::Result<TreeIds> {
        ensure!(depth <= DEPTH_MAX, "{path}: over {DEPTH_MAX} directories deep");
        let children = tree.children(dir).with_context(|| format!("'{path}' is no directory"))?;
        let mut listing = DirTree::default();
        for (name, &child) in children {
            let name = std::str::from_utf8(name).map_err(|_| {
                anyhow::anyhow!("{path}/{}: ostree stores no name that is not UTF-8", name.escape_ascii())
            })?;
            let below = format!("{path}/{name}");
            match &tree.node(child).kind {
                Kind::Directory(_) => {
                    listing.directories.push((name, self.write_directory(tree, child, &below, depth + 1)?));
                }
                Kind::File(_) | Kind::Symlink(_) => {
                    let checksum = self.add_file(child).with_context(|| below.clone())?;
                    listing.files.push((name, checksum));
                }
                _ => bail!("{below}: ostree stores no devices, pipes or sockets"),
            }
        }
        let meta = &tree.node(dir).meta;
        let xattrs = visible_xattrs(&meta.xattrs);
        let dirmeta = DirMeta { uid: meta.uid, gid: meta.gid, mode: meta.mode, xattrs };
        let dirtree = self.add_object(ObjectKind::DirTree, listing.encode());
        Ok(TreeIds { dirtree, dirmeta: self.add_object(ObjectKind::DirMeta, dirmeta.encode()) })
    }

    /// The tree of a commit whose objects are all here, as a directory
    /// without a name: directories of time 0, and the objects themselves as files.
    ///
    /// # Errors
    /// Objects that are missing; the message names the path.
    pub fn checkout(&mut self, tree: &mut Tree, root: TreeIds) -> anyhow::Result<NodeId> {
        self.checkout_directory(tree, root, "", 0)
    }

    fn checkout_directory(
        &mut self,
        tree: &mut Tree,
        ids: TreeIds,
        path: &str,
        depth: usize,
    ) -> anyhow::Result<NodeId> {
        ensure!(depth <= DEPTH_MAX, "{path}: over {DEPTH_MAX} directories deep");
        let missing = |kind: ObjectKind, id| format!("{path}/: no object {id}.{}", kind.extension());
        let bytes = |kind, id| self.metadata.get(&(id, kind)).cloned().with_context(|| missing(kind, id));
        let meta = DirMeta::parse(&bytes(ObjectKind::DirMeta, ids.dirmeta)?)?;
        let listing = bytes(ObjectKind::DirTree, ids.dirtree)?;
        let listing = DirTree::parse(&listing)?;
        let DirMeta { uid, gid, mode, xattrs } = meta;
        let directory = tree.add_directory(Meta { uid, gid, mode, xattrs, ..Meta::default() });
        for (name, checksum) in listing.files {
            let file = self.object_by_checksum(tree, checksum);
            let file = file.with_context(|| format!("{path}/{name}: no object {checksum}.file"))?;
            tree.link(directory, name.as_bytes(), file);
        }
        for (name, ids) in listing.directories {
            let child = self.checkout_directory(tree, ids, &format!("{path}/{name}"), depth + 1)?;
            tree.link(directory, name.as_bytes(), child);
        }
        Ok(directory)
    }

    /// Writes a commit without subject and body, its metadata sorted by key.
    pub fn commit(
        &mut self,
        root: TreeIds,
        metadata: &[(&str, &str)],
        parent: Option<Checksum>,
        timestamp: u64,
    ) -> Checksum {
        let mut metadata: Vec<_> =
            metadata.iter().map(|&(key, text)| (key, Variant::from_text(text))).collect();
        metadata.sort_by_key(|(key, _)| *key);
        let commit = Commit { metadata, parent, subject: "", body: "", timestamp, root };
        self.add_object(ObjectKind::Commit, commit.encode())
    }

    /// Adds a metadata object as it is; its checksum is its name.
    pub fn add_object(&mut self, kind: ObjectKind, bytes: Vec<u8>) -> Checksum {
        let checksum = Checksum::of(&bytes);
        self.metadata.entry((checksum, kind)).or_insert_with(|| bytes.into());
        checksum
    }

    /// Adds a metadata object that arrives with a name, after checking both
    /// the name and the form. Detached metadata is named after its commit and not checked.
    ///
    /// # Errors
    /// If the bytes do not hash to the name or are no such object.
    pub fn import_object(&mut self, kind: ObjectKind, name: Checksum, bytes: Vec<u8>) -> anyhow::Result<()> {
        let extension = kind.extension();
        ensure!(kind != ObjectKind::File, "{name}.{extension}: a file is no metadata object");
        let found = Checksum::of(&bytes);
        if kind != ObjectKind::CommitMeta && found != name {
            bail!("{name}.{extension}: corrupt, its checksum is {found}");
        }
        kind.validate(&bytes).with_context(|| format!("{name}.{extension}"))?;
        self.metadata.insert((name, kind), bytes.into());
        Ok(())
    }

    /// The bytes of a metadata object.
    #[must_use]
    pub fn metadata_object(&self, kind: ObjectKind, checksum: Checksum) -> Option<&[u8]> {
        self.metadata.get(&(checksum, kind)).map(|bytes| &**bytes)
    }

    /// Makes `name` (below `refs/heads`) point to `commit`.
    ///
    /// # Errors
    /// A name libostree would refuse.
    pub fn set_ref(&mut self, name: &str, commit: Checksum) -> anyhow::Result<()> {
        validate_ref(name)?;
        self.refs.insert(name.to_owned(), commit);
        Ok(())
    }

    /// The repository as a directory without a name.
    ///
    /// # Errors
    /// If one ref is a directory of another.
    pub fn into_directory(mut self, tree: &mut Tree) -> anyhow::Result<NodeId> {
        let repo = directory(tree);
        let config = self.config.text().into_bytes();
        let config = tree.add_file(Meta::root(0o644), Sparse::from_bytes(config));
        // The mark that every object has fs-verity.
        tree.node_mut(config).meta.verity = self.config.fsverity;
        tree.link(repo, *b"config", config);
        link_file(tree, repo, ".lock", 0o640, Vec::new());
        for path in ["extensions", "state", "tmp/cache", "refs/heads", "refs/mirrors", "refs/remotes"] {
            make_path(tree, repo, path).with_context(|| format!("making repo/{path}"))?;
        }
        self.link_refs(tree, repo)?;
        let objects = self.objects_directory(tree);
        tree.link(repo, *b"objects", objects);
        Ok(repo)
    }

    fn link_refs(&self, tree: &mut Tree, repo: NodeId) -> anyhow::Result<()> {
        for (name, commit) in &self.refs {
            let path = format!("refs/heads/{name}");
            let (parent, name) = path.rsplit_once('/').expect("the path has slashes");
            let parent = make_path(tree, repo, parent).with_context(|| format!("writing repo/{path}"))?;
            ensure!(tree.child(parent, name.as_bytes()).is_none(), "repo/{path} is a directory of refs");
            link_file(tree, parent, name, 0o644, format!("{commit}\n").into_bytes());
        }
        Ok(())
    }

    fn objects_directory(&mut self, tree: &mut Tree) -> NodeId {
        let objects = directory(tree);
        let fan_out: Vec<NodeId> = (0..=u8::MAX)
            .map(|byte| {
                let part = directory(tree);
                tree.link(objects, format!("{byte:02x}").into_bytes(), part);
                part
            })
            .collect();
        let link = |tree: &mut Tree, checksum: Checksum, kind: ObjectKind, node| {
            let name = format!("{}.{}", &checksum.to_string()[2..], kind.extension());
            tree.link(fan_out[usize::from(checksum.as_bytes()[0])], name.into_bytes(), node);
        };
        let checksums: Vec<Checksum> = self.files.keys().copied().collect();
        for checksum in checksums {
            if let Some(node) = self.object_by_checksum(tree, checksum) {
                link(tree, checksum, ObjectKind::File, node);
            }
        }
        for ((checksum, kind), bytes) in std::mem::take(&mut self.metadata) {
            let node = tree.add_file(Meta::root(0o644), Sparse::from_bytes(bytes));
            link(tree, checksum, kind, node);
        }
        objects
    }
}

/// The checksum of a regular file or symbolic link, read in pieces of the buffer's length.
///
/// # Errors
/// The content's read error, and nodes of another type.
pub fn hash_file(node: &Node, buffer: &mut [u8], progress: &dyn Progress) -> anyhow::Result<Checksum> {
    let Meta { uid, gid, xattrs, .. } = &node.meta;
    let xattrs = &visible_xattrs(xattrs);
    match &node.kind {
        Kind::Symlink(target) => {
            let mode = S_IFLNK | u32::from(SYMLINK_MODE);
            Ok(Checksum::of(&file_header(*uid, *gid, mode, target, xattrs)))
        }
        Kind::File(content) => {
            let header = file_header(*uid, *gid, node.st_mode(), b"", xattrs);
            let mut hasher = Sha256::new_with_prefix(header);
            let mut at = 0;
            while at < content.len() {
                let len = (content.len() - at).min(buffer.len() as u64);
                let chunk = &mut buffer[..len as usize];
                content.read_exact_at(chunk, at)?;
                hasher.update(chunk);
                progress.advance(len);
                at += len;
            }
            Ok(Checksum::from_hasher(hasher))
        }
        _ => bail!("neither a regular file nor a symbolic link"),
    }
}

fn directory(tree: &mut Tree) -> NodeId {
    tree.add_directory(Meta::root(0o755))
}

fn link_file(tree: &mut Tree, parent: NodeId, name: &str, mode: u16, content: Vec<u8>) {
    let file = tree.add_file(Meta::root(mode), Sparse::from_bytes(content));
    tree.link(parent, name.as_bytes(), file);
}

/// The directory at `path` below `at`, made with its parents where missing.
fn make_path(tree: &mut Tree, at: NodeId, path: &str) -> anyhow::Result<NodeId> {
    path.split('/').try_fold(at, |at, name| {
        if let Some(child) = tree.child(at, name.as_bytes()) {
            ensure!(tree.children(child).is_some(), "'{name}' is no directory");
            return Ok(child);
        }
        let child = directory(tree);
        tree.link(at, name.as_bytes(), child);
        Ok(child)
    })
}

/// A path from `start` to `file`, for messages.
fn path_of(tree: &Tree, start: NodeId, file: NodeId) -> String {
    let mut stack = vec![(String::new(), start)];
    while let Some((path, id)) = stack.pop() {
        if id == file {
            return path;
        }
        let children = tree.children(id).into_iter().flatten();
        stack.extend(children.map(|(name, &child)| (format!("{path}/{}", name.escape_ascii()), child)));
    }
    "a file".to_owned()
}
