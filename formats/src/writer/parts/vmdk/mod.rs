//! VMware's sparse extents: the description and the numbers that both kinds share.
//!
//! A disk is cut in grains of 64 KiB, 512 of which have a grain table, and all
//! tables a grain directory. Numbers of sectors have 32 bits in both, so a file
//! ends at 2 TiB, however large the disk is.
//!
//! Source: VMware, "Virtual Disk Format 5.0". Left out on purpose: parents,
//! several extents, flat extents.

mod ondisk;
pub(crate) mod sparse;
pub(crate) mod stream;

use std::fmt::Write;

use self::ondisk::{Header, SECTOR};
use crate::{
    Error, Result,
    sparse::Sparse,
    units::{TIB, round_up},
    writer::Options,
};

/// Bytes of a grain.
const GRAIN_BYTES: usize = 1 << 16;
const GRAIN: u64 = GRAIN_BYTES as u64;
/// Grains that a table has.
const TABLE_ENTRIES: u64 = 512;
/// Sectors of a table.
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR;
/// Largest disk of VMware's products.
const MAX_DISK: u64 = 62 * TIB;
/// Sectors of the description, which follows the header.
const DESCRIPTION_SECTORS: u64 = 20;
/// Heads and sectors of a SCSI disk, by which cylinders are counted.
const HEADS: u64 = 255;
const SECTORS: u64 = 63;

fn check(disk: &Sparse) -> Result<()> {
    if disk.len() <= MAX_DISK {
        return Ok(());
    }
    Err(Error::Limit { what: "vmdk disk: bytes".into(), found: disk.len(), allowed: MAX_DISK })
}

/// The number of a sector of the file.
fn sector(offset: u64) -> Result<u32> {
    let sector = offset / SECTOR;
    u32::try_from(sector).map_err(|_| Error::Limit {
        what: "vmdk file: bytes".into(),
        found: offset,
        allowed: u64::from(u32::MAX) * SECTOR,
    })
}

/// Tables that a disk has.
const fn table_count(size: u64) -> u64 {
    size.div_ceil(GRAIN * TABLE_ENTRIES)
}

/// The description, which names the extent's kind.
fn description(kind: &str, size: u64, options: &Options) -> Vec<u8> {
    let sectors = size / SECTOR;
    let (cid, _) = options.uuid("vmdk").as_u64_pair();
    let mut text = String::from("# Disk DescriptorFile\nversion=1\n");
    // The two largest numbers mean "no parent" and "not set".
    let _ = writeln!(text, "CID={:08x}\nparentCID=ffffffff", cid >> 33);
    let _ = writeln!(text, "createType=\"{kind}\"\n\n# Extent description");
    let _ = writeln!(text, "RW {sectors} SPARSE \"disk.vmdk\"\n\n# The Disk Data Base\n#DDB\n");
    text += "ddb.virtualHWVersion = \"4\"\n";
    let _ = writeln!(text, "ddb.geometry.cylinders = \"{}\"", sectors / (HEADS * SECTORS));
    let _ = writeln!(text, "ddb.geometry.heads = \"{HEADS}\"\nddb.geometry.sectors = \"{SECTORS}\"");
    text += "ddb.adapterType = \"lsilogic\"\n";
    let mut bytes = text.into_bytes();
    bytes.resize((DESCRIPTION_SECTORS * SECTOR) as usize, 0);
    bytes
}

/// What all headers have.
fn header(size: u64) -> Header {
    Header {
        magic: *b"KDMV",
        capacity: (size / SECTOR).into(),
        grain_size: (GRAIN / SECTOR).into(),
        descriptor_offset: 1.into(),
        descriptor_size: DESCRIPTION_SECTORS.into(),
        num_gtes_per_gt: (TABLE_ENTRIES as u32).into(),
        single_end_line_char: b'\n',
        non_end_line_char: b' ',
        double_end_line_char: *b"\r\n",
        ..Header::default()
    }
}

/// Where grains begin that directly follow `used` sectors.
const fn overhead(used: u64) -> u64 {
    round_up(used, GRAIN / SECTOR)
}
