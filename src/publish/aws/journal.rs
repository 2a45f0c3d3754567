//! What an upload has done, so that the next run goes on where a killed one
//! stopped: a file in the cache directory, named after the content.
//!
//! ```text
//! diskwright aws upload 1
//! attempt 0
//! snapshot snap-0123456789abcdef0
//! 17                              a block that AWS has
//! 3
//! ```
//!
//! Lines are only ever added. A last line without its end is not believed; a
//! block that is missing here is sent again, which does no harm.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

use crate::{error::ErrorKind, progress::Progress};

const HEAD: &str = "diskwright aws upload 1";

/// The file, and what it says.
pub(super) struct Journal {
    /// `None` where no file can be kept.
    file: Option<(PathBuf, Mutex<File>)>,
    pub(super) told: Told,
}

/// What earlier runs have done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Snapshots that were given up. It makes a new token.
    pub(super) attempt: u32,
    /// The snapshot that is being filled.
    pub(super) snapshot: Option<String>,
    /// Blocks that are in it.
    pub(super) done: BTreeSet<u64>,
}

impl Journal {
    /// Opens the journal of the upload with this name. Only one run at a time has it.
    pub(super) fn open(name: &str, progress: &dyn Progress) -> Result<Self> {
        let Some(dir) = directory() else { return Ok(Self::none("no cache directory", progress)) };
        let path = dir.join(format!("aws-{name}"));
        match open(&dir, &path) {
            Ok((file, text)) => {
                if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                    let busy = || bail!("another run uploads this disk under this name");
                    return busy().with_context(|| path.display().to_string()).context(ErrorKind::Usage);
                }
                let journal = Self { file: Some((path, Mutex::new(file))), told: Told::parse(&text) };
                journal.begin(&text)?;
                Ok(journal)
            }
            Err(error) => Ok(Self::none(&format!("{}: {error}", path.display()), progress)),
        }
    }

    fn none(why: &str, progress: &dyn Progress) -> Self {
        progress.note(&format!("an interrupted upload could not go on later: {why}"));
        Self { file: None, told: Told::default() }
    }

    /// Ends a line that a killed run left half, and names the format in a new file.
    fn begin(&self, text: &str) -> Result<()> {
        match text {
            "" => self.write(HEAD),
            text if !text.ends_with('\n') => self.write(""),
            _ => Ok(()),
        }
    }

    pub(super) fn started(&mut self, snapshot: &str) -> Result<()> {
        self.told.snapshot = Some(snapshot.to_owned());
        self.told.done.clear();
        self.write(&format!("snapshot {snapshot}"))
    }

    /// From any thread.
    pub(super) fn done(&self, block: u64) -> Result<()> {
        self.write(&block.to_string())
    }

    /// The snapshot is of no use; the next one needs another token.
    pub(super) fn give_up(&mut self) -> Result<()> {
        self.told = Told { attempt: self.told.attempt + 1, ..Told::default() };
        self.write(&format!("attempt {}", self.told.attempt))
    }

    /// All is done.
    pub(super) fn remove(self) {
        if let Some((path, _)) = &self.file {
            // One that stays is found to describe a complete snapshot.
            let _ = fs::remove_file(path);
        }
    }

    fn write(&self, line: &str) -> Result<()> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.write_all(format!("{line}\n").as_bytes());
        written.with_context(|| format!("writing {}", path.display())).context(ErrorKind::Output)
    }
}

impl Told {
    fn parse(text: &str) -> Self {
        let mut told = Self::default();
        let Some(lines) = text.strip_prefix(HEAD) else { return told };
        for line in lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match line.split_once(' ') {
                Some(("attempt", number)) => {
                    told = Self { attempt: number.parse().unwrap_or(told.attempt), ..Self::default() };
                }
                Some(("snapshot", id)) => {
                    told = Self { snapshot: Some(id.to_owned()), done: BTreeSet::new(), ..told };
                }
                _ => told.done.extend(line.parse::<u64>()),
            }
        }
        told
    }
}

fn directory() -> Option<PathBuf> {
    let set = |key| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("diskwright/publish"))
}

fn open(dir: &Path, path: &Path) -> io::Result<(File, String)> {
    fs::create_dir_all(dir)?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((file, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_run_leaves_what_it_did() {
        let text = format!("{HEAD}\nattempt 0\nsnapshot snap-1\n17\n3\n12");
        let told = Told::parse(&text);
        assert_eq!(told.snapshot.as_deref(), Some("snap-1"));
        assert_eq!(told.done, BTreeSet::from([3, 17]));
    }

    #[test]
    fn another_attempt_forgets_the_blocks() {
        let told = Told::parse(&format!("{HEAD}\nsnapshot snap-1\n17\nattempt 1\n"));
        assert_eq!(told, Told { attempt: 1, ..Told::default() });
        assert_eq!(Told::parse("something else\nsnapshot x\n"), Told::default());
    }
}
