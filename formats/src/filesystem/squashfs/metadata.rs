//! Metadata: a stream in blocks of 8 KiB, each with its length in front.
//! What comes next begins where the stream ends, in the block that is still open.

use super::{
    codec::Compression,
    ondisk::{METADATA_BYTES, METADATA_PLAIN},
};
use crate::{Error, Result};

/// Where something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The block, in bytes from the first one.
    pub(super) start: u32,
    /// Where in it, once it is unpacked.
    pub(super) offset: u16,
}

impl Place {
    /// Both in one number.
    pub(super) const fn reference(self) -> u64 {
        (self.start as u64) << 16 | self.offset as u64
    }
}

/// A stream that is written.
pub(super) struct Metadata {
    compression: Compression,
    blocks: Vec<u8>,
    starts: Vec<u32>,
    open: Vec<u8>,
}

/// A stream that is complete.
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    /// Where each block begins.
    pub(super) starts: Vec<u32>,
}

impl Metadata {
    pub(super) const fn new(compression: Compression) -> Self {
        Self { compression, blocks: Vec::new(), starts: Vec::new(), open: Vec::new() }
    }

    /// Where what is written next begins.
    pub(super) fn place(&self) -> Place {
        Place { start: self.blocks.len() as u32, offset: self.open.len() as u16 }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(METADATA_BYTES - self.open.len()));
            self.open.extend_from_slice(now);
            bytes = rest;
            if self.open.len() == METADATA_BYTES {
                self.close()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let packed = self.compression.pack(&self.open)?;
        let plain = if packed.is_some() { 0 } else { METADATA_PLAIN };
        let bytes = packed.as_ref().unwrap_or(&self.open);
        self.starts.push(self.blocks.len() as u32);
        self.blocks.extend_from_slice(&(bytes.len() as u16 | plain).to_le_bytes());
        self.blocks.extend_from_slice(bytes);
        self.open.clear();
        let found = self.blocks.len() as u64;
        if found > u64::from(u32::MAX) {
            let what = "SquashFS table: bytes".into();
            return Err(Error::Limit { what, found, allowed: u32::MAX.into() });
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Packed> {
        if !self.open.is_empty() {
            self.close()?;
        }
        Ok(Packed { bytes: self.blocks, starts: self.starts })
    }
}
