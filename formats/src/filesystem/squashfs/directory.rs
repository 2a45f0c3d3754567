//! The listing of a directory: entries by name, below heads. A head says where the inodes of its entries are,
//! so a new one begins where these go on in another block, and where the listing itself does: to those leads
//! the index, by which a name is found without reading all before it.

use zerocopy::IntoBytes;

use super::{
    metadata::{Metadata, Place},
    ondisk::{IndexEntry, LISTING_COUNT, ListingEntry, ListingHead, METADATA_BYTES},
};
use crate::{Error, Result};

/// A name and its inode.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) place: Place,
    pub(super) number: u32,
    pub(super) kind: u16,
}

/// A listing that is written.
pub(super) struct Listing {
    pub(super) place: Place,
    /// Bytes.
    pub(super) len: u32,
    pub(super) index: Vec<u8>,
    pub(super) index_count: u16,
}

/// Writes the listing of these entries, which are in order.
pub(super) fn write(entries: &[Entry<'_>], out: &mut Metadata) -> Result<Listing> {
    let place = out.place();
    let mut listing = Listing { place, len: 0, index: Vec::new(), index_count: 0 };
    let mut rest = entries;
    let mut block = 0;
    while let [first, ..] = rest {
        let at = usize::from(place.offset) + listing.len as usize;
        if at / METADATA_BYTES > block {
            block = at / METADATA_BYTES;
            listing.point(first.name, out.place())?;
        }
        let (now, later) = rest.split_at(below_one_head(rest, at % METADATA_BYTES));
        let bytes = headed(now);
        out.write(&bytes)?;
        listing.len += bytes.len() as u32;
        rest = later;
    }
    let (found, allowed) = (u64::from(listing.len), u64::from(u32::MAX >> 1));
    if found > allowed {
        return Err(Error::Limit { what: "SquashFS directory: bytes".into(), found, allowed });
    }
    Ok(listing)
}

impl Listing {
    /// Notes in the index that the head for `name` comes next.
    fn point(&mut self, name: &[u8], place: Place) -> Result<()> {
        let full = || Error::Limit {
            what: "SquashFS directory: blocks of its listing".into(),
            found: u64::from(u16::MAX) + 1,
            allowed: u16::MAX.into(),
        };
        let (at, start) = (self.len.into(), place.start.into());
        let entry = IndexEntry { at, start, name_len: (name.len() as u32 - 1).into() };
        self.index.extend_from_slice(entry.as_bytes());
        self.index.extend_from_slice(name);
        self.index_count = self.index_count.checked_add(1).ok_or_else(full)?;
        Ok(())
    }
}

/// How many of the entries one head serves that is at `at` in its block.
fn below_one_head(entries: &[Entry<'_>], at: usize) -> usize {
    let first = &entries[0];
    let mut end = at + size_of::<ListingHead>() + size_of::<ListingEntry>() + first.name.len();
    let fits = |entry: &&Entry<'_>| {
        let is_near = i16::try_from(i64::from(entry.number) - i64::from(first.number)).is_ok();
        let is_same = is_near && entry.place.start == first.place.start && end < METADATA_BYTES;
        end += size_of::<ListingEntry>() + entry.name.len();
        is_same
    };
    entries[1..].iter().take(LISTING_COUNT - 1).take_while(fits).count() + 1
}

/// A head and its entries.
fn headed(entries: &[Entry<'_>]) -> Vec<u8> {
    let first = &entries[0];
    let count = (entries.len() as u32 - 1).into();
    let head = ListingHead { count, start: first.place.start.into(), number: first.number.into() };
    let mut bytes = head.as_bytes().to_vec();
    for entry in entries {
        let number = (i64::from(entry.number) - i64::from(first.number)) as i16;
        let name_len = (entry.name.len() as u16 - 1).into();
        let (offset, kind) = (entry.place.offset.into(), entry.kind.into());
        let entry_head = ListingEntry { offset, number: number.into(), kind, name_len };
        bytes.extend_from_slice(entry_head.as_bytes());
        bytes.extend_from_slice(entry.name);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filesystem::squashfs::Compression;

    #[test]
    fn a_head_serves_what_is_near_and_in_one_block() {
        let entry = |number, start| Entry { name: b"n", place: Place { start, offset: 0 }, number, kind: 2 };
        let many: Vec<_> = (1..400).map(|number| entry(number, 0)).collect();
        assert_eq!(below_one_head(&many, 0), LISTING_COUNT);
        assert_eq!(below_one_head(&many, METADATA_BYTES - 22), 1 + 1);
        assert_eq!(below_one_head(&[entry(1, 0), entry(2, 0), entry(3, 9)], 0), 2);
        assert_eq!(below_one_head(&[entry(1, 0), entry(32_768, 0), entry(32_769, 0)], 0), 2);
        assert_eq!(below_one_head(&[entry(40_000, 0), entry(1, 0)], 0), 1);
    }

    #[test]
    fn an_index_leads_to_heads_in_later_blocks() {
        let names: Vec<_> = (0..2000).map(|n| format!("name{n:08}")).collect();
        let place = Place { start: 0, offset: 0 };
        let entry = |(n, name): (usize, &'static str)| Entry {
            name: name.as_bytes(),
            place,
            number: n as u32 + 1,
            kind: 2,
        };
        let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
        let entries: Vec<_> = names.iter().copied().enumerate().map(entry).collect();
        let mut out = Metadata::new(Compression::Zstd);
        let listing = write(&entries, &mut out).unwrap();
        assert_eq!(usize::from(listing.index_count), listing.len as usize / METADATA_BYTES);
        assert!(listing.len > 40_000);
    }
}
