//! Volumes to the bytes of a disk: what each needs, where the planner puts
//! it, and what fills it. Encryption and groups of logical volumes are
//! functions from volume to volume, so everything here goes inwards: sizes
//! shrink by what a container takes, bytes come back wrapped.

use anyhow::{Context, Result};
use diskwright_formats::{
    data::Data,
    disk::{BootCode, Layout, TableKind, assemble_with_boot_code},
    filesystem::{Filesystem, Identity, by_name},
    sparse::Sparse,
    units::{MIB, round_down},
    volume::{
        luks2::{self, Encryption},
        lvm2::{self, EXTENT_BYTES},
        swap,
    },
};

use crate::{
    deploy::{
        Deployed, Volume,
        storage::{Content, Group, Locked, Member, What},
    },
    error::ErrorKind,
    ids::Ids,
    plan::{self, DiskSize, Frame, Wish},
};

/// A system on its way to disks of different sizes.
pub(crate) struct Disk<'a> {
    pub(crate) deployed: &'a Deployed,
    pub(crate) ids: &'a Ids,
}

/// Where a volume is.
#[derive(Clone, Copy)]
struct Place {
    /// Of the partition on the disk; zero inside a container.
    offset: u64,
    /// Whether what is not written reads as anything.
    on_noise: bool,
}

impl Disk<'_> {
    /// What surrounds the partitions.
    fn frame(&self) -> Frame {
        let table = self.deployed.table;
        Frame {
            kind: table.kind,
            sector_size: table.sector_size,
            start: table.start,
            floor: table.floor,
            padding: table.padding,
            uuid: table.uuid.unwrap_or_else(|| self.ids.uuid("disk")),
        }
    }

    /// What each partition needs, in their order.
    pub(crate) fn wishes(&self) -> Result<Vec<Wish>> {
        self.deployed.volumes.iter().map(|volume| self.wish(volume)).collect()
    }

    /// Where they lie on a disk whose size is a multiple of `multiple`.
    pub(crate) fn plan(&self, wishes: &[Wish], size: DiskSize, multiple: u64) -> Result<Layout> {
        plan::plan(wishes, size, multiple, self.frame()).context(ErrorKind::Usage)
    }

    fn wish(&self, volume: &Volume) -> Result<Wish> {
        let needed = self.needed(&volume.what);
        let size = volume.size.max(needed.with_context(|| format!("measuring '{}'", volume.name))?);
        let comfortable = if volume.what.holds("/") { self.comfortable(&volume.what, size)? } else { size };
        Ok(Wish {
            name: volume.name.clone(),
            type_uuid: volume.type_uuid,
            dos_type: volume.dos_type,
            uuid: volume.partition_uuid,
            attributes: volume.attributes,
            size,
            comfortable,
        })
    }

    /// The size of what holds the root with as much room for that as it should have.
    fn comfortable(&self, what: &What<Content>, size: u64) -> Result<u64> {
        let mut all = Vec::new();
        what.filesystems(&mut all);
        let root = all.into_iter().find(|content| content.filesystem.is_at("/"));
        let needed = root.map_or(Ok(0), |root| self.filesystem_needed(root))?;
        let around = self.needed(what)?.saturating_sub(needed);
        Ok(size.max(self.deployed.comfortable.saturating_add(around)))
    }

    /// Bytes that it takes at least.
    fn needed(&self, what: &What<Content>) -> Result<u64> {
        Ok(match what {
            What::BiosBoot => MIB,
            What::Raw => 0,
            What::Swap { .. } => swap::MIN_SIZE,
            What::Filesystem(content) => self.filesystem_needed(content)?,
            What::Group(group) => lvm2::DATA_OFFSET + self.members(group)?.iter().sum::<u64>(),
            What::Locked(locked) => luks2::DATA_OFFSET + self.needed(&locked.what)?,
        })
    }

    fn filesystem_needed(&self, content: &Content) -> Result<u64> {
        let place = Place { offset: 0, on_noise: false };
        let needed = filesystem(content)?.min_size(&content.tree, &self.identity(content, place));
        needed.with_context(|| format!("measuring filesystem '{}'", described(content)))
    }

    /// Bytes that each logical volume takes at least, in whole extents.
    fn members(&self, group: &Group<Content>) -> Result<Vec<u64>> {
        let size = |member: &Member<Content>| {
            let needed = self.needed(&member.what)?.max(member.size).max(1);
            let extents = needed.checked_next_multiple_of(EXTENT_BYTES);
            extents.with_context(|| format!("logical volume {}/{} is too large", group.name, member.name))
        };
        group.members.iter().map(size).collect()
    }

    /// The whole disk.
    pub(crate) fn lay_out(&self, layout: &Layout) -> Result<Sparse> {
        let mut placed = Vec::new();
        for (index, (volume, partition)) in self.deployed.volumes.iter().zip(&layout.partitions).enumerate() {
            let place = Place { offset: partition.offset, on_noise: false };
            let made = self.make(&volume.what, partition.size, place);
            if let Some(made) = made.with_context(|| format!("making '{}'", volume.name))? {
                placed.push((index, made));
            }
        }
        let boot = self.boot_code(layout, &mut placed)?;
        Ok(assemble_with_boot_code(layout, &placed, boot.as_ref())?)
    }

    /// GRUB for BIOS: in its partition, or between a dos table and the first partition.
    fn boot_code(&self, layout: &Layout, placed: &mut Vec<(usize, Sparse)>) -> Result<Option<BootCode>> {
        let Some(core) = &self.deployed.core_image else { return Ok(None) };
        if layout.kind == TableKind::Dos {
            let embedded = Some(Data::from_bytes(core.placed(1)));
            return Ok(Some(BootCode { code: core.boot_code(1), embedded }));
        }
        let index = self.deployed.volumes.iter().position(|volume| matches!(volume.what, What::BiosBoot));
        let found = index.and_then(|index| Some((index, layout.partitions.get(index)?)));
        let (index, partition) = found.context("GRUB for BIOS has no partition")?;
        let lba = partition.offset / u64::from(layout.sector_size);
        let mut space = Sparse::new(partition.size);
        space.insert(0, Data::from_bytes(core.placed(lba)))?;
        placed.push((index, space));
        Ok(Some(BootCode { code: core.boot_code(lba), embedded: None }))
    }

    /// Its bytes; `None` where nothing is written.
    fn make(&self, what: &What<Content>, size: u64, place: Place) -> Result<Option<Sparse>> {
        Ok(match what {
            What::BiosBoot | What::Raw => None,
            What::Swap { uuid, label } => Some(swap::swap(*uuid, label, size)?),
            What::Filesystem(content) => Some(self.mkfs(content, size, place)?),
            What::Group(group) => Some(self.group(group, size, place)?),
            What::Locked(locked) => Some(self.locked(locked, size)?),
        })
    }

    fn mkfs(&self, content: &Content, size: u64, place: Place) -> Result<Sparse> {
        let made = filesystem(content)?.mkfs(&content.tree, &self.identity(content, place), size);
        made.with_context(|| format!("making filesystem '{}'", described(content)))
    }

    /// Bytes of what is straight in a container of `size` bytes: in an encrypted volume, or of each
    /// volume of a group, where the one with the root takes what is free.
    pub(crate) fn inner_sizes(&self, what: &What<Content>, size: u64) -> Result<Vec<u64>> {
        match what {
            What::Group(group) => self.shares(group, size),
            What::Locked(_) => Ok(vec![self.unlocked(size)]),
            _ => Ok(Vec::new()),
        }
    }

    fn shares(&self, group: &Group<Content>, size: u64) -> Result<Vec<u64>> {
        let mut sizes = self.members(group)?;
        let free = lvm2::extent_count(size).saturating_sub(sizes.iter().sum::<u64>() / EXTENT_BYTES);
        let root = group.members.iter().position(|member| member.what.holds("/"));
        if let Some(size) = root.and_then(|root| sizes.get_mut(root)) {
            *size += free * EXTENT_BYTES;
        }
        Ok(sizes)
    }

    fn unlocked(&self, size: u64) -> u64 {
        round_down(size.saturating_sub(luks2::DATA_OFFSET), self.deployed.table.sector_size.into())
    }

    fn group(&self, group: &Group<Content>, size: u64, place: Place) -> Result<Sparse> {
        let place = Place { offset: 0, ..place };
        let mut volumes = Vec::new();
        for (member, size) in group.members.iter().zip(self.shares(group, size)?) {
            let content = self.make(&member.what, size, place)?.unwrap_or_else(|| Sparse::new(size));
            volumes.push(lvm2::Logical { name: member.name.clone(), uuid: member.uuid, content });
        }
        let (uuid, physical_uuid, time) = (group.uuid, group.physical_uuid, self.ids.time().seconds);
        let group = lvm2::Group { name: group.name.clone(), uuid, physical_uuid, volumes, time };
        Ok(lvm2::physical_volume(&group, size)?)
    }

    fn locked(&self, locked: &Locked<Content>, size: u64) -> Result<Sparse> {
        let sector_size = self.deployed.table.sector_size;
        let inner = self.unlocked(size);
        let place = Place { offset: 0, on_noise: true };
        let content = self.make(&locked.what, inner, place)?.unwrap_or_else(|| Sparse::new(inner));
        let encryption = Encryption {
            uuid: locked.uuid,
            label: String::new(),
            secrets: locked.secrets.clone(),
            seed: locked.seed,
            sector_size,
            // FAT's tables are zeros where nothing is; ext4 is told that its gaps are not
            fill: locked.what.has_kind("vfat"),
        };
        Ok(luks2::encrypt(content, &encryption)?)
    }

    fn identity(&self, content: &Content, place: Place) -> Identity {
        Identity {
            uuid: content.filesystem.uuid,
            label: content.filesystem.label.clone(),
            time: self.ids.time(),
            sector_size: self.deployed.table.sector_size,
            offset: place.offset,
            on_noise: place.on_noise,
        }
    }
}

fn described(content: &Content) -> &str {
    content.filesystem.mountpoint.as_deref().unwrap_or(&content.filesystem.label)
}

fn filesystem(content: &Content) -> Result<&'static dyn Filesystem> {
    let kind = content.filesystem.kind;
    by_name(kind).with_context(|| format!("no filesystem '{kind}'"))
}
