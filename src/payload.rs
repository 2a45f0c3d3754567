//! What an installer medium installs: the finished disk as a file, and the
//! description that goes beside it.
//!
//! The file is spooled, because its length decides where everything behind it
//! lies on the medium, and only compressing tells the length.

use std::{fs::File, sync::Arc};

use anyhow::{Context, Result};
use diskwright_formats::{
    data::Data,
    sparse::Sparse,
    writer::{self, Compression, Options},
};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::progress::Progress;

/// The file's name beside its description.
pub const NAME: &str = "disk.qcow2";
/// The description's name.
pub const DESCRIPTION_NAME: &str = "payload.json";
/// Path of the file on the medium.
pub const FILE: &str = "diskwright/disk.qcow2";
/// Path of the description on the medium.
pub const DESCRIPTION: &str = "diskwright/payload.json";
/// Bytes of the file that have a digest of their own.
const CHUNK: u64 = 4 << 20;
/// Bytes of a cluster: what is compressed at once.
const CLUSTER: u64 = 1 << 18;

/// A payload and its description.
#[derive(Debug)]
pub struct Payload {
    /// The file.
    pub file: Sparse,
    /// `payload.json`.
    pub description: String,
}

/// What the description says of the image and its disk.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// What the system calls itself.
    pub name: String,
    /// OCI's name of the architecture.
    pub architecture: String,
    /// Where the system is from.
    pub image: Image,
    /// The disk.
    pub disk: Disk,
}

/// An image.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// The reference that was built.
    pub reference: String,
    /// `sha256:...` of the platform's manifest.
    pub manifest_digest: String,
    /// The reference that the system updates from.
    pub target: String,
}

/// A disk.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// The file beside the description.
    pub file: &'static str,
    /// How the file holds the disk.
    pub format: &'static str,
    /// Bytes of the disk.
    pub size: u64,
    /// Bytes of its sectors.
    pub sector_size: u32,
    /// Number of the partition that grows, from 1.
    pub root_partition: usize,
    /// Its filesystem.
    pub root_filesystem: String,
}

#[derive(Serialize)]
struct Description<'a> {
    version: u32,
    #[serde(flatten)]
    facts: &'a Facts,
    file_size: u64,
    sha256: String,
    chunk_size: u64,
    chunks: Vec<String>,
}

/// Compresses `disk` into `spool`, a new file without a name, and describes it.
///
/// # Errors
/// Reading the disk or writing the file.
pub fn make(
    disk: &Sparse,
    options: &Options,
    facts: &Facts,
    spool: File,
    progress: &dyn Progress,
) -> Result<Payload> {
    progress.begin("compressing the disk", Some(disk.data_len()));
    let options = Options { compression: Compression::Zstd, qcow2_cluster_bytes: CLUSTER, ..options.clone() };
    let writer = writer::by_name("qcow2").context("no format 'qcow2'")?;
    writer.write(disk, &options, &spool, progress).context("writing the payload to the spool")?;
    let len = spool.metadata().context("reading the spool")?.len();
    let file = Data::from_source(Arc::new(spool), 0, len);
    let (sha256, chunks) = digests(&file).context("reading the spool")?;
    let description = Description { version: 1, facts, file_size: len, sha256, chunk_size: CHUNK, chunks };
    let description = serde_json::to_string_pretty(&description)? + "\n";
    Ok(Payload { file: Sparse::from_data(file), description })
}

/// Digests of all, and of each chunk.
fn digests(file: &Data) -> std::io::Result<(String, Vec<String>)> {
    let chunk = |index: u64| file.slice(index * CHUNK, CHUNK.min(file.len() - index * CHUNK)).to_vec();
    let count = file.len().div_ceil(CHUNK);
    let whole = || {
        let mut hash = Sha256::new();
        (0..count).try_for_each(|index| chunk(index).map(|bytes| hash.update(bytes)))?;
        Ok(hex(&hash.finalize()))
    };
    let each = || (0..count).into_par_iter().map(|index| Ok(hex(&Sha256::digest(chunk(index)?)))).collect();
    let (whole, each): (std::io::Result<String>, std::io::Result<Vec<String>>) = rayon::join(whole, each);
    Ok((whole?, each?))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
