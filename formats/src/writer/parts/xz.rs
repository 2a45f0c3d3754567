//! One .xz stream whose blocks are compressed apart.
//!
//! ```text
//! stream header (12) | block | ... | index | stream footer (12)
//! ```
//!
//! liblzma makes a stream of one block out of each chunk; the block is taken
//! out of it, and all blocks get one index. Blocks have their lengths in their
//! headers, so `xz -T` reads them in parallel.
//!
//! Source: "The .xz File Format", version 1.2.1, sections 2 to 4.

use liblzma::stream::{Action, Check, MtStreamBuilder, Status};

use super::{append::Append, chunks};
use crate::{Error, Result, sparse::Sparse, units::MIB, writer::Progress};

/// Bytes of the disk in a block: what xz takes for its default preset, three dictionaries.
const BLOCK_BYTES: usize = 24 * MIB as usize;
/// The default of the program xz.
pub(crate) const DEFAULT: u32 = 6;
/// For what is compressed already: as small as any, in a fraction of the time.
pub(crate) const FASTEST: u32 = 0;
/// Stream flags: blocks end with a CRC-64.
const FLAGS: [u8; 2] = [0, 4];
const HEADER_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";
const HEADER_BYTES: usize = 12;
const FOOTER_BYTES: usize = 12;

/// A block, padded, and its record in the index.
struct Block {
    bytes: Vec<u8>,
    unpadded: u64,
    plain: u64,
}

/// Writes the stream; `preset` is the program's.
pub(crate) fn write(disk: &Sparse, preset: u32, to: &mut Append<'_>, progress: &dyn Progress) -> Result<()> {
    to.write(&HEADER_MAGIC)?;
    to.write(&FLAGS)?;
    to.write(&libdeflater::crc32(&FLAGS).to_le_bytes())?;
    let (mut record_count, mut records) = (0, Vec::new());
    let pack = |bytes: Vec<u8>| block(&bytes, preset);
    chunks::each_run(disk, BLOCK_BYTES, progress, pack, |block, count| {
        record_count += count;
        for _ in 0..count {
            put_number(&mut records, block.unpadded);
            put_number(&mut records, block.plain);
        }
        to.repeat(&block.bytes, count)
    })?;
    let index = index(record_count, &records);
    to.write(&index)?;
    to.write(&footer(index.len()))
}

/// The index: an indicator of 0, the number of records, these, padding, CRC-32.
fn index(record_count: u64, records: &[u8]) -> Vec<u8> {
    let mut index = vec![0];
    put_number(&mut index, record_count);
    index.extend_from_slice(records);
    index.resize(index.len().next_multiple_of(4), 0);
    let crc = libdeflater::crc32(&index);
    index.extend_from_slice(&crc.to_le_bytes());
    index
}

fn footer(index_bytes: usize) -> [u8; FOOTER_BYTES] {
    let mut footer = [0; FOOTER_BYTES];
    footer[4..8].copy_from_slice(&((index_bytes / 4 - 1) as u32).to_le_bytes());
    footer[8..10].copy_from_slice(&FLAGS);
    let crc = libdeflater::crc32(&footer[4..10]);
    footer[..4].copy_from_slice(&crc.to_le_bytes());
    footer[10..].copy_from_slice(&FOOTER_MAGIC);
    footer
}

/// A number in groups of seven bits, the lowest first.
fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn block(bytes: &[u8], preset: u32) -> Result<Block> {
    let mut stream = compress(bytes, preset).map_err(Error::io("compressing"))?;
    let unpadded = unpadded(&stream).ok_or_else(|| {
        Error::io("compressing")(std::io::Error::other("liblzma made a stream of another form"))
    })?;
    stream.drain(..HEADER_BYTES);
    stream.truncate(unpadded.next_multiple_of(4) as usize);
    Ok(Block { bytes: stream, unpadded, plain: bytes.len() as u64 })
}

/// Length of the only block of a stream, without padding: the first number of the index.
fn unpadded(stream: &[u8]) -> Option<u64> {
    let footer = stream.len().checked_sub(FOOTER_BYTES)?;
    let backward: [u8; 4] = stream.get(footer + 4..footer + 8)?.try_into().ok()?;
    let index = footer.checked_sub((u32::from_le_bytes(backward) as usize + 1) * 4)?;
    let (indicator, records) = stream.get(index..footer)?.split_first_chunk::<2>()?;
    let mut number = 0;
    for (shift, byte) in (0..63).step_by(7).zip(records) {
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let is_whole = HEADER_BYTES as u64 + u64::next_multiple_of(number, 4) == index as u64;
            return (*indicator == [0, 1] && is_whole).then_some(number);
        }
    }
    None
}

/// The encoder for threads, with one: only that writes lengths into the block's header.
fn compress(bytes: &[u8], preset: u32) -> std::io::Result<Vec<u8>> {
    let mut builder = MtStreamBuilder::new();
    builder.threads(1).block_size(BLOCK_BYTES as u64).preset(preset).check(Check::Crc64);
    let mut encoder = builder.encoder()?;
    let mut packed = Vec::with_capacity(bytes.len() / 2 + 4096);
    loop {
        packed.reserve(bytes.len() / 4 + 4096);
        let rest = &bytes[encoder.total_in() as usize..];
        if encoder.process_vec(rest, &mut packed, Action::Finish)? == Status::StreamEnd {
            return Ok(packed);
        }
    }
}
