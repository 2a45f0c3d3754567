//! The blocks of a disk that hold anything, stored as they are, each at an
//! offset of its own.
//!
//! Threads take blocks by turns, a few at once, and read them. Offsets are
//! given out in the order of blocks: who is done reading waits for those before
//! it, and then all write at the same time. So where a block lies does not
//! depend on the number of threads. Runs of zeros inside a block stay holes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{blocks::read, copy::write_nonzero};
use crate::{
    Result,
    sparse::{Sparse, Window, Windows},
    writer::{Output, Progress, is_zero},
};

/// Bytes of the disk in a turn: few enough to stay in the processor's cache.
const TURN_BYTES: usize = 2 << 20;

/// Writes every block of `bytes` that is not zero to the offset that `place` gives for its number.
/// Numbers ascend. A block that the disk ends in is written as far as the disk goes.
pub(crate) fn store(
    disk: &Sparse,
    bytes: usize,
    out: &dyn Output,
    progress: &dyn Progress,
    place: impl FnMut(u64) -> Result<u64> + Send,
) -> Result<()> {
    let turns = Turns {
        left: Mutex::new(Left { windows: disk.windows(bytes), taken: 0 }),
        placed: Mutex::new(Placed { place, turns: 0, is_over: false }),
        changed: Condvar::new(),
    };
    let results = rayon::broadcast(|_| {
        let _guard = OnPanic(&turns);
        let mut slots = Vec::new();
        while let Some((turn, count)) = turns.take(&mut slots, bytes) {
            let slots = &mut slots[..count];
            let done = slots.iter_mut().try_for_each(|slot| slot.read(disk));
            let done = turns.pass(turn, done, |place| {
                slots.iter_mut().filter(|slot| !slot.is_zero).try_for_each(|slot| slot.place(place))
            });
            done.and_then(|()| slots.iter().try_for_each(|slot| slot.write(out)))
                .inspect_err(|_| turns.end())?;
            progress.advance(slots.iter().map(|slot| slot.window.data).sum());
        }
        Ok(())
    });
    results.into_iter().collect()
}

/// A block on its way.
struct Slot {
    buf: Vec<u8>,
    window: Window,
    is_zero: bool,
    offset: u64,
}

impl Slot {
    fn read(&mut self, disk: &Sparse) -> Result<()> {
        read(disk, self.window, &mut self.buf)?;
        self.is_zero = is_zero(&self.buf[..self.window.len]);
        Ok(())
    }

    fn place(&mut self, place: &mut impl FnMut(u64) -> Result<u64>) -> Result<()> {
        self.offset = place(self.window.offset / self.buf.len() as u64)?;
        Ok(())
    }

    fn write(&self, out: &dyn Output) -> Result<()> {
        if self.is_zero {
            return Ok(());
        }
        write_nonzero(&self.buf[..self.window.len], self.offset, out)
    }
}

/// What threads share.
struct Turns<'a, P> {
    left: Mutex<Left<'a>>,
    placed: Mutex<Placed<P>>,
    /// `placed` is another.
    changed: Condvar,
}

/// Blocks that nobody has taken, and the number of turns that were.
struct Left<'a> {
    windows: Windows<'a>,
    taken: u64,
}

/// What gives out offsets, and for how many turns it has.
struct Placed<P> {
    place: P,
    turns: u64,
    /// Something failed: nobody waits, and nothing more is begun.
    is_over: bool,
}

impl<P: FnMut(u64) -> Result<u64>> Turns<'_, P> {
    /// Fills slots with the next blocks; the number of this turn, and of its slots. `None` at the end.
    fn take(&self, slots: &mut Vec<Slot>, bytes: usize) -> Option<(u64, usize)> {
        if lock(&self.placed).is_over {
            return None;
        }
        let mut left = lock(&self.left);
        let mut count = 0;
        for window in left.windows.by_ref().take((TURN_BYTES / bytes).max(1)) {
            if count == slots.len() {
                slots.push(Slot { buf: vec![0; bytes], window, is_zero: false, offset: 0 });
            }
            slots[count].window = window;
            count += 1;
        }
        left.taken += 1;
        (count > 0).then_some((left.taken - 1, count))
    }

    /// Waits for the turns before, places if this one is well, and lets the next go on.
    fn pass(&self, turn: u64, done: Result<()>, give: impl FnOnce(&mut P) -> Result<()>) -> Result<()> {
        let is_early = |placed: &mut Placed<P>| placed.turns < turn && !placed.is_over;
        let placed = self.changed.wait_while(lock(&self.placed), is_early);
        let mut placed = placed.unwrap_or_else(PoisonError::into_inner);
        let done = done.and_then(|()| if placed.is_over { Ok(()) } else { give(&mut placed.place) });
        placed.turns += 1;
        placed.is_over |= done.is_err();
        self.changed.notify_all();
        done
    }

    fn end(&self) {
        lock(&self.placed).is_over = true;
        self.changed.notify_all();
    }
}

/// A thread that panics has not passed its turn on, and nobody shall wait for it.
struct OnPanic<'a, 'b, P: FnMut(u64) -> Result<u64>>(&'a Turns<'b, P>);

impl<P: FnMut(u64) -> Result<u64>> Drop for OnPanic<'_, '_, P> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

/// A poisoned lock only means that another thread panicked, which ends the scope anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
