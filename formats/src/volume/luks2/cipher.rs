//! AES-256-XTS with sector numbers as tweaks (`aes-xts-plain64`), computed
//! when it is read. Source: IEEE 1619-2007, section 5.3; the kernel's
//! dm-crypt documentation for `plain64`: sectors count in 512 bytes, whatever
//! their size is.

use std::io;

use aes::{
    Aes256, Block,
    cipher::{BlockCipherEncrypt as _, KeyInit as _},
};

use super::KEY_BYTES;
use crate::{data::ReadAt, sparse::Sparse};

const BLOCK: usize = 16;
/// Bytes that dm-crypt counts in.
const UNIT: u64 = 512;
/// x^128 = x^7 + x^2 + x + 1.
const REDUCTION: u128 = 0x87;

/// A key and the size of its sectors.
pub(super) struct Xts {
    data: Aes256,
    tweak: Aes256,
    sector_bytes: usize,
}

impl Xts {
    pub(super) fn new(key: &[u8; KEY_BYTES], sector_size: u32) -> Self {
        let [data, tweak] = [0, 1].map(|half| {
            let mut key_of_half = aes::cipher::Key::<Aes256>::default();
            key_of_half.copy_from_slice(&key[half * KEY_BYTES / 2..][..KEY_BYTES / 2]);
            Aes256::new(&key_of_half)
        });
        Self { data, tweak, sector_bytes: sector_size as usize }
    }

    /// Encrypts whole sectors, the first of them at `offset` bytes.
    pub(super) fn encrypt(&self, bytes: &mut [u8], offset: u64) {
        let step = self.sector_bytes as u64 / UNIT;
        let mut blocks = Vec::with_capacity(self.sector_bytes / BLOCK);
        for (number, sector) in (0..).zip(bytes.chunks_exact_mut(self.sector_bytes)) {
            self.sector(sector, offset / UNIT + number * step, &mut blocks);
        }
    }

    fn sector(&self, bytes: &mut [u8], number: u64, blocks: &mut Vec<Block>) {
        let mut first = Block::from(u128::from(number).to_le_bytes());
        self.tweak.encrypt_block(&mut first);
        mask(bytes, u128::from_le_bytes(first.into()));
        blocks.clear();
        blocks.extend(bytes.as_chunks::<BLOCK>().0.iter().map(|&block| Block::from(block)));
        self.data.encrypt_blocks(blocks);
        for (to, block) in bytes.as_chunks_mut::<BLOCK>().0.iter_mut().zip(&*blocks) {
            *to = (*block).into();
        }
        mask(bytes, u128::from_le_bytes(first.into()));
    }
}

/// Adds to each block its power of the tweak.
fn mask(bytes: &mut [u8], mut tweak: u128) {
    for block in bytes.as_chunks_mut::<BLOCK>().0 {
        *block = (u128::from_le_bytes(*block) ^ tweak).to_le_bytes();
        tweak = (tweak << 1) ^ (REDUCTION & 0_u128.wrapping_sub(tweak >> 127));
    }
}

/// Content as it is on the disk.
pub(super) struct Encrypted {
    pub(super) content: Sparse,
    pub(super) cipher: Xts,
}

impl ReadAt for Encrypted {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let sector = self.cipher.sector_bytes as u64;
        let start = offset / sector * sector;
        let end = (offset + buf.len() as u64).next_multiple_of(sector);
        if start == offset && end - start == buf.len() as u64 {
            return self.sectors(buf, start);
        }
        let mut sectors = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.sectors(&mut sectors, start)?;
        let skip = (offset - start) as usize;
        buf.copy_from_slice(&sectors[skip..skip + buf.len()]);
        Ok(())
    }
}

impl Encrypted {
    fn sectors(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.content.read_exact_at(buf, offset)?;
        self.cipher.encrypt(buf, offset);
        Ok(())
    }
}
