//! Sizes of a FAT volume: type, cluster size, and where each area starts.
//!
//! Every candidate (type and cluster size) holds more the larger the volume
//! is, so the smallest size that holds a tree can be searched for, and every
//! larger one holds it too.

use super::{
    layout::Contents,
    ondisk::{BACKUP_SECTOR, ENTRY_BYTES, FAT_COUNT},
};
use crate::{
    Error, Result,
    units::{GIB, KIB, MIB, round_up},
};

/// Largest cluster that every reader takes.
const MAX_CLUSTER_BYTES: u64 = 32 * KIB;
/// FAT32: sectors before the FAT, as every formatter has them.
const FAT32_RESERVED: u64 = 32;
/// FAT16: entries of a root directory, unless more are needed.
const ROOT_ENTRIES: u64 = 512;
/// FAT16: the most entries of a root directory in a 16-bit field, in whole sectors of 4 KiB.
const MAX_ROOT_ENTRIES: u64 = 65_408;

/// Width of the allocation table's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// 16 bits, with a root directory in an area of its own.
    Fat16,
    /// 32 bits.
    Fat32,
}

impl Width {
    /// Bytes of an entry.
    pub(super) const fn bytes(self) -> u64 {
        match self {
            Self::Fat16 => 2,
            Self::Fat32 => 4,
        }
    }

    /// Fewest and most clusters; the count alone tells readers the type.
    const fn clusters(self) -> (u64, u64) {
        match self {
            Self::Fat16 => (4085, 65_524),
            Self::Fat32 => (65_525, 268_435_444),
        }
    }

    const fn reserved_sectors(self) -> u64 {
        match self {
            Self::Fat16 => 1,
            Self::Fat32 => FAT32_RESERVED,
        }
    }
}

const _: () = assert!(FAT32_RESERVED > BACKUP_SECTOR as u64 + 1);

/// Where everything is, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) width: Width,
    pub(super) sector_bytes: u64,
    pub(super) cluster_sectors: u64,
    /// Padded such that clusters are aligned to their size.
    pub(super) reserved_sectors: u64,
    /// Of one FAT.
    pub(super) fat_sectors: u64,
    /// 0 in FAT32.
    pub(super) root_entries: u64,
    pub(super) cluster_count: u64,
    pub(super) total_sectors: u64,
}

/// A type and cluster size for a given content, without a size yet.
#[derive(Clone, Copy, Debug)]
struct Shape {
    width: Width,
    sector_bytes: u64,
    cluster_sectors: u64,
    root_entries: u64,
    /// Clusters that the content takes.
    needed: u64,
}

impl Shape {
    fn new(contents: &Contents<'_>, width: Width, sector_bytes: u64, cluster_bytes: u64) -> Option<Self> {
        let root_entries = match width {
            Width::Fat16 => {
                round_up(contents.root_slots().max(ROOT_ENTRIES), sector_bytes / ENTRY_BYTES as u64)
            }
            Width::Fat32 => 0,
        };
        let cluster_sectors = cluster_bytes / sector_bytes;
        let needed = contents.clusters(width, cluster_bytes);
        (root_entries <= MAX_ROOT_ENTRIES).then_some(Self {
            width,
            sector_bytes,
            cluster_sectors,
            root_entries,
            needed,
        })
    }

    /// Sectors before the first cluster.
    const fn first_sector(&self, fat_sectors: u64) -> u64 {
        let root_sectors = self.root_entries * ENTRY_BYTES as u64 / self.sector_bytes;
        let fats = FAT_COUNT as u64 * fat_sectors;
        round_up(self.width.reserved_sectors() + fats + root_sectors, self.cluster_sectors)
    }

    /// Clusters that `sectors` have room for beside FATs of `fat_sectors`.
    const fn room(&self, sectors: u64, fat_sectors: u64) -> u64 {
        sectors.saturating_sub(self.first_sector(fat_sectors)) / self.cluster_sectors
    }

    /// Clusters that a FAT of `fat_sectors` can describe.
    fn described(&self, fat_sectors: u64) -> u64 {
        (fat_sectors * self.sector_bytes / self.width.bytes() - 2).min(self.width.clusters().1)
    }

    /// The smallest FAT that describes all there is room for.
    fn full_fat(&self, sectors: u64) -> u64 {
        let (mut low, mut high) =
            (1, (self.width.clusters().1 + 2) * self.width.bytes() / self.sector_bytes + 1);
        while low < high {
            let middle = low.midpoint(high);
            let enough = self.described(middle) >= self.room(sectors, middle).min(self.width.clusters().1);
            (low, high) = if enough { (low, middle) } else { (middle + 1, high) };
        }
        low
    }

    /// The geometry with most clusters; `None` if they are too few for the type or the content.
    fn fit(&self, sectors: u64) -> Option<Geometry> {
        let count = |fat: u64| self.room(sectors, fat).min(self.described(fat));
        let full = self.full_fat(sectors);
        let less = (full - 1).max(1);
        let fat_sectors = if count(less) > count(full) { less } else { full };
        let cluster_count = count(fat_sectors);
        if cluster_count < self.needed.max(self.width.clusters().0) {
            return None;
        }
        let first = self.first_sector(fat_sectors);
        let root_sectors = self.root_entries * ENTRY_BYTES as u64 / self.sector_bytes;
        let all_used = self.room(sectors, fat_sectors) == cluster_count;
        Some(Geometry {
            width: self.width,
            sector_bytes: self.sector_bytes,
            cluster_sectors: self.cluster_sectors,
            reserved_sectors: first - root_sectors - u64::from(FAT_COUNT) * fat_sectors,
            fat_sectors,
            root_entries: self.root_entries,
            cluster_count,
            total_sectors: if all_used { sectors } else { first + cluster_count * self.cluster_sectors },
        })
    }

    /// Fewest sectors that fit.
    fn min_sectors(&self) -> Option<u64> {
        let (mut low, mut high) = (1, u64::from(u32::MAX));
        self.fit(high)?;
        while low < high {
            let middle = low.midpoint(high);
            (low, high) = if self.fit(middle).is_some() { (low, middle) } else { (middle + 1, high) };
        }
        Some(low)
    }
}

impl Geometry {
    /// The best geometry that holds `contents` in `sectors`: FAT32 before FAT16,
    /// the usual cluster size before smaller and then larger ones.
    pub(super) fn choose(contents: &Contents<'_>, sector_bytes: u32, sectors: u64) -> Option<Self> {
        let sector_bytes = u64::from(sector_bytes);
        let size = sectors * sector_bytes;
        [(Width::Fat32, usual_fat32(size)), (Width::Fat16, usual_fat16(size))].into_iter().find_map(
            |(width, usual)| {
                let usual = usual.max(sector_bytes);
                let smaller = cluster_sizes(sector_bytes).rev().filter(|&bytes| bytes <= usual);
                let larger = cluster_sizes(sector_bytes).filter(|&bytes| bytes > usual);
                smaller
                    .chain(larger)
                    .filter_map(|bytes| Shape::new(contents, width, sector_bytes, bytes))
                    .find_map(|shape| shape.fit(sectors))
            },
        )
    }

    /// Bytes of a cluster.
    pub(super) const fn cluster_bytes(&self) -> u64 {
        self.cluster_sectors * self.sector_bytes
    }

    /// First sector of cluster 2.
    pub(super) const fn first_sector(&self) -> u64 {
        let root_sectors = self.root_entries * ENTRY_BYTES as u64 / self.sector_bytes;
        self.root_sector() + root_sectors
    }

    /// FAT16: first sector of the root directory.
    pub(super) const fn root_sector(&self) -> u64 {
        self.reserved_sectors + FAT_COUNT as u64 * self.fat_sectors
    }

    /// Offset in bytes of a cluster (from 2).
    pub(super) const fn offset(&self, cluster: u32) -> u64 {
        self.first_sector() * self.sector_bytes + (cluster as u64 - 2) * self.cluster_bytes()
    }
}

/// Cluster sizes that a sector size allows, ascending.
fn cluster_sizes(sector_bytes: u64) -> impl DoubleEndedIterator<Item = u64> {
    (9..=15).map(|bits| 1 << bits).filter(move |&bytes| bytes >= sector_bytes && bytes <= MAX_CLUSTER_BYTES)
}

/// mkfs.fat's cluster size for FAT32.
const fn usual_fat32(size: u64) -> u64 {
    if size <= 260 * MIB {
        512
    } else if size <= 8 * GIB {
        4 * KIB
    } else if size <= 16 * GIB {
        8 * KIB
    } else if size <= 32 * GIB {
        16 * KIB
    } else {
        32 * KIB
    }
}

/// Microsoft's cluster size for FAT16.
const fn usual_fat16(size: u64) -> u64 {
    if size <= 16 * MIB {
        KIB
    } else if size <= 128 * MIB {
        2 * KIB
    } else {
        4 * KIB
    }
}

/// Smallest volume in bytes that some geometry fits `contents` into.
pub(super) fn min_size(contents: &Contents<'_>, sector_bytes: u32) -> Result<u64> {
    let sector_bytes = u64::from(sector_bytes);
    [Width::Fat16, Width::Fat32]
        .into_iter()
        .flat_map(|width| cluster_sizes(sector_bytes).map(move |bytes| (width, bytes)))
        .filter_map(|(width, bytes)| Shape::new(contents, width, sector_bytes, bytes)?.min_sectors())
        .min()
        .map(|sectors| sectors * sector_bytes)
        .ok_or_else(|| Error::Limit {
            what: "vfat filesystem: clusters".into(),
            found: contents.clusters(Width::Fat32, MAX_CLUSTER_BYTES),
            allowed: u64::from(u32::MAX) * sector_bytes / MAX_CLUSTER_BYTES,
        })
}
