//! Images whose lower layers carry an ostree commit as objects (rpm-ostree's
//! "chunked" images, label `ostree.final-diffid`): the base commit is taken
//! over as it is, every checksum verified.
//!
//! ```text
//! sysroot/ostree/repo/objects/XX/YY.commit .commitmeta .dirtree .dirmeta
//! sysroot/ostree/repo/objects/XX/YY.file                   content, owner and mode
//! sysroot/ostree/repo/objects/XX/YY.file-xattrs-link       its attributes, as a(ayay)
//! sysroot/ostree/repo/objects/XX/YY.file.xattrs            the same, in the oldest images
//! ```

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::{
    tree::{Kind, Meta, NodeId, Tree},
    writer::Progress,
};

use super::{
    IMPORTER_VERSION,
    checksum::Checksum,
    object::{Commit, ObjectKind, TreeIds, parse_xattrs},
    repo::Repo,
};

/// Where the layers keep their objects.
const OBJECTS: &str = "sysroot/ostree/repo/objects";
/// Names of the attributes of a file object, newest form first.
const XATTR_SUFFIXES: [&str; 2] = ["-xattrs-link", ".xattrs"];

/// The base commit of a chunked image.
pub(super) struct Base {
    pub commit: Checksum,
    /// Its tree, in the arena.
    pub root: NodeId,
    /// The commit that stands for each layer, lowest first.
    pub layers: Vec<Checksum>,
}

/// Takes the objects of `layers` into the repository.
pub(super) fn import(
    tree: &mut Tree,
    repo: &mut Repo,
    layers: &[NodeId],
    timestamp: u64,
    progress: &dyn Progress,
) -> Result<Base> {
    let mut commits = Vec::new();
    let mut base = None;
    for (index, &layer) in layers.iter().enumerate() {
        let doing = || format!("importing chunk {} of {}", index + 1, layers.len());
        let (set, found) = objects(tree, repo, layer).with_context(doing)?;
        if let Some(found) = found {
            ensure!(base.replace(found).is_none(), "more than one commit in the layers of a chunked image");
        }
        let ids = object_set(tree, repo, set, progress).with_context(doing)?;
        commits.push(repo.commit(ids, &[IMPORTER_VERSION], None, timestamp));
    }
    let commit = base.context("no commit in the layers of a chunked image")?;
    let bytes = repo.metadata_object(ObjectKind::Commit, commit).context("no commit object")?.to_vec();
    let root = repo.checkout(tree, Commit::parse(&bytes)?.root)?;
    if let Some(first) = commits.first_mut() {
        *first = commit;
    }
    Ok(Base { commit, root, layers: commits })
}

/// Imports the metadata objects of a layer; returns its files as a flat
/// directory named by checksum, and the commit if there is one.
fn objects(tree: &mut Tree, repo: &mut Repo, layer: NodeId) -> Result<(NodeId, Option<Checksum>)> {
    let set = tree.add_directory(Meta::root(0o755));
    let mut commit = None;
    let fan_out =
        tree.lookup_from(layer, OBJECTS).and_then(|id| tree.children(id)).cloned().unwrap_or_default();
    for (prefix, directory) in fan_out {
        let children = tree.children(directory).cloned().unwrap_or_default();
        for (name, &node) in &children {
            let name = String::from_utf8([&*prefix, name].concat()).context("object name is not text")?;
            let Some((hex, extension)) = name.split_once('.') else { continue };
            let Some(kind) = ObjectKind::from_extension(extension) else { continue };
            let checksum: Checksum = hex.parse().with_context(|| format!("object '{name}'"))?;
            if kind == ObjectKind::File {
                let attributes = XATTR_SUFFIXES.iter().find_map(|suffix| {
                    children.get(format!("{}.file{suffix}", &hex[2..]).as_bytes()).copied()
                });
                set_xattrs(tree, node, attributes).with_context(|| format!("object '{name}'"))?;
                tree.link(set, hex.as_bytes(), node);
                continue;
            }
            repo.import_object(kind, checksum, content(tree, node)?)?;
            if kind == ObjectKind::Commit {
                ensure!(commit.replace(checksum).is_none(), "more than one commit in a layer");
            }
        }
    }
    Ok((set, commit))
}

fn content(tree: &Tree, node: NodeId) -> Result<Vec<u8>> {
    match &tree.node(node).kind {
        Kind::File(content) if content.len() <= 128 << 20 => Ok(content.to_vec()?),
        Kind::File(content) => bail!("metadata object of {} bytes", content.len()),
        _ => bail!("metadata object is not a regular file"),
    }
}

fn set_xattrs(tree: &mut Tree, node: NodeId, attributes: Option<NodeId>) -> Result<()> {
    if let Some(attributes) = attributes {
        let xattrs = parse_xattrs(&content(tree, attributes)?)?;
        tree.node_mut(node).meta.xattrs = Arc::new(xattrs);
    }
    Ok(())
}

/// Verifies the files of a layer and writes them as the flat tree that stands for it.
fn object_set(tree: &Tree, repo: &mut Repo, set: NodeId, progress: &dyn Progress) -> Result<TreeIds> {
    repo.hash_files(tree, set, progress)?;
    for (name, &node) in tree.children(set).into_iter().flatten() {
        let found = repo.checksum(node).context("object was not hashed")?.to_string();
        ensure!(
            found.as_bytes() == &**name,
            "object {}.file is corrupt: its checksum is {found}",
            name.escape_ascii()
        );
    }
    repo.write_tree(tree, set)
}
