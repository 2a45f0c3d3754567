//! What can be told wrong of the wanted volumes before anything is fetched.

use std::collections::BTreeSet;

use super::{Disk, Filesystem, disk::Volumes, mode, mode::Mode, mountpoint};
use crate::blueprint::{
    error::{Fault, quoted},
    node::Step,
};

/// The first fault of both tables, and of how the first is meant.
pub(in crate::blueprint) fn check(
    filesystems: &[Filesystem],
    disk: Option<&Disk>,
    mode: Option<Mode>,
) -> Option<Fault> {
    let mode = || mode::fault(mode, filesystems, disk.is_some());
    tables_fault(filesystems, disk).or_else(mode)
}

fn tables_fault(filesystems: &[Filesystem], disk: Option<&Disk>) -> Option<Fault> {
    match disk {
        Some(_) if !filesystems.is_empty() => {
            let fault = field("filesystem", "cannot stand beside customizations.disk");
            Some(fault.hint("list its mount points as partitions of customizations.disk"))
        }
        Some(disk) => disk_fault(disk).map(|fault| fault.inside("disk")),
        None => filesystems_fault(filesystems).map(|fault| fault.inside("filesystem")),
    }
}

pub(super) fn field(name: &str, message: impl Into<String>) -> Fault {
    Fault::of(vec![Step::from(name)], message)
}

fn filesystems_fault(filesystems: &[Filesystem]) -> Option<Fault> {
    let mut seen = BTreeSet::new();
    filesystems.iter().enumerate().find_map(|(index, filesystem)| {
        let place = mountpoint_fault(&filesystem.mountpoint, &mut seen);
        let esp = || {
            let why = "the EFI system partition has its own size; customizations.disk can change it";
            (filesystem.mountpoint == "/boot/efi").then(|| field("mountpoint", why))
        };
        place.or_else(esp).map(|fault| fault.inside(index))
    })
}

/// A mount point that cannot be, or that is there already.
pub(super) fn mountpoint_fault<'a>(path: &'a str, seen: &mut BTreeSet<&'a str>) -> Option<Fault> {
    let again = || (!seen.insert(path)).then(|| format!("{} is mounted twice", quoted(path)));
    mountpoint::fault(path).or_else(again).map(|why| field("mountpoint", why))
}

fn disk_fault(disk: &Disk) -> Option<Fault> {
    let sector = || {
        let size = disk.sector_size.filter(|size| !matches!(size.0, 512 | 4096))?;
        Some(field("sector_size", format!("{} is neither 512 nor 4096 bytes", size.0)))
    };
    let start = || {
        const LEAST: u64 = 1 << 20;
        let size = disk.start_offset.filter(|size| !size.0.is_multiple_of(LEAST) || size.0 == 0)?;
        let why = format!("{} bytes are not whole MiB, to which partitions are aligned", size.0);
        Some(field("start_offset", why))
    };
    let none = || {
        let fault = field("partitions", "a table without partitions");
        disk.partitions.is_empty().then(|| fault.hint("leave customizations.disk out for the usual ones"))
    };
    let mut volumes = Volumes::new(disk);
    sector().or_else(start).or_else(none).or_else(|| volumes.fault())
}
