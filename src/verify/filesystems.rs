//! The partitions of a disk and the filesystems in them.

use diskwright_formats::{
    Faults,
    data::Data,
    disk::{self, TableKind},
    filesystem::{self, Contents},
    partition::{BOOT_CODE_BYTES, gpt, mbr},
    tree::{Kind, NodeId, Tree},
    volume::{luks2, lvm2},
};
use rayon::prelude::*;
use uuid::{Uuid, uuid};

use super::{
    ostree::REPO,
    report::{Findings, Partition},
};

/// EFI system partition.
pub(super) const ESP_TYPE: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// GRUB for BIOS.
pub(super) const BIOS_BOOT_TYPE: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// Partitions that hold a filesystem for certain: /boot, Linux data.
const WITH_FILESYSTEM: [Uuid; 3] = [ESP_TYPE, uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"), LINUX_TYPE];
/// Linux data.
const LINUX_TYPE: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
/// Bytes that are looked at before a partition counts as empty.
const BLANK: u64 = 128 << 10;
/// What holds no files, or is read by other means.
const WITHOUT_FILES: [(u64, &[u8]); 2] = [(512, b"LABELONE"), (4086, b"SWAPSPACE2")];
/// What else may be in a partition: name, offset of its magic number, the number.
const OTHERS: [(&str, u64, &[u8]); 4] = [
    ("xfs", 0, b"XFSB"),
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    ("squashfs", 0, b"hsqs"),
];

/// A partition and what is in it.
pub(super) struct Volume {
    /// From 1.
    pub(super) number: usize,
    pub(super) entry: disk::Partition,
    pub(super) bytes: Data,
    pub(super) contents: Option<Contents>,
    /// Identifier of what is encrypted and cannot be read.
    pub(super) locked: Option<String>,
}

impl Volume {
    /// "partition 4 'root'".
    pub(super) fn place(&self) -> String {
        format!("partition {} '{}'", self.number, self.entry.name)
    }

    /// A path in the volume, for messages.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}: /{}", self.place(), path.trim_start_matches('/'))
    }

    pub(super) fn described(&self) -> Partition {
        let contents = self.contents.as_ref();
        Partition {
            number: self.number,
            name: self.entry.name.clone(),
            type_uuid: self.entry.type_uuid.to_string(),
            offset: self.entry.offset,
            size: self.entry.size,
            filesystem: contents.map(|contents| contents.filesystem),
            uuid: contents.map(|contents| contents.uuid.clone()),
            label: contents.map(|contents| contents.label.clone()),
            inodes: contents.map_or(0, |contents| contents.tree.node_count()),
        }
    }

    /// The logical volumes in it.
    fn members(&self, findings: &mut Findings) -> Vec<Self> {
        let mut faults = Faults::default();
        let found = if self.contents.is_none() { lvm2::read(&self.bytes, &mut faults) } else { None };
        findings.faults("filesystem", &self.place(), &faults.into_list());
        let volume = |member: lvm2::Member| Self {
            number: self.number,
            entry: disk::Partition { name: member.name, size: member.data.len(), ..self.entry.clone() },
            contents: filesystem::read(&member.data),
            bytes: member.data,
            locked: None,
        };
        found.into_iter().flatten().map(volume).collect()
    }

    /// Finds out whether it is encrypted, and says once that this is as far as it is looked into.
    fn find_lock(&mut self, findings: &mut Findings) {
        let mut faults = Faults::default();
        self.locked = if self.contents.is_none() { luks2::read(&self.bytes, &mut faults) } else { None };
        findings.faults("filesystem", &self.place(), &faults.into_list());
        if self.locked.is_some() {
            findings.warning("filesystem", self.place(), "encrypted (LUKS): what is in it is not read");
        }
    }

    /// Whether it begins with zeros alone, past every superblock.
    fn is_blank(&self) -> bool {
        let mut start = vec![0xff; self.bytes.len().min(BLANK) as usize];
        self.bytes.read_exact_at(&mut start, 0).is_ok() && start.iter().all(|&byte| byte == 0)
    }

    fn check_contents(&self, findings: &mut Findings) {
        if let Some(contents) = &self.contents {
            return findings.faults("filesystem", &self.place(), &contents.faults);
        }
        let has = |at: u64, magic: &[u8]| {
            let mut found = vec![0; magic.len()];
            self.bytes.read_exact_at(&mut found, at).is_ok() && found == magic
        };
        if self.locked.is_some() {
            return;
        }
        let other = OTHERS.iter().find(|(_, at, magic)| has(*at, magic));
        match other {
            None if WITHOUT_FILES.iter().any(|(at, magic)| has(*at, magic)) => {}
            Some((name, ..)) => {
                findings.warning("filesystem", self.place(), format!("{name} is not read"));
            }
            // what nobody has formatted yet
            None if self.entry.type_uuid == LINUX_TYPE && self.is_blank() => {}
            None if WITH_FILESYSTEM.contains(&self.entry.type_uuid) => {
                findings.error("filesystem", self.place(), "no filesystem known here");
            }
            None => {}
        }
    }
}

/// Everything on a disk that has a place in its table.
pub(super) struct Volumes {
    pub(super) list: Vec<Volume>,
    /// The code in the MBR.
    pub(super) boot_code: Option<Box<[u8]>>,
    pub(super) sector_size: u64,
    /// Whether the table is in the MBR alone.
    pub(super) dos: bool,
}

/// The table of whichever kind.
fn table(disk: &Data) -> gpt::Table {
    let Some(layout) = mbr::read(disk) else { return gpt::read(disk) };
    let mut code = [0; BOOT_CODE_BYTES];
    let read = disk.read_exact_at(&mut code, 0).is_ok();
    let boot_code = (read && code.iter().any(|&byte| byte != 0)).then(|| code.into());
    gpt::Table { layout: Some(layout), boot_code, faults: Vec::new() }
}

impl Volumes {
    pub(super) fn read(disk: &Data, findings: &mut Findings) -> Self {
        let gpt::Table { layout, boot_code, faults } = table(disk);
        findings.faults("table", "", &faults);
        let dos = layout.as_ref().is_some_and(|layout| layout.kind == TableKind::Dos);
        let sector_size = layout.as_ref().map_or(512, |layout| layout.sector_size.into());
        let entries = layout.map(|layout| layout.partitions).unwrap_or_default();
        let entries: Vec<_> = entries.into_iter().enumerate().collect();
        let read = |(index, entry): (usize, disk::Partition)| {
            let fits = entry.offset.checked_add(entry.size).is_some_and(|end| end <= disk.len());
            let bytes = fits.then(|| disk.slice(entry.offset, entry.size))?;
            let contents = filesystem::read(&bytes);
            Some(Volume { number: index + 1, entry, bytes, contents, locked: None })
        };
        let mut list: Vec<Volume> = entries.into_par_iter().filter_map(read).collect();
        let members: Vec<Volume> = list.iter().flat_map(|volume| volume.members(findings)).collect();
        list.extend(members);
        list.iter_mut().for_each(|volume| volume.find_lock(findings));
        list.iter().for_each(|volume| volume.check_contents(findings));
        Self { list, boot_code, sector_size, dos }
    }

    /// Volumes with a filesystem that was read.
    pub(super) fn readable(&self) -> impl Iterator<Item = (&Volume, &Contents)> {
        self.list.iter().filter_map(|volume| Some((volume, volume.contents.as_ref()?)))
    }

    /// Whether the system may be in what cannot be read: something is encrypted, and there is no repository
    /// beside it.
    pub(super) fn hides_system(&self) -> bool {
        let is_locked = self.list.iter().any(|volume| volume.locked.is_some());
        is_locked && !self.readable().any(|(_, contents)| contents.tree.lookup(REPO).is_some())
    }

    /// Whether something encrypted on the disk has this identifier.
    pub(super) fn has_locked(&self, uuid: &str) -> bool {
        self.list
            .iter()
            .any(|volume| volume.locked.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(uuid)))
    }

    /// Whether a filesystem on the disk has this identifier.
    pub(super) fn has_filesystem(&self, uuid: &str) -> bool {
        self.readable().any(|(_, contents)| contents.uuid.eq_ignore_ascii_case(uuid))
    }
}

/// A file's content, if it is one and no larger than `max` bytes.
pub(super) fn read_small(tree: &Tree, node: NodeId, max: u64) -> Option<Vec<u8>> {
    match &tree.node(node).kind {
        Kind::File(content) if content.len() <= max => content.to_vec().ok(),
        _ => None,
    }
}
