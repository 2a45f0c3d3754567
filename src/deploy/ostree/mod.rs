//! The ostree repository, deployment and sysroot, laid down offline: what
//! bootc leaves on a disk it installed, to the byte where later upgrades look.
//!
//! Not here: SELinux labels, fs-verity.

mod boot;
pub mod cfs;
pub mod checksum;
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

pub use boot::BootEntry;
use boot::Boot;
use checksum::Checksum;
use deployment::{Checkout, Deployment, Ostree, text_file};
use refs::{BLOB_PREFIX, IMAGE_PREFIX, escape_ref};
use repo::{Repo, RepoConfig};
pub use target::Target;

use super::{image::ImageConfig, system::Kernel};
use crate::{ids::Ids, progress::Progress};

/// The version of ostree-ext whose import this is equal to; part of every commit's checksum.
const IMPORTER_VERSION: (&str, &str) = ("ostree.importer.version", "0.15.3");
/// The first deployment's ref: boot version, sub boot version, index.
const DEPLOYMENT_REF: &str = "ostree/1/1/0";

/// An image in a repository: its commit, ready to be deployed.
pub struct Imported {
    repo: Repo,
    /// The merge commit.
    pub commit: Checksum,
    /// The commit's tree: `etc` is below `usr`.
    pub root: NodeId,
}

/// Writes every layer and the merged tree as commits, with the refs by which bootc finds them.
///
/// # Errors
/// Content that ostree cannot hold (device nodes, names that are not UTF-8), unreadable layers.
pub fn import(
    tree: &mut Tree,
    layers: &[NodeId],
    image: &ImageConfig,
    target: &Target,
    config: RepoConfig,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Imported> {
    let mut repo = Repo::new(config);
    let timestamp = u64::try_from(ids.time().seconds).unwrap_or(0);
    for (index, (&layer, id)) in layers.iter().zip(&image.layers).enumerate() {
        let doing = || format!("importing layer {} of {} ({})", index + 1, layers.len(), id.digest);
        let root = import::filter(tree, layer).with_context(doing)?;
        repo.hash_files(tree, root, progress).with_context(doing)?;
        let ids = repo.write_tree(tree, root).with_context(doing)?;
        let commit = repo.commit(ids, &[IMPORTER_VERSION], None, timestamp);
        repo.set_ref(&format!("{BLOB_PREFIX}{}", escape_ref(&id.digest)), commit)?;
    }
    let root = import::filter(tree, tree.root())?;
    import::remove_runtime_files(tree, root);
    let commit = merge_commit(&mut repo, tree, root, image, timestamp, progress)?;
    repo.set_ref(&format!("{IMAGE_PREFIX}{}", escape_ref(&target.image_reference())), commit)?;
    repo.set_ref(DEPLOYMENT_REF, commit)?;
    Ok(Imported { repo, commit, root })
}

fn merge_commit(
    repo: &mut Repo,
    tree: &Tree,
    root: NodeId,
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
    Ok(repo.commit(ids, &metadata, None, created.unwrap_or(timestamp)))
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
}

/// A physical root and the content of its /boot, as directories of the arena.
pub struct LaidDown {
    /// The physical root; its `boot` is an empty mount point.
    pub root: NodeId,
    /// What belongs into /boot.
    pub boot: NodeId,
    /// The boot entry.
    pub entry: BootEntry,
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
        let Imported { mut repo, commit, root: commit_root } = imported;
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
        let ostree = Ostree { stateroot, commit, bootcsum: &bootcsum, origin: &origin, deployment, repo, time };
        let ostree = ostree.directory(tree);
        let root = tree.add_directory(Meta { mtime: time, ..Meta::root(0o755) });
        tree.link(root, *b"ostree", ostree);
        let mount_point = tree.add_directory(Meta { mtime: time, ..Meta::root(0o755) });
        tree.link(root, *b"boot", mount_point);
        let aleph = text_file(tree, &self.aleph(), 0o644, time);
        tree.link(root, *b".bootc-aleph.json", aleph);
        Ok(LaidDown { root, boot, entry })
    }

    /// The files of the deployment that are not in the commit.
    fn own_files(&self, tree: &mut Tree, repo: &Repo, commit: NodeId, deployment: Deployment) -> Result<()> {
        let image = cfs::image(tree, commit, repo, None).context("writing .ostree.cfs")?;
        let image = tree.add_file(Meta { mtime: self.ids.time(), ..Meta::root(0o644) }, Sparse::from_bytes(image));
        tree.link(deployment.root, *b".ostree.cfs", image);
        if let Some(fstab) = self.fstab {
            let file = text_file(tree, fstab, 0o644, self.ids.time());
            tree.link(deployment.etc, *b"fstab", file);
        }
        Ok(())
    }

    /// Where this installation came from, for people who debug it years later.
    fn aleph(&self) -> String {
        let label = |name: &str| self.image.labels.get(name).cloned();
        let mut aleph = json!({
            "digest": self.image.manifest_digest,
            "kernel": self.kernel.version,
            "selinux": "disabled",
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
        let value: Value = serde_json::from_str(r#"{ "b": [1, {"z": null, "a": "\u00e9"}], "a": true }"#).unwrap();
        assert_eq!(canonical(&value), r#"{"a":true,"b":[1,{"a":"é","z":null}]}"#);
    }
}
