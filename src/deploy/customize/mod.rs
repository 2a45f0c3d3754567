//! Applies a blueprint to the copies in /etc and /var of a deployment.
//!
//! ```text
//! /      deployment root: the image, shared with the repository, never changed
//! /etc   the deployment's own copy
//! /var   the stateroot's own copy
//! ```
//!
//! A changed file is a new node under the old name, with the old mode, owner
//! and attributes; no node that something else may name is touched. Only
//! `place::Root` can link, and only below /etc and /var. Nothing of the
//! image is executed: `users` does what shadow-utils would do.
//!
//! Left out on purpose: kernel arguments and what /boot holds (`deploy` asks for them), mail
//! spools (made at the first delivery), backup files such as `passwd-`, and
//! SELinux labels of new nodes (the labelling stage walks the finished tree).

mod accounts;
mod files;
mod firewall;
pub(in crate::deploy) mod first_boot;
mod groups;
mod home;
mod password;
mod place;
mod region;
mod root_ssh;
mod services;
mod settings;
mod sshd;
mod subject_hash;
mod sudo;
mod trust;
mod units;
mod users;

use anyhow::{Context as _, Result};
use diskwright_formats::tree::{Meta, NodeId, Time, Tree};

use crate::blueprint::{Blueprint, Customizations};
use accounts::Accounts;
pub(super) use password::field as hashed_password;
use place::Root;
pub use root_ssh::authorize_root;
use settings::Settings;

/// The directories of one deployment in the arena of a tree.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// The deployment root: usr and the links around it. Read, never changed.
    pub deployment: NodeId,
    /// What becomes /etc: directories of its own, files that may be shared.
    pub etc: NodeId,
    /// What becomes /var: directories of its own, files that may be shared.
    pub var: NodeId,
}

/// Where a volume is mounted.
#[derive(Clone, Debug)]
pub struct MountPoint {
    /// The directory below /var whose content the volume gets; `None` for an empty one of the image.
    pub node: Option<NodeId>,
    /// Its path without symbolic links.
    pub path: String,
    /// Its metadata.
    pub meta: Meta,
}

/// The directory at `path`, made if it would be below /var.
///
/// # Errors
/// A path in the image where no empty directory is.
pub fn mount_point(tree: &mut Tree, system: &System, path: &str, time: Time) -> Result<MountPoint> {
    let found = Root::new(tree, *system, time).mount_point(path);
    found.with_context(|| format!("customizations: the mount point {path}"))
}

/// Applies accounts, host name, directories, files and settings, in this order. `time` becomes the
/// modification time of what is new and the day of last change of passwords;
/// `seed` makes the salts of passwords given in plain text.
///
/// # Errors
/// Whatever the image cannot give: a missing group or shell, a taken id, a
/// path that does not end in /etc or /var, broken account files.
pub fn apply(
    tree: &mut Tree,
    system: &System,
    blueprint: &Blueprint,
    time: Time,
    seed: &[u8; 32],
) -> Result<()> {
    let wanted = &blueprint.customizations;
    let mut root = Root::new(tree, *system, time);
    let mut accounts = Accounts::read(&root)?;
    people(&mut root, &mut accounts, wanted, seed)?;
    if let Some(hostname) = &wanted.hostname {
        files::hostname(&mut root, hostname).context("customizations.hostname")?;
    }
    for directory in &wanted.directories {
        files::directory(&mut root, &accounts, directory)
            .with_context(|| format!("customizations.directories: {}", directory.path))?;
    }
    for file in &wanted.files {
        files::write(&mut root, &accounts, file)
            .with_context(|| format!("customizations.files: {}", file.path))?;
    }
    settings_of(&mut root, wanted, seed)?;
    for who in &wanted.installer.sudo_nopasswd {
        sudo::without_password(&mut root, &accounts, who)
            .context("customizations.installer.sudo-nopasswd")?;
    }
    Ok(())
}

/// Groups, users and keys, in this order.
fn people(
    root: &mut Root<'_>,
    accounts: &mut Accounts,
    wanted: &Customizations,
    seed: &[u8; 32],
) -> Result<()> {
    if wanted.user.is_empty() && wanted.group.is_empty() && wanted.sshkey.is_empty() {
        return Ok(());
    }
    let settings = Settings::read(root)?;
    for group in &wanted.group {
        let context = || format!("customizations.group: group {}", group.name);
        groups::apply(accounts, &settings, group).with_context(context)?;
    }
    let mut users = users::Users { root, accounts, settings: &settings, seed };
    for user in &wanted.user {
        users.apply(user).with_context(|| format!("customizations.user: user {}", user.name))?;
    }
    for key in &wanted.sshkey {
        users.authorize(key).with_context(|| format!("customizations.sshkey: user {}", key.user))?;
    }
    accounts.write(root)
}

/// Settings of programs; after the files, which may bring units to enable.
fn settings_of(root: &mut Root<'_>, wanted: &Customizations, seed: &[u8; 32]) -> Result<()> {
    region::timezone(root, &wanted.timezone).context("customizations.timezone")?;
    region::locale(root, &wanted.locale).context("customizations.locale")?;
    services::apply(root, &wanted.services).context("customizations.services")?;
    firewall::apply(root, &wanted.firewall).context("customizations.firewall")?;
    sshd::apply(root, &wanted.sshd).context("customizations.sshd")?;
    trust::certificates(root, &wanted.cacerts.pem_certs).context("customizations.cacerts")?;
    if wanted.fips == Some(true) {
        trust::fips(root).context("customizations.fips")?;
    }
    first_boot::cloud_init(root, &wanted.cloud_init, seed).context("customizations.cloud_init")
}
