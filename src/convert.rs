//! A disk that exists, in other formats: no image is read, and nothing of the disk's content changes.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow};
use diskwright_formats::{
    reader,
    sparse::Sparse,
    writer::{Compression, FormatWriter, Medium, Options},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    error::{ErrorKind, Hint},
    output::OutputSet,
    progress::Progress,
    push,
    record::{self, Origin, Tool},
    source,
    write::{self, BuiltOutput, Choices, Place, Subject},
};

/// Bytes at the start of a disk that tell it from others: they hold the partition table.
const HEAD_BYTES: u64 = 1 << 16;

/// Everything a user can ask of one conversion.
#[derive(Clone, Debug)]
pub struct ConvertRequest {
    /// The disk: a raw or qcow2 file, or a block device.
    pub input: PathBuf,
    /// Names or aliases of disk formats, in the user's order; empty means `qcow2`.
    pub types: Vec<String>,
    /// Directory below which each format puts its file ("qcow2/disk.qcow2").
    pub output: PathBuf,
    /// Owner of every file and directory created: uid, and gid if it was given.
    pub chown: Option<(u32, Option<u32>)>,
    /// How clusters are compressed, in formats that can.
    pub compression: Compression,
    /// What else there is to choose of the files.
    pub choices: Choices,
    /// Architecture of what is on the disk, and how registries are spoken to.
    pub source: source::Options,
    /// Time of everything that needs one, in seconds since 1970; `None` means 0.
    pub source_date_epoch: Option<i64>,
}

/// What a conversion made.
#[derive(Clone, Debug, Serialize)]
pub struct ConvertReport {
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// One entry for each type, in the order of the request.
    pub outputs: Vec<BuiltOutput>,
    /// What they were made of.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Writes a disk in other formats.
///
/// # Errors
/// Anything a reader or writer reports; an [`ErrorKind`] in the chain says whose fault it is.
pub fn convert(request: &ConvertRequest, progress: &dyn Progress) -> Result<ConvertReport> {
    let writers = write::writers(&request.types)?;
    request.choices.check(&writers)?;
    let destination = request.choices.push.as_deref().map(push::Destination::parse).transpose()?;
    let subject = subject(request)?;
    let places = write::places(&writers, &request.choices.naming, &subject)?;
    let mut outputs = OutputSet::new(&request.output, request.chown)?;
    progress.begin("reading the disk", None);
    let disk = open(&request.input)
        .with_context(|| format!("opening {}", request.input.display()))
        .context(ErrorKind::Input)?;
    writers.iter().try_for_each(|writer| check_size(&disk, *writer))?;
    let options = request.choices.applied(Options {
        compression: request.compression,
        seed: seed(&disk).with_context(|| format!("reading {}", request.input.display()))?,
        time: request.source_date_epoch.unwrap_or(0),
        architecture: subject.arch,
        ..Options::default()
    });
    let disk = Arc::new(disk);
    let disks: Vec<_> = places.into_iter().map(|place| (place, disk.clone())).collect();
    let with_sums = !request.choices.no_checksums;
    let mut written = write::write_all(&disks, &writers, &options, with_sums, &mut outputs, progress)?;
    if let Some(destination) = &destination {
        push::push(destination, &mut written, &request.source, progress)?;
    }
    let origin = origin(request, &options, &disks);
    record::write(&mut outputs, &request.output, &origin, &written)?;
    outputs.commit()?;
    Ok(ConvertReport { virtual_size: disk.len(), outputs: written, origin })
}

/// What templates know of the disk.
fn subject(request: &ConvertRequest) -> Result<Subject> {
    let arch = match &request.source.target_arch {
        Some(name) => source::architecture(name).context("--target-arch").context(ErrorKind::Usage)?,
        None => source::host_architecture(),
    };
    let name = request.input.file_stem().map_or("disk".into(), OsStr::to_string_lossy);
    Ok(Subject { name: name.into_owned(), arch: arch.to_owned() })
}

fn origin(request: &ConvertRequest, options: &Options, disks: &[(Place, Arc<Sparse>)]) -> Origin {
    let size = disks.first().map_or(0, |(_, disk)| disk.len());
    Origin {
        tool: Tool::current(),
        source: record::Source::Disk { path: request.input.to_string_lossy().into_owned(), size },
        blueprint_digest: None,
        source_date_epoch: options.time,
        disks: record::disks(disks, options.sector_size),
    }
}

fn open(path: &Path) -> Result<Sparse> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(anyhow!("it is a directory"));
    }
    Ok(reader::open(file)?)
}

/// Before a byte is written: whether the format can have a disk, and one of this size.
fn check_size(disk: &Sparse, writer: &dyn FormatWriter) -> Result<()> {
    let (spec, len) = (writer.spec(), disk.len());
    if spec.medium != Medium::Disk {
        let hint = format!("make one of an image: diskwright build --type {} IMAGE", spec.name);
        let error = anyhow!("{}: a disk does not become an installer", spec.name);
        return Err(error.context(Hint(hint)).context(ErrorKind::Usage));
    }
    let multiple = spec.size_multiple;
    if len % multiple == 0 {
        return Ok(());
    }
    let hint = format!("enlarge it first: qemu-img resize DISK {}", len.div_ceil(multiple) * multiple);
    let error = anyhow!("{} wants a multiple of {multiple} bytes, and the disk has {len}", spec.name);
    Err(error.context(Hint(hint)).context(ErrorKind::Input))
}

/// Identifiers of the files derive from the disk's partition table, which has its own.
fn seed(disk: &Sparse) -> Result<[u8; 16]> {
    let mut head = vec![0; disk.len().min(HEAD_BYTES) as usize];
    disk.read_exact_at(&mut head, 0).context(ErrorKind::Input)?;
    let digest = Sha256::new().chain_update(b"diskwright convert 1\0").chain_update(head).finalize();
    let mut seed = [0; 16];
    seed.copy_from_slice(&digest[..16]);
    Ok(seed)
}
