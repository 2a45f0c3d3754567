//! Compressed blobs of registries, kept between runs:
//!
//! ```text
//! DIR/blobs/sha256/HEX       complete
//! DIR/partial/sha256-HEX     being fetched, or left over from a run that was killed
//! ```
//!
//! Whoever holds the lock (flock) on the partial file fetches; others wait
//! for it and then find the blob complete. A blob gets its final name by
//! rename only. Nothing here is trusted: content is verified at each use, and
//! what is wrong is removed and fetched again. A blob's time of modification
//! is that of its last use; each run removes what nobody used for [`KEPT`].

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use rustix::fs::FlockOperation;

use super::{CacheChoice, manifest::Descriptor, spool::Spool};
use crate::progress::Progress;

const DIR_NAME: &str = "diskwright";
/// Where blobs are, complete ones and others.
const PARTS: [&str; 3] = ["blobs/sha256", "blobs/sha512", "partial"];
/// How long a blob stays that no run asks for.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Where fetched blobs go.
pub(crate) enum Cache {
    /// A directory that outlives the run.
    Dir(PathBuf),
    /// The spool: gone with the run.
    Spool(Spool),
}

/// What there is of a blob.
pub(crate) enum Slot {
    /// All of it, to be verified.
    Complete(File),
    /// A file to fetch it into, which may hold a first part.
    Partial(Partial),
}

/// A file to fetch a blob into, ours alone.
pub(crate) struct Partial {
    pub(crate) file: File,
    names: Option<(PathBuf, PathBuf)>,
}

impl Cache {
    /// A default directory that cannot be used is a note; one that was asked for is an error.
    pub(crate) fn new(choice: &CacheChoice, spool: &Spool, progress: &dyn Progress) -> Result<Self> {
        let off = || Self::Spool(spool.clone());
        match choice {
            CacheChoice::Off => Ok(off()),
            CacheChoice::Dir(dir) => {
                prepare(dir).with_context(|| format!("preparing cache directory {}", dir.display()))?;
                Ok(Self::Dir(dir.clone()))
            }
            CacheChoice::Default => {
                let Some(dir) = default_dir() else { return Ok(off()) };
                match prepare(&dir) {
                    Ok(()) => Ok(Self::Dir(dir)),
                    Err(error) => {
                        progress.note(&format!("layers are not cached: {}: {error}", dir.display()));
                        Ok(off())
                    }
                }
            }
        }
    }

    /// What there is of `blob`. Waits while another run fetches it.
    pub(crate) fn slot(&self, blob: &Descriptor, progress: &dyn Progress) -> Result<Slot> {
        match self {
            Self::Spool(spool) => Ok(Slot::Partial(Partial { file: spool.file()?, names: None })),
            Self::Dir(dir) => in_dir(dir, blob, progress)
                .with_context(|| format!("using cache directory {}", dir.display())),
        }
    }

    /// Removes a blob whose content was wrong.
    pub(crate) fn remove(&self, blob: &Descriptor) {
        if let Self::Dir(dir) = self {
            // One that cannot be removed is found to be wrong again, and reported then.
            let _ = fs::remove_file(complete_path(dir, blob));
        }
    }

    /// What a failed write is reported as.
    pub(crate) fn error(&self, error: io::Error) -> anyhow::Error {
        match self {
            Self::Dir(dir) => Spool::new(Some(dir)).error_in("cache", "--cache", error),
            Self::Spool(spool) => spool.error(error),
        }
    }
}

impl Partial {
    /// Gives the finished file its name.
    pub(crate) fn finish(self) -> Result<File> {
        if let Some((partial, complete)) = &self.names {
            fs::rename(partial, complete).with_context(|| format!("renaming to {}", complete.display()))?;
        }
        Ok(self.file)
    }
}

fn default_dir() -> Option<PathBuf> {
    let set = |key| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join(DIR_NAME))
}

fn prepare(dir: &Path) -> io::Result<()> {
    for part in PARTS {
        fs::create_dir_all(dir.join(part))?;
    }
    tempfile::tempfile_in(dir.join("partial"))?;
    PARTS.iter().for_each(|part| evict(&dir.join(part)));
    Ok(())
}

/// Removes the files of a directory that were not used for long. What cannot be removed stays: it is in
/// nobody's way but the disk's.
fn evict(dir: &Path) {
    let is_old = |metadata: fs::Metadata| {
        let age = metadata.modified().ok().and_then(|used| SystemTime::now().duration_since(used).ok());
        metadata.is_file() && age.is_some_and(|age| age > KEPT)
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.metadata().is_ok_and(is_old) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn complete_path(dir: &Path, blob: &Descriptor) -> PathBuf {
    dir.join("blobs").join(blob.digest.algorithm_name()).join(blob.digest.hex())
}

fn in_dir(dir: &Path, blob: &Descriptor, progress: &dyn Progress) -> Result<Slot> {
    let complete = complete_path(dir, blob);
    let partial = dir.join("partial").join(format!("{}-{}", blob.digest.algorithm_name(), blob.digest.hex()));
    loop {
        if let Some(file) = open_complete(&complete, blob.size)? {
            return Ok(Slot::Complete(file));
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&partial)?;
        lock(&file, blob, progress)?;
        // The holder before us may have finished and renamed the file we waited for.
        if is_still(&file, &partial)? && !complete.exists() {
            return Ok(Slot::Partial(Partial { file, names: Some((partial, complete)) }));
        }
        if is_still(&file, &partial)? {
            fs::remove_file(&partial)?;
        }
    }
}

/// The complete blob; one of the wrong length, or that is no file, is removed.
fn open_complete(path: &Path, size: u64) -> Result<Option<File>> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(None) };
    if metadata.is_file() && metadata.len() == size {
        let file = File::open(path)?;
        // Of a cache that others own as well, it stays what it is.
        let _ = file.set_modified(SystemTime::now());
        return Ok(Some(file));
    }
    let removed = if metadata.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("removing {}, which is not the blob it should be", path.display()))?;
    Ok(None)
}

fn lock(file: &File, blob: &Descriptor, progress: &dyn Progress) -> Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => {
            progress.note(&format!("waiting for another run that fetches {}", blob.digest));
            Ok(rustix::fs::flock(file, FlockOperation::LockExclusive)?)
        }
        other => Ok(other?),
    }
}

fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_used_for_long_goes() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path()).unwrap();
        let at = |name: &str, days: u64| {
            let path = dir.path().join("blobs/sha256").join(name);
            let file = File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60)).unwrap();
            path
        };
        let (old, used, new) = (at("old", 31), at("used", 29), at("new", 0));
        open_complete(&used, 0).unwrap().unwrap();
        prepare(dir.path()).unwrap();
        assert!(!old.exists() && used.exists() && new.exists());
        let age = fs::metadata(used).unwrap().modified().unwrap().elapsed().unwrap();
        assert!(age < Duration::from_secs(60), "used now, and still {age:?} old");
    }
}
