//! Virtual PC's disks: fixed, dynamic, and as Azure takes them.
//!
//! ```text
//! disk | footer                                                       fixed
//! footer | header | block table | bitmap, block (2 MiB) | ... | footer   dynamic
//! ```
//!
//! The size in the footer is exact, as with `force_size` of qemu-img. Azure
//! wants fixed disks of whole MiB.
//!
//! Source: Microsoft, "Virtual Hard Disk Image Format Specification", 1.0;
//! Azure, "Prepare a Windows VHD", section "Resize VHDs". Left out on purpose:
//! differencing disks.

mod ondisk;

use zerocopy::{IntoBytes, big_endian::U32};

use self::ondisk::{DynamicHeader, Footer, UNUSED, checksum};
use super::{
    FormatWriter, Medium, Options, Output, Progress, Spec,
    parts::{copy::copy, plain},
};
use crate::{
    Error, Result,
    sparse::Sparse,
    units::{GIB, MIB, round_up},
};

const SECTOR: u64 = 512;
/// Largest disk, in bytes.
const MAX_DISK: u64 = 2040 * GIB;
/// Bytes of a block of a dynamic disk, the default of the specification.
const BLOCK_BYTES: usize = 2 * MIB as usize;
/// Bytes of the bitmap before a block: a bit for each sector.
const BITMAP_BYTES: u64 = BLOCK_BYTES as u64 / SECTOR / 8;
const HEADER_OFFSET: u64 = 512;
const TABLE_OFFSET: u64 = 1536;

/// A VHD of one of three kinds.
#[derive(Debug)]
pub struct Vhd {
    spec: Spec,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Fixed,
    Dynamic,
    Azure,
}

/// A disk byte for byte, and a footer.
pub static FIXED: Vhd = Vhd {
    spec: Spec {
        name: "vhd",
        aliases: &["vpc"],
        path: "vpc/disk.vhd",
        size_multiple: SECTOR,
        medium: Medium::Disk,
        about: "Virtual PC's and Hyper-V's disk, fixed",
    },
    kind: Kind::Fixed,
};

/// A disk of which only blocks with data are stored.
pub static DYNAMIC: Vhd = Vhd {
    spec: Spec {
        name: "vhd-dynamic",
        aliases: &[],
        path: "vpc/disk-dynamic.vhd",
        size_multiple: SECTOR,
        medium: Medium::Disk,
        about: "Virtual PC's and Hyper-V's disk, dynamic",
    },
    kind: Kind::Dynamic,
};

/// A fixed disk of whole MiB.
pub static AZURE: Vhd = Vhd {
    spec: Spec {
        name: "azure",
        aliases: &[],
        path: "azure/disk.vhd",
        size_multiple: MIB,
        medium: Medium::Disk,
        about: "Azure: a fixed VHD of whole MiB",
    },
    kind: Kind::Azure,
};

impl FormatWriter for Vhd {
    fn spec(&self) -> &'static Spec {
        match self.kind {
            Kind::Fixed => &FIXED.spec,
            Kind::Dynamic => &DYNAMIC.spec,
            Kind::Azure => &AZURE.spec,
        }
    }

    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        self.spec.check_limit(disk, MAX_DISK)?;
        match self.kind {
            Kind::Fixed | Kind::Azure => write_fixed(disk, options, out, progress),
            Kind::Dynamic => write_dynamic(disk, options, out, progress),
        }
    }
}

fn put(out: &dyn Output, bytes: &[u8], offset: u64) -> Result<()> {
    out.write_all_at(bytes, offset).map_err(Error::io("writing the vhd disk"))
}

fn write_fixed(disk: &Sparse, options: &Options, out: &dyn Output, progress: &dyn Progress) -> Result<()> {
    copy(disk, out, progress)?;
    put(out, footer(disk.len(), Footer::TYPE_FIXED, options).as_bytes(), disk.len())
}

fn write_dynamic(disk: &Sparse, options: &Options, out: &dyn Output, progress: &dyn Progress) -> Result<()> {
    let block_count = disk.len().div_ceil(BLOCK_BYTES as u64);
    let mut table = vec![U32::new(UNUSED); round_up(block_count, SECTOR / 4) as usize];
    let mut next = TABLE_OFFSET + table.as_bytes().len() as u64;
    plain::store(disk, BLOCK_BYTES, out, progress, |index| {
        table[index as usize] = U32::new((next / SECTOR) as u32);
        put(out, &[0xff; BITMAP_BYTES as usize], next)?;
        let data = next + BITMAP_BYTES;
        next = data + BLOCK_BYTES as u64;
        Ok(data)
    })?;
    let footer = footer(disk.len(), Footer::TYPE_DYNAMIC, options);
    put(out, table.as_bytes(), TABLE_OFFSET)?;
    put(out, header(block_count).as_bytes(), HEADER_OFFSET)?;
    put(out, footer.as_bytes(), next)?;
    put(out, footer.as_bytes(), 0)
}

fn footer(size: u64, disk_type: u32, options: &Options) -> Footer {
    let is_fixed = disk_type == Footer::TYPE_FIXED;
    let (cylinders, heads, sectors_per_track) = geometry(size / SECTOR);
    let mut footer = Footer {
        cookie: Footer::COOKIE,
        features: Footer::FEATURE_RESERVED.into(),
        file_format_version: Footer::VERSION.into(),
        data_offset: if is_fixed { Footer::NO_OFFSET } else { HEADER_OFFSET }.into(),
        time_stamp: ((options.time - Footer::EPOCH).clamp(0, u32::MAX.into()) as u32).into(),
        creator_application: Footer::APPLICATION,
        creator_version: Footer::APPLICATION_VERSION.into(),
        creator_host_os: Footer::HOST_OS,
        original_size: size.into(),
        current_size: size.into(),
        cylinders: cylinders.into(),
        heads,
        sectors_per_track,
        disk_type: disk_type.into(),
        checksum: 0.into(),
        unique_id: options.uuid("vhd").into_bytes(),
        saved_state: 0,
        reserved: [0; 427],
    };
    footer.checksum = checksum(footer.as_bytes()).into();
    footer
}

fn header(block_count: u64) -> DynamicHeader {
    let mut header = DynamicHeader {
        cookie: DynamicHeader::COOKIE,
        data_offset: Footer::NO_OFFSET.into(),
        table_offset: TABLE_OFFSET.into(),
        header_version: DynamicHeader::VERSION.into(),
        max_table_entries: (block_count as u32).into(),
        block_size: (BLOCK_BYTES as u32).into(),
        checksum: 0.into(),
        parent: [0; 984],
    };
    header.checksum = checksum(header.as_bytes()).into();
    header
}

/// Cylinders, heads and sectors per track, as the specification's appendix computes them.
fn geometry(sectors: u64) -> (u16, u8, u8) {
    const MAX: u64 = 65_535 * 16 * 255;
    let total = sectors.min(MAX);
    if total >= 65_535 * 16 * 63 {
        return ((total / 255 / 16) as u16, 16, 255);
    }
    let mut per_track = 17;
    let mut heads = (total / per_track).div_ceil(1024).max(4);
    if total / per_track >= heads * 1024 || heads > 16 {
        (per_track, heads) = (31, 16);
    }
    if total / per_track >= heads * 1024 {
        (per_track, heads) = (63, 16);
    }
    ((total / per_track / heads) as u16, heads as u8, per_track as u8)
}
