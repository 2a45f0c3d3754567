//! A QCOW2 file laid out before a byte of the disk is read: plain clusters
//! wherever data is. Its length is known at once, so it can be a member of an
//! archive that is compressed as a whole.

use zerocopy::{
    IntoBytes,
    big_endian::{U16, U64},
};

use super::{Geometry, header, refcount_clusters};
use crate::{
    Result,
    data::Data,
    qcow2::ondisk::OFLAG_COPIED,
    sparse::{Piece, Sparse},
};

const GEOMETRY: Geometry = Geometry { cluster_bits: 16 };
const CLUSTER: u64 = GEOMETRY.cluster();

/// The bytes of a QCOW2 file that holds `disk`.
pub(crate) fn lay_out(disk: &Sparse) -> Result<Sparse> {
    let clusters: Vec<u64> = disk.windows(CLUSTER as usize).map(|window| window.offset / CLUSTER).collect();
    let l1_entries = GEOMETRY.l1_entries(disk.len())?;
    let tables: Vec<&[u64]> = clusters.chunk_by(|a, b| a / per_table() == b / per_table()).collect();
    let l2_start = 1 + (l1_entries * 8).div_ceil(CLUSTER);
    let table_start = l2_start + tables.len() as u64;
    let used = table_start + clusters.len() as u64;
    let (block_count, table_clusters) = refcount_clusters(used, GEOMETRY);
    let block_start = table_start + table_clusters;
    let data_start = block_start + block_count;
    let total = data_start + clusters.len() as u64;

    let mut file = Sparse::new(total * CLUSTER);
    let mut header = header(disk.len(), GEOMETRY, l1_entries as usize);
    header.refcount_table_offset = (table_start * CLUSTER).into();
    header.refcount_table_clusters = (table_clusters as u32).into();
    file.insert(0, Data::from_bytes(header.as_bytes()))?;
    insert_tables(&mut file, &tables, l1_entries, l2_start, data_start)?;
    let offsets: Vec<U64> = (0..block_count).map(|i| U64::new((block_start + i) * CLUSTER)).collect();
    file.insert(table_start * CLUSTER, Data::from_bytes(offsets.as_bytes()))?;
    let counts = vec![U16::new(1); total as usize];
    file.insert(block_start * CLUSTER, Data::from_bytes(counts.as_bytes()))?;
    insert_data(&mut file, disk, &clusters, data_start)?;
    Ok(file)
}

const fn per_table() -> u64 {
    GEOMETRY.l2_entries()
}

/// The L1 table and the L2 tables, for data clusters that follow each other from `data_start`.
fn insert_tables(
    file: &mut Sparse,
    tables: &[&[u64]],
    l1_entries: u64,
    l2_start: u64,
    data_start: u64,
) -> Result<()> {
    let mut l1 = vec![U64::ZERO; l1_entries as usize];
    for (offset, clusters) in (l2_start..).zip(tables) {
        l1[(clusters[0] / per_table()) as usize] = U64::new((offset * CLUSTER) | OFLAG_COPIED);
    }
    file.insert(CLUSTER, Data::from_bytes(l1.as_bytes()))?;
    let mut next = data_start;
    for (offset, clusters) in (l2_start..).zip(tables) {
        let mut table = vec![U64::ZERO; per_table() as usize];
        for cluster in *clusters {
            table[(cluster % per_table()) as usize] = U64::new((next * CLUSTER) | OFLAG_COPIED);
            next += 1;
        }
        file.insert(offset * CLUSTER, Data::from_bytes(table.as_bytes()))?;
    }
    Ok(())
}

/// The disk's pieces, runs of clusters moved together.
fn insert_data(file: &mut Sparse, disk: &Sparse, clusters: &[u64], data_start: u64) -> Result<()> {
    let mut target = data_start * CLUSTER;
    for run in clusters.chunk_by(|a, b| a + 1 == *b) {
        let (start, len) = (run[0] * CLUSTER, run.len() as u64 * CLUSTER);
        let first = disk.pieces().partition_point(|piece| piece.end() <= start);
        for piece in disk.pieces()[first..].iter().take_while(|piece| piece.offset < start + len) {
            let (from, data) = cut(piece, start, start + len);
            file.insert(target + from - start, data)?;
        }
        target += len;
    }
    Ok(())
}

/// What of the piece lies in `start..end`, and where that begins.
fn cut(piece: &Piece, start: u64, end: u64) -> (u64, Data) {
    let (from, to) = (piece.offset.max(start), piece.end().min(end));
    (from, piece.data.slice(from - piece.offset, to - from))
}
