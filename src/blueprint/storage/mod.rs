//! `customizations.filesystem` and `customizations.disk`: volumes of their own
//! for parts of the system, and everything a partition table can hold.
//!
//! The names are the osbuild blueprint's. Beyond it: more than one group of
//! logical volumes, `minsize` may be left out, and partitions of the type
//! `luks` with `passphrase`, `key_file`, `tpm2` and `reproducible`, whose
//! content is described as a plain or an LVM partition's is.

mod check;
mod declared;
mod disk;
mod mode;
mod mountpoint;

use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::{named::by_name, size::Size};
pub(super) use check::check;
pub use declared::{Declared, Mounts};
pub use mode::{Mode, in_lvm, wants_lvm};

/// A directory on a filesystem of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filesystem {
    /// Where it is mounted.
    pub mountpoint: String,
    /// Bytes it has at least.
    #[serde(alias = "size")]
    pub minsize: Option<Size>,
}

/// A whole partition table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// The kind of table: `gpt` or `dos`.
    pub r#type: Option<Table>,
    /// Bytes the disk has at least.
    pub minsize: Option<Size>,
    /// Where the first partition begins.
    pub start_offset: Option<Size>,
    /// Bytes per sector: 512 or 4096.
    pub sector_size: Option<Size>,
    /// The partitions in their order; the one with `/` becomes the last.
    pub partitions: Vec<Partition>,
    /// Identifier of the table, instead of the usual.
    #[serde(skip)]
    pub uuid: Option<Uuid>,
    /// Bytes at the end of the disk that stay free.
    #[serde(skip)]
    pub padding: u64,
    /// What is asked of the partition that every disk with a BIOS gets of itself.
    #[serde(skip)]
    pub bios_boot: Option<Box<Partition>>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Partition {
    /// What it is: `plain`, `lvm`, `luks` or `btrfs`.
    pub r#type: Kind,
    /// Bytes it has at least.
    pub minsize: Option<Size>,
    /// Type in the table, instead of the one that its content has: a GUID, or two hexadecimal digits.
    pub part_type: Option<String>,
    /// Name in the table.
    pub part_label: Option<String>,
    /// GUID in the table.
    pub part_uuid: Option<String>,
    /// Of the group of logical volumes.
    pub name: Option<String>,
    /// Where its filesystem is mounted.
    pub mountpoint: Option<String>,
    /// Label of its filesystem.
    pub label: Option<String>,
    /// What it is formatted with.
    pub fs_type: Option<Format>,
    /// Members of the group, in the order of their extents.
    pub logical_volumes: Vec<LogicalVolume>,
    /// Of btrfs.
    pub subvolumes: Vec<Subvolume>,
    /// What opens an encrypted one.
    pub passphrase: Option<String>,
    /// A file of the building machine whose bytes open an encrypted one.
    pub key_file: Option<String>,
    /// The machine's TPM shall open an encrypted one, from its first boot on.
    pub tpm2: Option<Tpm2>,
    /// The key of an encrypted one derives from image and blueprint, instead of being random.
    pub reproducible: bool,
    /// What fstab says of its filesystem, instead of the usual.
    #[serde(skip)]
    pub mount: Mount,
    /// Attribute bits of a GUID partition table; in a dos table [`BOOTABLE`] alone.
    #[serde(skip)]
    pub attributes: u64,
    /// Identifier of its filesystem or swap space, instead of the usual.
    #[serde(skip)]
    pub content_uuid: Option<Uuid>,
}

/// The attribute of a partition that a BIOS boots from; in a dos table it is the active one.
pub const BOOTABLE: u64 = 1 << 2;

/// Fields of fstab(5); those that are not given are the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The fourth: options.
    pub options: Option<String>,
    /// The fifth: whether dump(8) counts it.
    pub freq: Option<u32>,
    /// The sixth: when it is checked.
    pub passno: Option<u32>,
}

/// A logical volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogicalVolume {
    /// Its name in the group.
    pub name: Option<String>,
    /// Bytes it has at least.
    pub minsize: Option<Size>,
    /// Where its filesystem is mounted.
    pub mountpoint: Option<String>,
    /// Label of its filesystem.
    pub label: Option<String>,
    /// What it is formatted with.
    pub fs_type: Option<Format>,
}

/// A subvolume of btrfs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Subvolume {
    /// Its name.
    pub name: Option<String>,
    /// Where it is mounted.
    pub mountpoint: Option<String>,
}

/// Enrolment of a machine's TPM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tpm2 {
    /// Registers whose values are bound to.
    pub pcrs: Vec<u32>,
}

/// The kind of a partition table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Table {
    /// GUID partition table.
    #[default]
    Gpt,
    /// The older table in the master boot record.
    Dos,
}

/// The type of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A filesystem, swap or nothing.
    #[default]
    Plain,
    /// A group of logical volumes.
    Lvm,
    /// Encrypted.
    Luks,
    /// btrfs with subvolumes.
    Btrfs,
}

/// What a volume is formatted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ext4.
    Ext4,
    /// FAT.
    Vfat,
    /// Swap space.
    Swap,
    /// Nothing.
    None,
    /// xfs.
    Xfs,
    /// btrfs.
    Btrfs,
}

impl Table {
    const NAMES: &[(&str, Self)] = &[("gpt", Self::Gpt), ("dos", Self::Dos), ("mbr", Self::Dos)];
}

impl Kind {
    const NAMES: &[(&str, Self)] =
        &[("plain", Self::Plain), ("lvm", Self::Lvm), ("luks", Self::Luks), ("btrfs", Self::Btrfs)];
}

impl Format {
    const NAMES: &[(&str, Self)] = &[
        ("ext4", Self::Ext4),
        ("vfat", Self::Vfat),
        ("swap", Self::Swap),
        ("none", Self::None),
        ("xfs", Self::Xfs),
        ("btrfs", Self::Btrfs),
    ];
}

by_name!(Table is "PartitionTable", Kind is "PartitionType", Format is "Format");
