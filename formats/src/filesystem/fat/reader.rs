//! FAT12, FAT16 and FAT32, read back into a [`Tree`].
//!
//! A cluster is taken once, so chains that loop or cross end with a fault,
//! and the copies of the allocation table are compared. Source: Microsoft's
//! "FAT: General Overview of On-Disk Format" 1.03. Left out on purpose: times,
//! which FAT keeps without a zone, and short names where a long one is.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::ondisk::{
    ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME_ID, BOOT_SIGNATURE, BOOT_SIGNATURE_OFFSET, Bpb, Bpb32,
    ENTRY_BYTES, EXTENDED_SIGNATURE, Extended, LongEntry, ShortEntry,
};
use crate::{
    Faults,
    data::Data,
    filesystem::{Claims, Contents},
    sparse::Sparse,
    tree::{Meta, NodeId, Tree},
};

/// Largest allocation table that is read, in bytes: that of 2 TiB in clusters of 32 KiB.
const TABLE_MAX: u64 = 256 << 20;
/// From this number of clusters on it is FAT16; FAT32 is known by its root directory.
const FAT12_CLUSTERS: u64 = 4085;
/// Directories are followed this deep; FAT's paths end at 260 characters.
const DEPTH_MAX: usize = 130;
/// Most bytes of a directory.
const DIRECTORY_MAX: u64 = 65536 * ENTRY_BYTES as u64;
/// First byte of an entry that is free, and of one after which all are.
const DELETED: u8 = 0xE5;
const END: u8 = 0;
/// `nt_reserved` bits: name or extension in lower case.
const LOWER_NAME: u8 = 0x08;
const LOWER_EXTENSION: u8 = 0x10;

/// Reads a FAT filesystem; `None` if the boot sector is none.
#[must_use]
pub fn read(volume: &Data) -> Option<Contents> {
    let mut reader = Reader::open(volume)?;
    let mut tree = Tree::new(Meta::root(0o755));
    let root = tree.root();
    let bytes = match reader.geometry.root_cluster {
        Some(cluster) => reader.chain(cluster, DIRECTORY_MAX, "/"),
        None => Sparse::from_data(volume.slice(reader.geometry.root_at, reader.geometry.root_bytes)),
    };
    let mut stack = vec![(root, String::new(), bytes, 0)];
    while let Some((node, path, bytes, depth)) = stack.pop() {
        for (name, entry) in reader.entries(&bytes, &path) {
            let below = format!("{path}/{name}");
            let child = reader.node(&mut tree, &entry, &below);
            if entry.attributes & ATTR_DIRECTORY != 0 {
                let bytes = reader.chain(entry.first, DIRECTORY_MAX, &below);
                if depth == DEPTH_MAX {
                    reader.faults.error(&below, format!("over {DEPTH_MAX} directories deep"));
                } else {
                    stack.push((child, below.clone(), bytes, depth + 1));
                }
            }
            if tree.link(node, name.as_bytes(), child).is_some() {
                reader.faults.error(below, "two entries of this name");
            }
        }
    }
    let Reader { geometry: Geometry { uuid, label, .. }, faults, .. } = reader;
    Some(Contents {
        filesystem: "vfat",
        uuid,
        label,
        tree,
        sealed: BTreeMap::new(),
        faults: faults.into_list(),
    })
}

/// Where things are, in bytes.
struct Geometry {
    cluster: u64,
    /// Where cluster 2 is.
    data_at: u64,
    /// Number of the last cluster and one.
    clusters: u64,
    root_at: u64,
    root_bytes: u64,
    /// FAT32's root directory.
    root_cluster: Option<u32>,
    table_at: u64,
    table_bytes: u64,
    table_count: u64,
    uuid: String,
    label: String,
}

impl Geometry {
    fn read(volume: &Data) -> Option<Self> {
        let mut sector = [0; 512];
        volume.read_exact_at(&mut sector, 0).ok()?;
        let (bpb, rest) = Bpb::read_from_prefix(&sector).ok()?;
        let bytes = u64::from(bpb.sector_bytes.get());
        let is_fat = sector[BOOT_SIGNATURE_OFFSET..] == BOOT_SIGNATURE
            && matches!(bytes, 512 | 1024 | 2048 | 4096)
            && bpb.cluster_sectors.is_power_of_two()
            && bpb.reserved_sectors.get() != 0
            && (1..=4).contains(&bpb.fat_count);
        if !is_fat {
            return None;
        }
        let (wide, after_wide) = Bpb32::read_from_prefix(rest).ok()?;
        let is_wide = bpb.fat_sectors_16.get() == 0;
        let (extended, _) = Extended::read_from_prefix(if is_wide { after_wide } else { rest }).ok()?;
        let table_sectors =
            if is_wide { wide.fat_sectors.get().into() } else { u64::from(bpb.fat_sectors_16.get()) };
        let total = match bpb.total_sectors_16.get() {
            0 => u64::from(bpb.total_sectors_32.get()),
            total => total.into(),
        };
        let table_at = u64::from(bpb.reserved_sectors.get()) * bytes;
        let table_bytes = table_sectors * bytes;
        let root_at = table_at + table_bytes * u64::from(bpb.fat_count);
        let root_bytes = (u64::from(bpb.root_entries.get()) * ENTRY_BYTES as u64).next_multiple_of(bytes);
        let data_at = root_at + root_bytes;
        let cluster = bytes * u64::from(bpb.cluster_sectors);
        let count = (total * bytes).min(volume.len()).checked_sub(data_at)? / cluster;
        let has_id = extended.signature == EXTENDED_SIGNATURE;
        let id = extended.volume_id.get();
        let label = if has_id {
            String::from_utf8_lossy(&extended.label).trim_end().to_owned()
        } else {
            String::new()
        };
        (table_bytes <= TABLE_MAX && table_bytes > 0).then_some(Self {
            cluster,
            data_at,
            clusters: count + 2,
            root_at,
            root_bytes,
            root_cluster: is_wide.then(|| wide.root_cluster.get()),
            table_at,
            table_bytes,
            table_count: bpb.fat_count.into(),
            uuid: if has_id { format!("{:04X}-{:04X}", id >> 16, id & 0xFFFF) } else { String::new() },
            label,
        })
    }
}

/// A directory entry as far as it is used.
struct Entry {
    attributes: u8,
    first: u32,
    size: u32,
}

struct Reader<'a> {
    volume: &'a Data,
    geometry: Geometry,
    table: Vec<u8>,
    claims: Claims,
    faults: Faults,
}

impl<'a> Reader<'a> {
    fn open(volume: &'a Data) -> Option<Self> {
        let geometry = Geometry::read(volume)?;
        let mut faults = Faults::default();
        let table = |index: u64| {
            let mut bytes = vec![0; geometry.table_bytes as usize];
            volume.read_exact_at(&mut bytes, geometry.table_at + index * geometry.table_bytes).ok()?;
            Some(bytes)
        };
        let first = table(0)?;
        for index in 1..geometry.table_count {
            if table(index).as_ref() != Some(&first) {
                faults.error(format!("allocation table {}", index + 1), "differs from the first");
            }
        }
        Some(Self { volume, table: first, geometry, claims: Claims::default(), faults })
    }

    /// The cluster after `cluster`; `None` at the end of a chain.
    fn next(&self, cluster: u64) -> Option<u64> {
        let count = self.geometry.clusters - 2;
        let word = |at: u64, len: usize| {
            let bytes = self.table.get(at as usize..at as usize + len)?;
            Some(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)))
        };
        let (next, end) = if self.geometry.root_cluster.is_some() {
            (word(cluster * 4, 4)? & 0x0FFF_FFFF, 0x0FFF_FFF8)
        } else if count < FAT12_CLUSTERS {
            (word(cluster * 3 / 2, 2)? >> (4 * (cluster % 2)) & 0xFFF, 0xFF8)
        } else {
            (word(cluster * 2, 2)?, 0xFFF8)
        };
        (next < end).then_some(next)
    }

    /// The bytes of a chain, `size` at most; runs of clusters are one piece.
    fn chain(&mut self, first: u32, size: u64, path: &str) -> Sparse {
        let Geometry { cluster: bytes, data_at, clusters, .. } = self.geometry;
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let (mut at, mut len) = (Some(u64::from(first)), 0);
        while let Some(cluster) = at.filter(|_| len < size) {
            if !(2..clusters).contains(&cluster) {
                self.faults
                    .error(path, format!("cluster {cluster} in its chain, the last one is {}", clusters - 1));
                break;
            }
            if !self.claims.take(cluster, 1) {
                self.faults.error(path, format!("cluster {cluster} has another use, or its chain is a loop"));
                break;
            }
            match runs.last_mut() {
                Some((start, count)) if *start + *count == cluster => *count += 1,
                _ => runs.push((cluster, 1)),
            }
            len += bytes;
            at = self.next(cluster);
        }
        let mut content = Sparse::new(len);
        let mut place = 0;
        for (start, count) in runs {
            let data = self.volume.slice(data_at + (start - 2) * bytes, count * bytes);
            if let Err(error) = content.insert(place, data) {
                self.faults.error(path, error.to_string());
            }
            place += count * bytes;
        }
        content
    }

    fn node(&mut self, tree: &mut Tree, entry: &Entry, path: &str) -> NodeId {
        if entry.attributes & ATTR_DIRECTORY != 0 {
            return tree.add_directory(Meta::root(0o755));
        }
        let size = u64::from(entry.size);
        let chain = if size == 0 { Sparse::default() } else { self.chain(entry.first, size, path) };
        if chain.len() < size {
            self.faults.error(path, format!("{} bytes of clusters for a size of {size}", chain.len()));
        }
        let mut content = Sparse::new(size);
        for piece in chain.pieces() {
            let len = piece.data.len().min(size.saturating_sub(piece.offset));
            if let Err(error) = content.insert(piece.offset, piece.data.slice(0, len)) {
                self.faults.error(path, error.to_string());
            }
        }
        tree.add_file(Meta::root(0o755), content)
    }

    fn entries(&mut self, directory: &Sparse, path: &str) -> Vec<(String, Entry)> {
        let mut found = Vec::new();
        let bytes = match directory.to_vec() {
            Ok(bytes) => bytes,
            Err(error) => {
                self.faults.error(format!("{path}/"), error.to_string());
                return found;
            }
        };
        let mut long: Vec<u16> = Vec::new();
        for raw in bytes.chunks_exact(ENTRY_BYTES).take_while(|raw| raw[0] != END) {
            let Ok(entry) = ShortEntry::read_from_bytes(raw) else { continue };
            if raw[0] == DELETED {
                long.clear();
            } else if entry.attributes & ATTR_LONG_NAME == ATTR_LONG_NAME {
                long = long_part(raw, &long);
            } else {
                let units = std::mem::take(&mut long);
                if entry.attributes & ATTR_VOLUME_ID == 0 && raw[0] != b'.' {
                    let name = if units.is_empty() { short_name(&entry) } else { long_name(&units) };
                    if name.contains(['/', '\0']) || name.is_empty() {
                        self.faults.error(format!("{path}/"), format!("entry named {name:?}"));
                    } else {
                        found.push((name, meaning(&entry)));
                    }
                }
            }
        }
        found
    }
}

fn meaning(entry: &ShortEntry) -> Entry {
    let first = u32::from(entry.cluster_high.get()) << 16 | u32::from(entry.cluster_low.get());
    Entry { attributes: entry.attributes, first, size: entry.size.get() }
}

/// The units of a part of a long name, before those of the parts after it.
fn long_part(raw: &[u8], after: &[u16]) -> Vec<u16> {
    let Ok(entry) = LongEntry::read_from_bytes(raw) else { return Vec::new() };
    let units = entry.name_1.iter().chain(&entry.name_2).chain(&entry.name_3).map(|unit| unit.get());
    let after = if entry.order & LongEntry::LAST == 0 { after } else { &[] };
    units.chain(after.iter().copied()).take(256 + LongEntry::UNITS).collect()
}

fn long_name(units: &[u16]) -> String {
    let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

fn short_name(entry: &ShortEntry) -> String {
    let text = |bytes: &[u8], lower: u8| {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        if entry.nt_reserved & lower == 0 { text } else { text.to_lowercase() }
    };
    let (name, extension) = (text(&entry.name[..8], LOWER_NAME), text(&entry.name[8..], LOWER_EXTENSION));
    if extension.is_empty() { name } else { format!("{name}.{extension}") }
}
