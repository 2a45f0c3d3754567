//! The bytes of a FAT volume, in ascending order.

use zerocopy::{
    IntoBytes,
    little_endian::{U16, U32},
};

use super::{
    geometry::{Geometry, Width},
    layout::{Allocation, Contents, Directory, Entry, ROOT, Target},
    names::checksum,
    ondisk::{
        ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME_ID, BACKUP_SECTOR, BOOT_CODE,
        BOOT_SIGNATURE, BOOT_SIGNATURE_OFFSET, Bpb, Bpb32, DRIVE_FIXED, ENTRY_BYTES, EXTENDED_SIGNATURE,
        Extended, FAT_COUNT, FSINFO_SECTOR, FsInfo, HEAD_COUNT, LongEntry, MEDIA_FIXED, OEM_NAME, ShortEntry,
        TRACK_SECTORS,
    },
    time::Stamp,
};
use crate::{Error, Result, data::Data, filesystem::Identity, sparse::Sparse, tree::Time};

/// Short names of the first two entries of a directory.
const DOT: [u8; 11] = *b".          ";
const DOT_DOT: [u8; 11] = *b"..         ";

pub(super) fn emit(
    contents: &Contents<'_>,
    geometry: &Geometry,
    identity: &Identity,
    size: u64,
) -> Result<Sparse> {
    let allocation = Allocation::new(contents, geometry);
    let mut volume = Sparse::new(size);
    volume.insert(0, Data::from_bytes(reserved_area(contents, geometry, identity, &allocation)?))?;
    let table = Data::from_bytes(table_bytes(&allocation, geometry.width));
    for copy in 0..u64::from(FAT_COUNT) {
        let sector = geometry.reserved_sectors + copy * geometry.fat_sectors;
        volume.insert(sector * geometry.sector_bytes, table.clone())?;
    }
    for (index, directory) in contents.directories.iter().enumerate() {
        let offset = match allocation.directories[index] {
            0 => geometry.root_sector() * geometry.sector_bytes,
            cluster => geometry.offset(cluster),
        };
        let bytes = directory_bytes(contents, &allocation, index, directory, identity.time);
        volume.insert(offset, Data::from_bytes(bytes))?;
    }
    for (content, &cluster) in contents.files.iter().zip(&allocation.files) {
        if cluster != 0 {
            volume.place(geometry.offset(cluster), content)?;
        }
    }
    Ok(volume)
}

/// Boot sector, and in FAT32 FSInfo and the backup of both.
fn reserved_area(
    contents: &Contents<'_>,
    geometry: &Geometry,
    identity: &Identity,
    allocation: &Allocation,
) -> Result<Vec<u8>> {
    let sector = geometry.sector_bytes as usize;
    let mut boot = boot_sector(contents, geometry, identity)?;
    boot.resize(sector, 0);
    if geometry.width == Width::Fat16 {
        return Ok(boot);
    }
    let mut info = fsinfo(geometry, allocation).as_bytes().to_vec();
    info.resize(sector, 0);
    let mut area = vec![0; sector * (usize::from(BACKUP_SECTOR) + 2)];
    for start in [0, usize::from(BACKUP_SECTOR)] {
        area[start * sector..][..sector].copy_from_slice(&boot);
        area[(start + usize::from(FSINFO_SECTOR)) * sector..][..sector].copy_from_slice(&info);
    }
    Ok(area)
}

fn boot_sector(contents: &Contents<'_>, geometry: &Geometry, identity: &Identity) -> Result<Vec<u8>> {
    let mut sector = bpb(geometry, hidden_sectors(identity)?).as_bytes().to_vec();
    if geometry.width == Width::Fat32 {
        sector.extend_from_slice(bpb32(geometry).as_bytes());
    }
    let [a, b, c, d, ..] = *identity.uuid.as_bytes();
    let extended = Extended {
        drive: DRIVE_FIXED,
        reserved: 0,
        signature: EXTENDED_SIGNATURE,
        volume_id: u32::from_be_bytes([a, b, c, d]).into(),
        label: contents.label.unwrap_or(*b"NO NAME    "),
        type_name: if geometry.width == Width::Fat32 { *b"FAT32   " } else { *b"FAT16   " },
    };
    sector.extend_from_slice(extended.as_bytes());
    // A short jump over the block counts from the byte after its two.
    sector[1] = sector.len() as u8 - 2;
    sector.extend_from_slice(&BOOT_CODE);
    sector.resize(BOOT_SIGNATURE_OFFSET, 0);
    sector.extend_from_slice(&BOOT_SIGNATURE);
    Ok(sector)
}

fn hidden_sectors(identity: &Identity) -> Result<u32> {
    let sectors = identity.offset / u64::from(identity.sector_size);
    let what = "vfat filesystem: sectors before the partition".into();
    let limit = |_| Error::Limit { what, found: sectors, allowed: u32::MAX.into() };
    u32::try_from(sectors).map_err(limit)
}

/// The geometry's numbers fit their fields by its construction.
fn bpb(geometry: &Geometry, hidden_sectors: u32) -> Bpb {
    let small = |value: u64| U16::new(u16::try_from(value).unwrap_or(0));
    let fat16 = geometry.width == Width::Fat16;
    let total_sectors_16 = if fat16 { small(geometry.total_sectors) } else { U16::ZERO };
    let is_large = total_sectors_16 == U16::ZERO;
    Bpb {
        jump: [0xeb, 0, 0x90],
        oem_name: OEM_NAME,
        sector_bytes: small(geometry.sector_bytes),
        cluster_sectors: geometry.cluster_sectors as u8,
        reserved_sectors: small(geometry.reserved_sectors),
        fat_count: FAT_COUNT,
        root_entries: small(geometry.root_entries),
        total_sectors_16,
        media: MEDIA_FIXED,
        fat_sectors_16: if fat16 { small(geometry.fat_sectors) } else { U16::ZERO },
        track_sectors: TRACK_SECTORS.into(),
        head_count: HEAD_COUNT.into(),
        hidden_sectors: hidden_sectors.into(),
        total_sectors_32: if is_large { U32::new(geometry.total_sectors as u32) } else { U32::ZERO },
    }
}

fn bpb32(geometry: &Geometry) -> Bpb32 {
    Bpb32 {
        fat_sectors: U32::new(geometry.fat_sectors as u32),
        root_cluster: 2.into(),
        fsinfo_sector: FSINFO_SECTOR.into(),
        backup_sector: BACKUP_SECTOR.into(),
        ..Bpb32::default()
    }
}

fn fsinfo(geometry: &Geometry, allocation: &Allocation) -> FsInfo {
    let free = geometry.cluster_count - allocation.used();
    let next = if free == 0 { FsInfo::UNKNOWN } else { allocation.table.len() as u32 };
    FsInfo {
        lead: FsInfo::LEAD.into(),
        reserved: [0; 480],
        signature: FsInfo::STRUCT.into(),
        free_clusters: U32::new(free as u32),
        next_free: next.into(),
        reserved_2: [0; 12],
        trail: FsInfo::TRAIL.into(),
    }
}

fn table_bytes(allocation: &Allocation, width: Width) -> Vec<u8> {
    let entries = allocation.table.iter();
    match width {
        Width::Fat16 => entries.flat_map(|&entry| (entry as u16).to_le_bytes()).collect(),
        Width::Fat32 => entries.flat_map(|&entry| entry.to_le_bytes()).collect(),
    }
}

fn directory_bytes(
    contents: &Contents<'_>,
    allocation: &Allocation,
    index: usize,
    directory: &Directory,
    created: Time,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(directory.slots * ENTRY_BYTES);
    if index != ROOT {
        // A root directory is cluster 0 to its children, whatever its place.
        let parent = if directory.parent == ROOT { 0 } else { allocation.directories[directory.parent] };
        let own = allocation.directories[index];
        for (name, cluster) in [(DOT, own), (DOT_DOT, parent)] {
            push(&mut bytes, &short_entry(name, ATTR_DIRECTORY, directory.mtime, cluster, 0));
        }
    } else if let Some(label) = contents.label {
        push(&mut bytes, &short_entry(label, ATTR_VOLUME_ID, created, 0, 0));
    }
    for entry in &directory.entries {
        push_long_name(&mut bytes, entry);
        push(&mut bytes, &named_entry(contents, allocation, entry));
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, entry: &(impl IntoBytes + zerocopy::Immutable)) {
    bytes.extend_from_slice(entry.as_bytes());
}

fn named_entry(contents: &Contents<'_>, allocation: &Allocation, entry: &Entry) -> ShortEntry {
    let (attributes, cluster, size) = match entry.target {
        Target::Directory(index) => (ATTR_DIRECTORY, allocation.directories[index], 0),
        Target::File(index) => (ATTR_ARCHIVE, allocation.files[index], contents.files[index].len() as u32),
    };
    short_entry(entry.name.short, attributes, entry.mtime, cluster, size)
}

fn short_entry(name: [u8; 11], attributes: u8, mtime: Time, cluster: u32, size: u32) -> ShortEntry {
    let stamp = Stamp::from(mtime);
    ShortEntry {
        name,
        attributes,
        nt_reserved: 0,
        created_hundredths: stamp.hundredths,
        created_time: stamp.time.into(),
        created_date: stamp.date.into(),
        accessed_date: stamp.date.into(),
        cluster_high: U16::new((cluster >> 16) as u16),
        written_time: stamp.time.into(),
        written_date: stamp.date.into(),
        cluster_low: U16::new(cluster as u16),
        size: size.into(),
    }
}

/// The long name's parts, last part first.
fn push_long_name(bytes: &mut Vec<u8>, entry: &Entry) {
    let checksum = checksum(&entry.name.short);
    let parts: Vec<_> = entry.name.long.chunks(LongEntry::UNITS).collect();
    for (index, part) in parts.iter().enumerate().rev() {
        // One zero ends the name, 0xffff fills the rest.
        let unit =
            |i: usize| U16::new(part.get(i).copied().unwrap_or(if i == part.len() { 0 } else { 0xffff }));
        let last = if index + 1 == parts.len() { LongEntry::LAST } else { 0 };
        let entry = LongEntry {
            order: (index as u8 + 1) | last,
            name_1: std::array::from_fn(unit),
            attributes: ATTR_LONG_NAME,
            kind: 0,
            checksum,
            name_2: std::array::from_fn(|i| unit(i + 5)),
            cluster: U16::ZERO,
            name_3: std::array::from_fn(|i| unit(i + 11)),
        };
        push(bytes, &entry);
    }
}
