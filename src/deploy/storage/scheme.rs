//! Blueprint to [`Scheme`]: what is asked for, and what every disk needs besides.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use diskwright_formats::{
    disk::TableKind,
    units::{GIB, MIB},
};
use sha2::{Digest as _, Sha256};
use uuid::{Uuid, uuid};

use super::{Filesystem, Group, Locked, Member, Part, Scheme, Table, What};
use crate::{
    blueprint::storage::{self, Declared, Format, Kind, LogicalVolume, Mount, Partition},
    blueprint::{Blueprint, size::Size},
    deploy::{arch::Arch, install_config, rootfs::Rootfs},
    ids::Ids,
};

/// GRUB for BIOS goes here.
const BIOS_BOOT_TYPE: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// EFI system partition.
const ESP_TYPE: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Extended boot loader partition: /boot.
const XBOOTLDR_TYPE: Uuid = uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172");
/// Linux filesystem data.
pub const LINUX_TYPE: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
/// Swap space.
const SWAP_TYPE: Uuid = uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f");
/// A physical volume of LVM.
const LVM_TYPE: Uuid = uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928");
/// LUKS.
const LUKS_TYPE: Uuid = uuid!("ca7d7ccb-63ed-4c53-861c-1742536059cc");
/// FAT that firmware does not read.
const BASIC_DATA_TYPE: Uuid = uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
/// Room for an ESP of every vendor.
const ESP_SIZE: u64 = 501 * MIB;
/// Room for a few kernels.
const BOOT_SIZE: u64 = GIB;
/// A volume of its own, where no size is asked for.
const VOLUME_SIZE: u64 = GIB;
/// Sectors that a BIOS reads.
const BIOS_SECTOR: u32 = 512;

/// What encrypted volumes need of the outside.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Content of key files by the paths that the blueprint names.
    pub key_files: BTreeMap<String, Vec<u8>>,
    /// Randomness of the system.
    pub entropy: [u8; 32],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// What a scheme depends on beside what is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The architecture to boot on.
    pub arch: Arch,
    /// Whether UEFI finds something to start.
    pub uefi: bool,
    /// Type of the partition with the root filesystem.
    pub root_type: Uuid,
    /// For encrypted volumes.
    pub secrets: &'a Secrets,
    /// Identifiers.
    pub ids: &'a Ids,
}

/// What the image itself says of its disk.
///
/// # Errors
/// A file that cannot be read or honoured; the text shows where.
pub fn declared(rootfs: &Rootfs<'_>) -> Result<Declared> {
    let Some(path) = install_config::partition_table(rootfs) else { return Ok(Declared::default()) };
    let text = rootfs.read_text(&path)?.with_context(|| format!("/{path} of the image is not a file"))?;
    Ok(Declared::read(&text, &format!("/{path} of the image"))?)
}

/// The partitions of a disk for that blueprint; what the image declares counts where it asks for none.
///
/// # Errors
/// A key file that was not read.
pub fn scheme(blueprint: &Blueprint, declared: &Declared, facts: &Facts<'_>) -> Result<Scheme> {
    let mut maker = Maker { facts: *facts, index: 0 };
    let wanted = &blueprint.customizations;
    let in_lvm = storage::wants_lvm(wanted.partitioning_mode, &wanted.filesystem);
    let from_image = declared.disk.as_ref().filter(|_| wanted.filesystem.is_empty() && !in_lvm);
    let disk = wanted.disk.as_ref().or(from_image);
    let (table, mut parts) = match disk {
        Some(disk) => (table(disk), maker.partitions(&disk.partitions)?),
        None if in_lvm => (usual_table(), maker.partitions(&storage::in_lvm(&wanted.filesystem))?),
        None => (usual_table(), maker.filesystems(&wanted.filesystem)),
    };
    maker.complete(&mut parts);
    // stable: the one that holds the root becomes the last, which grows
    parts.sort_by_key(|part| rank(&part.what));
    if facts.arch == Arch::X86_64 && table.kind == TableKind::Gpt && table.sector_size == BIOS_SECTOR {
        parts.insert(0, maker.bios_boot(disk.and_then(|disk| disk.bios_boot.as_deref())));
    }
    Ok(Scheme { table, parts, mounts: declared.mounts })
}

/// Firmware's first, the root last; others as they are listed.
fn rank(what: &What<Filesystem>) -> usize {
    let ranked = ["/boot/efi", "/boot"].iter().position(|path| what.holds(path));
    ranked.unwrap_or(if what.holds("/") { 3 } else { 2 })
}

const fn usual_table() -> Table {
    Table { kind: TableKind::Gpt, sector_size: 512, start: MIB, floor: None, uuid: None, padding: 0 }
}

fn table(disk: &storage::Disk) -> Table {
    let kind = match disk.r#type.unwrap_or_default() {
        storage::Table::Gpt => TableKind::Gpt,
        storage::Table::Dos => TableKind::Dos,
    };
    Table {
        kind,
        sector_size: disk.sector_size.and_then(|size| u32::try_from(size.0).ok()).unwrap_or(512),
        start: disk.start_offset.map_or(MIB, |size| size.0),
        floor: Some(disk.minsize.map_or(0, |size| size.0)),
        uuid: disk.uuid,
        padding: disk.padding,
    }
}

/// Makes partitions, each with identifiers of its own.
struct Maker<'a> {
    facts: Facts<'a>,
    /// Of the partition or logical volume that is being made, from 1.
    index: usize,
}

/// What is asked of a filesystem, in a partition or a logical volume.
struct Wanted<'a> {
    format: Option<Format>,
    mountpoint: Option<&'a str>,
    label: Option<&'a str>,
    mount: Mount,
    uuid: Option<Uuid>,
}

impl Maker<'_> {
    /// A partition that every disk has, by its usual name.
    fn part(&self, name: &str, type_uuid: Uuid, size: u64, what: What<Filesystem>) -> Part {
        let uuid = self.facts.ids.uuid(&format!("partition {name}"));
        Part { name: name.to_owned(), type_uuid, dos_type: None, uuid, attributes: 0, size, what }
    }

    /// The partition of GRUB for BIOS, as the image's table may have it.
    fn bios_boot(&self, asked: Option<&Partition>) -> Part {
        let usual = self.part("BIOS-BOOT", BIOS_BOOT_TYPE, MIB, What::BiosBoot);
        let Some(asked) = asked else { return usual };
        Part {
            name: asked.part_label.clone().unwrap_or(usual.name),
            uuid: given_uuid(asked).unwrap_or(usual.uuid),
            attributes: asked.attributes,
            size: asked.minsize.map_or(usual.size, |size| size.0.max(MIB)),
            ..usual
        }
    }

    /// Those of the mount points that are on no filesystem of their own yet.
    fn complete(&self, parts: &mut Vec<Part>) {
        let usual = [
            ("/boot/efi", "EFI-SYSTEM", ESP_TYPE, ESP_SIZE),
            ("/boot", "boot", XBOOTLDR_TYPE, BOOT_SIZE),
            ("/", "root", self.facts.root_type, 0),
        ];
        let usual = usual.into_iter().filter(|(path, ..)| self.facts.uefi || *path != "/boot/efi");
        for (mountpoint, name, type_uuid, size) in usual {
            if !parts.iter().any(|part| part.what.holds(mountpoint)) {
                let wanted = Wanted {
                    format: None,
                    mountpoint: Some(mountpoint),
                    label: None,
                    mount: Mount::default(),
                    uuid: None,
                };
                parts.push(self.part(name, type_uuid, size, self.what(&wanted)));
            }
        }
    }

    fn filesystems(&mut self, filesystems: &[storage::Filesystem]) -> Vec<Part> {
        let mut part = |filesystem: &storage::Filesystem| {
            let partition = Partition {
                mountpoint: Some(filesystem.mountpoint.clone()),
                minsize: filesystem.minsize,
                ..Partition::default()
            };
            self.index += 1;
            let what = self.what(&Wanted::of(&partition));
            self.listed(&partition, what)
        };
        filesystems.iter().map(&mut part).collect()
    }

    fn partitions(&mut self, partitions: &[Partition]) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for partition in partitions {
            self.index += 1;
            let what = match partition.r#type {
                Kind::Luks => self.locked(partition)?,
                _ => self.content(partition),
            };
            parts.push(self.listed(partition, what));
        }
        Ok(parts)
    }

    /// A partition that the blueprint lists.
    fn listed(&self, partition: &Partition, what: What<Filesystem>) -> Part {
        let (usual, type_uuid) = self.usual(&what);
        let key = self.key(partition.mountpoint.as_deref());
        let name = partition.part_label.clone();
        let name = name.or_else(|| usual.map(str::to_owned)).unwrap_or_else(|| table_name(partition));
        let asked = partition.part_type.as_deref();
        let dos = asked.and_then(|text| u8::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        Part {
            name,
            type_uuid: asked.and_then(|text| Uuid::parse_str(text).ok()).unwrap_or(type_uuid),
            dos_type: dos,
            uuid: given_uuid(partition).unwrap_or_else(|| self.facts.ids.uuid(&format!("partition {key}"))),
            attributes: partition.attributes,
            size: size(partition.minsize, &what),
            what,
        }
    }

    fn content(&self, partition: &Partition) -> What<Filesystem> {
        if partition.logical_volumes.is_empty() {
            return self.what(&Wanted::of(partition));
        }
        let name = partition.group_name().to_owned();
        let members = partition.logical_volumes.iter().map(|volume| self.member(&name, volume)).collect();
        let uuid = self.facts.ids.uuid(&format!("volume group {name}"));
        let physical_uuid = self.facts.ids.uuid(&format!("physical volume {name}"));
        What::Group(Group { name, uuid, physical_uuid, members })
    }

    fn member(&self, group: &str, volume: &LogicalVolume) -> Member<Filesystem> {
        let name = volume.name.clone().unwrap_or_default();
        let wanted = Wanted {
            format: volume.fs_type,
            mountpoint: volume.mountpoint.as_deref(),
            label: volume.label.as_deref(),
            mount: Mount::default(),
            uuid: None,
        };
        let inner = Maker { facts: self.facts, index: self.index };
        let what = inner.named_what(&wanted, &format!("{group}/{name}"));
        let uuid = self.facts.ids.uuid(&format!("logical volume {group}/{name}"));
        Member { uuid, size: size(volume.minsize, &what), what, name }
    }

    fn locked(&self, partition: &Partition) -> Result<What<Filesystem>> {
        let key = format!("luks {}", self.index);
        let read = |path: &String| {
            let found = self.facts.secrets.key_files.get(path).cloned();
            found.with_context(|| format!("customizations.disk: the key file {path} was not read"))
        };
        let key_file = partition.key_file.as_ref().map(read).transpose()?;
        let passphrase = partition.passphrase.as_ref().map(|text| text.clone().into_bytes());
        let seed = if partition.reproducible {
            self.facts.ids.bytes(&key)
        } else {
            Sha256::new().chain_update(self.facts.secrets.entropy).chain_update(&key).finalize().into()
        };
        Ok(What::Locked(Box::new(Locked {
            uuid: self.facts.ids.uuid(&key),
            seed,
            secrets: passphrase.into_iter().chain(key_file.clone()).collect(),
            key_file,
            tpm2: partition.tpm2.as_ref().map(|tpm2| tpm2.pcrs.clone()),
            what: self.content(partition),
        })))
    }

    fn what(&self, wanted: &Wanted<'_>) -> What<Filesystem> {
        self.named_what(wanted, &format!("{}", self.index))
    }

    /// `place` tells apart what has no mount point.
    fn named_what(&self, wanted: &Wanted<'_>, place: &str) -> What<Filesystem> {
        let label = wanted.label.map(str::to_owned);
        let esp = wanted.mountpoint == Some("/boot/efi");
        let kind = match wanted.format {
            Some(Format::Swap) => {
                let uuid = wanted.uuid.unwrap_or_else(|| self.facts.ids.uuid(&format!("swap {place}")));
                return What::Swap { uuid, label: label.unwrap_or_default() };
            }
            Some(Format::None) => return What::Raw,
            Some(Format::Vfat) => "vfat",
            None if esp => "vfat",
            _ => "ext4",
        };
        let (key, usual) = match wanted.mountpoint {
            Some("/boot/efi") => ("EFI-SYSTEM".to_owned(), "EFI-SYSTEM"),
            Some("/boot") => ("boot".to_owned(), "boot"),
            Some("/") => ("root".to_owned(), "root"),
            Some(path) => (path.to_owned(), ""),
            None => (place.to_owned(), ""),
        };
        What::Filesystem(Filesystem {
            kind,
            mountpoint: wanted.mountpoint.map(str::to_owned),
            label: label.unwrap_or_else(|| usual.to_owned()),
            uuid: wanted.uuid.unwrap_or_else(|| self.facts.ids.uuid(&format!("filesystem {key}"))),
            mount: wanted.mount.clone(),
        })
    }

    /// The usual name and the type of a partition with that in it.
    fn usual(&self, what: &What<Filesystem>) -> (Option<&'static str>, Uuid) {
        match what {
            What::Filesystem(found) if found.is_at("/boot/efi") => (Some("EFI-SYSTEM"), ESP_TYPE),
            What::Filesystem(found) if found.is_at("/boot") => (Some("boot"), XBOOTLDR_TYPE),
            What::Filesystem(found) if found.is_at("/") => (Some("root"), self.facts.root_type),
            What::Filesystem(found) if found.kind == "vfat" => (None, BASIC_DATA_TYPE),
            What::BiosBoot => (None, BIOS_BOOT_TYPE),
            What::Swap { .. } => (Some("swap"), SWAP_TYPE),
            What::Group(_) => (None, LVM_TYPE),
            What::Locked(_) => (None, LUKS_TYPE),
            What::Filesystem(_) | What::Raw => (None, LINUX_TYPE),
        }
    }

    fn key(&self, mountpoint: Option<&str>) -> String {
        match mountpoint {
            Some("/boot/efi") => "EFI-SYSTEM".to_owned(),
            Some("/boot") => "boot".to_owned(),
            Some("/") => "root".to_owned(),
            Some(path) => path.to_owned(),
            None => self.index.to_string(),
        }
    }
}

impl<'a> Wanted<'a> {
    fn of(partition: &'a Partition) -> Self {
        Self {
            format: partition.fs_type,
            mountpoint: partition.mountpoint.as_deref(),
            label: partition.label.as_deref(),
            mount: partition.mount.clone(),
            uuid: partition.content_uuid,
        }
    }
}

fn given_uuid(partition: &Partition) -> Option<Uuid> {
    partition.part_uuid.as_deref().and_then(|text| Uuid::parse_str(text).ok())
}

/// A name of at most 36 UTF-16 units for a partition that is given none.
fn table_name(partition: &Partition) -> String {
    let path = partition.mountpoint.as_deref().map(|path| path.trim_start_matches('/').replace('/', "-"));
    let name = partition.label.clone().or(path).or_else(|| partition.name.clone()).unwrap_or_default();
    name.chars().filter(char::is_ascii).take(36).collect()
}

/// What is asked for, or usual.
fn size(asked: Option<Size>, what: &What<Filesystem>) -> u64 {
    let usual = match what {
        What::Filesystem(found) => match found.mountpoint.as_deref() {
            Some("/boot/efi") => ESP_SIZE,
            Some("/boot") => BOOT_SIZE,
            Some("/") => 0,
            _ => VOLUME_SIZE,
        },
        _ => 0,
    };
    asked.map_or(usual, |size| size.0)
}
