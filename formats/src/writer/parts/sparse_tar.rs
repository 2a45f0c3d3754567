//! A tar archive of one file with gaps, which are not stored.
//!
//! ```text
//! header (512), with the first 4 places | 21 more places (512) | ... | data of all places, each to a multiple of 512
//! ```
//!
//! A place is an offset and a length. The last one is where the file ends.
//!
//! Source: GNU tar manual, "Storing Sparse Files", "Old GNU Format"; its struct `oldgnu_header`.

use std::sync::Arc;

use super::tar::{BLOCK, Member, archive_len, number, with_sum};
use crate::{Result, data::Data, sparse::Sparse, units::round_up};

/// Unit of data and gaps.
const UNIT: usize = 64 << 10;
/// Type of a member with gaps.
const KIND: u8 = b'S';
/// In the header: the first places, whether more follow, and the file's length.
const PLACES_AT: usize = 386;
const IS_EXTENDED_AT: usize = 482;
const REAL_SIZE_AT: usize = 483;
/// Places in the header, and in a block behind it.
const IN_HEADER: usize = 4;
const IN_BLOCK: usize = 21;
const PLACE_BYTES: usize = 24;

/// Offset and length of data, in bytes.
type Place = (u64, u64);

/// An archive of `file` alone; its size is that of the content.
pub(crate) fn archive(file: Member<'_>, content: &Sparse) -> Result<Sparse> {
    let places = places(content);
    let stored = places.iter().map(|(_, len)| round_up(*len, BLOCK)).sum();
    let head = head(&Member { size: stored, ..file }, content.len(), &places)?;
    let mut at = head.len() as u64;
    let mut archive = Sparse::new(archive_len(at + stored));
    archive.insert(0, Data::from_bytes(head))?;
    let source = Arc::new(content.clone());
    for (offset, len) in places.into_iter().filter(|(_, len)| *len > 0) {
        archive.insert(at, Data::from_source(source.clone(), offset, len))?;
        at += round_up(len, BLOCK);
    }
    Ok(archive)
}

/// Where data is, and the end.
fn places(content: &Sparse) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for window in content.windows(UNIT) {
        match places.last_mut() {
            Some((offset, len)) if *offset + *len == window.offset => *len += window.len as u64,
            _ => places.push((window.offset, window.len as u64)),
        }
    }
    places.push((content.len(), 0));
    places
}

/// The header, and the blocks behind it that its places take.
fn head(file: &Member<'_>, real_size: u64, places: &[Place]) -> Result<Vec<u8>> {
    let (first, more) = places.split_at(places.len().min(IN_HEADER));
    let mut header = file.fields(KIND)?;
    header[PLACES_AT..PLACES_AT + IN_HEADER * PLACE_BYTES].copy_from_slice(&list(first, IN_HEADER));
    header[IS_EXTENDED_AT] = u8::from(!more.is_empty());
    header[REAL_SIZE_AT..REAL_SIZE_AT + 12].copy_from_slice(&number(real_size));
    let mut head = with_sum(header).to_vec();
    let blocks: Vec<&[Place]> = more.chunks(IN_BLOCK).collect();
    for (at, block) in blocks.iter().enumerate() {
        head.extend(list(block, IN_BLOCK));
        head.push(u8::from(at + 1 < blocks.len()));
        head.resize(head.len().next_multiple_of(BLOCK as usize), 0);
    }
    Ok(head)
}

/// The places, and zeros for those that are not there.
fn list(places: &[Place], count: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        places.iter().flat_map(|(offset, len)| [number(*offset), number(*len)]).flatten().collect();
    bytes.resize(count * PLACE_BYTES, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_found_with_the_end_behind_it() {
        let mut content = Sparse::new(10 << 20);
        for offset in [5, 65_536, 9 << 20] {
            content.insert(offset, Data::from_bytes(*b"data")).unwrap();
        }
        assert_eq!(places(&content), [(0, 131_072), (9 << 20, 65_536), (10 << 20, 0)]);
        assert_eq!(places(&Sparse::new(512)), [(512, 0)]);
    }

    #[test]
    fn places_go_on_behind_the_header() {
        let many: Vec<Place> = (0..50).map(|n| (n * 512, 1)).collect();
        let file = Member::file("f", 0, 0);
        for (count, blocks) in [(4, 1), (5, 2), (25, 2), (26, 3), (46, 3), (47, 4)] {
            let head = head(&file, 0, &many[..count]).unwrap();
            assert_eq!(head.len(), blocks * 512, "{count}");
            assert_eq!(head[IS_EXTENDED_AT], u8::from(blocks > 1));
        }
    }
}
