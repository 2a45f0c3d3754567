//! How blocks are compressed: each on its own.

use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};

use super::ondisk::{BLOCK_PLAIN, METADATA_BYTES};
use crate::{Error, Result};

/// The default of the program xz.
const XZ_PRESET: u32 = 6;
/// The default of the program mksquashfs.
const ZSTD_LEVEL: i32 = 15;

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Smaller.
    Xz,
    /// Read and written faster.
    Zstd,
}

impl Compression {
    /// `XZ_COMPRESSION` and so on.
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Xz => 4,
            Self::Zstd => 6,
        }
    }

    /// The compressed bytes; `None` if they are not fewer.
    pub(super) fn pack(self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        let packed = match self {
            Self::Xz => xz(bytes),
            Self::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        };
        let packed = packed.map_err(Error::io("compressing a block"))?;
        Ok((packed.len() < bytes.len()).then_some(packed))
    }
}

/// A block and how its length is written.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) len: u32,
}

/// A block of data.
pub(super) fn block(compression: Compression, bytes: Vec<u8>) -> Result<Block> {
    let packed = compression.pack(&bytes)?;
    let plain = if packed.is_some() { 0 } else { BLOCK_PLAIN };
    let bytes = packed.unwrap_or(bytes);
    Ok(Block { len: bytes.len() as u32 | plain, bytes })
}

/// One stream with the check that the kernel computes, and a dictionary that it has room for: a block's.
fn xz(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let dictionary = bytes.len().next_power_of_two().max(METADATA_BYTES) as u32;
    let mut options = LzmaOptions::new_preset(XZ_PRESET)?;
    options.dict_size(dictionary);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut encoder = Stream::new_stream_encoder(&filters, Check::Crc32)?;
    let mut packed = Vec::with_capacity(bytes.len() + 1024);
    loop {
        let rest = &bytes[encoder.total_in() as usize..];
        if encoder.process_vec(rest, &mut packed, Action::Finish)? == Status::StreamEnd {
            return Ok(packed);
        }
        packed.reserve(1024);
    }
}
