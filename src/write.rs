//! Disks to files: every format that is asked for, side by side.

use std::path::PathBuf;

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

/// Every format reads the same disk, side by side. Formats of one path have the same bytes, which
/// are written once; each is reported.
///
/// # Errors
/// What a writer or the output says.
pub fn write_all(
    disk: &Sparse,
    writers: &[&'static dyn FormatWriter],
    options: &Options,
    outputs: &mut OutputSet,
    progress: &dyn Progress,
) -> Result<Vec<BuiltOutput>> {
    let mut files: Vec<(&dyn FormatWriter, OutputFile)> = Vec::new();
    for writer in writers {
        if !files.iter().any(|(other, _)| other.spec().path == writer.spec().path) {
            files.push((*writer, outputs.create(writer.spec().path)?));
        }
    }
    progress.begin("writing", Some(disk.data_len() * files.len() as u64));
    let write =
        |(writer, file): &(&dyn FormatWriter, OutputFile)| write_one(*writer, disk, options, file, progress);
    let results: Vec<Result<u64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|pair| scope.spawn(move || write(pair))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<u64>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a writer stopped unexpectedly")))
        };
        threads.into_iter().map(join).collect()
    });
    let sizes = results.into_iter().collect::<Result<Vec<_>>>()?;
    let written = |writer: &&dyn FormatWriter| {
        let spec = writer.spec();
        let same_path = |((other, file), size): (&(&dyn FormatWriter, OutputFile), &u64)| {
            (other.spec().path == spec.path).then(|| (file.path().to_owned(), *size))
        };
        let (path, size) = files.iter().zip(&sizes).find_map(same_path)?;
        Some(BuiltOutput { type_name: spec.name.to_owned(), path, size })
    };
    Ok(writers.iter().filter_map(written).collect())
}

fn write_one(
    writer: &dyn FormatWriter,
    disk: &Sparse,
    options: &Options,
    file: &OutputFile,
    progress: &dyn Progress,
) -> Result<u64> {
    let spec = writer.spec();
    writer.write(disk, options, file, progress).with_context(|| format!("writing {}", spec.path))?;
    Ok(file.len()?)
}
