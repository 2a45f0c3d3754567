//! The medium that the machine was started from, and what is on it.

use std::{
    fs::File,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use diskwright_formats::{data::ReadAt, reader::iso9660::Iso};

use crate::{
    disks::{self, Disk},
    machine::Machine,
};

/// Devices appear late: a stick half a minute after the installer started.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(500);

/// A medium that was found.
pub(crate) struct Medium {
    /// The kernel's name of the device it is in, which is never a target.
    pub(crate) device: String,
    pub(crate) iso: Iso,
}

impl Medium {
    /// Waits until a device holds the medium with this volume id.
    ///
    /// # Errors
    /// None appeared in time; the text lists the devices there are.
    pub(crate) fn find(machine: &Machine, volume_id: &str) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let disks = disks::list(&machine.sys, &machine.dev)?;
            if let Some(medium) = disks.iter().find_map(|disk| Self::open(machine, disk, volume_id)) {
                return Ok(medium);
            }
            if Instant::now() > deadline {
                let names: Vec<_> = disks.iter().map(|disk| disk.name.as_str()).collect();
                bail!(
                    "no device holds the medium '{volume_id}'; there are: {} (does the kernel have a driver for what it is in?)",
                    names.join(", ")
                );
            }
            thread::sleep(PAUSE);
        }
    }

    /// A drive that cannot be read is not it.
    fn open(machine: &Machine, disk: &Disk, volume_id: &str) -> Option<Self> {
        let device: Arc<dyn ReadAt> = Arc::new(File::open(machine.dev.join(&disk.name)).ok()?);
        let iso = Iso::open(device).ok()??;
        (iso.volume_id == volume_id).then(|| Self { device: disk.name.clone(), iso })
    }

    /// A small file, as text.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        let bytes = self.iso.file(path).and_then(|file| file.to_vec());
        let bytes = bytes.with_context(|| format!("reading /{path} of the medium"))?;
        String::from_utf8(bytes).with_context(|| format!("/{path} of the medium"))
    }
}
