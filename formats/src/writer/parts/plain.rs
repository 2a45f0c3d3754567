//! The blocks of a disk that hold anything, stored as they are, each at an
//! offset of its own.
//!
//! A batch is read in parallel into buffers that stay, offsets are given out in
//! the order of blocks, and the batch is written in parallel: where a block
//! lies does not depend on the number of threads. Runs of zeros inside a block
//! stay holes.

use rayon::prelude::*;

use super::{blocks::read, copy::write_nonzero};
use crate::{
    Result,
    sparse::{Sparse, Window},
    writer::{Output, Progress, is_zero},
};

/// Bytes of the disk in a batch: few enough to stay in the processor's cache.
const BATCH_BYTES: usize = 8 << 20;

/// A block on its way.
struct Slot {
    buf: Vec<u8>,
    window: Window,
    /// Where it goes; `None` for zeros.
    offset: Option<u64>,
}

/// Writes every block of `bytes` that is not zero to the offset that `place` gives for its number.
/// Numbers ascend. A block that the disk ends in is written as far as the disk goes.
pub(crate) fn store(
    disk: &Sparse,
    bytes: usize,
    out: &dyn Output,
    progress: &dyn Progress,
    mut place: impl FnMut(u64) -> Result<u64>,
) -> Result<()> {
    let mut windows = disk.windows(bytes).peekable();
    let mut slots = Vec::new();
    while windows.peek().is_some() {
        let mut count = 0;
        for window in windows.by_ref().take((BATCH_BYTES / bytes).max(1)) {
            if count == slots.len() {
                slots.push(Slot { buf: vec![0; bytes], window, offset: None });
            }
            slots[count].window = window;
            count += 1;
        }
        store_batch(disk, &mut slots[..count], out, &mut place)?;
        progress.advance(slots[..count].iter().map(|slot| slot.window.data).sum());
    }
    Ok(())
}

fn store_batch(
    disk: &Sparse,
    batch: &mut [Slot],
    out: &dyn Output,
    place: &mut impl FnMut(u64) -> Result<u64>,
) -> Result<()> {
    batch.par_iter_mut().try_for_each(|slot| {
        read(disk, slot.window, &mut slot.buf)?;
        slot.offset = (!is_zero(&slot.buf[..slot.window.len])).then_some(0);
        Ok(())
    })?;
    for slot in batch.iter_mut().filter(|slot| slot.offset.is_some()) {
        slot.offset = Some(place(slot.window.offset / slot.buf.len() as u64)?);
    }
    batch.par_iter().try_for_each(|slot| match slot.offset {
        Some(offset) => write_nonzero(&slot.buf[..slot.window.len], offset, out),
        None => Ok(()),
    })
}
