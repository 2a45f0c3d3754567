//! Files that appear under their names only when they are complete.
//!
//! While a build runs its files have no name at all (`O_TMPFILE`) and no directory has been made, so
//! whatever happens to the process, the kernel cleans up. At the end all files are flushed, then
//! linked beside their places under hidden names, then renamed over them: all or none.
//!
//! Where `O_TMPFILE` or /proc is missing, files have hidden names from the start. Those are removed
//! when the set is dropped, and on SIGINT and SIGTERM by [`clean_up_on_signals`]; after SIGKILL a
//! hidden name may stay, a final name never.

mod sum;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{PermissionsExt, chown, fchown},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use diskwright_formats::writer::Output;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::error::ErrorKind;

/// Permissions of new files, before the umask.
const MODE: u32 = 0o644;

/// Owner of what is created: uid, and gid if it is to change.
pub type Owner = (u32, Option<u32>);

/// The files of one build, which appear together.
#[derive(Debug)]
pub struct OutputSet {
    id: u64,
    dir: PathBuf,
    owner: Option<Owner>,
    named: bool,
    files: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    path: PathBuf,
    file: Arc<File>,
    /// Its name for now, if it has one.
    hidden: Option<PathBuf>,
}

/// A file of an [`OutputSet`] that is being written. It may outlive the set, but then has no name.
#[derive(Clone, Debug)]
pub struct OutputFile {
    file: Arc<File>,
    path: PathBuf,
}

impl OutputFile {
    /// Where the file will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length now, in bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Waits until all of it is stored.
    ///
    /// # Errors
    /// What the system says.
    pub fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// SHA-256 of its content in hexadecimal, read back from the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn sha256(&self) -> io::Result<String> {
        Ok(sum::sha256(&self.file)?.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The file itself, for those that read it before it has a name.
    ///
    /// # Errors
    /// What the system says.
    pub fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Whether nothing is in it yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl Output for OutputFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        Output::write_all_at(&*self.file, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(&self.file, len)
    }
}

impl OutputSet {
    /// A set below `dir`, which need not exist. Nothing is created yet.
    ///
    /// # Errors
    /// [`ErrorKind::Output`] if `dir`, or the part of it that exists, is no directory.
    pub fn new(dir: impl Into<PathBuf>, owner: Option<Owner>) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let dir = dir.into();
        nearest_dir(&dir).context(ErrorKind::Output)?;
        Ok(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), dir, owner, named: false, files: Vec::new() })
    }

    /// Uses hidden names from the start, as where `O_TMPFILE` is missing.
    #[must_use]
    pub fn without_tmpfile(mut self) -> Self {
        self.named = true;
        self
    }

    /// A new, empty file that will be `path` below the set's directory.
    ///
    /// # Errors
    /// [`ErrorKind::Output`] if the file cannot be made or owned, or cannot take that place.
    pub fn create(&mut self, path: impl AsRef<Path>) -> Result<OutputFile> {
        let path = self.dir.join(path);
        self.open(&path).with_context(|| format!("creating {}", path.display())).context(ErrorKind::Output)
    }

    fn open(&mut self, path: &Path) -> Result<OutputFile> {
        if path.is_dir() {
            bail!("there is a directory in its place");
        }
        if self.files.iter().any(|file| file.path == path) {
            bail!("two outputs have this path");
        }
        let dir = nearest_dir(path.parent().unwrap_or(Path::new(".")))?;
        let unnamed = if self.named { None } else { unnamed(&dir)? };
        let (file, hidden) = match unnamed {
            Some(file) => (file, None),
            None => named(self.id, &dir, path).map(|(file, name)| (file, Some(name)))?,
        };
        let file = Arc::new(file);
        self.files.push(Pending { path: path.to_owned(), file: Arc::clone(&file), hidden });
        if let Some((uid, gid)) = self.owner {
            fchown(&*file, Some(uid), gid).context("changing the owner")?;
        }
        Ok(OutputFile { file, path: path.to_owned() })
    }

    /// Flushes every file, then gives all of them their names. Returns these, in order of creation.
    ///
    /// # Errors
    /// [`ErrorKind::Output`]; then no new name is left, and no directory that was made for one.
    pub fn commit(self) -> Result<Vec<PathBuf>> {
        for pending in &self.files {
            let flushed = pending.file.sync_all();
            flushed
                .with_context(|| format!("flushing {}", pending.path.display()))
                .context(ErrorKind::Output)?;
        }
        let mut made = made();
        match self.publish(&mut made) {
            Ok(()) => {
                made.forget(self.id);
                made.is_committed = true;
            }
            Err(error) => {
                made.remove(self.id);
                return Err(error.context(ErrorKind::Output));
            }
        }
        drop(made);
        Ok(self.files.iter().map(|pending| pending.path.clone()).collect())
    }

    fn publish(&self, made: &mut Made) -> Result<()> {
        let mut hidden = Vec::new();
        for pending in &self.files {
            hidden.push(
                self.place(pending, made).with_context(|| format!("linking {}", pending.path.display()))?,
            );
        }
        for (pending, hidden) in self.files.iter().zip(&hidden) {
            let is_new = fs::symlink_metadata(&pending.path).is_err();
            fs::rename(hidden, &pending.path)
                .with_context(|| format!("naming {}", pending.path.display()))?;
            if is_new {
                made.push(self.id, Thing::File(pending.path.clone()));
            }
        }
        for dir in self.files.iter().filter_map(|pending| pending.path.parent()) {
            let flushed = File::open(or_here(dir)).and_then(|dir| dir.sync_all());
            flushed.with_context(|| format!("flushing {}", dir.display()))?;
        }
        Ok(())
    }

    /// A hidden name for the file in its final directory, which is made if it does not exist.
    fn place(&self, pending: &Pending, made: &mut Made) -> Result<PathBuf> {
        self.make_dirs(pending.path.parent().unwrap_or(Path::new("")), made)?;
        match &pending.hidden {
            Some(name) => Ok(name.clone()),
            None => {
                let name = link(&pending.file, &pending.path)?;
                made.push(self.id, Thing::File(name.clone()));
                Ok(name)
            }
        }
    }

    fn make_dirs(&self, dir: &Path, made: &mut Made) -> Result<()> {
        let missing: Vec<_> = dir.ancestors().take_while(|dir| !or_here(dir).exists()).collect();
        for dir in missing.into_iter().rev() {
            fs::create_dir(dir).with_context(|| format!("creating directory {}", dir.display()))?;
            made.push(self.id, Thing::Dir(dir.to_owned()));
            if let Some((uid, gid)) = self.owner {
                chown(dir, Some(uid), gid)
                    .with_context(|| format!("changing the owner of {}", dir.display()))?;
            }
        }
        Ok(())
    }
}

impl Drop for OutputSet {
    fn drop(&mut self) {
        made().remove(self.id);
    }
}

/// The directory itself, or the closest one above it that exists.
fn nearest_dir(dir: &Path) -> Result<PathBuf> {
    let existing = dir.ancestors().map(or_here).find(|dir| dir.exists()).unwrap_or(Path::new("."));
    if !existing.is_dir() {
        bail!("{} is no directory", existing.display());
    }
    Ok(existing.to_owned())
}

fn or_here(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}

/// A file without a name that can get one later; `None` where the system cannot do that.
fn unnamed(dir: &Path) -> io::Result<Option<File>> {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotFound, Unsupported};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(dir, flags, Mode::from_raw_mode(MODE)).map_err(io::Error::from) {
        Ok(fd) => Ok(Some(File::from(fd)).filter(|file| by_descriptor(file).exists())),
        Err(error) if matches!(error.kind(), InvalidInput | IsADirectory | NotFound | Unsupported) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The path by which /proc reaches an open file.
fn by_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Links a file without a name beside the place it will take.
fn link(file: &File, path: &Path) -> io::Result<PathBuf> {
    let from = by_descriptor(file);
    let name = path.file_name().unwrap_or(OsStr::new("output")).to_string_lossy();
    for attempt in 0.. {
        let hidden = path.with_file_name(format!(".{name}.{}-{attempt}", std::process::id()));
        match rustix::fs::linkat(CWD, &from, CWD, &hidden, AtFlags::SYMLINK_FOLLOW) {
            Err(rustix::io::Errno::EXIST) => {}
            done => return done.map(|()| hidden).map_err(io::Error::from),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A file with a hidden name. The lock is held so that no signal comes between making and noting it.
fn named(id: u64, dir: &Path, path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().unwrap_or(OsStr::new("output")).to_string_lossy();
    let mut made = made();
    let (file, hidden) = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .permissions(fs::Permissions::from_mode(MODE))
        .tempfile_in(dir)?
        .keep()
        .map_err(|kept| kept.error)?;
    made.push(id, Thing::File(hidden.clone()));
    Ok((file, hidden))
}

/// What has been made in the file system and is to go if the build does not end well.
#[derive(Debug)]
struct Made {
    things: Vec<(u64, Thing)>,
    is_committed: bool,
}

#[derive(Debug)]
enum Thing {
    File(PathBuf),
    Dir(PathBuf),
}

/// One for the process, because signals are for the process.
static MADE: Mutex<Made> = Mutex::new(Made { things: Vec::new(), is_committed: false });

fn made() -> MutexGuard<'static, Made> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Made {
    fn push(&mut self, id: u64, thing: Thing) {
        self.things.push((id, thing));
    }

    fn forget(&mut self, id: u64) {
        self.things.retain(|(owner, _)| *owner != id);
    }

    fn remove(&mut self, id: u64) {
        for (owner, thing) in self.things.iter().rev() {
            if *owner == id {
                thing.remove();
            }
        }
        self.forget(id);
    }
}

impl Thing {
    /// What cannot be removed stays: there is nobody left to tell, and a directory may be in use by others.
    fn remove(&self) {
        let _ = match self {
            Self::File(path) => fs::remove_file(path),
            Self::Dir(path) => fs::remove_dir(path),
        };
    }
}

/// There is more to do after a commit: a signal ends the process again, and leaves the files.
pub fn go_on_after_commit() {
    made().is_committed = false;
}

/// From now on SIGINT and SIGTERM call `farewell`, remove what unfinished sets have made, and end the
/// process with 128 and the signal's number. A signal that comes just after a commit is let pass:
/// the work is done.
///
/// # Errors
/// The system's, if it grants no handler or no thread.
pub fn clean_up_on_signals(farewell: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let watch = move || {
        for signal in &mut signals {
            let mut made = made();
            if std::mem::take(&mut made.is_committed) {
                continue;
            }
            farewell();
            made.things.iter().rev().for_each(|(_, thing)| thing.remove());
            std::process::exit(128 + signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every path below `dir`, sorted; hidden ones too.
    fn names(dir: &Path) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                names.extend(self::names(&path).iter().map(|below| format!("{name}/{below}")));
            }
            names.push(name);
        }
        names.sort();
        names
    }

    fn sets(dir: &Path) -> [OutputSet; 2] {
        let set = || OutputSet::new(dir.join("a/b"), None).unwrap();
        [set(), set().without_tmpfile()]
    }

    #[test]
    fn files_appear_together_at_commit() {
        for kind in 0..2 {
            let dir = tempfile::tempdir().unwrap();
            let [unnamed, named] = sets(dir.path());
            let mut set = if kind == 0 { unnamed } else { named };
            let one = set.create("qcow2/disk.qcow2").unwrap();
            let two = set.create("image/disk.raw").unwrap();
            one.set_len(10).unwrap();
            two.write_all_at(b"x", 3).unwrap();
            assert_eq!(names(dir.path()).len(), if kind == 0 { 0 } else { 2 });
            assert!(names(dir.path()).iter().all(|name| name.starts_with('.')));
            let paths = set.commit().unwrap();
            assert_eq!(fs::metadata(&paths[0]).unwrap().len(), 10);
            assert_eq!(fs::read(&paths[1]).unwrap(), b"\0\0\0x");
            let expected =
                ["a", "a/b", "a/b/image", "a/b/image/disk.raw", "a/b/qcow2", "a/b/qcow2/disk.qcow2"];
            assert_eq!(names(dir.path()), expected);
        }
    }

    #[test]
    fn a_dropped_set_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for mut set in sets(dir.path()) {
            set.create("disk.raw").unwrap();
            drop(set);
            assert_eq!(names(dir.path()), [""; 0]);
        }
    }

    #[test]
    fn an_old_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.raw");
        fs::write(&path, "old and long").unwrap();
        let mut set = OutputSet::new(dir.path(), None).unwrap();
        set.create("disk.raw").unwrap().write_all_at(b"new", 0).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old and long");
        set.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["disk.raw"]);
    }

    #[test]
    fn a_commit_that_fails_takes_back_what_it_did() {
        let dir = tempfile::tempdir().unwrap();
        let mut set = OutputSet::new(dir.path(), None).unwrap();
        set.create("one/disk.raw").unwrap();
        set.create("two/disk.raw").unwrap();
        fs::write(dir.path().join("two"), "in the way").unwrap();
        let error = set.commit().unwrap_err();
        assert_eq!(ErrorKind::of(&error), ErrorKind::Output);
        assert_eq!(names(dir.path()), ["two"]);
    }

    #[test]
    fn a_rename_that_fails_takes_back_its_forerunners() {
        let dir = tempfile::tempdir().unwrap();
        let mut set = OutputSet::new(dir.path(), None).unwrap();
        set.create("one.raw").unwrap();
        set.create("two.raw").unwrap();
        fs::create_dir(dir.path().join("two.raw")).unwrap();
        set.commit().unwrap_err();
        assert_eq!(names(dir.path()), ["two.raw"]);
    }

    #[test]
    fn a_place_that_is_taken_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = OutputSet::new(dir.path().join("file/below"), None).unwrap_err();
        assert_eq!(ErrorKind::of(&error), ErrorKind::Output);
        let mut set = OutputSet::new(dir.path(), None).unwrap();
        fs::create_dir(dir.path().join("disk.raw")).unwrap();
        assert!(set.create("disk.raw").is_err());
        set.create("x").unwrap();
        assert!(set.create("x").is_err());
    }
}
