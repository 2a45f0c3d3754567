//! Where blobs are: the one face that layouts, archives and registries show
//! to the rest of this stage.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    digest::Digest,
    manifest::{Descriptor, SMALL_BLOB_MAX},
};
use crate::progress::Progress;

const CHUNK_BYTES: usize = 256 << 10;

/// Who watches, and whether the work is still wanted.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    pub(crate) progress: &'a dyn Progress,
    pub(crate) stop: &'a AtomicBool,
}

impl Watch<'_> {
    /// An error if another layer has failed already.
    pub(crate) fn check(&self) -> std::io::Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(std::io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

/// Some bytes of an open file: a blob that is a file, or a member of a tar.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Span {
    /// The whole of a file that must be a regular one.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (file, len) = open_regular(path)?;
        Ok(Self { file: Arc::new(file), offset: 0, len })
    }

    /// All bytes, for documents; more than [`SMALL_BLOB_MAX`] is an error.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        let len = self.len;
        ensure!(len <= SMALL_BLOB_MAX, "{len} bytes are past the limit of {SMALL_BLOB_MAX} for a document");
        let mut bytes = vec![0; usize::try_from(len)?];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }

    /// The first bytes, up to the length of `start`.
    pub(crate) fn read_start<'a>(&self, start: &'a mut [u8]) -> std::io::Result<&'a [u8]> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX).min(start.len());
        self.file.read_exact_at(&mut start[..len], self.offset)?;
        Ok(&start[..len])
    }

    /// Hands over all bytes in order.
    pub(crate) fn for_each_chunk(&self, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut done = 0;
        while done < self.len {
            let count = usize::try_from(self.len - done).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            self.file.read_exact_at(&mut chunk[..count], self.offset + done)?;
            take(&chunk[..count]);
            done += count as u64;
        }
        Ok(())
    }

    /// That the span is as long as its descriptor says.
    pub(crate) fn check_len(&self, blob: &Descriptor) -> Result<()> {
        let (found, size) = (self.len, blob.size);
        ensure!(found == size, "blob {} is {found} bytes long, its descriptor says {size}", blob.digest);
        Ok(())
    }
}

/// Opens a regular file without waiting on a FIFO or device.
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64)> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))?;
    let metadata = file.metadata().with_context(|| format!("looking at {}", path.display()))?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a directory" } else { "not a regular file" };
        bail!("{} is {what}", path.display());
    }
    Ok((file, metadata.len()))
}

/// `None` instead of the error that there is no such file.
pub(crate) fn if_there<T>(opened: Result<T>) -> Result<Option<T>> {
    let io = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
    };
    match opened {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.chain().find_map(io) == Some(std::io::ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A manifest or index as the source holds it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    /// The media type its descriptor gave, if one led here.
    pub(crate) media_type: Option<String>,
}

/// Where blobs are.
pub(crate) trait Store: Sync {
    /// The manifest or index that the reference names. `architecture` helps where a layout has one entry for each.
    fn root(&self, architecture: &str) -> Result<Found>;

    /// A blob of the right length. Its content is NOT verified yet.
    fn blob(&self, blob: &Descriptor, watch: &Watch<'_>) -> Result<Span>;

    /// A manifest of an index, verified.
    fn manifest(&self, entry: &Descriptor) -> Result<Vec<u8>> {
        self.document(entry)
    }

    /// A small blob, verified.
    fn document(&self, blob: &Descriptor) -> Result<Vec<u8>> {
        ensure!(
            blob.size <= SMALL_BLOB_MAX,
            "{} bytes are past the limit of {SMALL_BLOB_MAX} for a document",
            blob.size
        );
        let watch = Watch { progress: &(), stop: &AtomicBool::new(false) };
        let read = || -> Result<Vec<u8>> { self.blob(blob, &watch)?.read() };
        let bytes = read()?;
        match check_digest(&bytes, &blob.digest) {
            Err(_) if self.distrust(blob) => {
                let bytes = read()?;
                check_digest(&bytes, &blob.digest)?;
                Ok(bytes)
            }
            checked => checked.map(|()| bytes),
        }
    }

    /// How many blobs are worth asking for at a time, given the number of cores.
    fn parallel(&self, cores: usize) -> usize {
        cores
    }

    /// Whether blobs come over a network: then `blob` reports progress, because it is the slow part.
    fn is_remote(&self) -> bool {
        false
    }

    /// Told that the content of a blob was wrong. True if asking again may give another.
    fn distrust(&self, _blob: &Descriptor) -> bool {
        false
    }
}

/// That `bytes` are what `digest` names.
pub(crate) fn check_digest(bytes: &[u8], digest: &Digest) -> Result<()> {
    let found = Digest::of(digest.algorithm(), bytes);
    ensure!(found == *digest, "content is {found}, not {digest}");
    Ok(())
}
