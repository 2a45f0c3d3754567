//! FAT16 and FAT32 with long names ("vfat"): the EFI system partition.
//!
//! ```text
//! boot sector | FSInfo | backup of both | FAT | FAT copy | (FAT16: root) | cluster 2, 3, ...
//! ```
//!
//! Directories come first among the clusters, then files, each in one run.
//! FAT32 is chosen wherever mkfs.fat's cluster size gives the 65,525 clusters
//! it needs, FAT16 below. Source: Microsoft, "FAT: General Overview of
//! On-Disk Format", version 1.03, and dosfstools 4.2 for cluster sizes.
//!
//! Left out on purpose: FAT12, code pages (short names are ASCII), boot code,
//! and everything FAT has no place for: owners, modes and extended attributes
//! are dropped, a hard link becomes a copy for each name, and symbolic links
//! and devices are errors.

mod emit;
mod geometry;
mod layout;
mod names;
mod ondisk;
mod reader;
mod time;

pub use self::reader::read;
use self::{geometry::Geometry, layout::Contents};
use super::{Filesystem, Identity};
use crate::{Error, Result, sparse::Sparse, tree::Tree};

/// FAT16 or FAT32, by size.
#[derive(Debug)]
pub struct Fat;

impl Filesystem for Fat {
    fn name(&self) -> &'static str {
        "vfat"
    }

    fn min_size(&self, tree: &Tree, identity: &Identity) -> Result<u64> {
        check_sector_size(identity)?;
        geometry::min_size(&Contents::new(tree, identity)?, identity.sector_size)
    }

    fn mkfs(&self, tree: &Tree, identity: &Identity, size: u64) -> Result<Sparse> {
        check_sector_size(identity)?;
        let contents = Contents::new(tree, identity)?;
        let sectors = size / u64::from(identity.sector_size);
        let max = u64::from(u32::MAX);
        if sectors > max {
            return Err(Error::Limit {
                what: "vfat filesystem: sectors".into(),
                found: sectors,
                allowed: max,
            });
        }
        match Geometry::choose(&contents, identity.sector_size, sectors) {
            Some(geometry) => emit::emit(&contents, &geometry, identity, size),
            None => Err(Error::TooSmall {
                what: format!("vfat filesystem '{}'", identity.label),
                needed: geometry::min_size(&contents, identity.sector_size)?,
                given: size,
            }),
        }
    }
}

fn check_sector_size(identity: &Identity) -> Result<()> {
    if matches!(identity.sector_size, 512 | 4096) {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!("vfat filesystem on sectors of {} bytes", identity.sector_size),
        why: "sectors are of 512 or 4096 bytes".into(),
    })
}
