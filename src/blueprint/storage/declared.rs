//! The partition table that an image brings itself: `disk.yaml`, in the form
//! that bootc-image-builder reads. It becomes the same [`Disk`] that a
//! blueprint has, and stands back behind one.
//!
//! What cannot be honoured is refused by its key: LVM, LUKS and btrfs in it
//! (which do not work there either), content from files, options of `mkfs`,
//! padding, a grain other than 1 MiB, and a root that does not grow.

use serde::{Deserialize, Deserializer};

use super::{Disk, Format, Mount, Partition, Table, check};
use crate::blueprint::{de::Input, error::Error, error::Fault, named::named, size::Size, yaml};

/// Every disk is aligned to this.
const GRAIN: u64 = 1 << 20;
/// The partition that every disk with a BIOS gets of itself.
const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The file, for messages.
    pub place: Option<String>,
    /// How mounts are told to the system.
    pub mounts: Mounts,
    /// The partition table, if there is one.
    pub disk: Option<Disk>,
}

/// How mounts are told to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mounts {
    /// In /etc/fstab.
    #[default]
    Fstab,
    /// As units of systemd.
    Units,
    /// Not at all.
    None,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    mount_configuration: Option<Mounts>,
    partition_table: Option<TableWish>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TableWish {
    r#type: Option<Table>,
    size: Option<Size>,
    uuid: Option<String>,
    sector_size: Option<Size>,
    start_offset: Option<Size>,
    grain_size: Option<Size>,
    extra_padding: Option<Size>,
    policy: Policy,
    partitions: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Policy {
    /// Every disk has that partition.
    #[serde(rename = "ensure_xbootldr")]
    _ensure_xbootldr: Option<bool>,
    grow_root_to_fill_disk: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Entry {
    size: Option<Size>,
    r#type: Option<String>,
    bootable: bool,
    uuid: Option<String>,
    label: Option<String>,
    attrs: Vec<u32>,
    payload_type: Option<String>,
    payload: Payload,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Payload {
    r#type: Option<Format>,
    label: Option<String>,
    mountpoint: Option<String>,
    fstab_options: Option<String>,
    fstab_freq: Option<u32>,
    fstab_passno: Option<u32>,
}

impl<'de> Deserialize<'de> for Mounts {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        named(source, &[("units", Self::Units), ("fstab", Self::Fstab), ("none", Self::None)])
    }
}

impl Declared {
    /// Reads the text; `file_name` appears in errors.
    ///
    /// # Errors
    /// As those of a blueprint: file, line and key.
    pub fn read(text: &str, file_name: &str) -> Result<Self, Error> {
        let read = yaml::parse(text).and_then(|node| {
            let file = File::deserialize(Input(&node)).map_err(Fault::with_key_advice)?;
            file.declared().map_err(|fault| fault.located_in(&node))
        });
        let read = read.map(|declared| Self { place: Some(file_name.to_owned()), ..declared });
        read.map_err(|fault| fault.explain(text, file_name))
    }
}

impl File {
    fn declared(self) -> Result<Declared, Fault> {
        let mounts = self.mount_configuration.unwrap_or_default();
        let disk = self.partition_table.map(TableWish::disk).transpose();
        let disk = disk.map_err(|fault| fault.inside("partition_table"))?;
        if let Some(fault) = disk.as_ref().and_then(|disk| check::check(&[], Some(disk))) {
            return Err(fault);
        }
        Ok(Declared { place: None, mounts, disk })
    }
}

impl TableWish {
    fn disk(self) -> Result<Disk, Fault> {
        let refused = [
            ("uuid", self.uuid.is_some(), "derives from image and blueprint"),
            ("grain_size", self.grain_size.is_some_and(|size| size.0 != GRAIN), "is always 1 MiB"),
            ("extra_padding", self.extra_padding.is_some_and(|size| size.0 != 0), "is not supported"),
            ("policy", self.policy.grow_root_to_fill_disk == Some(false), "the root always fills the disk"),
        ];
        if let Some((key, _, why)) = refused.into_iter().find(|(_, is, _)| *is) {
            return Err(check::field(key, why));
        }
        let mut partitions = Vec::new();
        for (index, entry) in self.partitions.into_iter().enumerate() {
            let partition = entry.partition().map_err(|fault| fault.inside(index).inside("partitions"))?;
            partitions.extend(partition);
        }
        let (minsize, start_offset) = (self.size, self.start_offset);
        Ok(Disk { r#type: self.r#type, minsize, start_offset, sector_size: self.sector_size, partitions })
    }
}

impl Entry {
    /// The partition, unless it is one that every disk gets.
    fn partition(self) -> Result<Option<Partition>, Fault> {
        if self.r#type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case(BIOS_BOOT)) {
            return Ok(None);
        }
        if self.bootable || !self.attrs.is_empty() {
            let key = if self.bootable { "bootable" } else { "attrs" };
            return Err(check::field(key, "attributes of partitions are not supported"));
        }
        let Payload { label, mountpoint, .. } = self.payload;
        let fs_type = match self.payload_type.as_deref() {
            None | Some("raw" | "none" | "no-payload") => Some(Format::None),
            Some("swap") => Some(Format::Swap),
            Some("filesystem") => self.payload.r#type,
            Some(other) => {
                let why = format!("{other} is not supported here; use customizations.disk of a blueprint");
                return Err(check::field("payload_type", why));
            }
        };
        let mount = Mount {
            options: self.payload.fstab_options,
            freq: self.payload.fstab_freq,
            passno: self.payload.fstab_passno,
        };
        Ok(Some(Partition {
            minsize: self.size,
            part_type: self.r#type,
            part_label: self.label,
            part_uuid: self.uuid,
            mountpoint,
            label,
            fs_type,
            mount,
            ..Partition::default()
        }))
    }
}
