//! Files and directories: paths and owners.

use std::collections::BTreeSet;

use super::{
    accounts::{colon_fault, name_fault},
    field,
};
use crate::blueprint::{
    error::{Fault, quoted},
    file::{Directory, File, Owner},
};

/// Longest name of one file.
const FILE_NAME_MAX: usize = 255;
/// Longest path (`PATH_MAX` less the final zero).
const PATH_MAX: usize = 4095;

pub(super) fn files(files: &[File]) -> Option<Fault> {
    let mut paths = BTreeSet::new();
    for (index, file) in files.iter().enumerate() {
        let again = || (!paths.insert(&file.path)).then(|| "this path is given twice".to_owned());
        let fault = || path_fault(&file.path).or_else(|| policy_fault(&file.path)).or_else(again);
        let below = || files.iter().find(|other| is_below(&file.path, &other.path)).map(directory_and_file);
        let fault = fault()
            .or_else(below)
            .map(|why| field("path", why))
            .or_else(|| owner_fault(&file.user, &file.group));
        if let Some(fault) = fault {
            return Some(fault.inside(index).inside("files"));
        }
    }
    None
}

pub(super) fn directories(directories: &[Directory], files: &[File]) -> Option<Fault> {
    let mut paths = BTreeSet::new();
    directories.iter().enumerate().find_map(|(index, directory)| {
        let path = &directory.path;
        let again = !paths.insert(path);
        let again = || again.then(|| "this path is given twice".to_owned());
        let within = |file: &&File| file.path == *path || is_below(path, &file.path);
        let below = || files.iter().find(within).map(directory_and_file);
        let fault = path_fault(path).or_else(|| policy_fault(path)).or_else(again).or_else(below);
        let fault = fault.map(|why| field("path", why));
        let fault = fault.or_else(|| owner_fault(&directory.user, &directory.group));
        fault.map(|fault| fault.inside(index).inside("directories"))
    })
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

fn directory_and_file(parent: &File) -> String {
    format!("{} is a file of this blueprint, so nothing can be below it", quoted(&parent.path))
}

fn owner_fault(user: &Option<Owner>, group: &Option<Owner>) -> Option<Fault> {
    [("user", user), ("group", group)].into_iter().find_map(|(name, owner)| match owner {
        Some(Owner::Name(owner)) => name_fault(owner).map(|why| field(name, why)),
        _ => None,
    })
}

/// A path that stands in a field of passwd(5).
pub(super) fn place_fault(path: &str) -> Option<String> {
    path_fault(path).or_else(|| colon_fault(path))
}

/// Why this is no absolute path in its shortest form.
fn path_fault(path: &str) -> Option<String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Some(format!("{} is not an absolute path", quoted(path)));
    };
    if path.contains('\0') || path.contains('\n') {
        return Some("a path cannot hold a zero byte or a line break".to_owned());
    }
    if path.len() > PATH_MAX {
        return Some(format!("longer than {PATH_MAX} bytes"));
    }
    rest.split('/').find_map(|part| match part {
        "" if rest.is_empty() => Some("the root directory cannot be meant".to_owned()),
        "" => Some(format!("{} has a slash too many", quoted(path))),
        "." | ".." => {
            Some(format!("{} has a part {}; write the path without it", quoted(path), quoted(part)))
        }
        _ if part.len() > FILE_NAME_MAX => Some(format!("a name of it is longer than {FILE_NAME_MAX} bytes")),
        _ => None,
    })
}

/// Accounts are `customizations.user`'s business; a file would undo them.
const ACCOUNT_FILES: &[&str] = &["passwd", "group", "shadow", "gshadow", "subuid", "subgid"];

/// Why a file in `/etc` (given by its path below that) is not a blueprint's to write.
pub(crate) fn etc_fault(name: &str) -> Option<String> {
    if ACCOUNT_FILES.contains(&name.trim_end_matches('-')) {
        return Some(format!("/etc/{name} cannot be written as a file; use customizations.user"));
    }
    match name {
        "fstab" => Some("/etc/fstab is written from the partition table".to_owned()),
        _ => None,
    }
}

/// The policy as far as the path alone tells; where symbolic links of the
/// image lead is seen when the file is written.
fn policy_fault(path: &str) -> Option<String> {
    if let Some(fault) = path.strip_prefix("/etc/").and_then(etc_fault) {
        return Some(fault);
    }
    let mut parts = path.split('/').skip(1);
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("usr", Some("local")) => None,
        ("usr" | "bin" | "sbin" | "lib" | "lib32" | "lib64" | "libx32", _) => {
            Some(format!("{} is part of the image and belongs in the Containerfile", quoted(path)))
        }
        (top @ ("boot" | "efi" | "ostree" | "sysroot"), _) => {
            Some(format!("/{top} is laid out by the deployment and takes no files"))
        }
        (top @ ("dev" | "proc" | "run" | "sys" | "tmp"), _) => {
            Some(format!("/{top} is empty on a disk; files live in /etc or /var"))
        }
        (top @ ("etc" | "var" | "home" | "root"), None) => {
            Some(format!("/{top} is a directory of every system"))
        }
        _ => None,
    }
}
