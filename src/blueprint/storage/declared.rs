//! The partition table that an image brings itself: `disk.yaml`, in the form
//! that bootc-image-builder reads. It becomes the same [`Disk`] that a
//! blueprint has, and stands back behind one.
//!
//! What cannot be honoured is refused by its key: LVM, LUKS and btrfs in it
//! (which do not work there either), content from files, options of `mkfs`
//! that no filesystem here has, a grain other than 1 MiB, and a root that does not grow.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::{BOOTABLE, Disk, Format, Mount, Partition, Table, check};
use crate::blueprint::{
    de::Input,
    error::{Error, Fault, quoted},
    named::named,
    size::Size,
    yaml,
};

/// Every disk is aligned to this.
const GRAIN: u64 = 1 << 20;
/// The partition that every disk with a BIOS gets of itself.
const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";

/// Attributes that a partition can be asked for: the first three, and those of its type.
const ATTRIBUTES: [RangeInclusive<u32>; 2] = [0..=2, 48..=63];

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
    uuid: Option<String>,
    label: Option<String>,
    mkfs_options: MkfsOptions,
    mountpoint: Option<String>,
    fstab_options: Option<String>,
    fstab_freq: Option<u32>,
    fstab_passno: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MkfsOptions {
    /// ext4 has it where the image has files with fs-verity.
    verity: Option<bool>,
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
        if let Some(fault) = disk.as_ref().and_then(|disk| check::check(&[], Some(disk), None)) {
            return Err(fault);
        }
        Ok(Declared { place: None, mounts, disk })
    }
}

impl TableWish {
    fn disk(self) -> Result<Disk, Fault> {
        let refused = [
            ("grain_size", self.grain_size.is_some_and(|size| size.0 != GRAIN), "is always 1 MiB"),
            ("policy", self.policy.grow_root_to_fill_disk == Some(false), "the root always fills the disk"),
        ];
        if let Some((key, _, why)) = refused.into_iter().find(|(_, is, _)| *is) {
            return Err(check::field(key, why));
        }
        let dos = self.r#type == Some(Table::Dos);
        let (partitions, bios_boot) = partitions(self.partitions, dos)?;
        Ok(Disk {
            r#type: self.r#type,
            minsize: self.size,
            start_offset: self.start_offset,
            sector_size: self.sector_size,
            partitions,
            uuid: self.uuid.map(|text| table_uuid(&text, dos)).transpose()?,
            padding: self.extra_padding.map_or(0, |size| size.0),
            bios_boot,
        })
    }
}

/// The partitions, and apart from them the one that every disk with a BIOS gets.
fn partitions(entries: Vec<Entry>, dos: bool) -> Result<(Vec<Partition>, Option<Box<Partition>>), Fault> {
    let (mut partitions, mut bios_boot) = (Vec::new(), None);
    for (index, entry) in entries.into_iter().enumerate() {
        let inside = |fault: Fault| fault.inside(index).inside("partitions");
        let is_bios_boot = entry.is_bios_boot();
        let partition = entry.partition(dos).map_err(inside)?;
        if !is_bios_boot {
            partitions.push(partition);
        } else if partition.fs_type == Some(Format::None) {
            bios_boot = Some(Box::new(partition));
        } else {
            return Err(inside(check::field("payload_type", "GRUB for BIOS is no filesystem: raw")));
        }
    }
    if let Some(index) = second_active(&partitions).filter(|_| dos) {
        let fault = check::field("bootable", "only one partition of a dos table is");
        return Err(fault.inside(index).inside("partitions"));
    }
    Ok((partitions, bios_boot))
}

/// Where a second one of the active partitions is.
fn second_active(partitions: &[Partition]) -> Option<usize> {
    let active = partitions.iter().enumerate().filter(|(_, partition)| partition.attributes & BOOTABLE != 0);
    active.map(|(index, _)| index).nth(1)
}

/// A GUID; of a dos table its signature, eight hexadecimal digits after `0x`.
fn table_uuid(text: &str, dos: bool) -> Result<Uuid, Fault> {
    let signature = || u32::from_str_radix(text.strip_prefix("0x")?, 16).ok().filter(|number| *number != 0);
    let found = if dos {
        signature().map(|number| with_first_bytes(number.to_le_bytes()))
    } else {
        Uuid::parse_str(text).ok().filter(|uuid| !uuid.is_nil())
    };
    let what = if dos { "signature of a dos table, such as 0x1234abcd" } else { "GUID" };
    found.ok_or_else(|| check::field("uuid", format!("{} is no {what}", quoted(text))))
}

/// What has an identifier of four bytes.
const fn with_first_bytes([a, b, c, d]: [u8; 4]) -> Uuid {
    Uuid::from_bytes([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

impl Entry {
    fn is_bios_boot(&self) -> bool {
        self.r#type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case(BIOS_BOOT))
    }

    /// The bits that are set.
    fn attributes(&self, dos: bool) -> Result<u64, Fault> {
        let mut bits = if self.bootable { BOOTABLE } else { 0 };
        for &bit in &self.attrs {
            if dos {
                return Err(check::field("attrs", "a dos table has no attributes"));
            }
            if !ATTRIBUTES.iter().any(|range| range.contains(&bit)) {
                return Err(check::field(
                    "attrs",
                    format!("{bit} is no attribute: 0, 1, 2, and 48 to 63 are"),
                ));
            }
            bits |= 1 << bit;
        }
        Ok(bits)
    }

    fn partition(self, dos: bool) -> Result<Partition, Fault> {
        let attributes = self.attributes(dos)?;
        let content_uuid = self.payload.uuid().map_err(|fault| fault.inside("payload"))?;
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
        if fs_type == Some(Format::None) && content_uuid.is_some() {
            return Err(check::field("uuid", "only filesystems and swap have one").inside("payload"));
        }
        let mount = Mount {
            options: self.payload.fstab_options,
            freq: self.payload.fstab_freq,
            passno: self.payload.fstab_passno,
        };
        Ok(Partition {
            minsize: self.size,
            part_type: self.r#type,
            part_label: self.label,
            part_uuid: self.uuid,
            mountpoint,
            label,
            fs_type,
            mount,
            attributes,
            content_uuid,
            ..Partition::default()
        })
    }
}

impl Payload {
    /// The identifier: a UUID, or the eight hexadecimal digits of FAT's.
    fn uuid(&self) -> Result<Option<Uuid>, Fault> {
        if self.mkfs_options.verity == Some(true) {
            let why = "ext4 gets the feature where the image has files with fs-verity, and not otherwise";
            return Err(check::field("verity", why).inside("mkfs_options"));
        }
        let Some(text) = &self.uuid else { return Ok(None) };
        let digits = || u32::from_str_radix(&text.replacen('-', "", 1), 16).ok().filter(|_| text.len() == 9);
        let found = if self.r#type == Some(Format::Vfat) {
            digits().map(|number| with_first_bytes(number.to_be_bytes()))
        } else {
            Uuid::parse_str(text).ok()
        };
        let found = found.filter(|uuid| !uuid.is_nil()).map(Some);
        found
            .ok_or_else(|| check::field("uuid", format!("{} is no identifier of such content", quoted(text))))
    }
}
