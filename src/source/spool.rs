//! The spool: unnamed files of decompressed, verified layers.
//!
//! A blob is read once. Four threads, joined by short queues, share the work
//! so that a big layer takes as long as its decompression:
//!
//! ```text
//! read + hash blob --> decompress --+--> hash tar
//!                                   +--> write spool file
//! ```
//!
//! The spool file is handed out only if length, blob digest and diff_id are
//! all right. There is no bound on the decompressed size, because no document
//! of an image states one; a full disk is a clean error.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    os::unix::fs::FileExt as _,
    panic,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{
    digest::{Digest, Hasher},
    error::{Hinted, Kind},
    manifest::Compression,
    store::{Span, Watch},
};

/// Bytes that travel between the threads at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that may wait in each queue: bounds memory to about 4 MiB a layer.
const QUEUE_CHUNKS: usize = 4;

type Chunk = Arc<Vec<u8>>;

/// A directory for unnamed files.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
}

impl Spool {
    /// `dir`, or `$TMPDIR`, or `/var/tmp` (which, unlike `/tmp`, is rarely in memory).
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        let from_env = || std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let dir = dir.map(Path::to_path_buf).or_else(from_env).unwrap_or_else(|| "/var/tmp".into());
        Self { dir }
    }

    /// A new file without a name: it is gone when it is closed.
    pub(crate) fn file(&self) -> Result<File> {
        tempfile::tempfile_in(&self.dir).map_err(|error| self.error(error))
    }

    /// What a failed write in the spool is reported as.
    pub(crate) fn error(&self, error: io::Error) -> anyhow::Error {
        self.error_in("spool", "TMPDIR or --spool", error)
    }

    /// The same for a directory of another `role`, which `option` names.
    pub(crate) fn error_in(&self, role: &str, option: &str, error: io::Error) -> anyhow::Error {
        use io::ErrorKind as E;
        let doing = format!("writing to {role} directory {}", self.dir.display());
        let wanted = match error.kind() {
            E::StorageFull | E::QuotaExceeded => "with more free space",
            E::NotFound | E::PermissionDenied | E::NotADirectory | E::ReadOnlyFilesystem => {
                "that can be written"
            }
            _ => return anyhow!(error).context(doing),
        };
        let hint = format!("set {option} to a directory {wanted}");
        Hinted::new(Kind::Space, doing, hint).caused_by(error).into()
    }
}

/// What a layer's bytes must turn out to be.
pub(crate) struct Want<'a> {
    pub(crate) digest: &'a Digest,
    pub(crate) diff_id: &'a Digest,
    pub(crate) compression: Compression,
}

/// The blob is not what its digest says: its bytes, not the image, are at fault.
#[derive(Debug, thiserror::Error)]
#[error("content is {found}, not {expected}")]
pub(crate) struct WrongContent {
    found: Digest,
    expected: Digest,
}

/// A layer verified, decompressed and spooled: the file and its length.
///
/// # Errors
/// [`WrongContent`] in the chain if the blob's own digest is wrong; a wrong diff_id, broken compression, a full spool.
pub(crate) fn unpack(blob: &Span, want: &Want<'_>, spool: &Spool, watch: &Watch<'_>) -> Result<(File, u64)> {
    check_magic(blob, want)?;
    let file = spool.file()?;
    let outcome = run(blob, want, &file, watch);
    let len = outcome.write.map_err(|error| spool.error(error))?;
    let found = outcome.read.context("reading the blob")?;
    if found != *want.digest {
        return Err(WrongContent { found, expected: want.digest.clone() }.into());
    }
    outcome.decode.with_context(|| format!("decompressing {}", want.compression.name()))?;
    let (found, expected) = (outcome.hash.unwrap_or(found), want.diff_id);
    ensure!(found == *expected, "uncompressed content is {found}, the config's diff_id is {expected}");
    Ok((file, len))
}

/// Decompresses an archive that nothing states a digest of.
pub(crate) fn decompress(blob: &Span, compression: Compression, spool: &Spool) -> Result<(File, u64)> {
    let mut file = spool.file()?;
    let mut reader = decoder(io::BufReader::with_capacity(CHUNK_BYTES, SpanReader::new(blob)), compression)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut len = 0;
    loop {
        let count =
            reader.read(&mut buffer).with_context(|| format!("decompressing {}", compression.name()))?;
        if count == 0 {
            return Ok((file, len));
        }
        io::Write::write_all(&mut file, &buffer[..count]).map_err(|error| spool.error(error))?;
        len += count as u64;
    }
}

/// That the blob starts as its media type says. If it does not, a wrong digest explains it better.
fn check_magic(blob: &Span, want: &Want<'_>) -> Result<()> {
    let declared = want.compression;
    let found = Compression::of_magic(blob.read_start(&mut [0; 4])?);
    if found == declared {
        return Ok(());
    }
    let mut hasher = Hasher::new(want.digest.algorithm());
    blob.for_each_chunk(|chunk| hasher.update(chunk))?;
    let digest = hasher.finish();
    if digest != *want.digest {
        return Err(WrongContent { found: digest, expected: want.digest.clone() }.into());
    }
    let message = format!("media type says {}, content starts as {}", declared.name(), found.name());
    let hint = "skopeo copy writes the image anew with right media types";
    Err(Hinted::new(Kind::Corrupt, message, hint).into())
}

struct Outcome {
    read: io::Result<Digest>,
    decode: io::Result<()>,
    /// `None`: the same bytes as the blob's, which are hashed already.
    hash: Option<Digest>,
    write: io::Result<u64>,
}

fn run(blob: &Span, want: &Want<'_>, file: &File, watch: &Watch<'_>) -> Outcome {
    let (blob_out, blob_in) = sync_channel(QUEUE_CHUNKS);
    let (write_out, write_in) = sync_channel(QUEUE_CHUNKS);
    let same = want.compression == Compression::None && want.digest.algorithm() == want.diff_id.algorithm();
    let (hash_out, hash_in) = if same { (None, None) } else { split(sync_channel(QUEUE_CHUNKS)) };
    thread::scope(|scope| {
        let read = scope.spawn(move || read_and_hash(blob, want.digest, blob_out, watch));
        let hash = hash_in.map(|chunks| scope.spawn(move || hash_all(chunks, want.diff_id)));
        let write = scope.spawn(move || write_all(write_in, file));
        let decode = decode(blob_in, want.compression, Fan { write: write_out, hash: hash_out });
        let hash = hash.map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        Outcome {
            read: read.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
            decode,
            hash,
            write: write.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
        }
    })
}

fn split<A, B>((a, b): (A, B)) -> (Option<A>, Option<B>) {
    (Some(a), Some(b))
}

/// Reads to the end even if nobody listens any more: a wrong digest explains
/// broken compression better than the decompressor can.
fn read_and_hash(
    blob: &Span,
    digest: &Digest,
    out: SyncSender<Chunk>,
    watch: &Watch<'_>,
) -> io::Result<Digest> {
    let mut hasher = Hasher::new(digest.algorithm());
    let mut reader = SpanReader::new(blob);
    let mut out = Some(out);
    loop {
        watch.check()?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        chunk.truncate(count);
        hasher.update(&chunk);
        watch.progress.advance(count as u64);
        out = out.filter(|out| out.send(Arc::new(chunk)).is_ok());
    }
}

/// Both receivers of decompressed chunks.
struct Fan {
    write: SyncSender<Chunk>,
    hash: Option<SyncSender<Chunk>>,
}

impl Fan {
    /// False when a receiver is gone.
    fn send(&self, chunk: Chunk) -> bool {
        self.hash.as_ref().is_none_or(|hash| hash.send(Arc::clone(&chunk)).is_ok())
            && self.write.send(chunk).is_ok()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the channels must close when this ends")]
fn decode(chunks: Receiver<Chunk>, compression: Compression, out: Fan) -> io::Result<()> {
    if compression == Compression::None {
        chunks.iter().take_while(|chunk| out.send(Arc::clone(chunk))).for_each(drop);
        return Ok(());
    }
    let mut reader = decoder(ChunkReader::new(chunks), compression)?;
    loop {
        let chunk = read_full(&mut *reader)?;
        if chunk.is_empty() || !out.send(Arc::new(chunk)) {
            return Ok(());
        }
    }
}

fn decoder<'a>(input: impl BufRead + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(input)?),
    })
}

/// A chunk that is full unless the input ends.
fn read_full(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    reader.take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

#[expect(clippy::needless_pass_by_value, reason = "the channel must close when this thread ends")]
fn hash_all(chunks: Receiver<Chunk>, digest: &Digest) -> Digest {
    let mut hasher = Hasher::new(digest.algorithm());
    chunks.iter().for_each(|chunk| hasher.update(&chunk));
    hasher.finish()
}

#[expect(clippy::needless_pass_by_value, reason = "the channel must close when this thread ends")]
fn write_all(chunks: Receiver<Chunk>, file: &File) -> io::Result<u64> {
    let mut offset = 0;
    for chunk in &chunks {
        file.write_all_at(&chunk, offset)?;
        offset += chunk.len() as u64;
    }
    Ok(offset)
}

/// A span as a stream.
struct SpanReader<'a> {
    span: &'a Span,
    done: u64,
}

impl<'a> SpanReader<'a> {
    const fn new(span: &'a Span) -> Self {
        Self { span, done: 0 }
    }
}

impl Read for SpanReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.span.len - self.done).unwrap_or(usize::MAX).min(buffer.len());
        if left == 0 {
            return Ok(0);
        }
        let count = self.span.file.read_at(&mut buffer[..left], self.span.offset + self.done)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        self.done += count as u64;
        Ok(count)
    }
}

/// The receiving end of a queue as a stream.
struct ChunkReader {
    chunks: Receiver<Chunk>,
    chunk: Chunk,
    used: usize,
}

impl ChunkReader {
    fn new(chunks: Receiver<Chunk>) -> Self {
        Self { chunks, chunk: Chunk::default(), used: 0 }
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.chunk.len() {
            self.chunk = self.chunks.recv().unwrap_or_default();
            self.used = 0;
        }
        Ok(&self.chunk[self.used..])
    }

    fn consume(&mut self, count: usize) {
        self.used += count;
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
