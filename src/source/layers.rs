//! All layers of an image at once: several are fetched at a time, and as many
//! as there are cores are unpacked at a time. Memory is bounded by the queues
//! of [`super::spool`]; the first error stops the others.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result};

use super::{
    Layer,
    digest::Digest,
    manifest::{Compression, Descriptor},
    spool::{self, Spool, Want, WrongContent},
    store::{Store, Watch},
};
use crate::progress::Progress;

/// One layer to be had.
pub(crate) struct Wanted {
    pub(crate) blob: Descriptor,
    pub(crate) compression: Compression,
    pub(crate) diff_id: Digest,
}

/// Everything the threads share.
struct Work<'a> {
    store: &'a dyn Store,
    spool: &'a Spool,
    wanted: &'a [Wanted],
    progress: &'a dyn Progress,
    next: AtomicUsize,
    stop: AtomicBool,
    error: Mutex<Option<anyhow::Error>>,
    done: Mutex<Vec<Option<Layer>>>,
    cores: Permits,
}

/// All layers, verified and spooled, in the order of `wanted`.
pub(crate) fn fetch(
    store: &dyn Store,
    spool: &Spool,
    wanted: &[Wanted],
    progress: &dyn Progress,
) -> Result<Vec<Layer>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let work = Work {
        store,
        spool,
        wanted,
        progress,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        error: Mutex::new(None),
        done: Mutex::new(wanted.iter().map(|_| None).collect()),
        cores: Permits::new(cores),
    };
    let threads = store.parallel(cores).clamp(1, wanted.len().max(1));
    thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(|| work.run())));
    });
    if let Some(error) = work.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let done = work.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_iter().collect::<Option<_>>().context("every layer is there or there is an error")
}

impl Work<'_> {
    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(wanted) = self.wanted.get(at) else { return };
            match self.layer(wanted) {
                Ok(layer) => lock(&self.done)[at] = Some(layer),
                Err(error) => self.fail(error.context(format!(
                    "{} layer {} of {} ({})",
                    if self.store.is_remote() { "fetching" } else { "reading" },
                    at + 1,
                    self.wanted.len(),
                    wanted.blob.digest
                ))),
            }
        }
    }

    /// Keeps the first error; those of threads that were stopped by it say nothing.
    fn fail(&self, error: anyhow::Error) {
        let mut first = lock(&self.error);
        if first.is_none() {
            *first = Some(error);
        }
        self.stop.store(true, Ordering::Relaxed);
    }

    fn layer(&self, wanted: &Wanted) -> Result<Layer> {
        match self.try_layer(wanted, 1) {
            Err(error) if error.is::<WrongContent>() && self.store.distrust(&wanted.blob) => {
                self.progress.note(&format!("layer {} was damaged: fetching it again", wanted.blob.digest));
                self.try_layer(wanted, 2)
            }
            other => other,
        }
    }

    /// `opened` counts the tries.
    fn try_layer(&self, wanted: &Wanted, opened: u32) -> Result<Layer> {
        let watch = Watch { progress: self.progress, stop: &self.stop };
        let blob = self.store.blob(&wanted.blob, &watch)?;
        let _permit = self.cores.take();
        let want =
            Want { digest: &wanted.blob.digest, diff_id: &wanted.diff_id, compression: wanted.compression };
        let watch = if self.store.is_remote() { Watch { progress: &(), ..watch } } else { watch };
        let (tar, tar_len) = spool::unpack(&blob, &want, self.spool, &watch)?;
        Ok(Layer {
            digest: wanted.blob.digest.to_string(),
            size: wanted.blob.size,
            diff_id: wanted.diff_id.to_string(),
            tar: Arc::new(tar),
            tar_len,
            opened,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A counting semaphore.
struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
}

struct Permit<'a>(&'a Permits);

impl Permits {
    const fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    fn take(&self) -> Permit<'_> {
        let free = lock(&self.free);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}
