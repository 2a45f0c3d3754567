//! Where the payload is: on the medium that the machine was started from, or on a web server.

use std::{fmt, fs::File, sync::Arc, thread, time::Duration, time::Instant};

use anyhow::{Context, Result, bail};
use diskwright_formats::{
    data::{Data, ReadAt},
    reader::iso9660::Iso,
    sparse::Sparse,
};

use crate::{
    disks::{self, Disk},
    file,
    machine::Machine,
    network::Network,
    options::Place,
    screen::Screen,
};

const PAUSE: Duration = Duration::from_millis(500);
/// Directory of a disc or stick where everything of the installer is.
const DIRECTORY: &str = "diskwright";

/// What was found.
pub(crate) enum Medium {
    /// A disc or a stick.
    Disc {
        /// The kernel's name of the device, which is never a target.
        device: String,
        iso: Iso,
    },
    Network(Network),
}

impl Medium {
    /// Waits until it is there.
    ///
    /// # Errors
    /// It did not appear in time; the text says what there is instead.
    pub(crate) fn find(machine: &Machine, place: &Place, screen: &Screen) -> Result<Self> {
        match place {
            Place::Medium(volume_id) => {
                screen.say(format_args!("Looking for the medium {volume_id}"));
                Self::find_disc(machine, volume_id)
            }
            Place::Network { address, digest } => {
                screen.say(format_args!("Looking for the payload at {address}"));
                Network::find(machine, address, digest, screen).map(Self::Network)
            }
        }
    }

    fn find_disc(machine: &Machine, volume_id: &str) -> Result<Self> {
        let deadline = Instant::now() + machine.patience;
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
        (iso.volume_id == volume_id).then(|| Self::Disc { device: disk.name.clone(), iso })
    }

    /// The text of `diskwright.yaml`: on a disc, or in the initramfs.
    pub(crate) fn options(&self, machine: &Machine) -> Result<String> {
        match self {
            Self::Disc { iso, .. } => text(iso, file::PATH),
            Self::Network(_) => std::fs::read_to_string(&machine.options)
                .with_context(|| format!("reading {}", machine.options.display())),
        }
    }

    /// The text of `payload.json`.
    pub(crate) fn description(&self) -> Result<String> {
        match self {
            Self::Disc { iso, .. } => text(iso, &format!("{DIRECTORY}/payload.json")),
            Self::Network(network) => Ok(network.description.clone()),
        }
    }

    /// The payload's file, which has this `name`.
    pub(crate) fn payload(&self, name: &str, machine: &Machine) -> Result<Sparse> {
        match self {
            Self::Disc { iso, .. } => {
                let path = format!("{DIRECTORY}/{name}");
                iso.file(&path).with_context(|| format!("opening /{path} of the medium"))
            }
            Self::Network(network) => {
                let file = Arc::new(network.file(name, machine)?);
                let len = file.len();
                Ok(Sparse::from_data(Data::from_source(file, 0, len)))
            }
        }
    }

    /// The kernel's name of the device that is in use; none for a network.
    pub(crate) fn device(&self) -> Option<&str> {
        match self {
            Self::Disc { device, .. } => Some(device),
            Self::Network(_) => None,
        }
    }

    /// What to do where the payload is corrupt.
    pub(crate) const fn advice(&self) -> &'static str {
        match self {
            Self::Disc { .. } => "write the medium anew",
            Self::Network(_) => "put the file on the server anew",
        }
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disc { device, iso } => write!(f, "medium {} in {device}", iso.volume_id),
            Self::Network(network) => write!(f, "payload at {}", network.address),
        }
    }
}

/// A small file of a disc, as text.
fn text(iso: &Iso, path: &str) -> Result<String> {
    let bytes = iso.file(path).and_then(|file| file.to_vec());
    let bytes = bytes.with_context(|| format!("reading /{path} of the medium"))?;
    String::from_utf8(bytes).with_context(|| format!("/{path} of the medium"))
}
