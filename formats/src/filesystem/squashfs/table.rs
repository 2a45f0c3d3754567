//! Tables whose entries are found by number: blocks of metadata, then the place of each. A power of two of
//! entries fills a block, so a number tells the block.

use zerocopy::{Immutable, IntoBytes};

use super::{codec::Compression, metadata::Metadata};
use crate::Result;

/// A table's bytes, to be put at `start`.
pub(super) struct Table {
    pub(super) bytes: Vec<u8>,
    /// Where the places of the blocks begin, which is where the superblock looks.
    pub(super) places: u64,
}

/// Lays `entries` down; `head` goes in front of the places.
pub(super) fn table<T: IntoBytes + Immutable>(
    entries: &[T],
    head: &[u8],
    compression: Compression,
    start: u64,
) -> Result<Table> {
    let mut metadata = Metadata::new(compression);
    metadata.write(entries.as_bytes())?;
    let packed = metadata.finish()?;
    let mut bytes = packed.bytes;
    let places = start + bytes.len() as u64;
    bytes.extend_from_slice(head);
    for block in packed.starts {
        bytes.extend_from_slice(&(start + u64::from(block)).to_le_bytes());
    }
    Ok(Table { bytes, places })
}
