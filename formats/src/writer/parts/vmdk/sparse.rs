//! `monolithicSparse`: plain grains, all metadata before them.
//!
//! ```text
//! header | description | directory, tables | the same again | grains
//! ```
//!
//! The first directory and tables are the redundant ones. All tables have
//! their place; those without a grain stay holes.

use zerocopy::{IntoBytes, little_endian::U32};

use super::{
    DESCRIPTION_SECTORS, GRAIN, GRAIN_BYTES, TABLE_ENTRIES, TABLE_SECTORS, check, description, header,
    ondisk::{Header, SECTOR},
    overhead, sector, table_count,
};
use crate::{
    Error, Result,
    sparse::Sparse,
    writer::{Options, Output, Progress, parts::plain},
};

/// Writes `disk` as a monolithicSparse VMDK.
pub(crate) fn write(
    disk: &Sparse,
    options: &Options,
    out: &dyn Output,
    progress: &dyn Progress,
) -> Result<()> {
    check(disk)?;
    let layout = Layout::new(disk.len());
    let put = |bytes: &[u8], at: u64| {
        out.write_all_at(bytes, at * SECTOR).map_err(Error::io("writing the vmdk disk"))
    };
    let mut next = layout.grains * SECTOR;
    let mut grains = Vec::new();
    plain::store(disk, GRAIN_BYTES, out, progress, |index| {
        grains.push((index, sector(next)?));
        next += GRAIN;
        Ok(next - GRAIN)
    })?;
    out.set_len(next).map_err(Error::io("setting the length of the vmdk disk"))?;
    for directory in [layout.first, layout.second] {
        let tables = directory + layout.directory_sectors;
        let entries = (0..layout.table_count).map(|i| sector((tables + i * TABLE_SECTORS) * SECTOR));
        let entries = entries.map(|entry| entry.map(U32::new)).collect::<Result<Vec<_>>>()?;
        put(entries.as_bytes(), directory)?;
        for grains in grains.chunk_by(|a, b| a.0 / TABLE_ENTRIES == b.0 / TABLE_ENTRIES) {
            put(table(grains).as_bytes(), tables + grains[0].0 / TABLE_ENTRIES * TABLE_SECTORS)?;
        }
    }
    put(&description("monolithicSparse", disk.len(), options), 1)?;
    put(layout.header(disk.len()).as_bytes(), 0)
}

fn table(grains: &[(u64, u32)]) -> Vec<U32> {
    let mut table = vec![U32::ZERO; TABLE_ENTRIES as usize];
    for (index, sector) in grains {
        table[(index % TABLE_ENTRIES) as usize] = (*sector).into();
    }
    table
}

/// Where metadata lies, in sectors.
struct Layout {
    table_count: u64,
    directory_sectors: u64,
    first: u64,
    second: u64,
    grains: u64,
}

impl Layout {
    fn new(size: u64) -> Self {
        let table_count = table_count(size);
        let directory_sectors = (table_count * 4).div_ceil(SECTOR);
        let copy = directory_sectors + table_count * TABLE_SECTORS;
        let first = 1 + DESCRIPTION_SECTORS;
        Self {
            table_count,
            directory_sectors,
            first,
            second: first + copy,
            grains: overhead(first + 2 * copy),
        }
    }

    fn header(&self, size: u64) -> Header {
        Header {
            version: 1.into(),
            flags: (Header::FLAG_NL_DETECT | Header::FLAG_RGD).into(),
            rgd_offset: self.first.into(),
            gd_offset: self.second.into(),
            over_head: self.grains.into(),
            ..header(size)
        }
    }
}
