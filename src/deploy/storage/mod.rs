//! What a disk is divided into: the usual partitions, or those that a
//! blueprint asks for.
//!
//! ```text
//! blueprint --scheme--> Scheme (places, no content) --split, fill--> [Volume] (content, no places)
//! ```
//!
//! `mounts` writes what the booted system must know of it.

pub mod mounts;
mod scheme;
mod split;
mod what;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use diskwright_formats::{
    disk::TableKind,
    tree::{Meta, Tree},
};
use uuid::Uuid;

pub use scheme::{Facts, LINUX_TYPE, Secrets, declared, scheme};
pub use split::Split;
pub use what::{Container, Content, Filesystem, Group, Locked, Member, What};

use super::Volume;
use crate::{blueprint::storage::Mounts, ids::Ids};

/// A partition table, and what its partitions are for.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// The table itself.
    pub table: Table,
    /// Partitions in the order of their places; the last one grows.
    pub parts: Vec<Part>,
    /// How the system is told of mounts.
    pub mounts: Mounts,
}

/// A partition table without its entries.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// GPT or dos.
    pub kind: TableKind,
    /// Bytes per sector.
    pub sector_size: u32,
    /// Where the first partition begins, in bytes.
    pub start: u64,
    /// Bytes the disk has at least; `None` leaves it to the usual size.
    pub floor: Option<u64>,
    /// Its GUID, of which a dos table keeps the first four bytes; `None` leaves it to the build.
    pub uuid: Option<Uuid>,
    /// Bytes at the end of the disk that stay free.
    pub padding: u64,
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in the table.
    pub name: String,
    /// Its type.
    pub type_uuid: Uuid,
    /// Its type in a dos table, where that is not the one of the same meaning.
    pub dos_type: Option<u8>,
    /// Its GUID.
    pub uuid: Uuid,
    /// Attribute bits of a GUID partition table; in a dos table the third one makes it active.
    pub attributes: u64,
    /// Bytes it has at least.
    pub size: u64,
    /// What is in it.
    pub what: What<Filesystem>,
}

impl Scheme {
    /// Every filesystem, wherever it is.
    pub fn filesystems(&self) -> Vec<&Filesystem> {
        let mut all = Vec::new();
        self.parts.iter().for_each(|part| part.what.filesystems(&mut all));
        all
    }

    /// The filesystem that is mounted there.
    ///
    /// # Errors
    /// None is; every scheme has those of /, /boot and /boot/efi.
    pub fn at(&self, mountpoint: &str) -> Result<&Filesystem> {
        let found = self.filesystems().into_iter().find(|found| found.is_at(mountpoint));
        found.with_context(|| format!("nothing is mounted at {mountpoint}"))
    }

    /// Mount points beside those of every system, outer ones first.
    #[must_use]
    pub fn extra_mountpoints(&self) -> Vec<&str> {
        let mut all: Vec<_> = self
            .filesystems()
            .into_iter()
            .filter_map(|filesystem| filesystem.mountpoint.as_deref())
            .collect();
        all.retain(|path| !matches!(*path, "/" | "/boot" | "/boot/efi"));
        all.sort_unstable();
        all
    }

    /// The volumes with the content that `trees` has by mount point.
    #[must_use]
    pub fn fill(self, mut trees: BTreeMap<String, Tree>, ids: &Ids) -> Vec<Volume> {
        let mut content = |filesystem: Filesystem| {
            let tree = filesystem.mountpoint.as_ref().and_then(|path| trees.remove(path));
            let empty = || Tree::new(Meta { mtime: ids.time(), ..Meta::root(0o755) });
            Content { tree: tree.unwrap_or_else(empty), filesystem }
        };
        let volume = |part: Part| Volume {
            name: part.name,
            type_uuid: part.type_uuid,
            dos_type: part.dos_type,
            partition_uuid: part.uuid,
            attributes: part.attributes,
            size: part.size,
            what: part.what.map(&mut content),
        };
        self.parts.into_iter().map(volume).collect()
    }
}
