//! Files and the host name of a blueprint.
//!
//! Missing parent directories are made (root, 0755), since nobody can make
//! them later. The last name is not followed: a symbolic link there, such as
//! /etc/localtime, is replaced by the file and not written through. A regular
//! file that exists keeps mode, owner and attributes unless the blueprint says
//! otherwise.

use anyhow::{Context as _, Result, bail};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, Node},
};

use super::{accounts::Accounts, place::Root};
use crate::blueprint::{File, Owner, etc_fault};

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
    if let Some(user) = &file.user {
        meta.uid = id(user, |name| accounts.uid(name), "user")?;
    }
    if let Some(group) = &file.group {
        meta.gid = id(group, |name| accounts.gid(name), "group")?;
    }
    if let Some(mode) = file.mode {
        meta.mode = mode.0;
    }
    let kind = Kind::File(Sparse::from_bytes(file.data.as_bytes()));
    root.put(&directory, name.as_bytes(), Node { meta, kind });
    Ok(())
}

fn id(owner: &Owner, find: impl Fn(&str) -> Option<u32>, what: &str) -> Result<u32> {
    match owner {
        Owner::Id(id) => Ok(*id),
        Owner::Name(name) => find(name).with_context(|| format!("the image has no {what} {name}")),
    }
}
