//! Compressed clusters that follow each other on the disk, decompressed when
//! they are read.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::data::ReadAt;

/// Unit of a compressed cluster's length.
const SECTOR: u64 = 512;

#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    Deflate,
    Zstd,
}

/// Where a compressed cluster is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) offset: u64,
    /// At most twice a cluster; the compressed bytes may end before.
    len: u32,
}

impl Entry {
    /// Out of an L2 entry: the offset, and above it the further sectors that it touches.
    pub(super) const fn new(entry: u64, cluster_bits: u32) -> Self {
        let shift = 62 - (cluster_bits - 8);
        let offset = entry & ((1 << shift) - 1);
        let sectors = (entry >> shift & ((1 << (cluster_bits - 8)) - 1)) + 1;
        Self { offset, len: (sectors * SECTOR - offset % SECTOR) as u32 }
    }
}

/// A run of clusters; its bytes are those of the disk.
pub(super) struct Compressed {
    file: Arc<dyn ReadAt>,
    /// Length of the file.
    end: u64,
    cluster_bits: u32,
    method: Method,
    entries: Vec<Entry>,
    /// The cluster that was read last, which small reads ask for again.
    last: Mutex<Option<(u64, Arc<[u8]>)>>,
}

impl Compressed {
    pub(super) fn new(
        file: Arc<dyn ReadAt>,
        end: u64,
        cluster_bits: u32,
        method: Method,
        entries: Vec<Entry>,
    ) -> Self {
        Self { file, end, cluster_bits, method, entries, last: Mutex::new(None) }
    }

    fn decompress(&self, index: u64, plain: &mut [u8]) -> io::Result<()> {
        let entry = usize::try_from(index).ok().and_then(|index| self.entries.get(index));
        let entry = entry.ok_or(io::ErrorKind::UnexpectedEof)?;
        let len = u64::from(entry.len).min(self.end.saturating_sub(entry.offset));
        let mut packed = vec![0; len as usize];
        ReadAt::read_exact_at(&*self.file, &mut packed, entry.offset)?;
        let is_whole = match self.method {
            Method::Deflate => inflate(&packed, plain)?,
            Method::Zstd => unzstd(&packed, plain)?,
        };
        if is_whole {
            return Ok(());
        }
        let text = format!("the compressed cluster at byte {} is cut off", entry.offset);
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// A part of a cluster, which is decompressed whole and remembered.
    fn read_part(&self, index: u64, start: usize, part: &mut [u8]) -> io::Result<()> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bytes = match last {
            Some((cluster, bytes)) if cluster == index => bytes,
            _ => {
                let mut bytes = vec![0; 1 << self.cluster_bits];
                self.decompress(index, &mut bytes)?;
                let bytes: Arc<[u8]> = bytes.into();
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((index, Arc::clone(&bytes)));
                bytes
            }
        };
        part.copy_from_slice(&bytes[start..start + part.len()]);
        Ok(())
    }
}

impl ReadAt for Compressed {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let cluster = 1usize << self.cluster_bits;
        let (mut rest, mut at) = (buf, offset);
        while !rest.is_empty() {
            let start = (at % cluster as u64) as usize;
            let (part, after) = rest.split_at_mut(rest.len().min(cluster - start));
            let index = at >> self.cluster_bits;
            if part.len() == cluster {
                self.decompress(index, part)?;
            } else {
                self.read_part(index, start, part)?;
            }
            at += part.len() as u64;
            rest = after;
        }
        Ok(())
    }
}

/// Whether `packed` begins with a deflate stream of all of `plain`.
fn inflate(packed: &[u8], plain: &mut [u8]) -> io::Result<bool> {
    let mut stream = flate2::Decompress::new(false);
    stream.decompress(packed, plain, flate2::FlushDecompress::Finish).map_err(io::Error::other)?;
    Ok(stream.total_out() == plain.len() as u64)
}

/// Whether `packed` begins with Zstandard frames of all of `plain`.
fn unzstd(packed: &[u8], plain: &mut [u8]) -> io::Result<bool> {
    use io::Read;
    let mut stream = zstd::stream::read::Decoder::with_buffer(packed)?;
    match stream.read_exact(plain) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
