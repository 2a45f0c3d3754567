//! Partition tables: the sectors before and after the partitions.

pub mod gpt;
pub mod mbr;

use std::ops::Range;

use crate::{Error, Result, disk::Partition};

/// Bytes of x86 code that the MBR has room for.
pub const BOOT_CODE_BYTES: usize = 440;

/// Whether every partition lies in `usable`, in whole sectors, and none meets another.
fn check_places(partitions: &[Partition], usable: &Range<u64>, sector: u64) -> Result<()> {
    for (index, partition) in partitions.iter().enumerate() {
        check_sectors(index, partition, sector)?;
        check_place(partition, usable)?;
    }
    let mut ordered: Vec<_> = partitions.iter().collect();
    ordered.sort_by_key(|partition| partition.offset);
    match ordered.windows(2).find(|pair| pair[0].offset + pair[0].size > pair[1].offset) {
        Some(pair) => Err(Error::Overlap { offset: pair[1].offset, len: pair[1].size }),
        None => Ok(()),
    }
}

fn check_place(partition: &Partition, usable: &Range<u64>) -> Result<()> {
    let (offset, len) = (partition.offset, partition.size);
    if offset < usable.start {
        return Err(Error::Overlap { offset, len });
    }
    if offset.checked_add(len).is_none_or(|end| end > usable.end) {
        return Err(Error::Beyond { offset, len, end: usable.end });
    }
    Ok(())
}

fn check_sectors(index: usize, partition: &Partition, sector: u64) -> Result<()> {
    let whole = partition.offset.is_multiple_of(sector) && partition.size.is_multiple_of(sector);
    let why = match partition.size {
        0 => "it is empty".to_owned(),
        _ if !whole => format!("offset and size must be multiples of {sector} bytes"),
        _ => return Ok(()),
    };
    Err(Error::Unsupported { what: named(index, partition), why })
}

fn named(index: usize, partition: &Partition) -> String {
    format!("partition {} '{}'", index + 1, partition.name)
}
