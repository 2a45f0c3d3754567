//! A file with fs-verity: its content, and past its end what the kernel
//! checks it with.
//!
//! ```text
//! content | ... next 64 KiB | tree, root level first | descriptor ... its length (le32, last bytes of the block)
//! ```
//! `i_size` stays that of the content. The tree is computed when it is first
//! read, and kept: a 128th of the content. Source: the kernel's
//! `fs/ext4/verity.c` as documented in its ext4 documentation, "Verity files".

use std::{
    io,
    sync::{Arc, OnceLock},
};

use super::ondisk::BLOCK_BYTES;
use crate::{
    Result,
    data::{Data, ReadAt},
    sparse::Sparse,
    units::round_up,
    verity::{DESCRIPTOR_LEN, Merkle, level_blocks},
};

/// The tree begins at a multiple of this, whatever the page size of the machine.
const ALIGNMENT: u64 = 65536;
/// Bytes compared at once.
const COMPARED: usize = 65536;

/// `content` with its tree and descriptor after it.
pub(super) fn sealed(content: &Sparse) -> Result<Sparse> {
    let start = round_up(content.len(), ALIGNMENT);
    let len = (level_blocks(content.len()).sum::<u64>() + 1) * BLOCK_BYTES;
    let mut sealed = Sparse::new(start + len);
    sealed.place(0, content)?;
    let seal = Seal { content: content.clone(), len, bytes: OnceLock::new() };
    sealed.insert(start, Data::from_source(Arc::new(seal), 0, len))?;
    Ok(sealed)
}

/// Whether `stored` is `content` with the tree and descriptor that it must have after it. Reads and
/// hashes all of it.
///
/// # Errors
/// Reading either, and content no ext4 could hold.
pub fn is_sealed(content: &Sparse, stored: &Sparse) -> io::Result<bool> {
    let expected = sealed(content).map_err(io::Error::other)?;
    if expected.len() != stored.len() {
        return Ok(false);
    }
    let mut buffers = [vec![0; COMPARED], vec![0; COMPARED]];
    let mut at = round_up(content.len(), ALIGNMENT);
    while at < expected.len() {
        let len = (expected.len() - at).min(COMPARED as u64) as usize;
        expected.read_exact_at(&mut buffers[0][..len], at)?;
        stored.read_exact_at(&mut buffers[1][..len], at)?;
        if buffers[0][..len] != buffers[1][..len] {
            return Ok(false);
        }
        at += len as u64;
    }
    Ok(true)
}

/// Tree and descriptor of a file.
struct Seal {
    content: Sparse,
    len: u64,
    /// Reading may fail, and then fails again.
    bytes: OnceLock<Result<Sparse, (io::ErrorKind, String)>>,
}

impl Seal {
    fn compute(&self) -> io::Result<Sparse> {
        let merkle = Merkle::of(&self.content)?;
        let mut bytes = Sparse::new(self.len);
        let mut at = 0;
        for hashes in merkle.levels().iter().rev() {
            bytes.insert(at, Data::from_bytes(hashes.clone())).map_err(io::Error::other)?;
            at += round_up(hashes.len() as u64, BLOCK_BYTES);
        }
        let descriptor = Data::from_bytes(merkle.descriptor().as_slice());
        bytes.insert(at, descriptor).map_err(io::Error::other)?;
        let size = (DESCRIPTOR_LEN as u32).to_le_bytes();
        bytes.insert(at + BLOCK_BYTES - 4, Data::from_bytes(size)).map_err(io::Error::other)?;
        Ok(bytes)
    }
}

impl ReadAt for Seal {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let compute = || self.compute().map_err(|error| (error.kind(), error.to_string()));
        match self.bytes.get_or_init(compute) {
            Ok(bytes) => bytes.read_exact_at(buf, offset),
            Err((kind, text)) => Err(io::Error::new(*kind, text.clone())),
        }
    }
}
