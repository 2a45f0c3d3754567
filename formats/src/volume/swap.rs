//! Swap space: one page that says how many there are.
//!
//! ```text
//! 1024: version, last page, UUID, label | 4086: "SWAPSPACE2" | pages ...
//! ```
//!
//! Source: the kernel's `include/linux/swap.h`, `union swap_header`. Pages are
//! of 4096 bytes, as on every machine that boots these disks. Left out on
//! purpose: lists of bad pages.

use uuid::Uuid;
use zerocopy::{Immutable, IntoBytes, little_endian::U32};

use crate::{Error, Result, data::Data, sparse::Sparse};

/// Bytes of a page.
const PAGE_BYTES: u64 = 4096;
/// Fewest pages that the kernel takes.
const MIN_PAGES: u64 = 10;
/// `info.version`.
const VERSION: u32 = 1;
/// The page's last bytes.
const MAGIC: [u8; 10] = *b"SWAPSPACE2";
/// Longest label in bytes.
pub const LABEL_MAX: usize = 15;
/// Smallest swap space in bytes.
pub const MIN_SIZE: u64 = MIN_PAGES * PAGE_BYTES;

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    boot_bits: [u8; 1024],
    version: U32,
    last_page: U32,
    bad_page_count: U32,
    uuid: [u8; 16],
    label: [u8; LABEL_MAX + 1],
    padding: [u8; PAGE_BYTES as usize - 1024 - 12 - 16 - (LABEL_MAX + 1) - MAGIC.len()],
    magic: [u8; MAGIC.len()],
}
const _: () = assert!(size_of::<Header>() == PAGE_BYTES as usize);

/// Swap space of `size` bytes.
///
/// # Errors
/// [`Error::TooSmall`], and [`Error::Limit`] for a long label or more pages than can be counted.
pub fn swap(uuid: Uuid, label: &str, size: u64) -> Result<Sparse> {
    if size < MIN_SIZE {
        return Err(Error::TooSmall { what: "swap space".into(), needed: MIN_SIZE, given: size });
    }
    let limit = |what: &str, found, allowed| Error::Limit { what: what.into(), found, allowed };
    let last = size / PAGE_BYTES - 1;
    let last_page = u32::try_from(last).map_err(|_| limit("swap space: pages", last, u32::MAX.into()))?;
    let mut field = [0; LABEL_MAX + 1];
    let room = field.get_mut(..label.len()).filter(|_| label.len() <= LABEL_MAX);
    room.ok_or_else(|| limit("swap label, bytes", label.len() as u64, LABEL_MAX as u64))?
        .copy_from_slice(label.as_bytes());
    let header = Header {
        boot_bits: [0; 1024],
        version: VERSION.into(),
        last_page: last_page.into(),
        bad_page_count: 0.into(),
        uuid: *uuid.as_bytes(),
        label: field,
        padding: [0; _],
        magic: MAGIC,
    };
    let mut space = Sparse::new(size);
    space.insert(0, Data::from_bytes(header.as_bytes()))?;
    Ok(space)
}
