//! All bytes of a space, gaps included, in chunks of one size: packed in
//! parallel, handed over in order.
//!
//! Chunks lie on a fixed grid, so what they become does not depend on the
//! number of threads; that number only sets how many are in memory at once. A
//! whole chunk of zeros is packed once for all, so a long gap costs what its
//! packed form costs to write.

use super::{blocks::read, ordered};
use crate::{
    Result,
    sparse::{Sparse, Window},
    writer::{Progress, is_zero},
};

/// Packs every chunk with `pack` (the last may be short), and calls `put` with
/// each, in order, and how many times it is to be repeated.
pub(crate) fn each_run<T: Send + Sync>(
    space: &Sparse,
    bytes: usize,
    progress: &dyn Progress,
    pack: impl Fn(Vec<u8>) -> Result<T> + Sync,
    put: impl FnMut(&T, u64) -> Result<()>,
) -> Result<()> {
    let has_whole_chunk = space.len() >= bytes as u64;
    let zero = if has_whole_chunk { Some(pack(vec![0; bytes])?) } else { None };
    let mut order = Order { bytes: bytes as u64, zero, at: 0, put };
    let pack_one = |window| pack_window(space, bytes, window, &pack);
    ordered::each(space.windows(bytes), pack_one, |chunk| order.put_chunk(&chunk, progress))?;
    order.put_zeros(space.len() - space.len() % bytes as u64)?;
    let rest = (space.len() - order.at) as usize;
    if rest > 0 { (order.put)(&pack(vec![0; rest])?, 1) } else { Ok(()) }
}

/// A chunk that data touches; packed unless it is whole and zero.
struct Packed<T> {
    window: Window,
    packed: Option<T>,
}

fn pack_window<T>(
    space: &Sparse,
    bytes: usize,
    window: Window,
    pack: &impl Fn(Vec<u8>) -> Result<T>,
) -> Result<Packed<T>> {
    let mut buf = vec![0; window.len];
    read(space, window, &mut buf)?;
    let is_whole_zero = buf.len() == bytes && is_zero(&buf);
    let packed = if is_whole_zero { None } else { Some(pack(buf)?) };
    Ok(Packed { window, packed })
}

/// Puts chunks and the gaps between them in order.
struct Order<T, P> {
    bytes: u64,
    zero: Option<T>,
    at: u64,
    put: P,
}

impl<T, P: FnMut(&T, u64) -> Result<()>> Order<T, P> {
    fn put_chunk(&mut self, chunk: &Packed<T>, progress: &dyn Progress) -> Result<()> {
        if let Some(packed) = &chunk.packed {
            self.put_zeros(chunk.window.offset)?;
            (self.put)(packed, 1)?;
            self.at += chunk.window.len as u64;
        }
        progress.advance(chunk.window.data);
        Ok(())
    }

    /// Whole chunks of zeros up to `end`.
    fn put_zeros(&mut self, end: u64) -> Result<()> {
        let count = end.saturating_sub(self.at) / self.bytes;
        match &self.zero {
            Some(zero) if count > 0 => (self.put)(zero, count)?,
            _ => return Ok(()),
        }
        self.at += count * self.bytes;
        Ok(())
    }
}
