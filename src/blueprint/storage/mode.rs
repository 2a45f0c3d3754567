//! `customizations.partitioning_mode`: whether directories of `customizations.filesystem` become
//! partitions or logical volumes, by the names that osbuild gives these.

use std::collections::BTreeSet;

use super::{
    Filesystem, Kind, LogicalVolume, Partition,
    check::field,
    disk::{later, lvm_name_fault},
};
use crate::blueprint::{
    error::{Fault, quoted},
    named::by_name,
};

const GROUP: &str = "rootvg";

/// What directories on filesystems of their own become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Partitions, as where nothing is said.
    Raw,
    /// Logical volumes, the root too.
    Lvm,
    /// Logical volumes if there are any beside / and /boot.
    AutoLvm,
    /// Subvolumes of btrfs.
    Btrfs,
}

impl Mode {
    const NAMES: &[(&str, Self)] =
        &[("raw", Self::Raw), ("lvm", Self::Lvm), ("auto-lvm", Self::AutoLvm), ("btrfs", Self::Btrfs)];
}

by_name!(Mode is "PartitioningMode");

/// Whether the root lies on a logical volume.
#[must_use]
pub fn wants_lvm(mode: Option<Mode>, filesystems: &[Filesystem]) -> bool {
    match mode {
        Some(Mode::Lvm) => true,
        Some(Mode::AutoLvm) => filesystems.iter().any(|found| !is_usual(found)),
        Some(Mode::Raw | Mode::Btrfs) | None => false,
    }
}

fn is_usual(filesystem: &Filesystem) -> bool {
    matches!(filesystem.mountpoint.as_str(), "/" | "/boot")
}

/// /boot as a partition, if it is listed, and a group of logical volumes with all else.
#[must_use]
pub fn in_lvm(filesystems: &[Filesystem]) -> Vec<Partition> {
    let (boot, others): (Vec<_>, Vec<_>) = filesystems.iter().partition(|found| found.mountpoint == "/boot");
    let plain = |found: &&Filesystem| Partition {
        mountpoint: Some(found.mountpoint.clone()),
        minsize: found.minsize,
        ..Partition::default()
    };
    let root = others.iter().find(|found| found.mountpoint == "/").and_then(|found| found.minsize);
    let others = others.into_iter().filter(|found| found.mountpoint != "/");
    let members = others.map(|found| (found.mountpoint.as_str(), found.minsize)).chain([("/", root)]);
    let volume = |(mountpoint, minsize): (&str, _)| LogicalVolume {
        name: Some(name(mountpoint)),
        mountpoint: Some(mountpoint.to_owned()),
        minsize,
        ..LogicalVolume::default()
    };
    let group = Partition {
        r#type: Kind::Lvm,
        name: Some(GROUP.to_owned()),
        logical_volumes: members.map(volume).collect(),
        ..Partition::default()
    };
    boot.iter().map(plain).chain([group]).collect()
}

/// `rootlv` of /, `var_loglv` of /var/log.
fn name(mountpoint: &str) -> String {
    match mountpoint.trim_matches('/') {
        "" => "rootlv".to_owned(),
        path => format!("{}lv", path.replace('/', "_")),
    }
}

/// What stands against the mode.
pub(super) fn fault(mode: Option<Mode>, filesystems: &[Filesystem], has_disk: bool) -> Option<Fault> {
    if mode == Some(Mode::Btrfs) {
        return Some(field("partitioning_mode", later("btrfs")));
    }
    if mode.is_some() && has_disk {
        let fault = field("partitioning_mode", "cannot stand beside customizations.disk");
        return Some(fault.hint("customizations.disk says itself what is on LVM"));
    }
    if wants_lvm(mode, filesystems) { names_fault(filesystems) } else { None }
}

fn names_fault(filesystems: &[Filesystem]) -> Option<Fault> {
    let mut seen = BTreeSet::new();
    filesystems.iter().enumerate().find_map(|(index, filesystem)| {
        let name = name(&filesystem.mountpoint);
        let again = || format!("the volume {} is there twice", quoted(&name));
        let why = lvm_name_fault(&name).or_else(|| (!seen.insert(name.clone())).then(again))?;
        Some(field("mountpoint", why).inside(index).inside("filesystem"))
    })
}
