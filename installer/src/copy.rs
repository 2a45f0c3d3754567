//! A [`Sparse`] disk onto a device: what holds data is written by all cores,
//! the rest is made zero, and all that was written is read back.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use diskwright_formats::sparse::{Sparse, Window};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use rustix::{
    fs::{Advice, FallocateFlags, fadvise, fallocate},
    io::Errno,
};
use sha2::{Digest as _, Sha256};

/// Bytes that are written at once: large enough for any device, small enough for many threads.
const WINDOW: usize = 1 << 20;
/// Zeros that are written at once where a device cannot make them itself.
const ZEROS: usize = 4 << 20;
/// Between two flushes: a device that has nothing to do until all is made stands idle.
const FLUSH: Duration = Duration::from_millis(100);

/// What was written where.
pub(crate) struct Written {
    sums: Vec<(Window, [u8; 32])>,
}

/// Bytes of `disk` that [`write()`] writes, as it counts them.
pub(crate) fn data_len(disk: &Sparse) -> u64 {
    disk.windows(WINDOW).map(|window| window.len as u64).sum()
}

/// Writes `disk` to `target`, which is at least as long; its gaps become zeros. `done` gets the bytes of each step.
///
/// # Errors
/// The payload's read errors, the device's write errors with their place.
pub(crate) fn write(disk: &Sparse, target: &File, done: impl Fn(u64) + Sync) -> Result<Written> {
    let windows: Vec<_> = disk.windows(WINDOW).collect();
    zero_between(disk.len(), &windows, target)?;
    thread::scope(|scope| {
        let (is_going_on, ends) = channel();
        let flushed = scope.spawn(move || flush_along(target, &ends));
        let sums = windows.par_iter().map(|&window| {
            let sum = write_window(disk, window, target)?;
            done(window.len as u64);
            Ok((window, sum))
        });
        let sums = sums.collect::<Result<Vec<_>>>();
        drop(is_going_on);
        // the kernel tells an error once: to whoever flushes next
        let flushed = flushed.join().expect("flushing does not panic");
        let sums = sums?;
        flushed.and_then(|()| target.sync_all()).context("flushing the disk")?;
        Ok(Written { sums })
    })
}

fn write_window(disk: &Sparse, window: Window, target: &File) -> Result<[u8; 32]> {
    let mut bytes = vec![0; window.len];
    disk.read_exact_at(&mut bytes, window.offset).context("reading the payload")?;
    target
        .write_all_at(&bytes, window.offset)
        .with_context(|| format!("writing {} bytes at byte {}", window.len, window.offset))?;
    Ok(Sha256::digest(&bytes).into())
}

/// Flushes what is written so far, again and again, until the other end of `ends` is gone.
fn flush_along(target: &File, ends: &Receiver<()>) -> io::Result<()> {
    while ends.recv_timeout(FLUSH) == Err(RecvTimeoutError::Timeout) {
        target.sync_data()?;
    }
    Ok(())
}

/// Reads back what [`write()`] wrote, from the device rather than from memory.
///
/// # Errors
/// Bytes that cannot be read or are others; the text says where.
pub(crate) fn verify(written: &Written, target: &File, done: impl Fn(u64) + Sync) -> Result<()> {
    fadvise(target, 0, None, Advice::DontNeed).context("dropping the disk's pages from memory")?;
    let wrong = AtomicU64::new(u64::MAX);
    written.sums.par_iter().try_for_each(|(window, sum)| {
        let mut bytes = vec![0; window.len];
        target
            .read_exact_at(&mut bytes, window.offset)
            .with_context(|| format!("reading back byte {}", window.offset))?;
        if Sha256::digest(&bytes)[..] != *sum {
            wrong.fetch_min(window.offset, Ordering::Relaxed);
        }
        done(window.len as u64);
        anyhow::Ok(())
    })?;
    match wrong.into_inner() {
        u64::MAX => Ok(()),
        at => bail!("the disk does not keep what is written to it: other bytes came back from byte {at} on"),
    }
}

/// Makes zero what no window covers, up to `end`.
fn zero_between(end: u64, windows: &[Window], target: &File) -> Result<()> {
    let mut at = 0;
    let last = Window { offset: end, len: 0, data: 0 };
    for window in windows.iter().chain([&last]) {
        zero(target, at, window.offset - at).with_context(|| format!("making zero from byte {at}"))?;
        at = window.offset + window.len as u64;
    }
    Ok(())
}

/// Makes `len` bytes zero, by the device itself where it can.
pub(crate) fn zero(target: &File, mut at: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match fallocate(target, FallocateFlags::ZERO_RANGE, at, len) {
        Ok(()) => return Ok(()),
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NODEV | Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    let (zeros, end) = (vec![0; ZEROS], at + len);
    while at < end {
        let step = (end - at).min(ZEROS as u64);
        target.write_all_at(&zeros[..step as usize], at)?;
        at += step;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use diskwright_formats::data::Data;

    use super::*;

    fn disk() -> Sparse {
        let mut disk = Sparse::new(10 << 20);
        disk.insert(0, Data::from_bytes(vec![1; 512])).unwrap();
        disk.insert(5_000_000, Data::from_bytes(vec![2; 3_000_000])).unwrap();
        disk
    }

    fn target() -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![9; 12 << 20], 0).unwrap();
        file
    }

    #[test]
    fn the_target_becomes_the_disk_and_nothing_beyond_changes() {
        let (disk, target) = (disk(), target());
        let counted = AtomicU64::new(0);
        let written = write(&disk, &target, |bytes| {
            counted.fetch_add(bytes, Ordering::Relaxed);
        })
        .unwrap();
        assert_eq!(counted.into_inner(), data_len(&disk));
        verify(&written, &target, |_| ()).unwrap();
        let mut bytes = vec![0; 12 << 20];
        target.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes[..10 << 20] == disk.to_vec().unwrap());
        assert!(bytes[10 << 20..].iter().all(|&byte| byte == 9));
    }

    #[test]
    fn a_byte_that_changed_on_the_disk_is_found() {
        let (disk, target) = (disk(), target());
        let written = write(&disk, &target, |_| ()).unwrap();
        target.write_all_at(&[7], 6_000_000).unwrap();
        let why = verify(&written, &target, |_| ()).unwrap_err().to_string();
        assert!(why.contains("from byte 5242880 on"), "{why}");
    }
}
