//! The disk byte for byte, as a sparse file.
//!
//! Gaps and aligned runs of 64 KiB of zeros stay holes. Threads copy windows
//! of 1 MiB, so that many small pieces become few large writes and memory is
//! bounded by the number of threads.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, is_zero};
use crate::{
    Error, Result,
    sparse::{Sparse, Window},
    units::{KIB, MIB},
};

/// What a thread reads at once.
const WINDOW_BYTES: usize = MIB as usize;
/// What is left out if it is zero.
const HOLE_BYTES: usize = 64 * KIB as usize;

static SPEC: Spec = Spec {
    name: "raw",
    aliases: &[],
    path: "image/disk.raw",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "the disk byte for byte, as a sparse file",
};

/// A raw disk.
#[derive(Debug)]
pub struct Raw;

impl FormatWriter for Raw {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn write(
        &self,
        disk: &Sparse,
        _options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        out.set_len(disk.len()).map_err(Error::io("setting the length of the raw disk"))?;
        let windows = Mutex::new(disk.windows(WINDOW_BYTES));
        let failed = AtomicBool::new(false);
        let results = rayon::broadcast(|_| {
            let mut buf = vec![0; WINDOW_BYTES];
            while !failed.load(Ordering::Relaxed) {
                let Some(window) = lock(&windows).next() else { break };
                copy(disk, window, &mut buf, out).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                progress.advance(window.data);
            }
            Ok(())
        });
        results.into_iter().collect()
    }
}

/// A poisoned lock only means that another thread panicked, which ends the scope anyway.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn copy(disk: &Sparse, window: Window, buf: &mut [u8], out: &dyn Output) -> Result<()> {
    let buf = &mut buf[..window.len];
    let doing = || format!("reading the disk at byte {}", window.offset);
    disk.read_exact_at(buf, window.offset).map_err(|source| Error::Io { doing: doing(), source })?;
    let mut at = window.offset;
    for run in buf.chunks(HOLE_BYTES).collect::<Vec<_>>().chunk_by(|a, b| is_zero(a) == is_zero(b)) {
        let len: usize = run.iter().map(|block| block.len()).sum();
        if !is_zero(run[0]) {
            let start = (at - window.offset) as usize;
            out.write_all_at(&buf[start..start + len], at).map_err(Error::io("writing the raw disk"))?;
        }
        at += len as u64;
    }
    Ok(())
}
