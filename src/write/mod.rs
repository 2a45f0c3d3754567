//! Disks to files: every format that is asked for, side by side.

mod choices;
mod naming;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};
use diskwright_formats::{
    sparse::Sparse,
    writer::{self, FormatWriter, Medium, Options},
};
use serde::{Serialize, Serializer};

pub use self::{
    choices::{Choices, MachineChoices},
    naming::{Naming, Subject, Template},
};
use crate::{
    error::{ErrorKind, Hint},
    output::{OutputFile, OutputSet},
    progress::Progress,
};

/// What is made when no type is named.
const DEFAULT_TYPE: &str = "qcow2";

/// One file that was made. A format may have several.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltOutput {
    /// Name of the format ("qcow2").
    #[serde(rename = "type")]
    pub type_name: String,
    /// Where the file is.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its content in hexadecimal, unless that was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How long it took to write, in seconds; not in records that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Where in a registry it went, if it did: `docker://HOST/NAME:TAG@DIGEST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed: Option<String>,
    /// The file, which has no name before all are complete.
    #[serde(skip)]
    pub file: OutputFile,
}

/// JSON knows no other names.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// The formats of these names or aliases, each once; the default for none.
///
/// # Errors
/// [`ErrorKind::Usage`] for a name that means nothing.
pub fn writers(types: &[String]) -> Result<Vec<&'static dyn FormatWriter>> {
    let mut found: Vec<&'static dyn FormatWriter> = Vec::new();
    for name in types.iter().map(String::as_str).chain(types.is_empty().then_some(DEFAULT_TYPE)) {
        let writer = writer::by_name(name);
        let writer = writer.ok_or_else(|| anyhow!("'{name}' is no disk format").context(ErrorKind::Usage))?;
        if !found.iter().any(|other| other.spec().name == writer.spec().name) {
            found.push(writer);
        }
    }
    Ok(found)
}

/// A file to be made, which may serve several formats that write the same bytes.
#[derive(Clone)]
pub struct Place {
    /// Its path below the output directory.
    pub path: PathBuf,
    /// The formats; at least one.
    pub writers: Vec<&'static dyn FormatWriter>,
}

impl Place {
    /// What goes there is used as.
    #[must_use]
    pub fn medium(&self) -> Medium {
        self.writers.first().map_or(Medium::Disk, |writer| writer.spec().medium)
    }

    /// Whether many files go there, none of which is a disk.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.medium() == Medium::Network
    }

    /// The place of another file of the same formats, at `path` in the same directory.
    #[must_use]
    pub fn beside(&self, path: &str) -> Self {
        Self { path: self.path.parent().unwrap_or(Path::new("")).join(path), ..self.clone() }
    }

    /// What the size of its disk is a multiple of, in bytes.
    #[must_use]
    pub fn size_multiple(&self) -> u64 {
        self.writers.iter().map(|writer| writer.spec().size_multiple).max().unwrap_or(1)
    }
}

/// Where each format's file goes.
///
/// # Errors
/// [`ErrorKind::Usage`] for a path that leads elsewhere, or that formats of other bytes would share.
pub fn places(
    writers: &[&'static dyn FormatWriter],
    naming: &Naming,
    subject: &Subject,
) -> Result<Vec<Place>> {
    let mut places: Vec<Place> = Vec::new();
    for writer in writers {
        let path = naming.path(writer.spec(), subject)?;
        match places.iter_mut().find(|place| place.path == path) {
            None => places.push(Place { path, writers: vec![*writer] }),
            Some(place) if place.writers[0].spec().path == writer.spec().path => place.writers.push(*writer),
            Some(place) => return Err(shared(&path, place.writers[0], *writer)),
        }
    }
    Ok(places)
}

fn shared(path: &Path, one: &dyn FormatWriter, other: &dyn FormatWriter) -> anyhow::Error {
    let (one, other) = (one.spec().name, other.spec().name);
    let error = anyhow!("types {one} and {other} would both be {}", path.display());
    error.context(Hint("put {type} into the template".into())).context(ErrorKind::Usage)
}

/// A file that is written, and how that went.
struct Job<'a> {
    place: &'a Place,
    disk: &'a Sparse,
    file: OutputFile,
}

struct Done {
    sha256: Option<String>,
    seconds: f64,
}

/// Writes every file once, side by side; formats of one path share it, and each is reported.
///
/// # Errors
/// What a writer or the output says.
pub fn write_all(
    disks: &[(Place, Arc<Sparse>)],
    writers: &[&'static dyn FormatWriter],
    options: &Options,
    with_sums: bool,
    outputs: &mut OutputSet,
    progress: &dyn Progress,
) -> Result<Vec<BuiltOutput>> {
    progress.begin("writing", Some(disks.iter().map(|(_, disk)| disk.data_len()).sum()));
    let mut files = Vec::new();
    for (place, disk) in disks {
        files.push(Job { place, disk, file: outputs.create(&place.path)? });
    }
    let results: Vec<Result<Done>> = std::thread::scope(|scope| {
        let start = |job| scope.spawn(move || write(job, options, with_sums, progress));
        let threads: Vec<_> = files.iter().map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Done>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a writer stopped unexpectedly")))
        };
        threads.into_iter().map(join).collect()
    });
    let done = results.into_iter().collect::<Result<Vec<_>>>()?;
    let built = writers.iter().map(|writer| built(*writer, &files, &done));
    Ok(built.collect::<Result<Vec<_>>>()?.concat())
}

/// Writes a file; what was written is flushed while its digest is computed.
fn write(job: &Job<'_>, options: &Options, with_sums: bool, progress: &dyn Progress) -> Result<Done> {
    let start = Instant::now();
    let doing = || format!("writing {}", job.place.path.display());
    let written = job.place.writers[0].write(job.disk, options, &job.file, progress);
    written.with_context(doing)?;
    let seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let sha256 = std::thread::scope(|scope| {
        let flush = scope.spawn(|| job.file.flush());
        let sum = with_sums.then(|| job.file.sha256()).transpose();
        flush.join().unwrap_or_else(|_| Err(std::io::Error::other("flushing stopped unexpectedly")))?;
        sum
    });
    let sha256 = sha256.with_context(|| format!("reading back {}", job.place.path.display()));
    Ok(Done { sha256: sha256.context(ErrorKind::Output)?, seconds })
}

/// The files of a format: one, or a directory of them.
fn built(writer: &'static dyn FormatWriter, files: &[Job<'_>], done: &[Done]) -> Result<Vec<BuiltOutput>> {
    let name = writer.spec().name;
    let serves = |job: &Job<'_>| job.place.writers.iter().any(|other| other.spec().name == name);
    let found = files.iter().zip(done).filter(|(job, _)| serves(job));
    let built = found.map(|(job, done)| {
        Ok(BuiltOutput {
            type_name: name.to_owned(),
            path: job.file.path().to_owned(),
            size: job.file.len()?,
            sha256: done.sha256.clone(),
            seconds: Some(done.seconds),
            pushed: None,
            file: job.file.clone(),
        })
    });
    let built = built.collect::<Result<Vec<_>>>()?;
    ensure!(!built.is_empty(), "a format without a file");
    Ok(built)
}
