//! Keys for root's logins by SSH, as bootc's installer leaves them: a line of tmpfiles.d(5) that
//! makes the file at the first boot, wherever root's home is by then.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use diskwright_formats::tree::{Kind, Meta, Time, Tree};

use super::{System, place::Root};

const DIRECTORY: &str = "/etc/tmpfiles.d";
const NAME: &str = "bootc-root-ssh.conf";

/// Writes the line for `keys`, the text of an `authorized_keys`.
///
/// # Errors
/// A home of root's that no such line can name, or an /etc that cannot be written.
pub fn authorize_root(tree: &mut Tree, system: &System, keys: &str, time: Time) -> Result<()> {
    let home = home(tree, system)?;
    let line = format!("f~ /{home}/.ssh/authorized_keys 600 root root - {}\n", STANDARD.encode(keys));
    let mut root = Root::new(tree, *system, time);
    let directory = root.directory(DIRECTORY)?;
    root.write(&directory, NAME, &Meta { mtime: time, ..Meta::root(0o644) }, line.into_bytes())
}

/// Where /root leads, without a slash before it.
fn home(tree: &Tree, system: &System) -> Result<String> {
    let node = tree.child(system.deployment, b"root").map(|node| &tree.node(node).kind);
    let Some(Kind::Symlink(target)) = node else { return Ok("root".to_owned()) };
    let target = std::str::from_utf8(target).context("the target of /root is not UTF-8")?;
    let plain = !target.contains(|c: char| c.is_control() || " %\"'\\".contains(c)) && !target.contains("..");
    ensure!(plain, "/root leads to {target:?}, which tmpfiles.d cannot name");
    Ok(target.trim_start_matches('/').to_owned())
}
