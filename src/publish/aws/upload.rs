//! The disk into a snapshot: blocks side by side, each noted when AWS has it.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context, Result, anyhow};
use diskwright_formats::sparse::Sparse;

use super::{
    blocks::{BLOCK_BYTES, Block, read},
    ebs::Ebs,
    failure::Failure,
    journal::Journal,
};
use crate::{error::ErrorKind, progress::Progress};

/// Requests at a time.
const WORKERS: usize = 24;

/// Blocks on their way into one snapshot.
pub(super) struct Upload<'a> {
    pub(super) ebs: Ebs<'a>,
    pub(super) disk: &'a Sparse,
    pub(super) snapshot: &'a str,
    pub(super) journal: &'a Journal,
    pub(super) progress: &'a dyn Progress,
}

impl Upload<'_> {
    /// Sends what the journal does not have; how many blocks that was.
    pub(super) fn run(&self, blocks: &[Block]) -> Result<usize> {
        let done = &self.journal.told.done;
        let todo: Vec<&Block> = blocks.iter().filter(|block| !done.contains(&block.index)).collect();
        self.progress.begin("uploading", Some((todo.len() * BLOCK_BYTES) as u64));
        if todo.len() < blocks.len() {
            let there = blocks.len() - todo.len();
            self.progress.note(&format!("{there} of {} blocks are there from an earlier run", blocks.len()));
        }
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            let outcome = self.work(&todo, &next, &stop);
            stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
            outcome
        };
        let outcomes: Vec<Result<()>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS.min(todo.len())).map(|_| scope.spawn(work)).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, Result<()>>| {
                worker.join().unwrap_or_else(|_| Err(anyhow!("a sender stopped unexpectedly")))
            };
            workers.into_iter().map(join).collect()
        });
        outcomes.into_iter().collect::<Result<()>>().map(|()| todo.len())
    }

    fn work(&self, todo: &[&Block], next: &AtomicUsize, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(block) = todo.get(at) else { break };
            let bytes = read(self.disk, block.index).context("reading the disk").context(ErrorKind::Input)?;
            let percent = (at * 100 / todo.len()) as u64;
            self.ebs.put(self.snapshot, block, bytes, percent).map_err(Failure::into_error)?;
            self.journal.done(block.index)?;
            self.progress.advance(BLOCK_BYTES as u64);
        }
        Ok(())
    }
}
