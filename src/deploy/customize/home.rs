//! Home directories: made from the skeleton, and given SSH keys.

use anyhow::{Context as _, Result, bail, ensure};
use diskwright_formats::tree::{Kind, Meta, Node, NodeId};

use super::{
    place::{Directory, Root},
    settings::Settings,
};

/// Deeper skeletons are refused; real ones have three levels.
const DEEPEST: usize = 64;

/// User and group id.
type Owner = (u32, u32);

/// Makes the home directory and copies the skeleton. One that exists stays as it is.
pub(super) fn create(root: &mut Root<'_>, settings: &Settings, home: &str, owner: Owner) -> Result<()> {
    let (parent, name) = home.rsplit_once('/').context("home is not an absolute path")?;
    if let Some(node) = root.find(home)? {
        let is_directory = matches!(root.node(node).kind, Kind::Directory(_));
        ensure!(is_directory, "home {home} exists and is not a directory");
        return Ok(());
    }
    let parent = root.directory(parent).context("home")?;
    let made = root.add_directory(&parent, name, owned(root, settings.home_mode, owner));
    let Some(skel) = root.find(&settings.skel)? else { return Ok(()) };
    let copy = Copy { owner, skel: &settings.skel, home };
    copy.children(root, skel, &made, 0).with_context(|| format!("copying {}", settings.skel))
}

/// Metadata of something new that belongs to `owner`.
fn owned(root: &Root<'_>, mode: u16, (uid, gid): Owner) -> Meta {
    Meta { uid, gid, mtime: root.time(), ..Meta::root(mode) }
}

struct Copy<'a> {
    owner: Owner,
    skel: &'a str,
    home: &'a str,
}

impl Copy<'_> {
    fn children(&self, root: &mut Root<'_>, from: NodeId, to: &Directory, depth: usize) -> Result<()> {
        ensure!(depth < DEEPEST, "deeper than {DEEPEST} directories");
        let Kind::Directory(children) = &root.node(from).kind else { bail!("not a directory") };
        for (name, child) in children.clone() {
            let Node { meta, kind } = root.node(child).clone();
            let meta = Meta { uid: self.owner.0, gid: self.owner.1, immutable: false, ..meta };
            match kind {
                Kind::Directory(_) => {
                    let name = std::str::from_utf8(&name).context("a directory's name is not UTF-8")?;
                    let made = root.add_directory(to, name, meta);
                    self.children(root, child, &made, depth + 1)?;
                }
                Kind::Symlink(target) => {
                    root.put(to, name, Node { meta, kind: Kind::Symlink(self.target(target)) });
                }
                kind => root.put(to, name, Node { meta, kind }),
            }
        }
        Ok(())
    }

    /// A link into the skeleton leads into the home directory, as useradd makes it.
    fn target(&self, target: Box<[u8]>) -> Box<[u8]> {
        match target.strip_prefix(self.skel.as_bytes()) {
            Some(rest) => [self.home.as_bytes(), rest].concat().into(),
            None => target,
        }
    }
}

/// Adds keys to `~/.ssh/authorized_keys`, each once.
pub(super) fn authorize(root: &mut Root<'_>, home: &str, owner: Owner, keys: &str) -> Result<()> {
    let home = existing(root, home, owner)?;
    let ssh = match root.entry(&home, ".ssh") {
        Some(_) => root.directory(&format!("/{}/.ssh", home.path()))?,
        None => root.add_directory(&home, ".ssh", owned(root, 0o700, owner)),
    };
    let path = format!("/{}/authorized_keys", ssh.path());
    let old = root.text(&path)?.unwrap_or_default();
    let mut text = String::from_utf8(old).with_context(|| format!("{path} is not UTF-8"))?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for key in keys.lines().map(str::trim).filter(|key| !key.is_empty()) {
        if !text.lines().any(|line| line == key) {
            text.push_str(key);
            text.push('\n');
        }
    }
    let meta = owned(root, 0o600, owner);
    root.write(&ssh, "authorized_keys", &meta, text.into_bytes())
}

/// The home directory, made (0700) if the image left that to the first boot.
fn existing(root: &mut Root<'_>, home: &str, owner: Owner) -> Result<Directory> {
    if root.find(home)?.is_none() {
        let (parent, name) = home.rsplit_once('/').context("home is not an absolute path")?;
        let at_root = parent.is_empty();
        if !at_root {
            let parent = root.directory(parent).context("home")?;
            if root.entry(&parent, name).is_none() {
                return Ok(root.add_directory(&parent, name, owned(root, 0o700, owner)));
            }
        }
    }
    root.directory(home).context("home")
}
