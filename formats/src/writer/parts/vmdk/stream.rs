//! `streamOptimized`: compressed, and written from front to back.
//!
//! ```text
//! header | description | grains, each after its marker | marker, grain table | ...
//!        | marker, grain directory | marker, footer | end of stream
//! ```
//!
//! Everything begins at a sector. A table follows its grains, and exists only
//! where there is one.

use zerocopy::{IntoBytes, little_endian::U32};

use super::{
    DESCRIPTION_SECTORS, GRAIN, GRAIN_BYTES, TABLE_ENTRIES, TABLE_SECTORS, check, description, header,
    ondisk::{GrainMarker, Header, MetadataMarker, SECTOR},
    overhead, sector, table_count,
};
use crate::{
    Result,
    sparse::Sparse,
    units::round_up,
    writer::{
        Options, Progress,
        parts::{
            append::Append,
            blocks::{self, Block, Body, Method},
        },
    },
};

/// As of [`super::super::qcow2`].
const DEFLATE_LEVEL: i32 = 4;
const VERSION: u32 = 3;

/// Appends `disk` as a streamOptimized VMDK.
pub(crate) fn write(
    disk: &Sparse,
    options: &Options,
    to: &mut Append<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    check(disk)?;
    let mut file = File::begin(disk.len(), options, to)?;
    let store = |batch: &[Block]| batch.iter().try_for_each(|block| file.grain(block));
    blocks::each_batch(disk, GRAIN_BYTES, Method::Zlib(DEFLATE_LEVEL), progress, store)?;
    file.finish()
}

struct File<'a, 'b> {
    to: &'a mut Append<'b>,
    header: Header,
    directory: Vec<U32>,
    /// Number of the table that is being filled.
    table_index: u64,
    table: Vec<U32>,
    /// The marker and grain being written; kept for its memory.
    buf: Vec<u8>,
}

impl<'a, 'b> File<'a, 'b> {
    fn begin(size: u64, options: &Options, to: &'a mut Append<'b>) -> Result<Self> {
        let flags = Header::FLAG_NL_DETECT | Header::FLAG_COMPRESS | Header::FLAG_MARKER;
        let over_head = overhead(1 + DESCRIPTION_SECTORS);
        let header = Header {
            version: VERSION.into(),
            flags: flags.into(),
            gd_offset: Header::GD_AT_END.into(),
            over_head: over_head.into(),
            compress_algorithm: Header::COMPRESSION_DEFLATE.into(),
            ..header(size)
        };
        to.write(header.as_bytes())?;
        to.write(&description("streamOptimized", size, options))?;
        to.repeat(&[0; SECTOR as usize], over_head - 1 - DESCRIPTION_SECTORS)?;
        let directory = vec![U32::ZERO; table_count(size) as usize];
        let table = vec![U32::ZERO; TABLE_ENTRIES as usize];
        Ok(Self { to, header, directory, table_index: 0, table, buf: Vec::new() })
    }

    fn grain(&mut self, block: &Block) -> Result<()> {
        let Body::Compressed(bytes) = &block.body else { return Ok(()) };
        let table_index = block.index / TABLE_ENTRIES;
        if table_index != self.table_index {
            self.write_table()?;
            self.table_index = table_index;
        }
        self.table[(block.index % TABLE_ENTRIES) as usize] = sector(self.to.len())?.into();
        let lba = block.index * (GRAIN / SECTOR);
        let marker = GrainMarker { lba: lba.into(), size: (bytes.len() as u32).into() };
        self.buf.clear();
        self.buf.extend_from_slice(marker.as_bytes());
        self.buf.extend_from_slice(bytes);
        self.buf.resize(self.buf.len().next_multiple_of(SECTOR as usize), 0);
        self.to.write(&self.buf)
    }

    /// Writes the table that was filled, if it was, and empties it.
    fn write_table(&mut self) -> Result<()> {
        if self.table.iter().all(|entry| *entry == U32::ZERO) {
            return Ok(());
        }
        self.marker(MetadataMarker::GRAIN_TABLE, TABLE_SECTORS)?;
        self.directory[self.table_index as usize] = sector(self.to.len())?.into();
        self.to.write(self.table.as_bytes())?;
        self.table.fill(U32::ZERO);
        Ok(())
    }

    fn marker(&mut self, kind: u32, num_sectors: u64) -> Result<()> {
        self.to.write(MetadataMarker::new(kind, num_sectors).as_bytes())
    }

    fn finish(mut self) -> Result<()> {
        self.write_table()?;
        let mut directory = self.directory.as_bytes().to_vec();
        directory.resize(round_up(directory.len() as u64, SECTOR) as usize, 0);
        self.marker(MetadataMarker::GRAIN_DIRECTORY, directory.len() as u64 / SECTOR)?;
        let gd_offset = u64::from(sector(self.to.len())?);
        self.to.write(&directory)?;
        self.marker(MetadataMarker::FOOTER, 1)?;
        let footer = Header { gd_offset: gd_offset.into(), ..self.header.clone() };
        self.to.write(footer.as_bytes())?;
        self.marker(MetadataMarker::END_OF_STREAM, 0)
    }
}
