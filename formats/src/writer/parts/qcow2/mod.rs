//! QCOW2, with compressed clusters or plain.
//!
//! ```text
//! header | L1 table | data ... | L2 tables | refcount blocks | refcount table      as it is written
//! header | L1 table | L2 tables | refcount table | refcount blocks | data ...      laid out ahead
//! ```
//!
//! Gaps and clusters of zeros are not allocated, and an L2 table exists only
//! where a cluster does. Compressed clusters follow each other byte by byte;
//! one that compression does not shrink is stored plain. Which bytes go where
//! follows from the order of clusters alone.
//!
//! QEMU inflates with a window of 4 KiB, and here distances go up to 32 KiB.
//! That is safe: it inflates a whole cluster with one call into one buffer, and
//! zlib and zlib-ng look into their window only for what lies before the buffer.
//!
//! Source: QEMU, `docs/interop/qcow2.txt`. Left out on purpose: backing files,
//! snapshots, encryption, extended L2 entries.

mod ahead;

use zerocopy::{
    IntoBytes,
    big_endian::{U16, U64},
};

pub(crate) use self::ahead::lay_out;
use super::blocks::{self, Block, Body, Method};
use crate::{
    Error, Result,
    qcow2::ondisk::{Header, INCOMPAT_COMPRESSION, OFLAG_COPIED, compressed_entry},
    sparse::Sparse,
    units::round_up,
    writer::{Compression, Options, Output, Progress, Qcow2Version},
};

/// Largest L1 table that QEMU opens, in bytes.
const MAX_L1_BYTES: u64 = 32 << 20;
/// Cluster sizes that QEMU opens, as powers of two, and that make sense here.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 12..=21;
/// Deflate level: of system files 4 % smaller than QEMU's, in under a third of its
/// processor time (6: 6 % smaller, 2.5 times).
const DEFLATE_LEVEL: i32 = 4;
/// Zstandard level, QEMU's.
const ZSTD_LEVEL: i32 = 3;

/// Writes `disk` as a QCOW2 file.
pub(crate) fn write(
    disk: &Sparse,
    options: &Options,
    out: &dyn Output,
    progress: &dyn Progress,
) -> Result<()> {
    let method = method(options)?;
    let cluster_bits = cluster_bits(options)?;
    let mut file = File::new(disk.len(), Geometry { cluster_bits }, out)?;
    let store = |batch: &[Block]| file.store(batch);
    blocks::each_batch(disk, 1 << cluster_bits, method, progress, store)?;
    file.finish(options)
}

fn method(options: &Options) -> Result<Method> {
    match (options.compression, options.qcow2_version) {
        (Compression::None, _) => Ok(Method::Plain),
        (Compression::Zlib, _) => Ok(Method::Deflate(DEFLATE_LEVEL)),
        (Compression::Zstd, Qcow2Version::V3) => Ok(Method::Zstd(ZSTD_LEVEL)),
        (Compression::Zstd, Qcow2Version::V2) => Err(Error::Unsupported {
            what: "qcow2 version 2 with zstd".into(),
            why: "it knows zlib only; use version 3 for zstd".into(),
        }),
    }
}

fn cluster_bits(options: &Options) -> Result<u32> {
    let bytes = options.qcow2_cluster_bytes;
    if bytes.is_power_of_two() && CLUSTER_BITS.contains(&bytes.trailing_zeros()) {
        return Ok(bytes.trailing_zeros());
    }
    Err(Error::Unsupported {
        what: format!("qcow2 clusters of {bytes} bytes"),
        why: "a power of two from 4 KiB to 2 MiB is needed".into(),
    })
}

/// Sizes that follow from the size of clusters.
#[derive(Clone, Copy)]
struct Geometry {
    cluster_bits: u32,
}

impl Geometry {
    const fn cluster(self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of an L2 table, which is one cluster.
    const fn l2_entries(self) -> u64 {
        self.cluster() / 8
    }

    /// Reference counts in a refcount block, which is one cluster.
    const fn block_entries(self) -> u64 {
        self.cluster() / 2
    }

    /// Entries of the L1 table of a disk.
    fn l1_entries(self, size: u64) -> Result<u64> {
        let entries = size.div_ceil(self.cluster() * self.l2_entries());
        if entries * 8 > MAX_L1_BYTES {
            let allowed = MAX_L1_BYTES / 8 * self.cluster() * self.l2_entries();
            return Err(Error::Limit { what: "qcow2 disk: bytes".into(), found: size, allowed });
        }
        Ok(entries)
    }
}

/// The file as far as it is written.
struct File<'a> {
    out: &'a dyn Output,
    geometry: Geometry,
    /// Virtual size in bytes.
    size: u64,
    /// Entries of the L1 table, in the cluster after the header's and further.
    l1: Vec<U64>,
    /// First byte that is free; whole clusters are free from the next boundary.
    end: u64,
    /// Disk cluster and its L2 entry, for all that are allocated.
    entries: Vec<(u64, u64)>,
    /// Reference counts of the file's clusters.
    refcounts: Vec<U16>,
    /// The bytes of the last batch; kept for its memory.
    run: Vec<u8>,
}

impl<'a> File<'a> {
    fn new(size: u64, geometry: Geometry, out: &'a dyn Output) -> Result<Self> {
        let l1_entries = geometry.l1_entries(size)?;
        let l1 = vec![U64::ZERO; l1_entries as usize];
        let (entries, refcounts, run) = (Vec::new(), Vec::new(), Vec::new());
        let mut file = Self { out, geometry, size, l1, end: 0, entries, refcounts, run };
        file.allocate(1 + (l1_entries * 8).div_ceil(geometry.cluster()));
        Ok(file)
    }

    /// The offset of `count` new clusters, each referred to once.
    fn allocate(&mut self, count: u64) -> u64 {
        let cluster = self.geometry.cluster();
        let offset = round_up(self.end, cluster);
        self.end = offset + count * cluster;
        self.refer(offset, count * cluster);
        offset
    }

    /// Counts one more reference to each cluster that the bytes touch.
    fn refer(&mut self, offset: u64, len: u64) {
        let cluster = self.geometry.cluster();
        let (first, end) = ((offset / cluster) as usize, (offset + len).div_ceil(cluster) as usize);
        self.refcounts.resize(self.refcounts.len().max(end), U16::ZERO);
        for count in &mut self.refcounts[first..end] {
            *count += U16::new(1);
        }
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.out.write_all_at(bytes, offset).map_err(Error::io("writing the qcow2 disk"))
    }

    /// Writes a batch as one run: compressed clusters where the last batch ended, then plain ones.
    fn store(&mut self, batch: &[Block]) -> Result<()> {
        let start = self.end;
        let mut run = std::mem::take(&mut self.run);
        run.clear();
        for block in batch {
            if let Body::Compressed(bytes) = &block.body {
                let len = bytes.len() as u64;
                let entry = compressed_entry(self.end, len, self.geometry.cluster_bits);
                self.entries.push((block.index, entry));
                self.refer(self.end, len);
                self.end += len;
                run.extend_from_slice(bytes);
            }
        }
        for block in batch {
            if let Body::Plain(bytes) = &block.body {
                let offset = self.allocate(1);
                self.entries.push((block.index, offset | OFLAG_COPIED));
                run.resize((offset - start) as usize, 0);
                run.extend_from_slice(bytes);
            }
        }
        self.write(&run, start)?;
        self.run = run;
        Ok(())
    }

    /// Writes all metadata, the header last.
    fn finish(mut self, options: &Options) -> Result<()> {
        self.write_l2_tables()?;
        self.write(self.l1.as_bytes(), self.geometry.cluster())?;
        let (refcount_table_offset, refcount_table_clusters) = self.write_refcounts()?;
        self.out.set_len(self.end).map_err(Error::io("setting the length of the qcow2 disk"))?;
        let header = Header {
            refcount_table_offset: refcount_table_offset.into(),
            refcount_table_clusters: (refcount_table_clusters as u32).into(),
            ..header(self.size, self.geometry, self.l1.len())
        };
        self.write(versioned(header, options).as_bytes(), 0)
    }

    /// One table for each stretch of the disk that has a cluster; of each only the used part is written.
    fn write_l2_tables(&mut self) -> Result<()> {
        let per_table = self.geometry.l2_entries();
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable();
        for entries in entries.chunk_by(|a, b| a.0 / per_table == b.0 / per_table) {
            let offset = self.allocate(1);
            let first = entries[0].0;
            self.l1[(first / per_table) as usize] = (offset | OFLAG_COPIED).into();
            let mut table = vec![U64::ZERO; (entries[entries.len() - 1].0 - first) as usize + 1];
            for &(cluster, entry) in entries {
                table[(cluster - first) as usize] = entry.into();
            }
            self.write(table.as_bytes(), offset + first % per_table * 8)?;
        }
        Ok(())
    }

    /// Writes the refcount blocks and the table of their offsets; the table's offset and clusters.
    fn write_refcounts(&mut self) -> Result<(u64, u64)> {
        let cluster = self.geometry.cluster();
        let (block_count, table_clusters) = refcount_clusters(self.refcounts.len() as u64, self.geometry);
        let blocks = self.allocate(block_count);
        let table_offset = self.allocate(table_clusters);
        self.write(self.refcounts.as_bytes(), blocks)?;
        let table: Vec<U64> = (0..block_count).map(|block| U64::new(blocks + block * cluster)).collect();
        self.write(table.as_bytes(), table_offset)?;
        Ok((table_offset, table_clusters))
    }
}

/// Refcount blocks, and clusters of their table, for `used` other clusters.
fn refcount_clusters(used: u64, geometry: Geometry) -> (u64, u64) {
    let (mut block_count, mut table_clusters) = (0, 0);
    while used + block_count + table_clusters > block_count * geometry.block_entries() {
        block_count += 1;
        table_clusters = (block_count * 8).div_ceil(geometry.cluster());
    }
    (block_count, table_clusters)
}

/// A header, of version 3 and without the refcount table.
fn header(size: u64, geometry: Geometry, l1_entries: usize) -> Header {
    Header {
        magic: Header::MAGIC,
        version: Header::VERSION_3.into(),
        cluster_bits: geometry.cluster_bits.into(),
        size: size.into(),
        l1_size: (l1_entries as u32).into(),
        l1_table_offset: geometry.cluster().into(),
        refcount_order: Header::REFCOUNT_ORDER.into(),
        header_length: Header::LENGTH.into(),
        ..Header::default()
    }
}

/// As the options say. Version 2 ends before the fields that are zeroed for it.
fn versioned(mut header: Header, options: &Options) -> Header {
    if options.qcow2_version == Qcow2Version::V2 {
        header.version = Header::VERSION_2.into();
        header.refcount_order = 0.into();
        header.header_length = 0.into();
    } else if options.compression == Compression::Zstd {
        header.incompatible_features = INCOMPAT_COMPRESSION.into();
        header.compression_type = Header::COMPRESSION_ZSTD;
    }
    header
}
