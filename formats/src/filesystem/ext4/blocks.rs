//! Metadata blocks in memory without the zeros in their middle.
//!
//! A directory of three names fills little of its 4096 bytes. Kept is what
//! comes before the zeros and the 12 bytes of the tail; a reader gets the
//! whole block.

use std::{io, sync::Arc};

use super::ondisk::{BLOCK_BYTES, BLOCK_LEN};
use crate::data::{Data, ReadAt};

/// Bytes at the end of a block that are kept as they are: the longest checksum tail.
const TAIL_LEN: usize = 12;

/// Consecutive blocks.
#[derive(Default)]
struct Packed {
    bytes: Vec<u8>,
    /// Where each block ends in `bytes`.
    ends: Vec<usize>,
}

impl Packed {
    fn push(&mut self, block: &[u8]) {
        let (middle, tail) = block.split_at(BLOCK_LEN - TAIL_LEN);
        let used = middle.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        self.bytes.extend_from_slice(&middle[..used]);
        self.bytes.extend_from_slice(tail);
        self.ends.push(self.bytes.len());
    }

    fn block(&self, index: usize) -> Option<[u8; BLOCK_LEN]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        let (head, tail) = self.bytes[start..end].split_at(end - start - TAIL_LEN);
        let mut block = [0; BLOCK_LEN];
        block[..head.len()].copy_from_slice(head);
        block[BLOCK_LEN - TAIL_LEN..].copy_from_slice(tail);
        Some(block)
    }
}

impl ReadAt for Packed {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            let index = usize::try_from(offset / BLOCK_BYTES).map_err(io::Error::other)?;
            let block = self.block(index).ok_or(io::ErrorKind::UnexpectedEof)?;
            let rest = &block[(offset % BLOCK_BYTES) as usize..];
            let count = rest.len().min(buf.len());
            buf[..count].copy_from_slice(&rest[..count]);
            buf = &mut buf[count..];
            offset += count as u64;
        }
        Ok(())
    }
}

/// Blocks at their places, added in ascending order.
#[derive(Default)]
pub(super) struct Blocks {
    spans: Vec<(u64, Packed)>,
}

impl Blocks {
    /// Adds one block or several consecutive ones from `place` on.
    pub(super) fn push(&mut self, place: u64, bytes: &[u8]) {
        for (place, block) in (place..).zip(bytes.chunks_exact(BLOCK_LEN)) {
            match self.spans.last_mut() {
                Some((start, packed)) if *start + packed.ends.len() as u64 == place => packed.push(block),
                _ => {
                    let mut packed = Packed::default();
                    packed.push(block);
                    self.spans.push((place, packed));
                }
            }
        }
    }

    /// What to put where, offsets in bytes.
    pub(super) fn into_pieces(self) -> impl Iterator<Item = (u64, Data)> {
        self.spans.into_iter().map(|(start, mut packed)| {
            packed.bytes.shrink_to_fit();
            packed.ends.shrink_to_fit();
            let len = packed.ends.len() as u64 * BLOCK_BYTES;
            (start * BLOCK_BYTES, Data::from_source(Arc::new(packed), 0, len))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_as_it_was() {
        let mut ends = vec![0; BLOCK_LEN];
        (ends[0], ends[BLOCK_LEN - 1]) = (1, 2);
        let all = [ends, vec![0; BLOCK_LEN], (0..BLOCK_LEN).map(|i| i as u8).collect()].concat();
        let mut blocks = Blocks::default();
        blocks.push(7, &all);
        let pieces: Vec<_> = blocks.into_pieces().collect();
        assert_eq!((pieces.len(), pieces[0].0), (1, 7 * BLOCK_BYTES));
        assert_eq!(pieces[0].1.to_vec().unwrap(), all);
        let mut part = vec![0; 5000];
        pieces[0].1.read_exact_at(&mut part, 4000).unwrap();
        assert_eq!(part, all[4000..9000]);
    }
}
