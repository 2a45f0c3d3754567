//! fs-verity: the Merkle tree over a file's content, and its digest (SHA-256,
//! blocks of 4096 bytes, no salt).
//!
//! Hashes of the content's blocks, the last one padded with zeros, fill the
//! blocks of level 0; those are hashed again until one block is left, whose
//! hash is in the descriptor together with the size; the digest is the
//! descriptor's hash. Source: the kernel's
//! `Documentation/filesystems/fsverity.rst`. Left out: SHA-512, salts, other
//! block sizes, signatures.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::sparse::Sparse;

/// Bytes per block of content and of hashes.
pub const BLOCK_BYTES: u64 = 4096;
/// Bytes of a hash.
pub const HASH_LEN: usize = 32;
/// Bytes of `struct fsverity_descriptor`.
pub const DESCRIPTOR_LEN: usize = 256;
/// A SHA-256 hash.
pub type Hash = [u8; HASH_LEN];

const BLOCK: usize = BLOCK_BYTES as usize;
const BLOCK_BITS: u8 = 12;
const VERSION: u8 = 1;
/// `FS_VERITY_HASH_ALG_SHA256`.
const SHA256: u8 = 1;
/// Where in the descriptor the size and the root hash are.
const SIZE_AT: usize = 8;
const ROOT_AT: usize = 16;
/// Blocks that are read at once.
const READ_BLOCKS: usize = 256;

/// The tree over a file.
#[derive(Clone, Debug)]
pub struct Merkle {
    /// Hashes, lowest level first; none for content of one block or less.
    levels: Vec<Vec<u8>>,
    descriptor: [u8; DESCRIPTOR_LEN],
}

/// Blocks of each level for content of `len` bytes, lowest first.
pub fn level_blocks(len: u64) -> impl Iterator<Item = u64> {
    let above = |blocks: u64| (blocks > 1).then(|| blocks.div_ceil(BLOCK_BYTES / HASH_LEN as u64));
    std::iter::successors(above(len.div_ceil(BLOCK_BYTES)), move |&blocks| above(blocks))
}

impl Merkle {
    /// The tree over `content`, which is read once, in order.
    ///
    /// # Errors
    /// The content's read error.
    pub fn of(content: &Sparse) -> io::Result<Self> {
        let mut hashes = Vec::new();
        let mut reader = content.reader();
        let mut buffer = vec![0; READ_BLOCKS.min(content.len().div_ceil(BLOCK_BYTES) as usize) * BLOCK];
        let mut left = content.len();
        while left > 0 {
            let len = left.min(buffer.len() as u64) as usize;
            reader.read_exact(&mut buffer[..len])?;
            hash_blocks(&buffer[..len], &mut hashes);
            left -= len as u64;
        }
        let mut levels = Vec::new();
        while hashes.len() > HASH_LEN {
            let mut above = Vec::new();
            hash_blocks(&hashes, &mut above);
            levels.push(std::mem::replace(&mut hashes, above));
        }
        let mut descriptor = [0; DESCRIPTOR_LEN];
        descriptor[..3].copy_from_slice(&[VERSION, SHA256, BLOCK_BITS]);
        descriptor[SIZE_AT..SIZE_AT + 8].copy_from_slice(&content.len().to_le_bytes());
        descriptor[ROOT_AT..ROOT_AT + hashes.len()].copy_from_slice(&hashes);
        Ok(Self { levels, descriptor })
    }

    /// Hashes of each level without padding, lowest first.
    #[must_use]
    pub fn levels(&self) -> &[Vec<u8>] {
        &self.levels
    }

    /// Size and root hash, as filesystems store them.
    #[must_use]
    pub const fn descriptor(&self) -> &[u8; DESCRIPTOR_LEN] {
        &self.descriptor
    }

    /// The digest, as `fsverity digest` prints it.
    #[must_use]
    pub fn digest(&self) -> Hash {
        Sha256::digest(self.descriptor).into()
    }
}

/// Appends the hash of every block, zeros after the end of the last.
fn hash_blocks(bytes: &[u8], hashes: &mut Vec<u8>) {
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    for block in bytes.chunks(BLOCK) {
        let padding = &ZEROS[block.len()..];
        let hash: Hash = Sha256::new_with_prefix(block).chain_update(padding).finalize().into();
        hashes.extend_from_slice(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_before_they_are_made() {
        for (len, blocks) in [
            (0, &[][..]),
            (4096, &[]),
            (4097, &[1]),
            (128 * 4096, &[1]),
            (128 * 4096 + 1, &[2, 1]),
            (128 * 128 * 4096 + 1, &[129, 2, 1]),
        ] {
            assert_eq!(level_blocks(len).collect::<Vec<_>>(), blocks, "{len}");
        }
        for len in [0, 1, 4096, 4097, 128 * 4096 + 1] {
            let merkle = Merkle::of(&Sparse::new(len)).unwrap();
            let found: Vec<_> =
                merkle.levels().iter().map(|hashes| hashes.len().div_ceil(BLOCK) as u64).collect();
            assert_eq!(found, level_blocks(len).collect::<Vec<_>>(), "{len}");
        }
    }
}
