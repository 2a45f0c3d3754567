//! sudo without a password: sudoers(5).

use anyhow::{Context as _, Result, ensure};

use super::{accounts::Accounts, place::Root};

const DIRECTORY: &str = "/etc/sudoers.d";

/// A file for each user, or group after a `%`, as all of its own.
pub(super) fn without_password(root: &mut Root<'_>, accounts: &Accounts, who: &str) -> Result<()> {
    ensure!(
        root.find(DIRECTORY)?.is_some(),
        "the image has no {DIRECTORY}; install sudo in the Containerfile"
    );
    let known = match who.strip_prefix('%') {
        Some(group) => accounts.gid(group),
        None => accounts.uid(who),
    };
    known.with_context(|| format!("neither the image nor the blueprint has {who}"))?;
    // sudo reads no file with a dot or a `~` in its name
    let name = who.replace('%', "group-").replace('.', "_");
    root.write_text(
        &format!("{DIRECTORY}/90-nopasswd-{name}"),
        0o440,
        format!("{who} ALL=(ALL) NOPASSWD: ALL\n"),
    )
}
