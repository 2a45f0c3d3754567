//! A raw disk: the file's bytes, its holes gaps.
//!
//! A length that is no multiple of 512 is filled up with zeros, as QEMU does.
//! What is missing of holes (a file system that knows none) is read as data.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    sync::Arc,
};

use rustix::{
    fs::{SeekFrom as Seek2, seek},
    io::Errno,
};

use crate::{
    Error, Result,
    data::{Data, ReadAt},
    sparse::Sparse,
    units::round_up,
};

const SECTOR: u64 = 512;

/// The disk that `file`, a file or a block device, is.
///
/// # Errors
/// [`Error::Io`].
pub fn open(mut file: File) -> Result<Sparse> {
    let len = file.seek(SeekFrom::End(0)).map_err(Error::io("measuring the disk"))?;
    let spans = spans(&file, len).map_err(Error::io("looking for holes in the disk"))?;
    let source: Arc<dyn ReadAt> = Arc::new(file);
    let mut disk = Sparse::new(round_up(len, SECTOR));
    for (start, end) in spans {
        disk.insert(start, Data::from_source(Arc::clone(&source), start, end - start))?;
    }
    Ok(disk)
}

/// What of the file is not holes: starts and ends.
fn spans(file: &File, len: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < len {
        let start = match seek(file, Seek2::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) if spans.is_empty() => return Ok(vec![(0, len)]),
            Err(error) => return Err(error.into()),
        };
        // A file that grows meanwhile is read as long as it was.
        let end = seek(file, Seek2::Hole(start))?.min(len);
        if start >= end {
            break;
        }
        spans.push((start, end));
        at = end;
    }
    Ok(spans)
}
