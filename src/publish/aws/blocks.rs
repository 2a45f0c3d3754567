//! The blocks of a snapshot: 512 KiB each, those with data known by their
//! checksums, the others never sent.

use std::io;

use diskwright_formats::sparse::{Sparse, Window};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::progress::Progress;

/// The one size there is ("BlockSize" of EBS).
pub(super) const BLOCK_BYTES: usize = 512 << 10;

/// A block that is not all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Offset in blocks.
    pub(super) index: u64,
    /// SHA-256 of its bytes.
    pub(super) digest: [u8; 32],
}

/// Every block of `disk` that is not all zeros, ascending. Reads the disk once.
pub(super) fn blocks(disk: &Sparse, progress: &dyn Progress) -> io::Result<Vec<Block>> {
    progress.begin("checksums", Some(disk.data_len()));
    let windows: Vec<Window> = disk.windows(BLOCK_BYTES).collect();
    let block = |window: &Window| {
        let bytes = read(disk, window.offset / BLOCK_BYTES as u64)?;
        progress.advance(window.data);
        Ok(digest_of(&bytes).map(|digest| Block { index: window.offset / BLOCK_BYTES as u64, digest }))
    };
    let found: io::Result<Vec<Option<Block>>> = windows.par_iter().map(block).collect();
    Ok(found?.into_iter().flatten().collect())
}

/// A block's bytes, filled up with zeros past the disk's end.
pub(super) fn read(disk: &Sparse, index: u64) -> io::Result<Vec<u8>> {
    let offset = index * BLOCK_BYTES as u64;
    let len = disk.len().saturating_sub(offset).min(BLOCK_BYTES as u64) as usize;
    let mut bytes = vec![0; BLOCK_BYTES];
    disk.read_exact_at(&mut bytes[..len], offset)?;
    Ok(bytes)
}

fn digest_of(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.iter().any(|byte| *byte != 0).then(|| Sha256::digest(bytes).into())
}

/// The checksum of all: of the blocks' digests in ascending order ("LINEAR").
pub(super) fn aggregate(blocks: &[Block]) -> [u8; 32] {
    let mut hash = Sha256::new();
    blocks.iter().for_each(|block| hash.update(block.digest));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use diskwright_formats::data::Data;

    use super::*;

    #[test]
    fn only_blocks_with_data_count() {
        let size = BLOCK_BYTES as u64;
        let mut disk = Sparse::new(5 * size + 512);
        for (offset, bytes) in [(size - 1, &b"xy"[..]), (3 * size, &[0; 600]), (5 * size + 511, b"z")] {
            disk.insert(offset, Data::from_bytes(bytes)).unwrap();
        }
        let found = blocks(&disk, &()).unwrap();
        assert_eq!(found.iter().map(|block| block.index).collect::<Vec<_>>(), [0, 1, 5]);
        assert_eq!(read(&disk, 5).unwrap().len(), BLOCK_BYTES);
        assert_eq!(aggregate(&[]), <[u8; 32]>::from(Sha256::digest(b"")));
    }
}
