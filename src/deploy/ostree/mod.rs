//! The ostree repository, deployment and sysroot, laid down offline: what
//! bootc leaves on a disk it installed, to the byte where later upgrades look.
//!
//! Not here: signatures.

mod boot;
pub mod cfs;
pub mod checksum;
mod chunked;
mod deployment;
mod gvariant;
mod import;
pub mod object;
pub mod refs;
pub mod repo;
mod target;
pub mod verity;

use anyhow::{Context, Result};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Meta, NodeId, Tree},
};
use serde_json::{Value, json};

use boot::Boot;
pub use boot::{BootEntry, checksum as boot_checksum};
use checksum::Checksum;
use chunked::Base;
pub use deployment::QUOTED_WHITEOUT;
use deployment::{Checkout, Deployment, Ostree, text_file};
use import::Filter;
use refs::{BLOB_PREFIX, IMAGE_PREFIX, escape_ref};
use repo::{Repo, RepoConfig};
pub use target::Target;

use super::{
    image::ImageConfig,
    kernel::Kernel,
    selinux::{Policy, Relabel},
};
use crate::{
    ids::Ids,
    merge::{Merged, overlay},
    progress::Progress,
};

/// The version of ostree-ext whose import this is equal to; part of every commit's checksum.
const IMPORTER_VERSION: (&str, &str) = ("ostree.importer.version", "0.15.3");
/// The label of a chunked image: the last layer of its base.
const FINAL_DIFFID: &str = "ostree.final-diffid";
/// The first deployment's ref: boot version, sub boot version, index.
const DEPLOYMENT_REF: &str = "ostree/1/1/0";

/// An image in a repository: its commit, ready to be deployed.
pub struct Imported {
    repo: Repo,
    /// The merge commit.
    pub commit: Checksum,
    /// The commit's tree: `etc` is below `usr`.
    pub root: NodeId,
    /// The SELinux policy in the tree.
    pub policy: Option<Policy>,
}

/// Writes every layer and the merged tree as commits, with the refs by which bootc finds them.
/// The arena's root must be the merged tree. Without `all_paths`, layers upon a chunked base
/// only count below /usr, /etc and /var.
///
/// # Errors
/// Content that ostree cannot hold (device nodes, names that are not UTF-8), unreadable layers,
/// a chunked base whose objects do not match their checksums.
pub fn import(
    merged: &mut Merged,
    image: &ImageConfig,
    target: &Target,
    config: RepoConfig,
    all_paths: bool,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Imported> {
    let timestamp = u64::try_from(ids.time().seconds).unwrap_or(0);
    let mut import = Import { repo: Repo::new(config), merged, image, timestamp, progress };
    let base = import.base()?;
    let (root, layers) = match &base {
        Some(base) => import.derived_layers(base, all_paths)?,
        None => import.plain_layers()?,
    };
    let policy = Policy::of_commit(&mut import.merged.tree, root)?;
    let root = import.commit_layers(root, layers, policy.as_ref())?;
    let Import { mut repo, merged, .. } = import;
    import::remove_runtime_files(&mut merged.tree, root);
    let parent = base.map(|base| base.commit);
    let commit = merge_commit(&mut repo, &merged.tree, root, parent, image, timestamp, progress)?;
    repo.set_ref(&format!("{IMAGE_PREFIX}{}", escape_ref(&target.image_reference())), commit)?;
    repo.set_ref(DEPLOYMENT_REF, commit)?;
    Ok(Imported { repo, commit, root, policy })
}

/// An import under way.
struct Import<'a> {
    repo: Repo,
    merged: &'a mut Merged,
    image: &'a ImageConfig,
    timestamp: u64,
    progress: &'a dyn Progress,
}

impl Import<'_> {
    /// The base commit of a chunked image, with the refs of its layers.
    fn base(&mut self) -> Result<Option<Base>> {
        let Some(last) = self.image.labels.get(FINAL_DIFFID) else { return Ok(None) };
        let position = self.image.layers.iter().position(|layer| layer.diff_id == *last);
        let last =
            position.with_context(|| format!("label {FINAL_DIFFID} names no layer of the image: {last}"))?;
        let layers = &self.merged.layers[..=last];
        let base =
            chunked::import(&mut self.merged.tree, &mut self.repo, layers, self.timestamp, self.progress)?;
        for (index, commit) in base.layers.iter().enumerate() {
            self.set_blob_ref(index, *commit)?;
        }
        Ok(Some(base))
    }

    /// Layers on top of a base, merged into a tree that starts as the base's.
    fn derived_layers(&mut self, base: &Base, all: bool) -> Result<(NodeId, Vec<(usize, NodeId)>)> {
        let tree = &mut self.merged.tree;
        let root = copy_directories(tree, base.root);
        let mut dropped = 0;
        let mut layers = Vec::new();
        for index in base.layers.len()..self.merged.layers.len() {
            let tree = &mut self.merged.tree;
            let mut filter = Filter { implicit: &mut self.merged.implicit, all };
            let (layer, names) = filter.layer(tree, self.merged.layers[index])?;
            dropped += names;
            overlay(tree, root, layer, &self.merged.implicit);
            layers.push((index, layer));
        }
        if dropped > 0 {
            let text = "outside /usr, /etc and /var are left out, since composefs is not enabled";
            self.progress.note(&format!("{dropped} top directories of layers {text}"));
        }
        Ok((root, layers))
    }

    /// All layers of an image that is not chunked; the merged tree is there already.
    fn plain_layers(&mut self) -> Result<(NodeId, Vec<(usize, NodeId)>)> {
        let mut layers = Vec::new();
        for index in 0..self.merged.layers.len() {
            let layer = import::filter(&mut self.merged.tree, self.merged.layers[index])?;
            layers.push((index, layer));
        }
        let root = self.merged.tree.root();
        Ok((import::filter(&mut self.merged.tree, root)?, layers))
    }

    /// Commits the trees of layers, with the labels of the merged tree's policy. Returns the
    /// merged tree, labelled as well; a base without layers upon it keeps the labels it has.
    fn commit_layers(
        &mut self,
        mut root: NodeId,
        mut layers: Vec<(usize, NodeId)>,
        policy: Option<&Policy>,
    ) -> Result<NodeId> {
        if let Some(policy) = policy.filter(|_| !layers.is_empty()) {
            let mut relabel = Relabel::new(policy, &mut self.merged.tree);
            layers.iter_mut().for_each(|(_, layer)| *layer = relabel.commit(*layer));
            root = relabel.commit(root);
        }
        for (index, layer) in layers {
            self.layer_commit(index, layer)?;
        }
        Ok(root)
    }

    fn layer_commit(&mut self, index: usize, root: NodeId) -> Result<()> {
        let digest = self.image.layers.get(index).map_or("", |layer| layer.digest.as_str());
        let doing = || format!("importing layer {} of {} ({digest})", index + 1, self.merged.layers.len());
        let tree = &self.merged.tree;
        self.repo.hash_files(tree, root, self.progress).with_context(doing)?;
        let ids = self.repo.write_tree(tree, root).with_context(doing)?;
        let commit = self.repo.commit(ids, &[IMPORTER_VERSION], None, self.timestamp);
        self.set_blob_ref(index, commit)
    }

    fn set_blob_ref(&mut self, index: usize, commit: Checksum) -> Result<()> {
        let layer = self.image.layers.get(index).context("more layers than the manifest names")?;
        self.repo.set_ref(&format!("{BLOB_PREFIX}{}", escape_ref(&layer.digest)), commit)
    }
}

/// The same tree with directories of its own.
fn copy_directories(tree: &mut Tree, directory: NodeId) -> NodeId {
    let copy = tree.add_directory(tree.node(directory).meta.clone());
    for (name, node) in tree.children(directory).cloned().unwrap_or_default() {
        let node = if tree.children(node).is_some() { copy_directories(tree, node) } else { node };
        tree.link(copy, name, node);
    }
    copy
}

fn merge_commit(
    repo: &mut Repo,
    tree: &Tree,
    root: NodeId,
    parent: Option<Checksum>,
    image: &ImageConfig,
    timestamp: u64,
    progress: &dyn Progress,
) -> Result<Checksum> {
    repo.hash_files(tree, root, progress).context("importing the merged tree")?;
    let ids = repo.write_tree(tree, root).context("importing the merged tree")?;
    let (manifest, config) = (canonical(&image.manifest), canonical(&image.config));
    let metadata = [
        ("ostree.container.image-config", config.as_str()),
        IMPORTER_VERSION,
        ("ostree.manifest", manifest.as_str()),
        ("ostree.manifest-digest", image.manifest_digest.as_str()),
    ];
    let created = image.created().and_then(|seconds| u64::try_from(seconds).ok());
    Ok(repo.commit(ids, &metadata, parent, created.unwrap_or(timestamp)))
}

/// JSON with sorted keys and no spaces, as bootc stores it.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entry = |(key, value): (&String, &Value)| format!("{}:{}", json!(key), canonical(value));
            format!("{{{}}}", entries.into_iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// What the sysroot is made of beside the imported image.
pub struct Sysroot<'a> {
    /// Manifest, config, labels.
    pub image: &'a ImageConfig,
    /// Where upgrades come from.
    pub target: &'a Target,
    /// Name of the stateroot.
    pub stateroot: &'a str,
    /// The kernel to boot.
    pub kernel: &'a Kernel,
    /// What a boot menu shows.
    pub title: &'a str,
    /// The command line without `ostree=`.
    pub arguments: &'a str,
    /// The text of `/etc/fstab`, if the layout needs one.
    pub fstab: Option<&'a str>,
    /// Times.
    pub ids: &'a Ids,
    /// Hears of bytes hashed.
    pub progress: &'a dyn Progress,
}

/// A physical root and the content of its /boot, as directories of the arena.
pub struct LaidDown {
    /// The physical root; its `boot` is an empty mount point.
    pub root: NodeId,
    /// What belongs into /boot.
    pub boot: NodeId,
    /// The boot entry.
    pub entry: BootEntry,
    /// The policy by which all of it is to be labelled.
    pub policy: Option<Policy>,
}

impl Sysroot<'_> {
    /// Deploys the imported image. `customize` changes the deployment's
    /// private copies in /etc and /var before they are placed.
    ///
    /// # Errors
    /// An image without /etc, a composefs image that cannot be made, or what `customize` reports.
    pub fn lay_down(
        &self,
        tree: &mut Tree,
        imported: Imported,
        customize: impl FnOnce(&mut Tree, NodeId, NodeId, NodeId) -> Result<()>,
    ) -> Result<LaidDown> {
        let Imported { mut repo, commit, root: commit_root, policy } = imported;
        let bootcsum = boot::checksum(tree, self.kernel)?;
        let deployment = Checkout::new(tree, &mut repo).deploy(commit_root)?;
        self.own_files(tree, &repo, commit_root, deployment)?;
        customize(tree, deployment.root, deployment.etc, deployment.var)?;
        let time = self.ids.time();
        let boot = tree.add_directory(Meta { mtime: time, ..Meta::root(0o755) });
        let Self { stateroot, title, kernel, arguments, .. } = *self;
        let layout = Boot { stateroot, title, kernel, bootcsum: &bootcsum, arguments, time };
        let entry = layout.fill(tree, &mut repo, boot);
        let repo = repo.into_directory(tree)?;
        let origin = self.target.origin();
        let ostree =
            Ostree { stateroot, commit, bootcsum: &bootcsum, origin: &origin, deployment, repo, time };
        let ostree = ostree.directory(tree);
        let root = tree.add_directory(Meta { mtime: time, ..Meta::root(0o755) });
        tree.link(root, *b"ostree", ostree);
        let mount_point = tree.add_directory(Meta { mtime: time, ..Meta::root(0o755) });
        tree.link(root, *b"boot", mount_point);
        let aleph = text_file(tree, &self.aleph(policy.is_some()), 0o644, time);
        tree.link(root, *b".bootc-aleph.json", aleph);
        Ok(LaidDown { root, boot, entry, policy })
    }

    /// The files of the deployment that are not in the commit.
    fn own_files(&self, tree: &mut Tree, repo: &Repo, commit: NodeId, deployment: Deployment) -> Result<()> {
        let digests = repo.digests(tree, self.progress)?;
        let verity = digests.is_some();
        let image = cfs::image(tree, commit, repo, digests.as_ref()).context("writing .ostree.cfs")?;
        let image = tree.add_file(
            Meta { mtime: self.ids.time(), verity, ..Meta::root(0o644) },
            Sparse::from_bytes(image),
        );
        tree.link(deployment.root, *b".ostree.cfs", image);
        if let Some(fstab) = self.fstab {
            let file = text_file(tree, fstab, 0o644, self.ids.time());
            tree.link(deployment.etc, *b"fstab", file);
        }
        Ok(())
    }

    /// Where this installation came from, for people who debug it years later.
    fn aleph(&self, selinux: bool) -> String {
        let label = |name: &str| self.image.labels.get(name).cloned();
        let mut aleph = json!({
            "digest": self.image.manifest_digest,
            "kernel": self.kernel.version,
            "selinux": if selinux { "enabled" } else { "disabled" },
            "target-image": self.target.name(),
            "timestamp": label("org.opencontainers.image.created"),
            "version": label("org.opencontainers.image.version"),
        });
        if !self.image.labels.is_empty() {
            aleph["labels"] = json!(self.image.labels);
        }
        canonical(&aleph)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_is_sorted_and_tight() {
        let value: Value =
            serde_json::from_str(r#"{ "b": [1, {"z": null, "a": "\u00e9"}], "a": true }"#).unwrap();
        assert_eq!(canonical(&value), r#"{"a":true,"b":[1,{"a":"é","z":null}]}"#);
    }
}
