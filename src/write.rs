//! Disks to files: every format that is asked for, side by side.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, anyhow};
use diskwright_formats::{
    sparse::Sparse,
    writer::{self, FormatWriter, Options},
};
use serde::Serialize;

use crate::{
    error::ErrorKind,
    output::{OutputFile, OutputSet},
    progress::Progress,
};

/// What is made when no type is named.
const DEFAULT_TYPE: &str = "qcow2";

/// One file that was made.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltOutput {
    /// Name of the format ("qcow2").
    #[serde(rename = "type")]
    pub type_name: String,
    /// Where the file is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
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

/// A disk for each file, by its path.
pub type Disks = BTreeMap<&'static str, Arc<Sparse>>;

/// Writes every file once, side by side; formats of one path share it, and each is reported.
///
/// # Errors
/// What a writer or the output says.
pub fn write_all(
    disks: &Disks,
    writers: &[&dyn FormatWriter],
    options: &Options,
    outputs: &mut OutputSet,
    progress: &dyn Progress,
) -> Result<Vec<BuiltOutput>> {
    progress.begin("writing", Some(disks.values().map(|disk| disk.data_len()).sum()));
    let mut files = Vec::new();
    for (path, disk) in disks {
        let writer = writers.iter().find(|writer| writer.spec().path == *path);
        files.push((*writer.context("a file of no format")?, disk, outputs.create(path)?));
    }
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let write = |(writer, disk, file): &(&dyn FormatWriter, &Arc<Sparse>, OutputFile)| {
            let written = writer.write(disk, options, file, progress);
            written.with_context(|| format!("writing {}", writer.spec().path))
        };
        let threads: Vec<_> = files.iter().map(|job| scope.spawn(move || write(job))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a writer stopped unexpectedly")))
        };
        threads.into_iter().map(join).collect()
    });
    results.into_iter().collect::<Result<()>>()?;
    writers.iter().map(|writer| built(*writer, &files)).collect()
}

fn built(
    writer: &dyn FormatWriter,
    files: &[(&dyn FormatWriter, &Arc<Sparse>, OutputFile)],
) -> Result<BuiltOutput> {
    let file = files.iter().find(|(other, ..)| other.spec().path == writer.spec().path);
    let (.., file) = file.context("a format without a file")?;
    let type_name = writer.spec().name.to_owned();
    Ok(BuiltOutput { type_name, path: file.path().to_owned(), size: file.len()? })
}
