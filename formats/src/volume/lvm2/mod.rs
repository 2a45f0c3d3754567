//! LVM2: a group of logical volumes on one physical volume, all of them linear.
//!
//! ```text
//! 512        label and physical volume header
//! 4096       metadata area: its header, then the text
//! 1 MiB      extents of 4 MiB: one volume after the other, then free ones
//! ```
//!
//! Sectors are of 512 bytes here, whatever the disk's are. Source: LVM2's
//! `lib/format_text/layout.h` and `lib/label/label.h`, for what lies where.
//! Left out on purpose: groups over several physical volumes, thin pools,
//! snapshots, RAID, a second copy of the metadata.

mod ondisk;
mod reader;
mod text;
mod value;

use uuid::Uuid;
use zerocopy::IntoBytes;

use self::ondisk::{AREA_BYTES, AREA_OFFSET, AreaHeader, Label, TEXT_OFFSET, crc};
pub use self::reader::{Member, read};
use crate::{Error, Result, data::Data, sparse::Sparse, units::MIB};

/// Bytes of an extent.
pub const EXTENT_BYTES: u64 = 4 * MIB;
/// Bytes of the physical volume before its first extent.
pub const DATA_OFFSET: u64 = MIB;
/// Longest name: device mapper's limit for group, hyphen and volume with hyphens doubled.
pub const NAME_MAX: usize = 60;

/// A group, as it will be on its only physical volume.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name: letters, digits, `+_.-`, no hyphen first.
    pub name: String,
    /// Its identifier.
    pub uuid: Uuid,
    /// The physical volume's identifier.
    pub physical_uuid: Uuid,
    /// Its volumes in the order of their extents.
    pub volumes: Vec<Logical>,
    /// When all of it was made, in seconds since 1970.
    pub time: i64,
}

/// A logical volume.
#[derive(Clone, Debug)]
pub struct Logical {
    /// Its name; rules as for a group.
    pub name: String,
    /// Its identifier.
    pub uuid: Uuid,
    /// Its bytes: a multiple of [`EXTENT_BYTES`].
    pub content: Sparse,
}

/// Extents of a physical volume of that many bytes.
#[must_use]
pub const fn extent_count(size: u64) -> u64 {
    size.saturating_sub(DATA_OFFSET) / EXTENT_BYTES
}

/// The physical volume of `size` bytes that holds `group`.
///
/// # Errors
/// [`Error::TooSmall`] for too many extents, [`Error::Unsupported`] for volumes that are empty or
/// not whole extents, [`Error::Limit`] for more metadata than the area holds.
pub fn physical_volume(group: &Group, size: u64) -> Result<Sparse> {
    let extents: u64 = group.volumes.iter().map(|volume| volume.content.len() / EXTENT_BYTES).sum();
    if extents > extent_count(size) {
        let needed = DATA_OFFSET + extents * EXTENT_BYTES;
        return Err(Error::TooSmall { what: format!("volume group '{}'", group.name), needed, given: size });
    }
    let text = text::metadata(group, size);
    let room = AREA_BYTES - TEXT_OFFSET;
    if text.len() as u64 > room {
        let what = format!("volume group '{}': bytes of metadata", group.name);
        return Err(Error::Limit { what, found: text.len() as u64, allowed: room });
    }
    let mut space = Sparse::new(size);
    space.insert(ondisk::LABEL_OFFSET, Data::from_bytes(Label::new(group.physical_uuid, size).as_bytes()))?;
    let header = AreaHeader::new(text.len() as u64, crc(text.as_bytes()));
    space.insert(AREA_OFFSET, Data::from_bytes(header.as_bytes()))?;
    space.insert(AREA_OFFSET + TEXT_OFFSET, Data::from_bytes(text.into_bytes()))?;
    place(group, &mut space)?;
    Ok(space)
}

fn place(group: &Group, space: &mut Sparse) -> Result<()> {
    let mut at = DATA_OFFSET;
    for volume in &group.volumes {
        let len = volume.content.len();
        if len == 0 || !len.is_multiple_of(EXTENT_BYTES) {
            let what = format!("logical volume '{}/{}' of {len} bytes", group.name, volume.name);
            let why = format!("its size is a multiple of {EXTENT_BYTES} bytes");
            return Err(Error::Unsupported { what, why });
        }
        space.place(at, &volume.content)?;
        at += len;
    }
    Ok(())
}
