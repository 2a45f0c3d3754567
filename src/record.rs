//! The record of a run: what went in and what came out, as files beside the disks.
//!
//! ```text
//! manifest-TYPE-TYPE.json    the record: origin, partition tables, outputs
//! SHA256SUMS                 of every output and of the record; `sha256sum -c` reads it
//! ```
//!
//! The record is the same whenever the same is made: paths in it begin at its own directory, and how
//! long things took is only in what is printed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use diskwright_formats::{
    data::Data,
    disk::{self, Layout, TableKind},
    partition::{gpt, mbr},
    sparse::Sparse,
    writer::Output,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    error::ErrorKind,
    output::OutputSet,
    write::{BuiltOutput, Place},
};

const SUMS: &str = "SHA256SUMS";

/// What a run made its files of.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// The program.
    pub tool: Tool,
    /// What went in.
    pub source: Source,
    /// `sha256:...` of the blueprint as written, if there was one.
    pub blueprint_digest: Option<String>,
    /// Time of everything that needs one, in seconds since 1970.
    pub source_date_epoch: i64,
    /// Every disk that was made, one for each size.
    pub disks: Vec<Disk>,
}

/// A program.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Tool {
    /// This program.
    #[must_use]
    pub const fn current() -> Self {
        Self { name: "diskwright", version: env!("CARGO_PKG_VERSION") }
    }
}

/// What disks are made of.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Source {
    /// An image.
    Image(Image),
    /// A disk that was there.
    Disk {
        /// Path as it was given.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
}

/// An image.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// The reference in canonical form.
    pub reference: String,
    /// `sha256:...` of the platform's manifest.
    pub manifest_digest: String,
    /// `sha256:...` of the config.
    pub config_digest: String,
    /// Architecture, in OCI spelling.
    pub architecture: String,
    /// Layers, lowest first.
    pub layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Digest of the blob.
    pub digest: String,
    /// Digest of its tar.
    pub diff_id: String,
    /// Length of the blob in bytes.
    pub size: u64,
    /// How often the blob was opened: twice if it was damaged and had to be fetched again.
    pub opened: u32,
}

/// A disk before it is in a format.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// Bytes.
    pub size: u64,
    /// Bytes of it that are not gaps.
    pub data: u64,
    /// Its partition table, if it has one.
    pub table: Option<Table>,
}

/// A partition table.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// `gpt` or `dos`.
    pub kind: &'static str,
    /// Disk GUID; the disk signature (`0x1234abcd`) of a dos table.
    pub uuid: String,
    /// Bytes of a logical sector.
    pub sector_size: u32,
    /// The partitions in order.
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// From 1.
    pub number: usize,
    /// Its name; empty in a dos table.
    pub name: String,
    /// Type GUID; that of the same meaning in a dos table.
    pub type_uuid: String,
    /// Type in a dos table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dos_type: Option<String>,
    /// Partition GUID; what Linux calls `PARTUUID` in a dos table.
    pub uuid: String,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Attribute bits.
    pub attributes: u64,
}

/// `sha256:...` of `bytes`.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// `bytes` in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The disks among these files, each size once, in order; `sector_size` is that of those whose table names none.
#[must_use]
pub fn disks(files: &[(Place, Arc<Sparse>)], sector_size: u32) -> Vec<Disk> {
    let mut found: Vec<Disk> = Vec::new();
    for (_, disk) in files.iter().filter(|(place, _)| !place.is_directory()) {
        if !found.iter().any(|other| other.size == disk.len()) {
            found.push(Disk::read(disk, sector_size));
        }
    }
    found
}

impl Disk {
    fn read(disk: &Arc<Sparse>, sector_size: u32) -> Self {
        let bytes = Data::from_source(disk.clone(), 0, disk.len());
        let table = layout(&bytes, sector_size).as_ref().map(Table::new);
        Self { size: disk.len(), data: disk.data_len(), table }
    }
}

/// The table of either kind. A dos table counts sectors without saying how large they are.
fn layout(disk: &Data, sector_size: u32) -> Option<Layout> {
    let Some(mut layout) = mbr::read(disk) else { return gpt::read(disk).layout };
    let times = u64::from(sector_size / layout.sector_size).max(1);
    layout.sector_size = sector_size.max(layout.sector_size);
    for partition in &mut layout.partitions {
        partition.offset *= times;
        partition.size *= times;
    }
    Some(layout)
}

impl Table {
    fn new(layout: &Layout) -> Self {
        let [a, b, c, d, ..] = *layout.uuid.as_bytes();
        let signature = u32::from_le_bytes([a, b, c, d]);
        let dos = (layout.kind == TableKind::Dos).then_some(signature);
        let partitions =
            (1..).zip(&layout.partitions).map(|(number, found)| Partition::new(number, found, dos));
        Self {
            kind: if dos.is_some() { "dos" } else { "gpt" },
            uuid: dos.map_or_else(|| layout.uuid.to_string(), |dos| format!("{dos:#010x}")),
            sector_size: layout.sector_size,
            partitions: partitions.collect(),
        }
    }
}

impl Partition {
    /// `dos` is the signature of a disk that has no GUIDs.
    fn new(number: usize, found: &disk::Partition, dos: Option<u32>) -> Self {
        Self {
            number,
            name: found.name.clone(),
            type_uuid: found.type_uuid.to_string(),
            dos_type: found.dos_type.map(|kind| format!("{kind:x}")),
            uuid: dos.map_or_else(|| found.uuid.to_string(), |dos| format!("{dos:08x}-{number:02x}")),
            offset: found.offset,
            size: found.size,
            attributes: found.attributes,
        }
    }
}

/// The record as it is kept.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    origin: &'a Origin,
    outputs: Vec<BuiltOutput>,
}

/// Adds the record and the digests to the files of `outputs`, which is at `dir`.
///
/// # Errors
/// [`ErrorKind::Output`] if they cannot be written.
pub fn write(outputs: &mut OutputSet, dir: &Path, origin: &Origin, built: &[BuiltOutput]) -> Result<()> {
    let record = Record { origin, outputs: built.iter().map(|output| kept(output, dir)).collect() };
    let text = serde_json::to_string_pretty(&record)? + "\n";
    let name = file_name(built);
    put(outputs, &name, &text)?;
    if built.iter().any(|output| output.sha256.is_none()) {
        return Ok(());
    }
    let mut lines: Vec<_> = record.outputs.iter().filter_map(sum).collect();
    lines.sort();
    lines.dedup();
    lines.push(format!("{}  {name}\n", hex(&Sha256::digest(&text))));
    put(outputs, SUMS, &lines.concat())
}

/// `manifest-TYPE-TYPE.json`.
fn file_name(built: &[BuiltOutput]) -> String {
    let mut types: Vec<_> = built.iter().map(|output| output.type_name.as_str()).collect();
    types.dedup();
    format!("manifest-{}.json", types.join("-"))
}

fn kept(output: &BuiltOutput, dir: &Path) -> BuiltOutput {
    let path: PathBuf = output.path.strip_prefix(dir).unwrap_or(&output.path).to_owned();
    BuiltOutput { path, seconds: None, ..output.clone() }
}

/// A line of `sha256sum`.
fn sum(output: &BuiltOutput) -> Option<String> {
    Some(format!("{}  {}\n", output.sha256.as_ref()?, output.path.display()))
}

fn put(outputs: &mut OutputSet, name: &str, text: &str) -> Result<()> {
    let file = outputs.create(name)?;
    let written = file.write_all_at(text.as_bytes(), 0);
    written.with_context(|| format!("writing {name}")).context(ErrorKind::Output)
}
