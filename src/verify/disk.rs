//! Opens a disk, whatever format it is in.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use diskwright_formats::{
    data::{Data, ReadAt},
    reader,
};

use crate::error::ErrorKind;

/// `magic` of qcow2.
const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";
/// A disk has room for a partition table at least.
const SMALLEST: u64 = 1 << 16;

/// A disk's bytes as a machine sees them.
pub(super) struct Disk {
    pub(super) format: &'static str,
    pub(super) bytes: Data,
}

pub(super) fn open(path: &Path) -> Result<Disk> {
    let opened = open_file(path).with_context(|| format!("opening {}", path.display()));
    opened.context(ErrorKind::Input)
}

fn open_file(path: &Path) -> Result<Disk> {
    let file = File::open(path)?;
    let mut magic = [0; QCOW2_MAGIC.len()];
    ReadAt::read_exact_at(&file, &mut magic, 0)?;
    let disk = reader::open(file)?;
    let len = disk.len();
    ensure!(len >= SMALLEST, "{len} bytes are no disk");
    let format = if magic == QCOW2_MAGIC { "qcow2" } else { "raw" };
    Ok(Disk { format, bytes: Data::from_source(Arc::new(disk), 0, len) })
}
