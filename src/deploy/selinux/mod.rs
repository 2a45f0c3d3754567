//! SELinux labels, from the policy that the image carries; the host's is never read.
//!
//! ```text
//! etc/selinux/config                                  SELINUX=, SELINUXTYPE=
//! etc/selinux/TYPE/policy/policy.N                    must be there, is not read
//! etc/selinux/TYPE/contexts/files/file_contexts       and .homedirs, .local, .subs, .subs_dist
//! ```
//!
//! Labels of a commit are part of its checksums, hence are set before any
//! file is hashed ([`Relabel`]); what is on the disk beside the commit gets
//! its labels last ([`Policy::label_root`], [`Policy::label_boot`]).

mod check;
mod contexts;
mod disk;
mod pattern;
mod relabel;
mod substitution;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use diskwright_formats::tree::{NodeId, Tree, Xattrs};

pub use contexts::{FileContexts, Label, Texts};
pub(super) use relabel::Relabel;

use super::{rootfs::Rootfs, system::OsRelease};

/// The attribute that holds a label.
const ATTRIBUTE: &[u8] = b"security.selinux";
/// Below the policy's directory.
const FILE_CONTEXTS: &str = "contexts/files/file_contexts";

/// What `selinux/config` says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its directory ("etc/selinux").
    base: &'static str,
    /// `SELINUX=` ("enforcing"), if given.
    pub mode: Option<String>,
    /// `SELINUXTYPE=`, else "targeted".
    pub policy_type: String,
}

impl Config {
    /// Reads `etc/selinux/config`, or the one below `usr/etc` where there is no `etc/selinux`.
    ///
    /// # Errors
    /// A file that is not text.
    pub fn read(rootfs: &Rootfs<'_>) -> Result<Option<Self>> {
        let base = if rootfs.is_directory("etc/selinux") { "etc/selinux" } else { "usr/etc/selinux" };
        let Some(text) = rootfs.read_text(&format!("{base}/config"))? else { return Ok(None) };
        let config = OsRelease::parse(&text);
        let policy_type = config.get("SELINUXTYPE").unwrap_or("targeted").to_owned();
        Ok(Some(Self { base, mode: config.get("SELINUX").map(str::to_owned), policy_type }))
    }

    /// The policy's directory, if it is there and enabled.
    fn policy_directory(&self, rootfs: &Rootfs<'_>) -> Option<String> {
        let enabled = matches!(self.mode.as_deref(), Some("enforcing" | "permissive"));
        let policy = format!("{}/{}", self.base, self.policy_type);
        let binaries = rootfs.list(&format!("{policy}/policy"));
        let present = binaries.iter().any(|(name, _)| name.starts_with(b"policy."));
        (enabled && present).then_some(policy)
    }
}

/// An enabled policy, as far as files are concerned.
#[derive(Debug)]
pub struct Policy {
    contexts: FileContexts,
}

impl Policy {
    /// The policy of a system, if it has an enabled one.
    ///
    /// # Errors
    /// File contexts that are missing, only compiled, or wrong.
    pub fn read(rootfs: &Rootfs<'_>) -> Result<Option<Self>> {
        let Some(config) = Config::read(rootfs)? else { return Ok(None) };
        let Some(directory) = config.policy_directory(rootfs) else { return Ok(None) };
        let texts = texts(rootfs, &format!("{directory}/{FILE_CONTEXTS}"))?;
        let contexts = FileContexts::parse(&texts).context("reading the image's SELinux policy")?;
        Ok(Some(Self { contexts }))
    }

    /// The policy of a commit, whose /etc is below /usr.
    ///
    /// # Errors
    /// As [`Policy::read`].
    pub(super) fn of_commit(tree: &mut Tree, commit: NodeId) -> Result<Option<Self>> {
        let Some(etc) = tree.lookup_from(commit, "usr/etc") else {
            return Self::read(&Rootfs { tree, root: commit });
        };
        // Links into /etc must lead somewhere: a root of its own, with /etc in its place.
        let root = tree.add(tree.node(commit).clone());
        tree.link(root, *b"etc", etc);
        Self::read(&Rootfs { tree, root })
    }
}

fn texts(rootfs: &Rootfs<'_>, path: &str) -> Result<Texts> {
    let mut texts = Texts::default();
    for (suffix, required) in [("", true), (".homedirs", false), (".local", false)] {
        let name = format!("{path}{suffix}");
        match rootfs.read(&name)? {
            Some(text) => texts.contexts.push((format!("/{name}"), text)),
            None if rootfs.is_file(&format!("{name}.bin")) => {
                bail!("the image has only the compiled /{name}.bin; labels are made from the text /{name}")
            }
            None if required => bail!("the image has an enabled SELinux policy, but no /{name}"),
            None => {}
        }
    }
    texts.subs = rootfs.read(&format!("{path}.subs"))?.unwrap_or_default();
    texts.subs_dist = rootfs.read(&format!("{path}.subs_dist"))?.unwrap_or_default();
    Ok(texts)
}

/// The attributes with this label.
fn with_label(xattrs: &Xattrs, label: &Label) -> Arc<Xattrs> {
    let mut xattrs = xattrs.clone();
    xattrs.insert(ATTRIBUTE.into(), (&**label).into());
    Arc::new(xattrs)
}
