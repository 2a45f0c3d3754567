//! Where bytes come from: memory, or a span of something that can be read at
//! an offset (a spooled layer, a file, a computation). Cloning is cheap and
//! never copies content.

use std::{fmt, fs::File, io, os::unix::fs::FileExt, sync::Arc};

/// Something of which bytes can be read at any offset, from any thread.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` from `offset` (bytes). Reading past the end is an error.
    ///
    /// # Errors
    /// The underlying read error, or `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buf, offset)
    }
}

#[derive(Clone)]
enum Source {
    Memory(Arc<[u8]>),
    At(Arc<dyn ReadAt>),
}

/// A span of bytes and where they come from.
#[derive(Clone)]
pub struct Data {
    source: Source,
    offset: u64,
    len: u64,
}

impl Data {
    /// Bytes in memory.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { len: bytes.len() as u64, offset: 0, source: Source::Memory(bytes) }
    }

    /// `len` bytes at `offset` of `source`, which must hold them.
    pub fn from_source(source: Arc<dyn ReadAt>, offset: u64, len: u64) -> Self {
        Self { source: Source::At(source), offset, len }
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `len` bytes from `start` of this span.
    ///
    /// # Panics
    /// If the part reaches past the end of the span.
    #[must_use]
    pub fn slice(&self, start: u64, len: u64) -> Self {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "slice beyond the span");
        Self { source: self.source.clone(), offset: self.offset + start, len }
    }

    /// Fills `buf` with the bytes from `start` of this span.
    ///
    /// # Errors
    /// The source's read error; `UnexpectedEof` past the end of the span.
    pub fn read_exact_at(&self, buf: &mut [u8], start: u64) -> io::Result<()> {
        let end = start.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let at = self.offset + start;
        match &self.source {
            Source::Memory(bytes) => {
                let at = usize::try_from(at).map_err(io::Error::other)?;
                buf.copy_from_slice(&bytes[at..at + buf.len()]);
                Ok(())
            }
            Source::At(source) => source.read_exact_at(buf, at),
        }
    }

    /// All bytes of the span, copied. For small content only.
    ///
    /// # Errors
    /// The source's read error.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut buf = vec![0; usize::try_from(self.len).map_err(io::Error::other)?];
        self.read_exact_at(&mut buf, 0)?;
        Ok(buf)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.source {
            Source::Memory(_) => "memory",
            Source::At(_) => "source",
        };
        write!(f, "Data({kind} {}+{})", self.offset, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_reads_its_own_bytes_and_no_further() {
        let data = Data::from_bytes(*b"abcdef").slice(1, 4).slice(1, 2);
        assert_eq!(data.to_vec().unwrap(), b"cd");
        assert!(data.read_exact_at(&mut [0; 3], 0).is_err());
    }
}
