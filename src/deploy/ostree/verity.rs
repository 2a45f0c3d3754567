//! fs-verity digests (SHA-256, blocks of 4096 bytes, no salt), computed as the content is read.
//!
//! The content's blocks are hashed, the last one padded with zeros; blocks of
//! hashes are hashed again until one hash is left, which a descriptor holds
//! together with the size; the digest is the descriptor's hash. Source: the
//! kernel's `Documentation/filesystems/fsverity.rst`. Left out: SHA-512,
//! salts, other block sizes, signatures.

use std::io::{self, Read};

use diskwright_formats::sparse::Sparse;
use sha2::{Digest, Sha256};

use super::checksum::Checksum;

const BLOCK: usize = 4096;
const BLOCK_BITS: u8 = 12;
const VERSION: u8 = 1;
/// `FS_VERITY_HASH_ALG_SHA256`.
const SHA256: u8 = 1;
/// Bytes of `struct fsverity_descriptor`, and where in it the size and the root hash are.
const DESCRIPTOR: usize = 256;
const SIZE_AT: usize = 8;
const ROOT_AT: usize = 16;
/// Blocks that are read at once.
const READ_BLOCKS: usize = 256;

/// The fs-verity digest of `content`, which is read once, in order.
///
/// # Errors
/// The content's read error.
pub fn digest(content: &Sparse) -> io::Result<Checksum> {
    let mut tree = MerkleTree::default();
    let mut reader = content.reader();
    let mut buffer = vec![0; READ_BLOCKS * BLOCK];
    let mut left = content.len();
    while left > 0 {
        let len = left.min(buffer.len() as u64) as usize;
        reader.read_exact(&mut buffer[..len])?;
        buffer[..len].chunks(BLOCK).for_each(|block| tree.add(0, block));
        left -= len as u64;
    }
    let mut descriptor = [0; DESCRIPTOR];
    descriptor[..3].copy_from_slice(&[VERSION, SHA256, BLOCK_BITS]);
    descriptor[SIZE_AT..SIZE_AT + 8].copy_from_slice(&content.len().to_le_bytes());
    descriptor[ROOT_AT..ROOT_AT + Checksum::LEN].copy_from_slice(&tree.root());
    Ok(Checksum::of(&descriptor))
}

/// The block being filled at every level, lowest first; the one that a level's blocks hash into is the next.
#[derive(Default)]
struct MerkleTree {
    levels: Vec<Vec<u8>>,
}

impl MerkleTree {
    /// Adds the hash of a block to `level`, and a block that is full to the level above.
    fn add(&mut self, level: usize, block: &[u8]) {
        if self.levels.len() == level {
            self.levels.push(Vec::with_capacity(BLOCK));
        }
        if self.levels[level].len() == BLOCK {
            let full = std::mem::replace(&mut self.levels[level], Vec::with_capacity(BLOCK));
            self.add(level + 1, &full);
        }
        self.levels[level].extend_from_slice(&hash(block));
    }

    /// The last hash, zero for no content.
    fn root(mut self) -> [u8; Checksum::LEN] {
        let mut level = 0;
        loop {
            match self.levels.get(level).map(Vec::len) {
                None => return [0; Checksum::LEN],
                Some(Checksum::LEN) if level + 1 == self.levels.len() => {
                    return self.levels[level][..].try_into().expect("one hash");
                }
                Some(_) => {}
            }
            let rest = std::mem::take(&mut self.levels[level]);
            level += 1;
            self.add(level, &rest);
        }
    }
}

/// The hash of a block, zeros after its end.
fn hash(block: &[u8]) -> [u8; Checksum::LEN] {
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    Sha256::new_with_prefix(block).chain_update(&ZEROS[block.len()..]).finalize().into()
}
