//! Bytes at the numbers of the layout.

use zerocopy::IntoBytes;

use super::{
    Boot, Volume,
    layout::{
        Cursor, Entry, Layout, entries, extent_count, head_bytes, path_entry_bytes, record_bytes, sectors,
    },
    ondisk::{
        BootEntry, BootRecord, Both16, Both32, EXTENT_MAX, FLAG_DIRECTORY, FLAG_MULTI_EXTENT, PathEntryL,
        PathEntryM, PrimaryDescriptor, Record, SECTOR, STANDARD_ID, SYSTEM_SECTORS, SectionHeader,
        ValidationEntry,
    },
    susp::Packed,
    time,
};
use crate::{
    Result,
    data::Data,
    sparse::Sparse,
    tree::{Kind, NodeId, Tree},
};

/// El Torito's platforms.
const PLATFORM_BIOS: u8 = 0;
const PLATFORM_EFI: u8 = 0xef;
/// What BIOS loads of its image, in virtual sectors of 512 bytes: the first sector of the disc.
const BIOS_SECTORS: u16 = 4;
/// Bytes of El Torito's virtual sector.
const VIRTUAL_SECTOR: u64 = 512;

/// Everything behind the system area; offsets of pieces are from its end.
pub(super) fn emit(tree: &Tree, layout: &Layout, volume: &Volume<'_>, boot: &Boot) -> Result<Sparse> {
    let start = u64::from(SYSTEM_SECTORS) * SECTOR;
    let mut out = Sparse::new(layout.len() - start);
    let mut put =
        |sector: u32, bytes: Vec<u8>| out.insert(u64::from(sector) * SECTOR - start, Data::from_bytes(bytes));
    put(SYSTEM_SECTORS, descriptors(tree, layout, volume))?;
    put(layout.catalog, catalog(layout, boot))?;
    let tables = path_tables(layout);
    put(layout.path_table_l, tables.0)?;
    put(layout.path_table_m, tables.1)?;
    for index in 0..layout.directories.len() {
        put(layout.directories[index].first, directory(tree, layout, index))?;
    }
    let mut files: Vec<(u32, NodeId)> = layout.files.iter().map(|(&node, &first)| (first, node)).collect();
    files.sort_unstable();
    for (first, node) in files {
        if let Kind::File(content) = &tree.node(node).kind {
            out.place(u64::from(first) * SECTOR - start, content)?;
        }
    }
    Ok(out)
}

fn descriptors(tree: &Tree, layout: &Layout, volume: &Volume<'_>) -> Vec<u8> {
    let mut terminator = [0; SECTOR as usize];
    terminator[0] = 0xff;
    terminator[1..6].copy_from_slice(&STANDARD_ID);
    terminator[6] = 1;
    [primary(tree, layout, volume).as_bytes(), boot_record(layout).as_bytes(), &terminator].concat()
}

fn primary(tree: &Tree, layout: &Layout, volume: &Volume<'_>) -> PrimaryDescriptor {
    let created = time::long(volume.time);
    let root = &layout.directories[0];
    PrimaryDescriptor {
        kind: 1,
        standard_id: STANDARD_ID,
        version: 1,
        unused_7: 0,
        system_id: padded("LINUX"),
        volume_id: padded(volume.id),
        unused_72: [0; 8],
        volume_space: Both32::from(u32::try_from(volume.size / SECTOR).unwrap_or(u32::MAX)),
        unused_88: [0; 32],
        volume_set_size: Both16::from(1),
        volume_sequence: Both16::from(1),
        block_bytes: Both16::from(SECTOR as u16),
        path_table_bytes: layout.path_table_bytes.into(),
        path_table_l: layout.path_table_l.into(),
        path_table_l_optional: 0.into(),
        path_table_m: layout.path_table_m.into(),
        path_table_m_optional: 0.into(),
        root: Record {
            length: 34,
            extent: root.first.into(),
            data_length: Both32::from(root.sectors * SECTOR as u32),
            recorded: time::short(tree.node(root.node).meta.mtime),
            flags: FLAG_DIRECTORY,
            volume: Both16::from(1),
            identifier_length: 1,
            ..Record::default()
        },
        root_identifier: 0,
        volume_set_id: padded(volume.id),
        publisher: padded(volume.publisher),
        data_preparer: padded(""),
        application: padded(volume.application),
        copyright_file: padded(""),
        abstract_file: padded(""),
        bibliographic_file: padded(""),
        created,
        modified: created,
        expires: time::unspecified(),
        effective: time::unspecified(),
        file_structure_version: 1,
        reserved_882: 0,
        application_use: [0; 512],
        reserved_1395: [0; 653],
    }
}

fn boot_record(layout: &Layout) -> BootRecord {
    let mut boot_system_id = [0; 32];
    let name = b"EL TORITO SPECIFICATION";
    boot_system_id[..name.len()].copy_from_slice(name);
    BootRecord {
        kind: 0,
        standard_id: STANDARD_ID,
        version: 1,
        boot_system_id,
        unused_39: [0; 32],
        catalog: layout.catalog.into(),
        unused_75: [0; 1973],
    }
}

/// El Torito's catalogue: the first entry belongs to the validation entry, the next to a section.
fn catalog(layout: &Layout, boot: &Boot) -> Vec<u8> {
    let bios = boot.bios.and_then(|file| layout.sector_of(file));
    let bios = bios.map(|sector| (PLATFORM_BIOS, BIOS_SECTORS, sector));
    let efi = boot.efi.as_ref().map(|span| {
        let count = u16::try_from((span.end - span.start).div_ceil(VIRTUAL_SECTOR)).unwrap_or(u16::MAX);
        (PLATFORM_EFI, count, (span.start / SECTOR) as u32)
    });
    let mut bytes = Vec::new();
    for (index, (platform, count, sector)) in bios.into_iter().chain(efi).enumerate() {
        if index == 0 {
            bytes.extend_from_slice(validation(platform).as_bytes());
        } else {
            let header = SectionHeader { header_id: 0x91, platform, entry_count: 1.into(), id: [0; 28] };
            bytes.extend_from_slice(header.as_bytes());
        }
        bytes.extend_from_slice(boot_entry(count, sector).as_bytes());
    }
    bytes
}

fn validation(platform: u8) -> ValidationEntry {
    let mut entry = ValidationEntry {
        header_id: 1,
        platform,
        reserved: [0; 2],
        id: [0; 24],
        checksum: 0.into(),
        key: [0x55, 0xaa],
    };
    let words = entry.as_bytes().chunks_exact(2).map(|word| u16::from_le_bytes([word[0], word[1]]));
    entry.checksum = words.fold(0_u16, u16::wrapping_sub).into();
    entry
}

fn boot_entry(count: u16, sector: u32) -> BootEntry {
    BootEntry {
        indicator: 0x88,
        media: 0,
        load_segment: 0.into(),
        system_type: 0,
        unused: 0,
        sector_count: count.into(),
        start: sector.into(),
        reserved: [0; 20],
    }
}

/// The path table in both byte orders.
fn path_tables(layout: &Layout) -> (Vec<u8>, Vec<u8>) {
    let mut tables = (Vec::new(), Vec::new());
    for directory in &layout.directories {
        let identifier_length = directory.identifier.len() as u8;
        let (extent, parent) = (directory.first, directory.parent as u16 + 1);
        let little = PathEntryL {
            identifier_length,
            extended_attribute_length: 0,
            extent: extent.into(),
            parent: parent.into(),
        };
        let big = PathEntryM {
            identifier_length,
            extended_attribute_length: 0,
            extent: extent.into(),
            parent: parent.into(),
        };
        for (table, head) in [(&mut tables.0, little.as_bytes()), (&mut tables.1, big.as_bytes())] {
            let end = table.len() + path_entry_bytes(&directory.identifier);
            table.extend_from_slice(head);
            table.extend_from_slice(&directory.identifier);
            table.resize(end, 0);
        }
    }
    tables
}

/// A directory's records, then its continuation areas.
fn directory(tree: &Tree, layout: &Layout, index: usize) -> Vec<u8> {
    let own = &layout.directories[index];
    let mut bytes = vec![0; (u64::from(own.sectors) * SECTOR) as usize];
    let (mut records, mut areas) = (Cursor::default(), Cursor::default());
    for entry in entries(&layout.directories, index) {
        let node = tree.node(entry.node);
        for extent in 0..extent_count(node) {
            let mut packed = entry.packed(node, &layout.links);
            let len = record_bytes(entry.identifier, &packed);
            let places: Vec<_> = packed
                .areas
                .iter()
                .map(|area| areas.place(area.len()))
                .map(|(sector, offset)| (own.sectors + sector, offset))
                .collect();
            packed.connect(&places.iter().map(|&(at, offset)| (own.first + at, offset)).collect::<Vec<_>>());
            let place = records.place(len);
            write(&mut bytes, place, &record(tree, layout, &entry, extent, &packed));
            for (area, place) in packed.areas.iter().zip(places) {
                write(&mut bytes, place, area);
            }
        }
    }
    bytes
}

fn write(bytes: &mut Vec<u8>, (sector, offset): (u32, u32), piece: &[u8]) {
    let at = u64::from(sector) * SECTOR + u64::from(offset);
    let end = at as usize + piece.len();
    let whole = sectors(end as u64) * SECTOR;
    bytes.resize(bytes.len().max(whole as usize), 0);
    bytes[at as usize..end].copy_from_slice(piece);
}

fn record(tree: &Tree, layout: &Layout, entry: &Entry<'_>, extent: u64, packed: &Packed) -> Vec<u8> {
    let node = tree.node(entry.node);
    let len = record_bytes(entry.identifier, packed);
    let (first, bytes, flags) = match (&node.kind, entry.directory) {
        (_, Some(directory)) => {
            let directory = &layout.directories[directory];
            (directory.first, u64::from(directory.sectors) * SECTOR, FLAG_DIRECTORY)
        }
        (Kind::File(content), _) => {
            let (left, first) = (content.len() - extent * EXTENT_MAX, layout.files[&entry.node]);
            let flags = if left > EXTENT_MAX { FLAG_MULTI_EXTENT } else { 0 };
            (first + (extent * sectors(EXTENT_MAX)) as u32, left.min(EXTENT_MAX), flags)
        }
        _ => (0, 0, 0),
    };
    let head = Record {
        length: len as u8,
        extent: first.into(),
        data_length: Both32::from(bytes as u32),
        recorded: time::short(node.meta.mtime),
        flags,
        volume: Both16::from(1),
        identifier_length: entry.identifier.len() as u8,
        ..Record::default()
    };
    let mut record = [head.as_bytes(), entry.identifier].concat();
    record.resize(head_bytes(entry.identifier), 0);
    record.extend_from_slice(&packed.inline);
    record.resize(len, 0);
    record
}

/// Text as far as there is room for it, padded with spaces.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    let len = text.len().min(N);
    field[..len].copy_from_slice(&text.as_bytes()[..len]);
    field
}
