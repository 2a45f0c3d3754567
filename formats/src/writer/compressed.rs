//! The disk byte for byte, compressed: .xz, .zst, .gz.
//!
//! All are cut in blocks of fixed size that are compressed on their own, so
//! they are made in parallel, do not depend on the number of threads, and can
//! be read in parallel. A long gap is one block of zeros, compressed once.

use super::{
    FormatWriter, Medium, Options, Output, Progress, Spec,
    parts::{append::Append, chunks, gzip, xz},
};
use crate::{Error, Result, sparse::Sparse, units::MIB};

/// Bytes of the disk in a Zstandard frame.
const ZSTD_FRAME_BYTES: usize = 8 * MIB as usize;
/// The level of the program zstd.
const ZSTD_LEVEL: i32 = 3;

/// A compressed raw disk.
#[derive(Debug)]
pub struct Compressed {
    spec: Spec,
    method: Method,
}

#[derive(Debug)]
enum Method {
    Xz,
    Zstd,
    Gzip,
}

/// A raw disk in one .xz stream of many blocks.
pub static XZ: Compressed = compressed("raw-xz", "image/disk.raw.xz", "a raw disk, xz: smallest", Method::Xz);
/// A raw disk in .zst frames.
pub static ZSTD: Compressed =
    compressed("raw-zst", "image/disk.raw.zst", "a raw disk, zstd: fastest", Method::Zstd);
/// A raw disk in one .gz member.
pub static GZIP: Compressed =
    compressed("raw-gz", "image/disk.raw.gz", "a raw disk, gzip: read everywhere", Method::Gzip);

const fn compressed(
    name: &'static str,
    path: &'static str,
    about: &'static str,
    method: Method,
) -> Compressed {
    let spec = Spec { name, aliases: &[], path, size_multiple: 512, medium: Medium::Disk, about };
    Compressed { spec, method }
}

impl FormatWriter for Compressed {
    fn spec(&self) -> &'static Spec {
        match self.method {
            Method::Xz => &XZ.spec,
            Method::Zstd => &ZSTD.spec,
            Method::Gzip => &GZIP.spec,
        }
    }

    fn write(
        &self,
        disk: &Sparse,
        _options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        self.spec.check(disk)?;
        let mut to = Append::new(out, 0, "writing the compressed disk");
        match self.method {
            Method::Xz => xz::write(disk, xz::DEFAULT, &mut to, progress),
            Method::Zstd => write_zstd(disk, &mut to, progress),
            Method::Gzip => gzip::write(disk, &mut to, None, progress),
        }
    }
}

/// Frames with their length and checksum, one after the other.
fn write_zstd(disk: &Sparse, to: &mut Append<'_>, progress: &dyn Progress) -> Result<()> {
    let pack = |bytes: Vec<u8>| {
        let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(Error::io("starting a compressor"))?;
        zstd.include_checksum(true).map_err(Error::io("starting a compressor"))?;
        zstd.compress(&bytes).map_err(Error::io("compressing"))
    };
    chunks::each_run(disk, ZSTD_FRAME_BYTES, progress, pack, |frame, count| to.repeat(frame, count))
}
