//! A file of which every chunk is checked against its digest before a byte of it is used.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use anyhow::{Result, bail, ensure};
use diskwright_formats::{data::ReadAt, sparse::Sparse};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sha2::{Digest as _, Sha256};

/// Chunks that are kept at least: neighbours are read by several threads at once.
pub(crate) const KEPT: usize = 16;
/// Larger chunks would not fit into the memory of small machines.
const CHUNK_MAX: u64 = 64 << 20;

type Slot = Arc<OnceLock<Result<Vec<u8>, String>>>;

/// The file.
pub(crate) struct Checked {
    file: Sparse,
    chunk: u64,
    digests: Vec<[u8; 32]>,
    /// Where they come from, for a person.
    origin: &'static str,
    capacity: usize,
    kept: Mutex<VecDeque<(u64, Slot)>>,
}

impl Checked {
    /// `file` in chunks of `chunk` bytes with these SHA-256 digests, in hexadecimal; `origin` says what is to be
    /// done where one is wrong.
    ///
    /// # Errors
    /// The digests are not those of such a file.
    pub(crate) fn new(file: Sparse, chunk: u64, digests: &[String], origin: &'static str) -> Result<Self> {
        ensure!((1..=CHUNK_MAX).contains(&chunk), "payload.json: chunks of {chunk} bytes");
        let count = file.len().div_ceil(chunk);
        ensure!(digests.len() as u64 == count, "payload.json: {} digests for {count} chunks", digests.len());
        let digests = digests.iter().map(|text| digest(text)).collect::<Result<_>>()?;
        Ok(Self { file, chunk, digests, origin, capacity: KEPT, kept: Mutex::default() })
    }

    /// Keeps every chunk from now on, so that each is read once.
    pub(crate) fn keep_all(&mut self) {
        self.capacity = self.digests.len().max(KEPT);
    }

    /// Length in bytes.
    pub(crate) const fn len(&self) -> u64 {
        self.file.len()
    }

    /// Reads all of it, and calls `done` with the bytes of each chunk.
    ///
    /// # Errors
    /// The first chunk that cannot be read or is not what it should be.
    pub(crate) fn check(&self, done: impl Fn(u64) + Sync) -> io::Result<()> {
        (0..self.digests.len() as u64).into_par_iter().try_for_each(|index| {
            done(self.load(index).map_err(io::Error::other)?.len() as u64);
            Ok(())
        })
    }

    /// Reads all of it in order, and keeps it; `done` gets the bytes of each chunk.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn fetch(&self, done: impl Fn(u64)) -> io::Result<()> {
        (0..self.digests.len() as u64).try_for_each(|index| {
            let slot = self.slot(index);
            let chunk = slot.get_or_init(|| self.load(index));
            done(chunk.as_ref().map_err(|why| io::Error::other(why.clone()))?.len() as u64);
            Ok(())
        })
    }

    fn load(&self, index: u64) -> Result<Vec<u8>, String> {
        let at = index * self.chunk;
        let len = self.chunk.min(self.file.len() - at);
        let mut bytes = vec![0; len as usize];
        let place = || format!("bytes {at} to {} of the payload", at + len);
        if let Err(error) = self.file.read_exact_at(&mut bytes, at) {
            return Err(format!("{} cannot be read: {error}", place()));
        }
        if Sha256::digest(&bytes)[..] != self.digests[index as usize] {
            return Err(format!("{} are corrupt: their SHA-256 is wrong; {}", place(), self.origin));
        }
        Ok(bytes)
    }

    /// The slot of a chunk; the one that was made first goes when there are too many.
    fn slot(&self, index: u64) -> Slot {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = kept.iter().find(|(kept, _)| *kept == index) {
            return Arc::clone(slot);
        }
        if kept.len() == self.capacity {
            kept.pop_front();
        }
        let slot = Slot::default();
        kept.push_back((index, Arc::clone(&slot)));
        slot
    }
}

impl ReadAt for Checked {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            if offset >= self.file.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (index, start) = (offset / self.chunk, (offset % self.chunk) as usize);
            let slot = self.slot(index);
            let chunk = slot
                .get_or_init(|| self.load(index))
                .as_ref()
                .map_err(|why| io::Error::other(why.clone()))?;
            let len = buf.len().min(chunk.len() - start);
            let (now, rest) = buf.split_at_mut(len);
            now.copy_from_slice(&chunk[start..start + len]);
            (buf, offset) = (rest, offset + len as u64);
        }
        Ok(())
    }
}

fn digest(text: &str) -> Result<[u8; 32]> {
    let mut digest = [0; 32];
    let pairs = text.as_bytes().chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).unwrap_or_default();
        u8::from_str_radix(pair, 16)
    });
    if text.len() != 64 {
        bail!("payload.json: '{text}' is no SHA-256");
    }
    for (byte, found) in digest.iter_mut().zip(pairs) {
        *byte = found.map_err(|_| anyhow::anyhow!("payload.json: '{text}' is no SHA-256"))?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(bytes: &[u8], chunk: usize) -> Checked {
        let digests: Vec<_> =
            bytes.chunks(chunk).map(|chunk| format!("{:x}", Hex(&Sha256::digest(chunk)))).collect();
        Checked::new(Sparse::from_bytes(bytes), chunk as u64, &digests, "").unwrap()
    }

    struct Hex<'a>(&'a [u8]);

    impl std::fmt::LowerHex for Hex<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }

    #[test]
    fn reads_cross_chunks_and_end_with_the_file() {
        let bytes: Vec<u8> = (0..100).collect();
        let file = checked(&bytes, 7);
        let mut read = [0; 50];
        file.read_exact_at(&mut read, 33).unwrap();
        assert_eq!(read, bytes[33..83]);
        assert!(file.read_exact_at(&mut [0; 2], 99).is_err());
        file.check(|_| ()).unwrap();
    }

    #[test]
    fn what_is_fetched_is_read_once() {
        let mut file = checked(&[5; 100], 3);
        file.keep_all();
        file.fetch(|_| ()).unwrap();
        file.file = Sparse::new(100);
        let mut read = [0; 100];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, [5; 100]);
    }

    #[test]
    fn a_changed_byte_is_found_where_it_is() {
        let mut file = checked(&[5; 100], 10);
        let mut bytes = [5; 100];
        bytes[42] = 6;
        file.file = Sparse::from_bytes(bytes);
        file.read_exact_at(&mut [0; 40], 0).unwrap();
        let why = file.read_exact_at(&mut [0; 1], 41).unwrap_err().to_string();
        assert!(why.contains("bytes 40 to 50") && why.contains("corrupt"), "{why}");
        assert!(file.check(|_| ()).is_err());
    }
}
