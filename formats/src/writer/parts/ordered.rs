//! Work that is done in parallel and handed over in order.
//!
//! No thread waits for a slow item: others that come after it are worked on meanwhile, up to a number that
//! bounds memory. What is handed over does not depend on the number of threads.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::mpsc::{Receiver, channel},
};

use crate::Result;

/// Items under way for each thread: the one it works on, and one that is done or comes next.
const PER_THREAD: usize = 2;

/// Calls `work` with every item, on the threads of the pool, and `put` with what comes of each, on this one.
pub(crate) fn each<I: Send, T: Send>(
    mut items: impl Iterator<Item = I>,
    work: impl Fn(I) -> Result<T> + Sync,
    mut put: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let limit = rayon::current_num_threads() * PER_THREAD;
    let (sender, receiver) = channel();
    let (mut started, mut next, mut early) = (0, 0, BTreeMap::new());
    rayon::in_place_scope(|scope| {
        loop {
            while started < next + limit
                && let Some(item) = items.next()
            {
                let (sender, work, index) = (sender.clone(), &work, started);
                scope.spawn(move |_| {
                    let done = catch_unwind(AssertUnwindSafe(|| work(item)));
                    let _ = sender.send((index, done)); // nobody waits for it after an error
                });
                started += 1;
            }
            if next == started {
                return Ok(());
            }
            let (index, done) = receive(&receiver);
            early.insert(index, done.unwrap_or_else(|panic| resume_unwind(panic))?);
            while let Some(done) = early.remove(&next) {
                next += 1;
                put(done)?;
            }
        }
    })
}

/// What arrives next. A thread of the pool works meanwhile, as there may be no other.
fn receive<T>(receiver: &Receiver<T>) -> T {
    while rayon::current_thread_index().is_some() {
        if let Ok(done) = receiver.try_recv() {
            return done;
        }
        if rayon::yield_now() != Some(rayon::Yield::Executed) {
            std::thread::yield_now();
        }
    }
    receiver.recv().expect("the caller holds a sender")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Error;

    fn in_pools(check: impl Fn() + Sync) {
        check();
        for threads in [1, 2, 5] {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&check);
        }
    }

    #[test]
    fn all_are_handed_over_in_order_and_few_are_under_way() {
        in_pools(|| {
            let (begun, mut found) = (AtomicUsize::new(0), Vec::new());
            let work = |item: usize| {
                begun.fetch_add(1, Ordering::Relaxed);
                if item.is_multiple_of(7) {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                Ok(item * 2)
            };
            let put = |done| {
                let ahead = begun.load(Ordering::Relaxed) - found.len();
                assert!(ahead <= rayon::current_num_threads() * PER_THREAD, "{ahead}");
                found.push(done);
                Ok(())
            };
            each(0..100, work, put).unwrap();
            assert_eq!(found, (0..100).map(|item| item * 2).collect::<Vec<_>>());
        });
    }

    #[test]
    fn errors_and_panics_end_it() {
        let failed = || Error::io("working")(std::io::Error::other("no"));
        in_pools(|| {
            let work = |item| if item == 5 { Err(failed()) } else { Ok(item) };
            assert!(each(0..1000, work, |_| Ok(())).is_err());
            assert!(each(0..1000, Ok, |item| if item == 5 { Err(failed()) } else { Ok(()) }).is_err());
            let work = |item| if item == 5 { panic!("no") } else { Ok(item) };
            let ended = catch_unwind(AssertUnwindSafe(|| each(0..1000, work, |_| Ok(()))));
            assert!(ended.is_err());
        });
    }
}
