//! A medium in one piece: ISO 9660, EFI system partition and partition tables
//! at their places, so that it boots as a disc and as a disk.

use anyhow::{Context, Result};
use diskwright_formats::{
    disk::{BootCode, Layout as Table, Partition, TableKind, assemble_with_boot_code},
    filesystem::{
        Filesystem, Identity,
        fat::Fat,
        iso9660::{self, Boot, Layout, SYSTEM_AREA, Volume},
    },
    sparse::Sparse,
    tree::{Kind, Tree},
    units::{MIB, round_up},
};
use uuid::{Uuid, uuid};

use crate::{deploy::medium::Medium, ids::Ids};

/// Partition type of the EFI system partition.
const ESP_TYPE: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Partition type of the ISO 9660: basic data, as such media have it.
const DATA_TYPE: Uuid = uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
/// GPT attribute: read-only.
const READ_ONLY: u64 = 1 << 60;
/// What a disk's partition table counts in.
const SECTOR_SIZE: u32 = 512;
/// Room for the backup partition table, after which the medium ends at a whole MiB.
const BACKUP: u64 = 33 * SECTOR_SIZE as u64;

/// The bytes of the medium.
///
/// # Errors
/// What a filesystem cannot hold.
pub fn lay_out(mut medium: Medium, ids: &Ids) -> Result<Sparse> {
    let layout = Layout::new(&medium.tree).context("laying out the ISO 9660")?;
    let mut boot_code = None;
    if let Some((file, image)) = &medium.bios {
        let sector = layout.sector_of(*file).context("a medium without its boot image")?;
        medium.tree.node_mut(*file).kind = Kind::File(Sparse::from_bytes(image.placed(sector)));
        boot_code = Some(image.boot_code(sector));
    }
    let start = round_up(layout.len(), MIB);
    let esp = medium.esp.as_ref().map(|tree| esp(tree, ids, start)).transpose()?;
    let end = start + esp.as_ref().map_or(0, Sparse::len);
    let size = round_up(end + BACKUP, MIB);
    let volume = Volume {
        id: &medium.label,
        publisher: &medium.publisher,
        application: &medium.application,
        time: ids.time(),
        size,
    };
    let boot =
        Boot { bios: medium.bios.as_ref().map(|(file, _)| *file), efi: esp.is_some().then_some(start..end) };
    let iso = iso9660::write(&medium.tree, &layout, &volume, &boot).context("writing the ISO 9660")?;
    let mut partitions = vec![partition(ids, "ISO9660", SYSTEM_AREA, iso.len(), DATA_TYPE, READ_ONLY)];
    let mut volumes = vec![(0, iso)];
    if let Some(esp) = esp {
        partitions.push(partition(ids, "EFI-SYSTEM", start, esp.len(), ESP_TYPE, 0));
        volumes.push((1, esp));
    }
    let table = Table {
        size,
        kind: TableKind::Gpt,
        sector_size: SECTOR_SIZE,
        uuid: ids.uuid("medium disk"),
        partitions,
    };
    let boot_code = boot_code.map(|code| BootCode { code, embedded: None });
    Ok(assemble_with_boot_code(&table, &volumes, boot_code.as_ref())?)
}

fn partition(ids: &Ids, name: &str, offset: u64, size: u64, type_uuid: Uuid, attributes: u64) -> Partition {
    let uuid = ids.uuid(&format!("medium partition {name}"));
    Partition { offset, size, type_uuid, dos_type: None, uuid, name: name.to_owned(), attributes }
}

fn esp(tree: &Tree, ids: &Ids, offset: u64) -> Result<Sparse> {
    let identity = Identity {
        uuid: ids.uuid("medium filesystem EFI-SYSTEM"),
        label: "EFI-SYSTEM".into(),
        time: ids.time(),
        sector_size: SECTOR_SIZE,
        offset,
        on_noise: false,
    };
    let measured =
        Fat.min_size(tree, &identity).and_then(|size| Fat.mkfs(tree, &identity, round_up(size, MIB)));
    measured.context("making the medium's EFI system partition")
}
