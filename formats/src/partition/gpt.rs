//! GUID partition table, primary and backup, with a protective MBR.
//!
//! ```text
//! MBR | header | 128 entries | partitions ... | 128 entries | header
//! ```
//!
//! Source: UEFI Specification 2.10, chapter 5. The headers, entries and
//! checksums are the `gpt` crate's; positions are checked here, because the
//! crate does not. Left out on purpose: hybrid MBRs, more than 128 entries.

mod ondisk;
mod reader;

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom, Write},
};

use gpt::{
    GptConfig,
    disk::LogicalBlockSize,
    mbr::ProtectiveMBR,
    partition_types::{OperatingSystem, Type},
};

use crate::{
    Error, Result,
    data::Data,
    disk::{Layout, Partition},
    sparse::Sparse,
};

pub use reader::{Table, read};

pub use super::BOOT_CODE_BYTES;
use super::{check_places, named};

/// Entries of the table.
const ENTRY_COUNT: u64 = 128;
/// Bytes of one entry.
const ENTRY_BYTES: u64 = 128;
/// UTF-16 units of a partition name.
const NAME_UNITS: usize = 36;

/// The bytes of the disk that partitions may use: those between the two tables.
///
/// # Errors
/// [`Error::Unsupported`] for other sectors than 512 and 4096 bytes or a disk
/// that is not whole sectors, [`Error::TooSmall`] for one without room for the tables.
pub fn usable(size: u64, sector_size: u32) -> Result<std::ops::Range<u64>> {
    let sector = u64::from(sector_size);
    if !matches!(sector_size, 512 | 4096) || !size.is_multiple_of(sector) {
        let what = format!("disk of {size} bytes in sectors of {sector} bytes");
        return Err(Error::Unsupported { what, why: "use whole sectors of 512 or 4096 bytes".into() });
    }
    let (head, tail) = (head_bytes(sector), tail_bytes(sector));
    if size < head + tail {
        return Err(Error::TooSmall { what: "partition table".into(), needed: head + tail, given: size });
    }
    Ok(head..size - tail)
}

/// The disk's bytes before and after its partitions; all between is a gap.
///
/// # Errors
/// As [`usable`], [`Error::Overlap`] and [`Error::Beyond`] for partitions in
/// the wrong place, [`Error::Limit`] for long names or too many partitions,
/// [`Error::Unsupported`] for misaligned or empty ones.
pub fn table(layout: &Layout, boot_code: Option<&[u8; BOOT_CODE_BYTES]>) -> Result<Sparse> {
    check(layout)?;
    let sector = u64::from(layout.sector_size);
    let mut ends = Ends::new(layout.size, sector);
    let mut mbr = ProtectiveMBR::with_lb_size(u32::try_from(layout.size / sector - 1).unwrap_or(u32::MAX));
    if let Some(code) = boot_code {
        mbr.set_bootcode(*code);
    }
    ends.head[..512].copy_from_slice(&mbr.to_bytes());
    let ends = write(layout, ends)
        .map_err(|error| Error::Unsupported { what: "partition table".into(), why: error.to_string() })?;
    let mut disk = Sparse::new(layout.size);
    disk.insert(0, Data::from_bytes(ends.head))?;
    disk.insert(layout.size - ends.tail.len() as u64, Data::from_bytes(ends.tail))?;
    Ok(disk)
}

fn write(layout: &Layout, ends: Ends) -> Result<Ends, gpt::GptError> {
    let block = if layout.sector_size == 4096 { LogicalBlockSize::Lb4096 } else { LogicalBlockSize::Lb512 };
    let config = GptConfig::new().writable(true).logical_block_size(block);
    let mut disk = config.create_from_device(ends, Some(layout.uuid))?;
    let entries = layout.partitions.iter().map(|partition| entry(partition, layout.sector_size.into()));
    disk.update_partitions((1..).zip(entries).collect::<BTreeMap<_, _>>())?;
    disk.write()
}

fn entry(partition: &Partition, sector: u64) -> gpt::partition::Partition {
    gpt::partition::Partition {
        part_type_guid: Type { guid: partition.type_uuid, os: OperatingSystem::None },
        part_guid: partition.uuid,
        first_lba: partition.offset / sector,
        last_lba: (partition.offset + partition.size) / sector - 1,
        flags: partition.attributes,
        name: partition.name.clone(),
    }
}

fn check(layout: &Layout) -> Result<()> {
    let usable = usable(layout.size, layout.sector_size)?;
    let count = layout.partitions.len() as u64;
    if count > ENTRY_COUNT {
        return Err(Error::Limit { what: "partitions".into(), found: count, allowed: ENTRY_COUNT });
    }
    for (index, partition) in layout.partitions.iter().enumerate() {
        check_fields(index, partition)?;
    }
    check_places(&layout.partitions, &usable, layout.sector_size.into())
}

fn check_fields(index: usize, partition: &Partition) -> Result<()> {
    let what = named(index, partition);
    if partition.type_uuid.is_nil() {
        let why = "its type is the one of an unused entry".into();
        return Err(Error::Unsupported { what, why });
    }
    let units = partition.name.encode_utf16().count();
    if units > NAME_UNITS {
        let what = what + ": name, UTF-16 units";
        return Err(Error::Limit { what, found: units as u64, allowed: NAME_UNITS as u64 });
    }
    Ok(())
}

const fn head_bytes(sector: u64) -> u64 {
    2 * sector + ENTRY_COUNT * ENTRY_BYTES
}

const fn tail_bytes(sector: u64) -> u64 {
    sector + ENTRY_COUNT * ENTRY_BYTES
}

/// A device of which only the first and last sectors exist.
#[derive(Debug)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    size: u64,
    at: u64,
}

impl Ends {
    fn new(size: u64, sector: u64) -> Self {
        let zeros = |len: u64| vec![0; len as usize];
        Self { head: zeros(head_bytes(sector)), tail: zeros(tail_bytes(sector)), size, at: 0 }
    }

    /// `len` bytes from the current position, which moves past them.
    fn span(&mut self, len: usize) -> io::Result<&mut [u8]> {
        let at = self.at;
        self.at += len as u64;
        let tail_start = self.size - self.tail.len() as u64;
        let (end, start) =
            if at < tail_start { (&mut self.head, at) } else { (&mut self.tail, at - tail_start) };
        let start = usize::try_from(start).map_err(io::Error::other)?;
        end.get_mut(start..start + len).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Read for Ends {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf.copy_from_slice(self.span(buf.len())?);
        Ok(buf.len())
    }
}

impl Write for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.span(buf.len())?.copy_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(by) => (self.size, by),
            SeekFrom::Current(by) => (self.at, by),
        };
        self.at = base.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
