//! Disks that exist: from a file in a disk format to a [`Sparse`] of its bytes.
//!
//! Only tables are read when a disk is opened. Content is read (and
//! decompressed) when a writer asks for it, from any thread. What a file says
//! is not believed: a structure that reaches past the file or beyond what QEMU
//! would open is an error.

pub mod iso9660;
pub mod qcow2;
pub mod raw;

use std::{fs::File, io};

use crate::{Error, Result, data::ReadAt, sparse::Sparse};

/// The bytes of the disk in `file`: QCOW2 if it begins like that, else raw.
///
/// # Errors
/// [`Error::Io`], [`Error::Unsupported`] for what a format can have and this does not read or that is
/// damaged, [`Error::Limit`] for sizes beyond reason.
pub fn open(file: File) -> Result<Sparse> {
    let mut magic = [0; 4];
    match ReadAt::read_exact_at(&file, &mut magic, 0) {
        Ok(()) if magic == qcow2::MAGIC => qcow2::open(file),
        Ok(()) => raw::open(file),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => raw::open(file),
        Err(error) => Err(Error::io("reading the disk")(error)),
    }
}

/// An error about something at an offset of the file.
fn damaged(what: &str, why: impl Into<String>) -> Error {
    Error::Unsupported { what: what.into(), why: why.into() }
}
