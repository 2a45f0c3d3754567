//! One gzip member, compressed in parallel.
//!
//! ```text
//! header | deflate of 1 MiB, flushed to a byte | ... | empty last block | CRC-32 | length
//! ```
//!
//! One member and not one for each chunk, because some readers stop at the end
//! of the first. Chunks do not refer to each other. No name, no time.
//!
//! Source: RFC 1951, RFC 1952.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use sha2::{Digest, Sha256};

use super::{append::Append, chunks};
use crate::{Error, Result, sparse::Sparse, units::MIB, writer::Progress};

const CHUNK_BYTES: usize = MIB as usize;
const LEVEL: u32 = 6;
/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// An empty block of fixed codes that says it is the last.
const LAST_BLOCK: [u8; 2] = [3, 0];

struct Chunk {
    deflated: Vec<u8>,
    crc: Crc,
    plain: Option<Vec<u8>>,
}

/// Appends all bytes of `space` as a gzip file; `plain` is fed what goes in.
pub(crate) fn write(
    space: &Sparse,
    to: &mut Append<'_>,
    mut plain: Option<&mut Sha256>,
    progress: &dyn Progress,
) -> Result<()> {
    to.write(&HEADER)?;
    let mut crc = Crc::new();
    let keep = plain.is_some();
    let pack = |bytes: Vec<u8>| {
        let mut crc = Crc::new();
        crc.update(&bytes);
        Ok(Chunk { deflated: deflate(&bytes)?, crc, plain: keep.then_some(bytes) })
    };
    chunks::each_run(space, CHUNK_BYTES, progress, pack, |chunk, count| {
        append(&mut crc, &chunk.crc, count);
        if let (Some(hash), Some(bytes)) = (&mut plain, &chunk.plain) {
            (0..count).for_each(|_| hash.update(bytes));
        }
        to.repeat(&chunk.deflated, count)
    })?;
    to.write(&LAST_BLOCK)?;
    to.write(&crc.sum().to_le_bytes())?;
    to.write(&(space.len() as u32).to_le_bytes())
}

fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let failed = |error| Error::io("compressing")(std::io::Error::other(error));
    let mut stream = Compress::new(Compression::new(LEVEL), false);
    let mut packed = Vec::with_capacity(bytes.len() / 2);
    loop {
        let rest = &bytes[stream.total_in() as usize..];
        packed.reserve(bytes.len() / 4 + 64);
        let status =
            stream.compress_vec(rest, &mut packed, FlushCompress::Sync).map_err(|e| failed(e.to_string()))?;
        let is_flushed = packed.len() < packed.capacity() && stream.total_in() as usize == bytes.len();
        if is_flushed || status == Status::StreamEnd {
            return Ok(packed);
        }
    }
}

/// The checksum of what had `crc`, followed `count` times by what has `chunk`.
fn append(crc: &mut Crc, chunk: &Crc, count: u64) {
    let twin = |crc: &Crc| {
        let mut twin = Crc::new();
        twin.combine(crc);
        twin
    };
    let (mut power, mut left) = (twin(chunk), count);
    while left > 0 {
        if left & 1 == 1 {
            crc.combine(&power);
        }
        power.combine(&twin(&power));
        left >>= 1;
    }
}
