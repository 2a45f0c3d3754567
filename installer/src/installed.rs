//! The system on the disk, after it was written: its filesystem grows, and
//! kernel arguments and keys are added. The kernel's own ext4 does the work.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::{
    fs::{XattrFlags, getxattr, setxattr, statvfs},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

use crate::{file::File as Options, kernel, machine::Machine};

/// Partitions appear after udev has seen the new table.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// Unit of sysfs, in bytes.
const UNIT: u64 = 512;

/// A partition as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Partition {
    path: PathBuf,
    start: u64,
    size: u64,
}

/// What is to happen on the disk with this kernel name.
pub(crate) struct Installed<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) disk: &'a str,
    /// First and last byte (exclusive) of the partition with the root.
    pub(crate) root: std::ops::Range<u64>,
    /// Whether the root filesystem grows.
    pub(crate) grow: bool,
    pub(crate) options: &'a Options,
}

impl Installed<'_> {
    /// Grows the root filesystem and applies the options. Returns what was done, in words.
    ///
    /// # Errors
    /// The kernel does not show the partitions, or a filesystem cannot be mounted or changed.
    pub(crate) fn finish(&self) -> Result<Vec<String>> {
        let mut said = Vec::new();
        let Options { kargs, ssh_keys, .. } = self.options;
        if !self.grow && kargs.is_empty() && ssh_keys.is_empty() {
            return Ok(said);
        }
        let (mut entries, mut homes) = (0, 0);
        for partition in self.partitions()? {
            if !is_ext(&partition.path)? {
                continue;
            }
            let mounted = Mounted::new(&partition.path)?;
            if self.grow && partition.start == self.root.start {
                let size = mounted.grow(partition.size)?;
                said.push(format!("root filesystem: {} MiB", size >> 20));
            }
            entries += mounted.add_arguments(kargs)?;
            homes += mounted.add_keys(ssh_keys)?;
        }
        ensure!(kargs.is_empty() || entries > 0, "kargs: no boot entry found on the disk");
        ensure!(ssh_keys.is_empty() || homes > 0, "ssh-keys: no ostree deployment found on the disk");
        Ok(said)
    }

    /// The partitions, once the kernel shows the root partition as the table has it.
    fn partitions(&self) -> Result<Vec<Partition>> {
        let path = self.machine.dev.join(self.disk);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
            let outcome = kernel::reread_partitions(&file);
            let found = list(self.machine, self.disk);
            let is_root = |found: &Partition| {
                found.start == self.root.start && found.size == self.root.end - self.root.start
            };
            if found.iter().any(is_root) && found.iter().all(|partition| partition.path.exists()) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                outcome.context("having the kernel read the partition table")?;
                anyhow::bail!("the kernel does not show the partitions of {}", path.display());
            }
            thread::sleep(PAUSE);
        }
    }
}

/// The partitions of a disk, as sysfs lists them.
fn list(machine: &Machine, disk: &str) -> Vec<Partition> {
    let directory = machine.sys.join("block").join(disk);
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.path().join("partition").exists())
        .filter_map(|entry| {
            let (start, size) = (number(&entry.path().join("start"))?, number(&entry.path().join("size"))?);
            let path = machine.dev.join(entry.file_name());
            Some(Partition { path, start: start * UNIT, size: size * UNIT })
        })
        .collect();
    found.sort_by_key(|partition| partition.start);
    found
}

fn is_ext(path: &Path) -> Result<bool> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut magic = [0; 2];
    let read = std::os::unix::fs::FileExt::read_exact_at(&file, &mut magic, 1024 + 56);
    Ok(read.is_ok() && magic == [0x53, 0xef])
}

/// A filesystem that is mounted until this goes.
struct Mounted {
    directory: PathBuf,
}

impl Mounted {
    fn new(device: &Path) -> Result<Self> {
        let directory = PathBuf::from("/run/diskwright-install");
        fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
        mount(device, &directory, "ext4", MountFlags::empty(), None)
            .with_context(|| format!("mounting {}", device.display()))?;
        Ok(Self { directory })
    }

    /// Grows the filesystem to `size` bytes; returns what it has then.
    fn grow(&self, size: u64) -> Result<u64> {
        let block = statvfs(&self.directory)?.f_frsize;
        let root = File::open(&self.directory)?;
        kernel::grow_ext4(&root, size / block).context("growing the root filesystem")?;
        Ok(size / block * block)
    }

    /// Appends to the options of every boot entry; returns how many there are.
    fn add_arguments(&self, arguments: &[String]) -> Result<usize> {
        let mut count = 0;
        if arguments.is_empty() {
            return Ok(count);
        }
        for directory in ["loader/entries", "boot/loader/entries"] {
            for entry in fs::read_dir(self.directory.join(directory)).into_iter().flatten().flatten() {
                let path = entry.path();
                let text =
                    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                replace(&path, &with_arguments(&text, arguments))?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Adds keys for root to every stateroot; returns how many there are.
    fn add_keys(&self, keys: &[String]) -> Result<usize> {
        let mut count = 0;
        if keys.is_empty() {
            return Ok(count);
        }
        for stateroot in fs::read_dir(self.directory.join("ostree/deploy")).into_iter().flatten().flatten() {
            let var = stateroot.path().join("var");
            let home = private_directory(&var, "roothome", "admin_home_t")?;
            let directory = private_directory(&home, ".ssh", "ssh_home_t")?;
            let path = directory.join("authorized_keys");
            let mut file = File::options().append(true).create(true).mode(0o600).open(&path)?;
            file.write_all(format!("{}\n", keys.join("\n")).as_bytes())
                .with_context(|| format!("writing {}", path.display()))?;
            file.sync_all()?;
            label(&var, &path, "ssh_home_t")?;
            count += 1;
        }
        Ok(count)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.directory, UnmountFlags::empty());
    }
}

/// The entry's text with `arguments` at the end of its `options`.
fn with_arguments(text: &str, arguments: &[String]) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("options ") {
        Some(options) => format!("options {} {}\n", options.trim_end(), arguments.join(" ")),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Replaces a file whole.
fn replace(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("conf.new");
    let mut file = File::create(&beside).with_context(|| format!("making {}", beside.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path).with_context(|| format!("replacing {}", path.display()))
}

/// A directory for its owner alone, made if it is not there.
fn private_directory(parent: &Path, name: &str, kind: &str) -> Result<PathBuf> {
    let directory = parent.join(name);
    if !directory.exists() {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .with_context(|| format!("making {}", directory.display()))?;
        label(parent, &directory, kind)?;
    }
    Ok(directory)
}

/// Gives `path` an SELinux type if `like` has a label at all.
fn label(like: &Path, path: &Path, kind: &str) -> Result<()> {
    const NAME: &str = "security.selinux";
    if getxattr(like, NAME, &mut [0_u8; 256][..]).is_ok() {
        let label = format!("system_u:object_r:{kind}:s0\0");
        setxattr(path, NAME, label.as_bytes(), XattrFlags::empty())
            .with_context(|| format!("labelling {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_to_the_end_of_the_options() {
        let text = "title Demo\noptions root=UUID=1 rw\nlinux /vmlinuz\n";
        let expected = "title Demo\noptions root=UUID=1 rw a=1 b\nlinux /vmlinuz\n";
        assert_eq!(with_arguments(text, &["a=1".into(), "b".into()]), expected);
    }
}
