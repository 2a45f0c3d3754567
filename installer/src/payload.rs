//! The disk that is installed, and what `payload.json` says of it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use diskwright_formats::{data::ReadAt, reader::qcow2, sparse::Sparse};
use serde::Deserialize;

use crate::{checked::Checked, machine::Machine, medium::Medium};

/// Bytes of memory that are left to the machine when it holds the payload.
const LEFT: u64 = 256 << 20;
/// Version of the description that this installer knows.
const VERSION: u32 = 1;

/// `payload.json`, as far as the installer reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct Description {
    version: u32,
    /// What the system calls itself.
    pub(crate) name: String,
    /// Where the system came from.
    pub(crate) image: Image,
    /// The disk.
    pub(crate) disk: DiskFacts,
    file_size: u64,
    chunk_size: u64,
    chunks: Vec<String>,
}

/// The image that the system was made of.
#[derive(Debug, Deserialize)]
pub(crate) struct Image {
    pub(crate) reference: String,
}

/// Facts of the disk in the payload.
#[derive(Debug, Deserialize)]
pub(crate) struct DiskFacts {
    file: String,
    format: String,
    /// Bytes that a target must have at least.
    pub(crate) size: u64,
    /// Bytes of a sector that the partition table counts in.
    pub(crate) sector_size: u32,
    /// Number, from 1, of the partition that grows.
    pub(crate) root_partition: usize,
}

/// When the payload is checked as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Before the disk is touched; it is read once more then.
    Before,
    /// Before the disk is touched; it is in memory then.
    Fetch,
    /// Each chunk before it is written: fetching everything twice takes twice as long.
    AsWritten,
}

/// The payload, opened.
pub(crate) struct Payload {
    pub(crate) check: Check,
    pub(crate) description: Description,
    /// The file, each chunk of which is checked when it is read.
    pub(crate) file: Arc<Checked>,
    /// The disk in it.
    pub(crate) disk: Arc<Sparse>,
}

impl Payload {
    /// Opens the payload of the medium.
    ///
    /// # Errors
    /// A file is missing, cannot be read or is not what its description says.
    pub(crate) fn open(medium: &Medium, machine: &Machine) -> Result<Self> {
        let description: Description =
            serde_json::from_str(&medium.description()?).context("payload.json")?;
        ensure!(
            description.version == VERSION && description.disk.format == "qcow2",
            "there is a payload of version {} in format '{}', which this installer does not know",
            description.version,
            description.disk.format
        );
        let (name, len) = (&description.disk.file, description.file_size);
        let file = medium.payload(name, machine)?;
        ensure!(file.len() == len, "{name} has {} bytes, not {len}", file.len());
        let origin = medium.advice();
        let mut file = Checked::new(file, description.chunk_size, &description.chunks, origin)?;
        let check = match medium.device() {
            Some(_) => Check::Before,
            None if machine.free_memory() >= len + LEFT => Check::Fetch,
            None => Check::AsWritten,
        };
        if check == Check::Fetch {
            file.keep_all();
        }
        let file = Arc::new(file);
        let disk = qcow2::read(&(Arc::clone(&file) as Arc<dyn ReadAt>), len).with_context(|| name.clone())?;
        ensure!(
            disk.len() == description.disk.size,
            "the payload's disk has {} bytes, not {}",
            disk.len(),
            description.disk.size
        );
        Ok(Self { check, description, file, disk: Arc::new(disk) })
    }
}
