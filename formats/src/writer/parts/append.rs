//! An output written from front to back, hashed on the way where asked.

use sha2::{Digest, Sha256};

use crate::{Error, Result, writer::Output};

/// What a run of repeated bytes is written in, at most.
const RUN_BYTES: usize = 1 << 20;

/// Appends to an output from an offset on.
pub(crate) struct Append<'a> {
    out: &'a dyn Output,
    start: u64,
    at: u64,
    hash: Option<Sha256>,
    doing: &'static str,
}

impl<'a> Append<'a> {
    /// Begins at `start` bytes; `doing` is what errors say ("writing the disk").
    pub(crate) fn new(out: &'a dyn Output, start: u64, doing: &'static str) -> Self {
        Self { out, start, at: start, hash: None, doing }
    }

    /// Also computes the SHA-256 of what is appended.
    pub(crate) fn hashed(self) -> Self {
        Self { hash: Some(Sha256::new()), ..self }
    }

    /// Bytes appended.
    pub(crate) const fn len(&self) -> u64 {
        self.at - self.start
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all_at(bytes, self.at).map_err(Error::io(self.doing))?;
        self.at += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        Ok(())
    }

    /// Appends `bytes` `count` times, few large writes for many small ones.
    pub(crate) fn repeat(&mut self, bytes: &[u8], count: u64) -> Result<()> {
        let per_run = (RUN_BYTES / bytes.len().max(1)).max(1) as u64;
        let run = if count > 1 { bytes.repeat(per_run.min(count) as usize) } else { Vec::new() };
        let mut left = count;
        while left > 0 {
            let now = left.min(per_run);
            if now == 1 {
                self.write(bytes)?;
            } else {
                self.write(&run[..bytes.len() * now as usize])?;
            }
            left -= now;
        }
        Ok(())
    }

    /// The SHA-256 of all that was appended; zeros if that was not asked for.
    pub(crate) fn digest(self) -> [u8; 32] {
        self.hash.map_or([0; 32], |hash| hash.finalize().into())
    }
}
