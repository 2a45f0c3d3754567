//! Bytes with gaps: a sorted list of pieces of data, each at its offset.
//! Gaps read as zero, overlap is an error. The content of a file, a
//! partition and a disk are all this one type.

use std::io::{self, Read};

use crate::{
    Error, Result,
    data::{Data, ReadAt},
};

/// A piece of data at its place.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Offset in bytes from the start of the space.
    pub offset: u64,
    /// What is there.
    pub data: Data,
}

impl Piece {
    /// The first byte after the piece.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset + self.data.len()
    }
}

/// `len` bytes, of which only the pieces differ from zero.
#[derive(Clone, Debug, Default)]
pub struct Sparse {
    len: u64,
    pieces: Vec<Piece>,
}

impl Sparse {
    /// `len` bytes of zeros.
    #[must_use]
    pub const fn new(len: u64) -> Self {
        Self { len, pieces: Vec::new() }
    }

    /// Exactly these bytes.
    #[must_use]
    pub fn from_data(data: Data) -> Self {
        let len = data.len();
        let pieces = if len == 0 { Vec::new() } else { vec![Piece { offset: 0, data }] };
        Self { len, pieces }
    }

    /// Exactly these bytes, held in memory.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<std::sync::Arc<[u8]>>) -> Self {
        Self::from_data(Data::from_bytes(bytes))
    }

    /// Length in bytes, gaps included.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the length is zero.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in ascending order of offset; they never overlap or touch the end.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Bytes that are not gaps.
    #[must_use]
    pub fn data_len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.data.len()).sum()
    }

    /// Puts `data` at `offset`. Cheap in ascending order; elsewhere the list shifts.
    ///
    /// # Errors
    /// [`Error::Overlap`] and [`Error::Beyond`].
    pub fn insert(&mut self, offset: u64, data: Data) -> Result<()> {
        let len = data.len();
        if len == 0 {
            return Ok(());
        }
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Error::Beyond { offset, len, end: self.len });
        }
        let index = match self.pieces.last() {
            Some(last) if last.offset >= offset => self.pieces.partition_point(|piece| piece.offset < offset),
            _ => self.pieces.len(),
        };
        let before = index.checked_sub(1).map(|i| &self.pieces[i]);
        let meets_before = before.is_some_and(|piece| piece.end() > offset);
        let meets_after = self.pieces.get(index).is_some_and(|piece| piece.offset < offset + len);
        if meets_before || meets_after {
            return Err(Error::Overlap { offset, len });
        }
        self.pieces.insert(index, Piece { offset, data });
        Ok(())
    }

    /// Puts all of `other` at `offset`; its gaps stay gaps.
    ///
    /// # Errors
    /// [`Error::Overlap`] and [`Error::Beyond`].
    pub fn place(&mut self, offset: u64, other: &Self) -> Result<()> {
        if offset.checked_add(other.len).is_none_or(|end| end > self.len) {
            return Err(Error::Beyond { offset, len: other.len, end: self.len });
        }
        for piece in &other.pieces {
            self.insert(offset + piece.offset, piece.data.clone())?;
        }
        Ok(())
    }

    /// Fills `buf` from `offset`, zeros for gaps.
    ///
    /// # Errors
    /// The sources' read errors; `UnexpectedEof` past the end.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        if end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset;
        let first = self.pieces.partition_point(|piece| piece.end() <= offset);
        for piece in self.pieces[first..].iter().take_while(|piece| piece.offset < end) {
            let start = piece.offset.max(offset);
            let stop = piece.end().min(end);
            buf[(at - offset) as usize..(start - offset) as usize].fill(0);
            let span = &mut buf[(start - offset) as usize..(stop - offset) as usize];
            piece.data.read_exact_at(span, start - piece.offset)?;
            at = stop;
        }
        buf[(at - offset) as usize..].fill(0);
        Ok(())
    }

    /// All bytes, copied. For small content only.
    ///
    /// # Errors
    /// The sources' read errors.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut buf = vec![0; usize::try_from(self.len).map_err(io::Error::other)?];
        self.read_exact_at(&mut buf, 0)?;
        Ok(buf)
    }

    /// The windows of `size` bytes (aligned to `size`, which is not zero) that data touches.
    #[must_use]
    pub const fn windows(&self, size: usize) -> Windows<'_> {
        Windows { sparse: self, size: size as u64, at: 0, next_piece: 0 }
    }

    /// A reader over all bytes, from the start.
    #[must_use]
    pub const fn reader(&self) -> Reader<'_> {
        Reader { sparse: self, at: 0 }
    }
}

impl ReadAt for Sparse {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        Self::read_exact_at(self, buf, offset)
    }
}

/// An aligned part of a [`Sparse`] that is not all gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Offset in bytes, a multiple of the window size.
    pub offset: u64,
    /// Length in bytes: the window size, less at the very end.
    pub len: usize,
    /// Bytes that are not gaps.
    pub data: u64,
}

/// Iterator over the aligned windows that data touches, ascending.
#[derive(Clone, Debug)]
pub struct Windows<'a> {
    sparse: &'a Sparse,
    size: u64,
    at: u64,
    next_piece: usize,
}

impl Iterator for Windows<'_> {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        let pieces = self.sparse.pieces.get(self.next_piece..)?;
        let offset = self.at.max(pieces.first()?.offset) / self.size * self.size;
        let end = (offset + self.size).min(self.sparse.len);
        let mut data = 0;
        for piece in pieces.iter().take_while(|piece| piece.offset < end) {
            data += piece.end().min(end) - piece.offset.max(offset);
            self.next_piece += usize::from(piece.end() <= end);
        }
        self.at = end;
        Some(Window { offset, len: (end - offset) as usize, data })
    }
}

/// Reads a [`Sparse`] in order.
#[derive(Debug)]
pub struct Reader<'a> {
    sparse: &'a Sparse,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.sparse.len - self.at;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.sparse.read_exact_at(&mut buf[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_read_as_zero_and_pieces_as_themselves() {
        let mut sparse = Sparse::new(8);
        sparse.insert(5, Data::from_bytes(*b"xy")).unwrap();
        sparse.insert(1, Data::from_bytes(*b"ab")).unwrap();
        assert_eq!(sparse.to_vec().unwrap(), b"\0ab\0\0xy\0");
        let mut middle = [9; 4];
        sparse.read_exact_at(&mut middle, 2).unwrap();
        assert_eq!(&middle, b"b\0\0x");
        let mut read = Vec::new();
        sparse.reader().read_to_end(&mut read).unwrap();
        assert_eq!(read, sparse.to_vec().unwrap());
    }

    #[test]
    fn windows_cover_all_data_and_skip_gaps() {
        let mut sparse = Sparse::new(42);
        for (offset, bytes) in [(3, &b"abc"[..]), (7, b"12345678901"), (30, b"x"), (41, b"y")] {
            sparse.insert(offset, Data::from_bytes(bytes)).unwrap();
        }
        let windows: Vec<_> = sparse.windows(8).map(|w| (w.offset, w.len, w.data)).collect();
        assert_eq!(windows, [(0, 8, 4), (8, 8, 8), (16, 8, 2), (24, 8, 1), (40, 2, 1)]);
        assert_eq!(Sparse::new(9).windows(8).count(), 0);
    }

    #[test]
    fn overlap_and_overflow_are_errors() {
        let mut sparse = Sparse::new(8);
        sparse.insert(2, Data::from_bytes(*b"abc")).unwrap();
        for offset in [0, 1, 2, 4] {
            let error = sparse.insert(offset, Data::from_bytes(*b"abc")).unwrap_err();
            assert!(matches!(error, Error::Overlap { .. }), "{error}");
        }
        let error = sparse.insert(6, Data::from_bytes(*b"abc")).unwrap_err();
        assert!(matches!(error, Error::Beyond { .. }), "{error}");
        sparse.insert(5, Data::from_bytes(*b"abc")).unwrap();
    }
}
