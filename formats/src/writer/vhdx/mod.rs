//! Hyper-V's disk, dynamic.
//!
//! ```text
//! 0        file type            1 MiB  log, empty
//! 64 KiB   header, twice        2 MiB  metadata
//! 192 KiB  region table, twice  3 MiB  block allocation table, then blocks of 2 MiB
//! ```
//!
//! The table has an entry for each block, and after each so many of them one
//! for a bitmap that only differencing disks have. Entries of 0 are blocks that
//! are not there, so the table is as sparse as the disk.
//!
//! Source: Microsoft, [MS-VHDX]. Left out on purpose: fixed and differencing
//! disks, log entries (a file that nobody has opened has none).

mod ondisk;

use uuid::Uuid;
use zerocopy::{IntoBytes, little_endian::U64};

use self::ondisk::{
    BAT_REGION, FILE_PARAMETERS, FILE_SIGNATURE, Header, LOGICAL_SECTOR_SIZE, METADATA_REGION,
    MetadataTableEntry, MetadataTableHeader, PAYLOAD_BLOCK_FULLY_PRESENT, PHYSICAL_SECTOR_SIZE,
    RegionTableEntry, RegionTableHeader, VIRTUAL_DISK_ID, VIRTUAL_DISK_SIZE,
};
use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::plain};
use crate::{
    Error, Result,
    sparse::Sparse,
    units::{KIB, MIB, TIB, round_up},
};

/// Largest disk, in bytes.
const MAX_DISK: u64 = 64 * TIB;
const BLOCK_BYTES: usize = 2 * MIB as usize;
const BLOCK: u64 = BLOCK_BYTES as u64;
/// Sectors that one bitmap block describes.
const CHUNK_SECTORS: u64 = 1 << 23;
const PHYSICAL_SECTOR: u32 = 4096;

const HEADER_OFFSETS: [u64; 2] = [64 * KIB, 128 * KIB];
const REGION_TABLE_OFFSETS: [u64; 2] = [192 * KIB, 256 * KIB];
const REGION_TABLE_BYTES: usize = 64 * KIB as usize;
const LOG_OFFSET: u64 = MIB;
const LOG_BYTES: u32 = MIB as u32;
const METADATA_OFFSET: u64 = 2 * MIB;
const METADATA_BYTES: u32 = MIB as u32;
/// Where items begin in the metadata region.
const ITEMS_OFFSET: u32 = 64 * KIB as u32;
const BAT_OFFSET: u64 = 3 * MIB;

static SPEC: Spec = Spec {
    name: "vhdx",
    aliases: &["hyperv"],
    path: "vhdx/disk.vhdx",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "Hyper-V's disk, dynamic",
};

/// A VHDX disk.
#[derive(Debug)]
pub struct Vhdx;

impl FormatWriter for Vhdx {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        SPEC.check_limit(disk, MAX_DISK)?;
        let layout = Layout::new(disk.len(), options.sector_size)?;
        let mut next = BAT_OFFSET + layout.bat_bytes;
        let mut bat = Vec::new();
        plain::store(disk, BLOCK_BYTES, out, progress, |index| {
            bat.push((layout.bat_index(index), next | PAYLOAD_BLOCK_FULLY_PRESENT));
            next += BLOCK;
            Ok(next - BLOCK)
        })?;
        out.set_len(next).map_err(Error::io("setting the length of the vhdx disk"))?;
        write_bat(&bat, out)?;
        write_metadata(disk.len(), options, out)?;
        write_headers(&layout, options, out)
    }
}

fn put(out: &dyn Output, bytes: &[u8], offset: u64) -> Result<()> {
    out.write_all_at(bytes, offset).map_err(Error::io("writing the vhdx disk"))
}

/// The block allocation table in numbers.
struct Layout {
    /// Blocks between two entries for bitmaps.
    chunk_ratio: u64,
    bat_bytes: u64,
}

impl Layout {
    fn new(size: u64, sector_size: u32) -> Result<Self> {
        if ![512, 4096].contains(&sector_size) || !size.is_multiple_of(u64::from(sector_size)) {
            let what = format!("vhdx disk of {size} bytes in sectors of {sector_size}");
            return Err(Error::Unsupported {
                what,
                why: "whole sectors of 512 or 4096 bytes are needed".into(),
            });
        }
        let chunk_ratio = CHUNK_SECTORS * u64::from(sector_size) / BLOCK;
        let blocks = size.div_ceil(BLOCK);
        let entries = blocks + blocks.saturating_sub(1) / chunk_ratio;
        Ok(Self { chunk_ratio, bat_bytes: round_up((entries * 8).max(1), MIB) })
    }

    const fn bat_index(&self, block: u64) -> u64 {
        block + block / self.chunk_ratio
    }
}

/// Runs of entries that follow each other; what lies between is zero.
fn write_bat(entries: &[(u64, u64)], out: &dyn Output) -> Result<()> {
    for run in entries.chunk_by(|a, b| a.0 + 1 == b.0) {
        let bytes: Vec<U64> = run.iter().map(|(_, entry)| U64::new(*entry)).collect();
        put(out, bytes.as_bytes(), BAT_OFFSET + run[0].0 * 8)?;
    }
    Ok(())
}

fn write_metadata(size: u64, options: &Options, out: &dyn Output) -> Result<()> {
    const REQUIRED: u32 = MetadataTableEntry::IS_REQUIRED;
    const OF_DISK: u32 = REQUIRED | MetadataTableEntry::IS_VIRTUAL_DISK;
    // The block size, and no flags.
    let parameters = u64::from(BLOCK as u32).to_le_bytes();
    let items: [(Uuid, u32, Vec<u8>); 5] = [
        (FILE_PARAMETERS, REQUIRED, parameters.to_vec()),
        (VIRTUAL_DISK_SIZE, OF_DISK, size.to_le_bytes().to_vec()),
        (VIRTUAL_DISK_ID, OF_DISK, options.uuid("vhdx disk").to_bytes_le().to_vec()),
        (LOGICAL_SECTOR_SIZE, OF_DISK, options.sector_size.to_le_bytes().to_vec()),
        (PHYSICAL_SECTOR_SIZE, OF_DISK, PHYSICAL_SECTOR.to_le_bytes().to_vec()),
    ];
    let header = MetadataTableHeader {
        signature: MetadataTableHeader::SIGNATURE,
        reserved: 0.into(),
        entry_count: (items.len() as u16).into(),
        reserved2: [0; 20],
    };
    let (mut table, mut content) = (header.as_bytes().to_vec(), Vec::new());
    for (id, flags, bytes) in items {
        let entry = MetadataTableEntry {
            item_id: id.to_bytes_le(),
            offset: (ITEMS_OFFSET + content.len() as u32).into(),
            length: (bytes.len() as u32).into(),
            flags: flags.into(),
            reserved: 0.into(),
        };
        table.extend_from_slice(entry.as_bytes());
        content.extend(bytes);
    }
    put(out, &table, METADATA_OFFSET)?;
    put(out, &content, METADATA_OFFSET + u64::from(ITEMS_OFFSET))
}

/// Region tables and headers; the file type last, because without it this is no VHDX.
fn write_headers(layout: &Layout, options: &Options, out: &dyn Output) -> Result<()> {
    let table = region_table(layout);
    for offset in REGION_TABLE_OFFSETS {
        put(out, &table, offset)?;
    }
    for (sequence_number, offset) in HEADER_OFFSETS.into_iter().enumerate() {
        put(out, header(sequence_number as u64, options).as_bytes(), offset)?;
    }
    let creator = "diskwright".encode_utf16().flat_map(u16::to_le_bytes);
    put(out, &FILE_SIGNATURE.into_iter().chain(creator).collect::<Vec<_>>(), 0)
}

fn region_table(layout: &Layout) -> Vec<u8> {
    let region = |guid: Uuid, offset: u64, length: u32| RegionTableEntry {
        guid: guid.to_bytes_le(),
        file_offset: offset.into(),
        length: length.into(),
        required: 1.into(),
    };
    let header = RegionTableHeader {
        signature: RegionTableHeader::SIGNATURE,
        checksum: 0.into(),
        entry_count: 2.into(),
        reserved: 0.into(),
    };
    let mut table = header.as_bytes().to_vec();
    table.extend_from_slice(region(BAT_REGION, BAT_OFFSET, layout.bat_bytes as u32).as_bytes());
    table.extend_from_slice(region(METADATA_REGION, METADATA_OFFSET, METADATA_BYTES).as_bytes());
    table.resize(REGION_TABLE_BYTES, 0);
    let checksum = crc32c::crc32c(&table);
    table[4..8].copy_from_slice(&checksum.to_le_bytes());
    table
}

fn header(sequence_number: u64, options: &Options) -> Header {
    let mut header = Header {
        signature: Header::SIGNATURE,
        checksum: 0.into(),
        sequence_number: sequence_number.into(),
        file_write_guid: options.uuid("vhdx file").to_bytes_le(),
        data_write_guid: options.uuid("vhdx data").to_bytes_le(),
        log_guid: [0; 16],
        log_version: 0.into(),
        version: Header::VERSION.into(),
        log_length: LOG_BYTES.into(),
        log_offset: LOG_OFFSET.into(),
        reserved: [0; 4016],
    };
    header.checksum = crc32c::crc32c(header.as_bytes()).into();
    header
}
