//! Where the machine is seen: `/sys`, `/dev`, `/proc` and a few files, or a picture of them in a directory.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::file;

/// Devices and networks appear late: a stick half a minute after the installer started, a switch after more.
const PATIENCE: Duration = Duration::from_secs(180);
/// In a picture all there will be is there.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);

/// The directories and files through which the machine is seen.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `/sys`: disks and consoles.
    pub sys: PathBuf,
    /// `/dev`: disks and terminals.
    pub dev: PathBuf,
    /// `/proc`: the kernel's command line.
    pub proc: PathBuf,
    /// The options of an installation from a network.
    pub options: PathBuf,
    /// Where the system's resolver finds name servers.
    pub resolver: PathBuf,
    /// What systemd-networkd knows of the network.
    pub network: PathBuf,
    /// How long what is awaited may take to appear.
    pub patience: Duration,
}

impl Machine {
    /// The machine below `root`, `/` for the one that runs.
    pub fn new(root: &Path) -> Self {
        Self {
            sys: root.join("sys"),
            dev: root.join("dev"),
            proc: root.join("proc"),
            options: root.join(file::PATH),
            resolver: root.join("etc/resolv.conf"),
            network: root.join("run/systemd/netif/state"),
            patience: if root == Path::new("/") { PATIENCE } else { SHORT_PATIENCE },
        }
    }

    /// What the kernel was started with.
    pub fn command_line(&self) -> Result<String> {
        let path = self.proc.join("cmdline");
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Bytes of memory that nobody needs; 0 where the kernel does not say.
    pub fn free_memory(&self) -> u64 {
        let text = fs::read_to_string(self.proc.join("meminfo")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or_default() << 10
    }

    /// The terminals that the kernel prints to.
    pub fn consoles(&self) -> Vec<PathBuf> {
        let active = fs::read_to_string(self.sys.join("class/tty/console/active")).unwrap_or_default();
        active.split_whitespace().map(|name| self.dev.join(name)).collect()
    }

    /// A UUID that nothing else has.
    pub fn fresh_uuid(&self) -> Result<uuid::Uuid> {
        let path = self.proc.join("sys/kernel/random/uuid");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        text.trim().parse().with_context(|| format!("{}: no UUID", path.display()))
    }
}
