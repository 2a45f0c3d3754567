//! A disk byte for byte into a sparse file.
//!
//! Gaps and aligned runs of 64 KiB of zeros stay holes. Threads copy windows
//! of 1 MiB, so that many small pieces become few large writes and memory is
//! bounded by the number of threads.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::blocks::read;
use crate::{
    Error, Result,
    sparse::Sparse,
    units::{KIB, MIB},
    writer::{Output, Progress, is_zero},
};

/// What a thread reads at once.
const WINDOW_BYTES: usize = MIB as usize;
/// What is left out if it is zero.
const HOLE_BYTES: usize = 64 * KIB as usize;

/// Writes the disk from the start of the output. The output's length is the caller's business.
pub(crate) fn copy(disk: &Sparse, out: &dyn Output, progress: &dyn Progress) -> Result<()> {
    let windows = Mutex::new(disk.windows(WINDOW_BYTES));
    let failed = AtomicBool::new(false);
    let results = rayon::broadcast(|_| {
        let mut buf = vec![0; WINDOW_BYTES];
        while !failed.load(Ordering::Relaxed) {
            let Some(window) = lock(&windows).next() else { break };
            read(disk, window, &mut buf)
                .and_then(|()| write_nonzero(&buf[..window.len], window.offset, out))
                .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            progress.advance(window.data);
        }
        Ok(())
    });
    results.into_iter().collect()
}

/// A poisoned lock only means that another thread panicked, which ends the scope anyway.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes what is not zero of `bytes` to `offset`.
pub(crate) fn write_nonzero(bytes: &[u8], offset: u64, out: &dyn Output) -> Result<()> {
    let mut at = 0;
    for run in bytes.chunks(HOLE_BYTES).collect::<Vec<_>>().chunk_by(|a, b| is_zero(a) == is_zero(b)) {
        let len: usize = run.iter().map(|block| block.len()).sum();
        if !is_zero(run[0]) {
            out.write_all_at(&bytes[at..at + len], offset + at as u64)
                .map_err(Error::io("writing the disk"))?;
        }
        at += len;
    }
    Ok(())
}
