//! The blocks of a disk (clusters, grains), read and compressed in parallel,
//! handed over in order.
//!
//! Only blocks that data touches are read, and of those that hold nothing but
//! zeros only the number is handed over. One batch is stored while the next is
//! read and compressed, so two batches are in memory at once. What a batch
//! holds depends on the size of blocks alone, and a compressor sees each block
//! on its own: any number of threads gives the same bytes.

use rayon::prelude::*;

use crate::{
    Error, Result,
    sparse::{Sparse, Window},
    writer::{Progress, is_zero},
};

/// Bytes of the disk in a batch.
const BATCH_BYTES: usize = 16 << 20;
/// Bytes of the disk that one compressor is started for.
const SHARE_BYTES: usize = 512 << 10;

/// How blocks are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Plain,
    /// Raw deflate of this level; plain where that is not shorter.
    Deflate(i32),
    /// Deflate of this level in a zlib frame, always.
    Zlib(i32),
    /// Zstandard of this level; plain where that is not shorter.
    Zstd(i32),
}

/// A block on its way from the disk to the file.
pub(crate) struct Block {
    /// Number of the block on the disk.
    pub(crate) index: u64,
    pub(crate) body: Body,
    /// Bytes of it that were not gaps.
    data: u64,
}

pub(crate) enum Body {
    Zero,
    /// All bytes of the block, zeros where the disk ends before it does.
    Plain(Vec<u8>),
    Compressed(Vec<u8>),
}

/// Calls `store` with every block of `bytes` that data touches, ascending, a batch at a time.
pub(crate) fn each_batch(
    disk: &Sparse,
    bytes: usize,
    method: Method,
    progress: &dyn Progress,
    mut store: impl FnMut(&[Block]) -> Result<()> + Send,
) -> Result<()> {
    let mut windows = disk.windows(bytes);
    let mut ready = Vec::new();
    loop {
        let batch: Vec<_> = windows.by_ref().take((BATCH_BYTES / bytes).max(1)).collect();
        let (stored, packed) =
            rayon::join(|| store_all(&ready, &mut store, progress), || pack_all(disk, bytes, &batch, method));
        stored?;
        ready = packed?;
        if ready.is_empty() {
            return Ok(());
        }
    }
}

fn store_all(
    blocks: &[Block],
    store: &mut impl FnMut(&[Block]) -> Result<()>,
    progress: &dyn Progress,
) -> Result<()> {
    store(blocks)?;
    progress.advance(blocks.iter().map(|block| block.data).sum());
    Ok(())
}

fn pack_all(disk: &Sparse, bytes: usize, batch: &[Window], method: Method) -> Result<Vec<Block>> {
    let shares = batch.par_chunks((SHARE_BYTES / bytes).max(1)).map(|share| {
        let mut codec = Codec::new(method).map_err(Error::io("starting a compressor"))?;
        share.iter().map(|window| pack(disk, bytes, *window, &mut codec)).collect()
    });
    let packed: Vec<Vec<_>> = shares.collect::<Result<_>>()?;
    Ok(packed.into_iter().flatten().collect())
}

fn pack(disk: &Sparse, bytes: usize, window: Window, codec: &mut Codec) -> Result<Block> {
    let mut plain = vec![0; bytes];
    read(disk, window, &mut plain)?;
    let body = if is_zero(&plain) {
        Body::Zero
    } else {
        codec.compress(&plain)?.map_or_else(|| Body::Plain(plain), Body::Compressed)
    };
    Ok(Block { index: window.offset / bytes as u64, data: window.data, body })
}

/// Fills the start of `buf` with the window's bytes.
pub(super) fn read(disk: &Sparse, window: Window, buf: &mut [u8]) -> Result<()> {
    disk.read_exact_at(&mut buf[..window.len], window.offset)
        .map_err(|source| Error::Io { doing: format!("reading the disk at byte {}", window.offset), source })
}

enum Codec {
    Plain,
    Deflate(libdeflater::Compressor),
    Zlib(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Codec {
    fn new(method: Method) -> std::io::Result<Self> {
        let deflate =
            |level| libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap_or_default());
        Ok(match method {
            Method::Plain => Self::Plain,
            Method::Deflate(level) => Self::Deflate(deflate(level)),
            Method::Zlib(level) => Self::Zlib(deflate(level)),
            Method::Zstd(level) => Self::Zstd(zstd::bulk::Compressor::new(level)?),
        })
    }

    /// The compressed block; `None` if it is to be stored plain.
    fn compress(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        let compressed = match self {
            Self::Plain => return Ok(None),
            Self::Deflate(deflate) => {
                // The only error is a full buffer: the block does not shrink.
                let mut buf = vec![0; bytes.len() - 1];
                let len = deflate.deflate_compress(bytes, &mut buf).ok();
                len.map(|len| buf[..len].to_vec())
            }
            Self::Zlib(deflate) => {
                let mut buf = vec![0; deflate.zlib_compress_bound(bytes.len())];
                let len = deflate.zlib_compress(bytes, &mut buf);
                let len =
                    len.map_err(|error| Error::io("compressing a block")(std::io::Error::other(error)))?;
                return Ok(Some(buf[..len].to_vec()));
            }
            Self::Zstd(zstd) => Some(zstd.compress(bytes).map_err(Error::io("compressing a block"))?),
        };
        Ok(compressed.filter(|compressed| compressed.len() < bytes.len()))
    }
}
