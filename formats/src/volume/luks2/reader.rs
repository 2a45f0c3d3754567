//! Reads a header back: which volume it is, and whether both copies are whole. Left out on purpose:
//! all that takes a key, and what the JSON says.
//! Source: the specification, section 2; the identifier of a LUKS1 volume is at the same place.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::header::{BINARY_BYTES, COPY_BYTES, MAGIC};
use crate::{Faults, data::Data};

/// Largest copy of a header that the specification has.
const COPY_MAX: usize = 4 << 20;
const VERSION: Range<usize> = 6..8;
const SIZE: Range<usize> = 8..16;
const ALGORITHM: Range<usize> = 72..104;
const UUID: Range<usize> = 168..208;
const OFFSET: Range<usize> = 256..264;
const CHECKSUM: Range<usize> = 448..512;

/// The identifier of an encrypted volume, LUKS1 or LUKS2; `None` if that is none.
/// Whatever the bytes are, this ends, and says what is wrong in the faults.
#[must_use]
pub fn read(volume: &Data, faults: &mut Faults) -> Option<String> {
    let first = bytes(volume, 0, BINARY_BYTES).filter(|first| first.starts_with(&MAGIC[0]))?;
    if first[VERSION] == [0, 2] {
        let size = usize::try_from(number(&first[SIZE])).unwrap_or(usize::MAX);
        if (COPY_BYTES..=COPY_MAX).contains(&size) {
            for (index, magic) in MAGIC.iter().enumerate() {
                if let Err(what) = copy(volume, index * size, size, magic) {
                    faults.error(format!("LUKS header {}", index + 1), what);
                }
            }
        } else {
            faults.error("LUKS header 1", format!("a copy of {size} bytes"));
        }
    }
    Some(String::from_utf8_lossy(&first[UUID]).trim_end_matches('\0').to_owned())
}

/// Whether the copy of the header at `offset` is whole.
fn copy(volume: &Data, offset: usize, size: usize, magic: &[u8]) -> Result<(), &'static str> {
    let mut copy = bytes(volume, offset as u64, size).ok_or("past the end")?;
    if !copy.starts_with(magic) || number(&copy[OFFSET]) != offset as u64 {
        return Err("missing");
    }
    if !copy[ALGORITHM].starts_with(b"sha256\0") {
        return Ok(());
    }
    let stored = copy[CHECKSUM].to_vec();
    copy[CHECKSUM].fill(0);
    let sum = Sha256::digest(&copy);
    if stored.starts_with(&sum) { Ok(()) } else { Err("the checksum is wrong") }
}

fn bytes(volume: &Data, offset: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    volume.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
