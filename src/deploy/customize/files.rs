//! Files, directories and the host name of a blueprint.
//!
//! Missing parent directories are made (root, 0755), since nobody can make
//! them later. The last name is not followed: a symbolic link there, such as
//! /etc/localtime, is replaced by the file and not written through. A regular
//! file that exists keeps mode, owner and attributes unless the blueprint says
//! otherwise.

use anyhow::{Context as _, Result, bail, ensure};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, Node},
};

use super::{accounts::Accounts, place::Root};
use crate::blueprint::{Directory, File, Mode, Owner, etc_fault};

/// Mode of a new file.
const MODE: u16 = 0o644;

pub(super) fn hostname(root: &mut Root<'_>, name: &str) -> Result<()> {
    let etc = root.directory("/etc")?;
    root.write(&etc, "hostname", &Meta::root(MODE), format!("{name}\n").into_bytes())
}

pub(super) fn write(root: &mut Root<'_>, accounts: &Accounts, file: &File) -> Result<()> {
    let (parent, name) = file.path.rsplit_once('/').context("not an absolute path")?;
    let directory = root.directory(parent)?;
    let place = format!("{}/{name}", directory.path());
    if let Some(why) = place.strip_prefix("etc/").and_then(etc_fault) {
        bail!("leads to /{place}: {why}");
    }
    let old = root.entry(&directory, name).map(|node| root.node(node));
    let mut meta = match old {
        Some(Node { kind: Kind::Directory(_), .. }) => bail!("/{place} is a directory"),
        Some(Node { kind: Kind::File(_), meta }) => meta.clone(),
        _ => Meta::root(MODE),
    };
    meta.mtime = root.time();
    set_owner(&mut meta, accounts, (&file.user, &file.group, file.mode))?;
    let kind = Kind::File(Sparse::from_bytes(file.data.as_bytes()));
    root.put(&directory, name.as_bytes(), Node { meta, kind });
    Ok(())
}

type Owners<'a> = (&'a Option<Owner>, &'a Option<Owner>, Option<Mode>);

fn set_owner(meta: &mut Meta, accounts: &Accounts, (user, group, mode): Owners<'_>) -> Result<()> {
    if let Some(user) = user {
        meta.uid = id(user, |name| accounts.uid(name), "user")?;
    }
    if let Some(group) = group {
        meta.gid = id(group, |name| accounts.gid(name), "group")?;
    }
    if let Some(Mode(mode)) = mode {
        meta.mode = mode;
    }
    Ok(())
}

/// Makes a directory; one that exists gets what the blueprint says and keeps what is in it.
pub(super) fn directory(root: &mut Root<'_>, accounts: &Accounts, wanted: &Directory) -> Result<()> {
    let (parent, _) = wanted.path.rsplit_once('/').context("not an absolute path")?;
    if !wanted.ensure_parents {
        let exists = parent.is_empty() || root.find(parent)?.is_some();
        ensure!(exists, "{parent} does not exist; `ensure_parents: true` makes it");
    }
    let directory = root.directory(&wanted.path)?;
    let meta = root.meta_mut(&directory);
    set_owner(meta, accounts, (&wanted.user, &wanted.group, wanted.mode))
}

fn id(owner: &Owner, find: impl Fn(&str) -> Option<u32>, what: &str) -> Result<u32> {
    match owner {
        Owner::Id(id) => Ok(*id),
        Owner::Name(name) => find(name).with_context(|| format!("the image has no {what} {name}")),
    }
}
