//! VirtualBox's disk, dynamic.
//!
//! ```text
//! header | block map, to a multiple of 1 MiB | block (1 MiB) | ...
//! ```
//!
//! Source: VirtualBox, `VDICore.h`. Left out on purpose: fixed and
//! differencing disks.

mod ondisk;

use zerocopy::{IntoBytes, little_endian::U32};

use self::ondisk::{FREE, Header};
use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::plain};
use crate::{
    Error, Result,
    sparse::Sparse,
    units::{MIB, round_up},
};

const BLOCK_BYTES: usize = MIB as usize;
const MAP_OFFSET: u64 = 512;
/// Blocks that QEMU accepts, and VirtualBox's map can count.
const MAX_BLOCKS: u64 = (i32::MAX / 4) as u64;
/// Entries of the map in memory at once.
const MAP_RUN: u64 = 1 << 20;

static SPEC: Spec = Spec {
    name: "vdi",
    aliases: &["virtualbox"],
    path: "vdi/disk.vdi",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "VirtualBox's disk, dynamic",
};

/// A VDI disk.
#[derive(Debug)]
pub struct Vdi;

impl FormatWriter for Vdi {
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
        SPEC.check_limit(disk, MAX_BLOCKS * MIB)?;
        let block_count = disk.len().div_ceil(MIB);
        let data_start = round_up(MAP_OFFSET + block_count * 4, MIB);
        let mut allocated = Vec::new();
        plain::store(disk, BLOCK_BYTES, out, progress, |index| {
            allocated.push(index);
            Ok(data_start + (allocated.len() as u64 - 1) * MIB)
        })?;
        let end = data_start + allocated.len() as u64 * MIB;
        out.set_len(end).map_err(Error::io("setting the length of the vdi disk"))?;
        write_map(&allocated, block_count, out)?;
        let header = header(disk.len(), data_start as u32, allocated.len() as u32, options);
        put(out, header.as_bytes(), 0)
    }
}

fn put(out: &dyn Output, bytes: &[u8], offset: u64) -> Result<()> {
    out.write_all_at(bytes, offset).map_err(Error::io("writing the vdi disk"))
}

/// The map: for each block of the disk its number in the file.
fn write_map(allocated: &[u64], block_count: u64, out: &dyn Output) -> Result<()> {
    let mut next = allocated.iter().zip(0..).peekable();
    for start in (0..block_count).step_by(MAP_RUN as usize) {
        let end = (start + MAP_RUN).min(block_count);
        let mut run = vec![U32::new(FREE); (end - start) as usize];
        while let Some((block, number)) = next.next_if(|(block, _)| **block < end) {
            run[(block - start) as usize] = U32::new(number);
        }
        put(out, run.as_bytes(), MAP_OFFSET + start * 4)?;
    }
    Ok(())
}

fn header(size: u64, offset_data: u32, blocks_allocated: u32, options: &Options) -> Header {
    let mut file_info = [0; 64];
    let text = b"<<< diskwright VDI disk >>>\n";
    file_info[..text.len()].copy_from_slice(text);
    Header {
        file_info,
        signature: Header::SIGNATURE.into(),
        version: Header::VERSION.into(),
        header_size: Header::SIZE.into(),
        image_type: Header::TYPE_NORMAL.into(),
        flags: 0.into(),
        comment: [0; 256],
        offset_blocks: (MAP_OFFSET as u32).into(),
        offset_data: offset_data.into(),
        // No geometry: VirtualBox computes its own.
        cylinders: 0.into(),
        heads: 0.into(),
        sectors: 0.into(),
        sector_size: 512.into(),
        unused: 0.into(),
        disk_size: size.into(),
        block_size: (MIB as u32).into(),
        block_extra: 0.into(),
        block_count: (size.div_ceil(MIB) as u32).into(),
        blocks_allocated: blocks_allocated.into(),
        uuid_create: options.uuid("vdi create").to_bytes_le(),
        uuid_modify: options.uuid("vdi modify").to_bytes_le(),
        uuid_linkage: [0; 16],
        uuid_parent_modify: [0; 16],
        rest: [0; 56],
    }
}
