//! Files of an ISO 9660 medium, read from the device without a mount.
//!
//! ```text
//! 32768  primary volume descriptor: 40 volume id, 156 record of the root directory
//! record: 0 length, 2 first block, 10 bytes, 25 flags, 32 length of the name, 33 name
//! ```
//!
//! Source: ECMA-119, 8.4 and 9.1. Names are compared without case and without the `;1` of a
//! version, so a tree is found with or without Rock Ridge as long as names fit ECMA-119.
//! Rock Ridge's own names (`NM`, IEEE P1282 4.1.4) are read from the record itself, not from continuations.

use std::{io, ops::Range, sync::Arc};

use crate::{
    data::{Data, ReadAt},
    sparse::Sparse,
};

/// Bytes of a logical block.
const BLOCK: u64 = 2048;
/// Where the primary volume descriptor is.
const DESCRIPTOR: u64 = 16 * BLOCK;
/// A directory longer than this is not one of ours.
const DIRECTORY_MAX: u64 = 16 << 20;
const FLAG_DIRECTORY: u8 = 2;
const FLAG_CONTINUES: u8 = 0x80;
/// Bytes of a record before its name.
const RECORD: usize = 33;

/// A medium.
pub struct Iso {
    device: Arc<dyn ReadAt>,
    root: Extent,
    /// The volume id, without its padding.
    pub volume_id: String,
}

#[derive(Clone, Copy, Debug)]
struct Extent {
    offset: u64,
    len: u64,
}

/// What a directory says of one name.
struct Entry {
    names: Vec<Vec<u8>>,
    extent: Extent,
    flags: u8,
}

impl Iso {
    /// The medium in `device`; none if there is no ISO 9660.
    ///
    /// # Errors
    /// The device's read error.
    pub fn open(device: Arc<dyn ReadAt>) -> io::Result<Option<Self>> {
        let mut descriptor = [0; BLOCK as usize];
        device.read_exact_at(&mut descriptor, DESCRIPTOR)?;
        if descriptor[..6] != *b"\x01CD001" {
            return Ok(None);
        }
        let volume_id = String::from_utf8_lossy(&descriptor[40..72]).trim_end().to_owned();
        Ok(Some(Self { device, root: extent(&descriptor[156..]), volume_id }))
    }

    /// The bytes of the file at `path` (names separated by `/`).
    ///
    /// # Errors
    /// As [`Self::spans`].
    pub fn file(&self, path: &str) -> io::Result<Sparse> {
        let spans = self.spans(path)?;
        let mut file = Sparse::new(spans.iter().map(|span| span.end - span.start).sum());
        let mut end = 0;
        for span in spans {
            let len = span.end - span.start;
            let data = Data::from_source(Arc::clone(&self.device), span.start, len);
            file.insert(end, data).map_err(io::Error::other)?;
            end += len;
        }
        Ok(file)
    }

    /// Where on the medium the file at `path` is, in bytes: more than one span for a file over 4 GiB.
    ///
    /// # Errors
    /// A read error; `NotFound`; `InvalidData` for a record that cannot be.
    pub fn spans(&self, path: &str) -> io::Result<Vec<Range<u64>>> {
        let not_found = || io::Error::new(io::ErrorKind::NotFound, format!("/{path} is not on the medium"));
        let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = self.root;
        for part in directories.split('/').filter(|part| !part.is_empty()) {
            let entries = self.entries(at)?;
            let found =
                entries.iter().find(|entry| entry.flags & FLAG_DIRECTORY != 0 && entry.is_named(part));
            at = found.ok_or_else(not_found)?.extent;
        }
        let entries = self.entries(at)?;
        let start = entries.iter().position(|entry| entry.is_named(name)).ok_or_else(not_found)?;
        let last = entries[start..].iter().position(|entry| entry.flags & FLAG_CONTINUES == 0);
        let parts = &entries[start..=start + last.ok_or_else(not_found)?];
        Ok(parts.iter().map(|part| part.extent.offset..part.extent.offset + part.extent.len).collect())
    }

    fn entries(&self, directory: Extent) -> io::Result<Vec<Entry>> {
        if directory.len > DIRECTORY_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a directory of the medium is too long"));
        }
        let mut bytes = vec![0; directory.len as usize];
        self.device.read_exact_at(&mut bytes, directory.offset)?;
        Ok(bytes.chunks(BLOCK as usize).flat_map(records).map(entry).collect())
    }
}

impl Entry {
    fn is_named(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The records of one block; they never cross into the next.
fn records(mut block: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some(&len) = block.first()
        && usize::from(len) > RECORD
        && let Some((record, rest)) = block.split_at_checked(len.into())
    {
        records.push(record);
        block = rest;
    }
    records
}

fn entry(record: &[u8]) -> Entry {
    let len = usize::from(record[32]);
    let name = record.get(RECORD..RECORD + len).unwrap_or_default();
    let version = name.iter().position(|&byte| byte == b';').unwrap_or(name.len());
    let plain = name[..version].strip_suffix(b".").unwrap_or(&name[..version]);
    let system_use = record.get(RECORD + len + usize::from(len % 2 == 0)..).unwrap_or_default();
    let names = [Some(plain.to_vec()), rock_ridge_name(system_use)].into_iter().flatten().collect();
    Entry { names, extent: extent(record), flags: record[25] }
}

/// The parts of the name in `NM` fields.
fn rock_ridge_name(mut fields: &[u8]) -> Option<Vec<u8>> {
    let mut name = None;
    while let [a, b, len, ..] = *fields
        && len >= 4
        && let Some((field, rest)) = fields.split_at_checked(len.into())
    {
        if [a, b] == *b"NM" {
            name.get_or_insert_with(Vec::new).extend_from_slice(field.get(5..).unwrap_or_default());
        }
        fields = rest;
    }
    name
}

fn extent(record: &[u8]) -> Extent {
    let number = |at: usize| {
        let bytes = record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u64::from(u32::from_le_bytes(bytes.unwrap_or_default()))
    };
    Extent { offset: number(2) * BLOCK, len: number(10) }
}
