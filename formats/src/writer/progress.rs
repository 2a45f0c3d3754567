//! Who hears how far a writer is.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sparse::Sparse;

/// Hears how far a writer is.
pub trait Progress: Sync {
    /// `bytes` more of the virtual disk's data (not of its gaps) are done.
    fn advance(&self, bytes: u64);
}

/// Progress that nobody watches.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}

/// Progress over a file that holds a disk and more: it ends with the disk's data.
pub(super) struct Capped<'a> {
    left: AtomicU64,
    inner: &'a dyn Progress,
}

impl<'a> Capped<'a> {
    pub(super) fn new(disk: &Sparse, inner: &'a dyn Progress) -> Self {
        Self { left: AtomicU64::new(disk.data_len()), inner }
    }
}

impl Progress for Capped<'_> {
    fn advance(&self, bytes: u64) {
        let left = |left: u64| Some(left.saturating_sub(bytes));
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).unwrap_or(0);
        self.inner.advance(bytes.min(before));
    }
}
