//! The disk on the medium, and what `payload.json` says of it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use diskwright_formats::{data::ReadAt, reader::qcow2, sparse::Sparse};
use serde::Deserialize;

use crate::{checked::Checked, medium::Medium};

/// Directory of the medium where everything of the installer is.
const DIRECTORY: &str = "diskwright";
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
    /// Number, from 1, of the partition with the root.
    pub(crate) root_partition: usize,
    /// The filesystem straight in it; none where it is in LVM or LUKS.
    pub(crate) root_filesystem: Option<String>,
}

/// The payload, opened.
pub(crate) struct Payload {
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
    pub(crate) fn open(medium: &Medium) -> Result<Self> {
        let text = medium.text(&format!("{DIRECTORY}/payload.json"))?;
        let description: Description =
            serde_json::from_str(&text).context("/diskwright/payload.json of the medium")?;
        ensure!(
            description.version == VERSION && description.disk.format == "qcow2",
            "the medium has a payload of version {} in format '{}', which this installer does not know",
            description.version,
            description.disk.format
        );
        let path = format!("{DIRECTORY}/{}", description.disk.file);
        let file = medium.iso.file(&path).with_context(|| format!("opening /{path} of the medium"))?;
        let said = description.file_size;
        ensure!(file.len() == said, "/{path} of the medium has {} bytes, not {said}", file.len());
        let file = Arc::new(Checked::new(file, description.chunk_size, &description.chunks)?);
        let len = description.file_size;
        let disk = qcow2::read(&(Arc::clone(&file) as Arc<dyn ReadAt>), len)
            .with_context(|| format!("/{path} of the medium"))?;
        ensure!(
            disk.len() == description.disk.size,
            "the payload's disk has {} bytes, not {}",
            disk.len(),
            description.disk.size
        );
        Ok(Self { description, file, disk: Arc::new(disk) })
    }
}
