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
//! Left out on purpose: kernel arguments (the boot entry holds them), mail
//! spools (made at the first delivery), backup files such as `passwd-`, and
//! SELinux labels of new nodes (the labelling stage walks the finished tree).

mod accounts;
mod files;
mod home;
mod password;
mod place;
mod root_ssh;
mod settings;
mod users;

use anyhow::{Context as _, Result};
use diskwright_formats::tree::{NodeId, Time, Tree};

use crate::blueprint::Blueprint;
use accounts::Accounts;
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

/// Applies users, host name and files, in this order. `time` becomes the
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
    if !wanted.user.is_empty() {
        let settings = Settings::read(&root)?;
        let mut users = users::Users { root: &mut root, accounts: &mut accounts, settings: &settings, seed };
        for user in &wanted.user {
            users.apply(user).with_context(|| format!("customizations.user: user {}", user.name))?;
        }
        accounts.write(&mut root)?;
    }
    if let Some(hostname) = &wanted.hostname {
        files::hostname(&mut root, hostname).context("customizations.hostname")?;
    }
    for file in &wanted.files {
        files::write(&mut root, &accounts, file)
            .with_context(|| format!("customizations.files: {}", file.path))?;
    }
    Ok(())
}
