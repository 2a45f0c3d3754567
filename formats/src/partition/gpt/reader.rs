//! Reads a GUID partition table back: both copies, with their checksums, and
//! what lies where it must not.
//!
//! Sectors of 512 and 4096 bytes are tried, and the backup is used where the
//! primary is broken. Source: UEFI Specification 2.10, chapter 5. Left out on
//! purpose: MBR partitions.

use libdeflater::crc32;
use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

use super::{
    super::BOOT_CODE_BYTES,
    ondisk::{
        ENTRY_BYTES, Entry, Header, MBR_PROTECTIVE, MBR_RECORD_BYTES, MBR_RECORDS_AT, MBR_SIGNATURE,
        MBR_SIGNATURE_AT, MBR_TYPE_AT, SIGNATURE,
    },
};
use crate::{
    Fault, Faults,
    data::Data,
    disk::{Layout, Partition, TableKind},
};

/// Largest array of entries that is read, in bytes.
const ENTRIES_MAX: u64 = 1 << 20;
/// Partitions that begin elsewhere are slow on most devices.
const ALIGNMENT: u64 = 4096;

/// What the start and the end of a disk say.
#[derive(Clone, Debug)]
pub struct Table {
    /// The partitions, if one of the copies can be read.
    pub layout: Option<Layout>,
    /// The MBR's code, if there is any.
    pub boot_code: Option<Box<[u8]>>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// One copy of the table.
struct Copy {
    header: Header,
    entries: Vec<u8>,
}

/// Reads the table of `disk`. Whatever the bytes are, this ends, and says what is wrong in the faults.
#[must_use]
pub fn read(disk: &Data) -> Table {
    let mut faults = Faults::default();
    let boot_code = master_boot_record(disk, &mut faults);
    let layout = copies(disk, &mut faults);
    if let Some(layout) = &layout {
        check_places(layout, &mut faults);
    }
    Table { layout: layout.map(|found| found.0), boot_code, faults: faults.into_list() }
}

fn master_boot_record(disk: &Data, faults: &mut Faults) -> Option<Box<[u8]>> {
    const PLACE: &str = "MBR";
    let mut sector = [0; 512];
    if let Err(error) = disk.read_exact_at(&mut sector, 0) {
        faults.error(PLACE, error.to_string());
        return None;
    }
    if sector[MBR_SIGNATURE_AT..] != MBR_SIGNATURE {
        faults.error(PLACE, "no boot signature at byte 510");
    }
    let records = sector[MBR_RECORDS_AT..MBR_SIGNATURE_AT].chunks_exact(MBR_RECORD_BYTES);
    if !records.into_iter().any(|record| record[MBR_TYPE_AT] == MBR_PROTECTIVE) {
        faults.error(PLACE, "no record that protects the GUID partition table");
    }
    let code = &sector[..BOOT_CODE_BYTES];
    code.iter().any(|&byte| byte != 0).then(|| code.into())
}

/// The layout, and the bytes that partitions may use.
type Found = (Layout, std::ops::Range<u64>);

fn copies(disk: &Data, faults: &mut Faults) -> Option<Found> {
    let sector = [512, 4096].into_iter().find(|&sector| has_signature(disk, sector));
    let at_end = |sector: &u64| last(disk, *sector).is_some_and(|at| has_signature(disk, at));
    let Some(sector) = sector.or_else(|| [512, 4096].into_iter().find(at_end)) else {
        faults.error("partition table", "no GUID partition table, neither at the start nor at the end");
        return None;
    };
    let primary = report("primary table", read_copy(disk, sector, sector), faults);
    let end = last(disk, sector)?;
    let named = primary.as_ref().map(|copy| copy.header.alternate_lba.get().saturating_mul(sector));
    let backup_at = named.unwrap_or(end);
    if backup_at < end {
        faults.warning("backup table", format!("at byte {backup_at}, not at the end of the disk"));
    }
    let backup = report("backup table", read_copy(disk, backup_at, sector), faults);
    if let (Some(primary), Some(backup)) = (&primary, &backup)
        && (primary.entries != backup.entries || primary.header.disk_guid != backup.header.disk_guid)
    {
        faults.error("backup table", "names other partitions than the primary table");
    }
    primary.or(backup).map(|copy| layout(disk, &copy, sector))
}

fn last(disk: &Data, sector: u64) -> Option<u64> {
    (disk.len() / sector).checked_sub(1).map(|lba| lba * sector)
}

fn has_signature(disk: &Data, at: u64) -> bool {
    let mut signature = [0; SIGNATURE.len()];
    disk.read_exact_at(&mut signature, at).is_ok() && signature == SIGNATURE
}

fn report(place: &str, copy: Result<Copy, String>, faults: &mut Faults) -> Option<Copy> {
    copy.map_err(|what| faults.error(place, what)).ok()
}

fn read_copy(disk: &Data, at: u64, sector: u64) -> Result<Copy, String> {
    let mut bytes = vec![0; sector as usize];
    disk.read_exact_at(&mut bytes, at).map_err(|error| format!("header at byte {at}: {error}"))?;
    let (mut header, _) = Header::read_from_prefix(&bytes).map_err(|_| "short sector".to_owned())?;
    if header.signature != SIGNATURE {
        return Err(format!("header at byte {at}: no signature"));
    }
    let len = header.header_bytes.get() as usize;
    if !(size_of::<Header>()..=bytes.len()).contains(&len) {
        return Err(format!("header at byte {at}: {len} bytes long"));
    }
    let stored = header.checksum.get();
    header.checksum = 0.into();
    bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    check_crc(&format!("header at byte {at}"), stored, crc32(&bytes[..len]))?;
    if header.my_lba.get().checked_mul(sector) != Some(at) {
        return Err(format!("header at byte {at}: says that it is at sector {}", header.my_lba));
    }
    let entries = entries(disk, &header, sector)?;
    Ok(Copy { header, entries })
}

fn entries(disk: &Data, header: &Header, sector: u64) -> Result<Vec<u8>, String> {
    let (count, bytes) = (header.entry_count.get(), header.entry_bytes.get());
    let len = u64::from(count) * u64::from(bytes);
    if (bytes as usize) < ENTRY_BYTES || len > ENTRIES_MAX {
        return Err(format!("{count} entries of {bytes} bytes"));
    }
    let at = header.entries_lba.get().saturating_mul(sector);
    let mut entries = vec![0; len as usize];
    disk.read_exact_at(&mut entries, at).map_err(|error| format!("entries at byte {at}: {error}"))?;
    check_crc(&format!("entries at byte {at}"), header.entries_checksum.get(), crc32(&entries))?;
    Ok(entries)
}

fn check_crc(what: &str, stored: u32, computed: u32) -> Result<(), String> {
    if stored == computed {
        return Ok(());
    }
    Err(format!("{what}: checksum is {stored:08x}, the bytes have {computed:08x}"))
}

fn layout(disk: &Data, copy: &Copy, sector: u64) -> Found {
    let entry_bytes = copy.header.entry_bytes.get() as usize;
    let entries = copy.entries.chunks_exact(entry_bytes);
    let entries = entries.filter_map(|bytes| Entry::read_from_prefix(bytes).ok()).map(|(entry, _)| entry);
    let used = entries.filter(|entry| entry.type_guid != [0; 16]);
    let partitions = used.map(|entry| partition(&entry, sector)).collect();
    let layout = Layout {
        size: disk.len(),
        kind: TableKind::Gpt,
        sector_size: sector as u32,
        uuid: Uuid::from_bytes_le(copy.header.disk_guid),
        partitions,
    };
    let start = copy.header.first_usable.get().saturating_mul(sector);
    let end = copy.header.last_usable.get().saturating_add(1).saturating_mul(sector);
    (layout, start..end.min(disk.len()))
}

fn partition(entry: &Entry, sector: u64) -> Partition {
    let units = entry.name.iter().map(|unit| unit.get()).take_while(|&unit| unit != 0);
    let name = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    let (first, last) = (entry.first_lba.get(), entry.last_lba.get());
    let sectors = last.saturating_add(1).saturating_sub(first);
    Partition {
        offset: first.saturating_mul(sector),
        size: sectors.saturating_mul(sector),
        type_uuid: Uuid::from_bytes_le(entry.type_guid),
        dos_type: None,
        uuid: Uuid::from_bytes_le(entry.guid),
        name: name.collect(),
        attributes: entry.attributes.get(),
    }
}

fn check_places((layout, usable): &Found, faults: &mut Faults) {
    for (index, partition) in layout.partitions.iter().enumerate() {
        let place = format!("partition {} '{}'", index + 1, partition.name);
        let end = partition.offset.saturating_add(partition.size);
        if partition.size == 0 || partition.offset < usable.start || end > usable.end {
            let Partition { offset, size, .. } = partition;
            let (first, end) = (usable.start, usable.end);
            faults.error(&place, format!("{size} bytes at {offset} are not within {first}..{end}"));
        }
        if !partition.offset.is_multiple_of(ALIGNMENT) {
            faults.warning(&place, format!("begins at byte {}, not a multiple of 4096", partition.offset));
        }
        let twins = layout.partitions[..index].iter();
        if twins.into_iter().any(|other| other.uuid == partition.uuid) {
            faults.error(&place, format!("has the GUID {} of another partition", partition.uuid));
        }
    }
    let mut ordered: Vec<_> = layout.partitions.iter().collect();
    ordered.sort_by_key(|partition| partition.offset);
    for pair in ordered.windows(2) {
        if pair[0].offset.saturating_add(pair[0].size) > pair[1].offset {
            faults.error(format!("partition '{}'", pair[1].name), format!("overlaps '{}'", pair[0].name));
        }
    }
}
