//! What can be told wrong of the partitions of `customizations.disk`.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    Disk, Format, Kind, LogicalVolume, Partition, Table,
    check::{field, mountpoint_fault},
};
use crate::blueprint::error::{Fault, quoted};

/// Partitions of a table in the master boot record.
const DOS_MAX: usize = 4;
/// Partitions of a GUID partition table.
const GPT_MAX: usize = 128;
/// UTF-16 units of a name in a GUID partition table.
const NAME_UNITS: usize = 36;
/// Longest name of a group or a logical volume, hyphens counted twice.
const LVM_NAME_MAX: usize = 60;
/// Names that are LVM's own.
const LVM_RESERVED: [&str; 6] = ["snapshot", "pvmove", "_mlog", "_mimage", "_rimage", "_tdata"];
/// Most platform configuration registers.
const PCR_COUNT: u32 = 24;

/// The partitions of a table, and what has been seen of them.
pub(super) struct Volumes<'a> {
    disk: &'a Disk,
    mountpoints: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
    uuids: BTreeSet<Uuid>,
    contents: BTreeSet<Uuid>,
}

/// What a filesystem can be asked for, in a partition or a logical volume.
struct Content<'a> {
    format: Option<Format>,
    mountpoint: Option<&'a str>,
    label: Option<&'a str>,
    sized: bool,
    /// Straight in a partition.
    plain: bool,
}

impl<'a> Volumes<'a> {
    pub(super) fn new(disk: &'a Disk) -> Self {
        let (mountpoints, groups, uuids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { disk, mountpoints, groups, uuids, contents: BTreeSet::new() }
    }

    pub(super) fn fault(&mut self) -> Option<Fault> {
        let disk = self.disk;
        let each = disk.partitions.iter().enumerate().find_map(|(index, partition)| {
            self.partition(partition).map(|fault| fault.inside(index).inside("partitions"))
        });
        let bios_boot = disk.bios_boot.as_deref();
        let bios_boot =
            bios_boot.and_then(|partition| self.entry(partition)).map(|fault| fault.inside("partitions"));
        each.or(bios_boot).or_else(|| self.count())
    }

    /// Whether the table holds them, with those that every disk gets.
    fn count(&self) -> Option<Fault> {
        let added = ["/boot/efi", "/boot", "/"].iter().filter(|path| !self.mountpoints.contains(*path));
        let count = self.disk.partitions.len() + added.count();
        let (allowed, kind) = match self.disk.r#type.unwrap_or_default() {
            Table::Dos => (DOS_MAX, "dos"),
            // the one for a BIOS is counted
            Table::Gpt => (GPT_MAX - 1, "gpt"),
        };
        let why = format!(
            "a {kind} table holds {allowed} partitions, and with those for /boot/efi, /boot and / these are {count}"
        );
        (count > allowed).then(|| field("partitions", why).hint("use gpt, or logical volumes"))
    }

    fn partition(&mut self, partition: &'a Partition) -> Option<Fault> {
        let fault = self.entry(partition).or_else(|| misplaced(partition));
        fault.or_else(|| match partition.r#type {
            Kind::Btrfs => Some(field("type", later("btrfs"))),
            Kind::Plain => self.content(&Content::of(partition)),
            Kind::Lvm => self.group(partition),
            Kind::Luks => encryption_fault(partition, self.disk).or_else(|| {
                if partition.logical_volumes.is_empty() {
                    self.content(&Content::of(partition))
                } else {
                    self.group(partition)
                }
            }),
        })
    }

    /// What stands in the table.
    fn entry(&mut self, partition: &Partition) -> Option<Fault> {
        if let Some(uuid) = partition.content_uuid
            && !self.contents.insert(uuid)
        {
            return Some(field("uuid", format!("{uuid} is given twice")).inside("payload"));
        }
        let dos = self.disk.r#type == Some(Table::Dos);
        let kind = || partition.part_type.as_deref().and_then(|text| type_fault(text, dos));
        let label = || partition.part_label.as_deref().and_then(|text| label_fault(text, dos));
        let uuid = partition.part_uuid.as_deref();
        kind().or_else(label).or_else(|| {
            let text = uuid?;
            let why = match Uuid::parse_str(text) {
                _ if dos => "a dos table has no GUIDs".to_owned(),
                Ok(uuid) if !uuid.is_nil() && self.uuids.insert(uuid) => return None,
                Ok(_) => format!("{} is given twice, or zero", quoted(text)),
                Err(_) => format!("{} is no GUID", quoted(text)),
            };
            Some(field("part_uuid", why))
        })
    }

    fn content(&mut self, content: &Content<'a>) -> Option<Fault> {
        let place = content.mountpoint.and_then(|path| mountpoint_fault(path, &mut self.mountpoints));
        place.or_else(|| content.fault())
    }

    fn group(&mut self, partition: &'a Partition) -> Option<Fault> {
        let name = partition.name.as_deref().unwrap_or(DEFAULT_GROUP);
        let again =
            || (!self.groups.insert(name)).then(|| format!("the group {} is there twice", quoted(name)));
        if let Some(why) = lvm_name_fault(name).or_else(again) {
            return Some(field("name", why));
        }
        if partition.logical_volumes.is_empty() {
            return Some(field("logical_volumes", "a group without volumes"));
        }
        let mut names = BTreeSet::new();
        partition.logical_volumes.iter().enumerate().find_map(|(index, volume)| {
            let fault = volume_name_fault(volume, name, &mut names);
            let fault = fault.or_else(|| self.content(&Content::of_logical(volume)));
            fault.map(|fault| fault.inside(index).inside("logical_volumes"))
        })
    }
}

/// The group's name where none is given.
pub(super) const DEFAULT_GROUP: &str = "vg0";

impl<'a> Content<'a> {
    fn of(partition: &'a Partition) -> Self {
        Self {
            format: partition.fs_type,
            mountpoint: partition.mountpoint.as_deref(),
            label: partition.label.as_deref(),
            sized: partition.minsize.is_some(),
            plain: partition.r#type == Kind::Plain,
        }
    }

    fn of_logical(volume: &'a LogicalVolume) -> Self {
        Self {
            format: volume.fs_type,
            mountpoint: volume.mountpoint.as_deref(),
            label: volume.label.as_deref(),
            sized: volume.minsize.is_some(),
            plain: false,
        }
    }

    fn fault(&self) -> Option<Fault> {
        let name = match self.format {
            Some(Format::Xfs) => return Some(field("fs_type", later("xfs"))),
            Some(Format::Btrfs) => return Some(field("fs_type", later("btrfs"))),
            None if self.mountpoint.is_none() => {
                return Some(field("fs_type", "neither fs_type nor mountpoint: what shall be in it?"));
            }
            Some(Format::Swap) => "swap",
            Some(Format::None) => "none",
            Some(Format::Ext4 | Format::Vfat) | None => return self.filesystem_fault(),
        };
        let mounted = || self.mountpoint.map(|_| field("mountpoint", format!("{name} is not mounted")));
        let labelled = || {
            let wrong = self.label.filter(|label| name == "none" || label.len() > 15);
            wrong.map(|_| field("label", "only filesystems and swap have labels, swap one of up to 15 bytes"))
        };
        let sized = || (!self.sized).then(|| field("minsize", format!("{name} needs a size")));
        mounted().or_else(labelled).or_else(sized)
    }

    fn filesystem_fault(&self) -> Option<Fault> {
        let vfat = self.format == Some(Format::Vfat);
        let esp = self.mountpoint == Some("/boot/efi");
        let why = match self.mountpoint {
            Some("/boot/efi") if !self.plain => "firmware reads /boot/efi: it is a plain partition",
            Some("/boot") if !self.plain => "GRUB reads /boot: it is a plain partition",
            Some("/boot/efi") if self.format.is_some() && !vfat => "/boot/efi is vfat, which firmware reads",
            Some(path) if vfat && !esp && is_system(path) => {
                "vfat has no owners, modes and links, which the system needs there"
            }
            _ => return self.label.and_then(|label| filesystem_label_fault(label, vfat || esp)),
        };
        Some(field(if self.plain { "fs_type" } else { "mountpoint" }, why))
    }
}

fn is_system(path: &str) -> bool {
    matches!(path, "/" | "/boot" | "/var" | "/home" | "/root")
}

fn filesystem_label_fault(label: &str, vfat: bool) -> Option<Fault> {
    let allowed = if vfat { 11 } else { 16 };
    let why = format!("{} has more than {allowed} bytes", quoted(label));
    (label.len() > allowed).then(|| field("label", why))
}

pub(super) fn later(name: &str) -> String {
    format!("{name} cannot be written yet; ext4 can")
}

/// Keys that this type of partition does not have.
fn misplaced(partition: &Partition) -> Option<Fault> {
    let Partition { r#type, name, logical_volumes, subvolumes, .. } = partition;
    let luks = *r#type == Kind::Luks;
    let group = *r#type == Kind::Lvm || luks && !logical_volumes.is_empty();
    let keys = [
        ("name", name.is_some() && !group, "a group of logical volumes"),
        ("logical_volumes", !logical_volumes.is_empty() && !group, "the types lvm and luks"),
        ("subvolumes", !subvolumes.is_empty() && *r#type != Kind::Btrfs, "the type btrfs"),
        ("mountpoint", partition.mountpoint.is_some() && group, "each of the logical volumes"),
        ("label", partition.label.is_some() && group, "each of the logical volumes"),
        ("fs_type", partition.fs_type.is_some() && group, "each of the logical volumes"),
        ("passphrase", partition.passphrase.is_some() && !luks, "the type luks"),
        ("key_file", partition.key_file.is_some() && !luks, "the type luks"),
        ("tpm2", partition.tpm2.is_some() && !luks, "the type luks"),
        ("reproducible", partition.reproducible && !luks, "the type luks"),
    ];
    let (key, _, whose) = keys.into_iter().find(|(_, wrong, _)| *wrong)?;
    Some(field(key, format!("only for {whose}")))
}

fn type_fault(text: &str, dos: bool) -> Option<Fault> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let why = match (dos, Uuid::parse_str(text)) {
        (true, _) if u8::from_str_radix(digits, 16).is_ok_and(|kind| kind != 0) && digits.len() == 2 => {
            return None;
        }
        (true, _) => format!("{} is no type of a dos table: two hexadecimal digits", quoted(text)),
        (false, Ok(uuid)) if !uuid.is_nil() => return None,
        (false, _) => format!("{} is no GUID of a partition type", quoted(text)),
    };
    Some(field("part_type", why))
}

fn label_fault(text: &str, dos: bool) -> Option<Fault> {
    let units = text.encode_utf16().count();
    let why = match units {
        _ if dos => "a dos table has no names".to_owned(),
        _ if units > NAME_UNITS => format!("{} is longer than {NAME_UNITS} UTF-16 units", quoted(text)),
        _ => return None,
    };
    Some(field("part_label", why))
}

fn volume_name_fault<'a>(
    volume: &'a LogicalVolume,
    group: &str,
    names: &mut BTreeSet<&'a str>,
) -> Option<Fault> {
    let Some(name) = volume.name.as_deref() else {
        return Some(field("name", "the key `name` is missing"));
    };
    let again = || (!names.insert(name)).then(|| format!("the volume {} is there twice", quoted(name)));
    let long = || {
        let doubled = |name: &str| name.len() + name.matches('-').count();
        let len = doubled(name) + doubled(group);
        (len > 2 * LVM_NAME_MAX).then(|| format!("{} is too long", quoted(name)))
    };
    lvm_name_fault(name).or_else(again).or_else(long).map(|why| field("name", why))
}

pub(super) fn lvm_name_fault(name: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "+_.-".contains(c);
    let fine = !name.is_empty() && !name.starts_with('-') && name.chars().all(good);
    let reserved = LVM_RESERVED
        .iter()
        .any(|word| name.starts_with(word) || word.starts_with('_') && name.contains(word));
    if !fine || matches!(name, "." | "..") || reserved || name.len() > LVM_NAME_MAX {
        return Some(format!("{} is no name for LVM: letters, digits and +_.- (lvm(8))", quoted(name)));
    }
    None
}

/// What opens an encrypted partition.
fn encryption_fault(partition: &Partition, disk: &Disk) -> Option<Fault> {
    let empty = |text: &Option<String>| text.as_deref() == Some("");
    if partition.passphrase.is_none() && partition.key_file.is_none() {
        return Some(field("passphrase", "neither passphrase nor key_file: nothing would open it"));
    }
    if empty(&partition.passphrase) || partition.passphrase.as_ref().is_some_and(|text| text.contains('\n')) {
        return Some(field("passphrase", "a passphrase is one line that is not empty"));
    }
    if empty(&partition.key_file) {
        return Some(field("key_file", "the path is empty"));
    }
    let tpm2 = partition.tpm2.as_ref()?;
    if tpm2.pcrs.iter().any(|&pcr| pcr >= PCR_COUNT) {
        return Some(field("tpm2", format!("registers are 0 to {}", PCR_COUNT - 1)));
    }
    let encrypted_root = disk.partitions.iter().any(|other| other.r#type == Kind::Luks && other.holds("/"));
    let why = "the key waits for the TPM on the root volume, which must be encrypted too";
    (!encrypted_root).then(|| field("tpm2", why))
}

impl Partition {
    /// Whether something in it is mounted there.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        let logical = self.logical_volumes.iter().map(|volume| volume.mountpoint.as_deref());
        logical.chain([self.mountpoint.as_deref()]).any(|found| found == Some(path))
    }

    /// Name of the group of logical volumes in it.
    #[must_use]
    pub fn group_name(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT_GROUP)
    }
}
