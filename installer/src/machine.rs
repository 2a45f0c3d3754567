//! Where the kernel shows the machine: `/sys`, `/dev` and `/proc`, or a picture of them in a directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The directories through which the machine is seen.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `/sys`: disks and consoles.
    pub sys: PathBuf,
    /// `/dev`: disks and terminals.
    pub dev: PathBuf,
    /// `/proc`: the kernel's command line.
    pub proc: PathBuf,
}

impl Machine {
    /// The machine below `root`, `/` for the one that runs.
    pub fn new(root: &Path) -> Self {
        Self { sys: root.join("sys"), dev: root.join("dev"), proc: root.join("proc") }
    }

    /// What the kernel was started with.
    pub fn command_line(&self) -> Result<String> {
        let path = self.proc.join("cmdline");
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
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
