//! Opens a disk, whatever format it is in.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::data::{Data, ReadAt};

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
    let len = length(&file)?;
    ensure!(len >= SMALLEST, "{len} bytes are no disk");
    let mut magic = [0; QCOW2_MAGIC.len()];
    ReadAt::read_exact_at(&file, &mut magic, 0)?;
    if magic == QCOW2_MAGIC {
        bail!("qcow2 cannot be read yet; convert it with `qemu-img convert -O raw`");
    }
    Ok(Disk { format: "raw", bytes: Data::from_source(Arc::new(file), 0, len) })
}

/// A block device has a length only for who seeks to its end.
fn length(file: &File) -> Result<u64> {
    use std::io::{Seek, SeekFrom};
    let mut file = file;
    Ok(file.seek(SeekFrom::End(0))?)
}
