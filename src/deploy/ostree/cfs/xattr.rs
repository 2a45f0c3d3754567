//! Extended attributes in EROFS: entries, the shared table, the name filter.

use std::{borrow::Cow, collections::HashMap};

use anyhow::{Context, ensure};
use zerocopy::IntoBytes;

use super::ondisk::{XattrEntry, XattrHeader};

/// `EROFS_XATTR_FILTER_SEED`.
const FILTER_SEED: u32 = 0x25BB_E08F;
/// Prefixes of names that an index stands for; every other name is stored whole, with index 0.
const PREFIXES: &[(&[u8], u8)] = &[
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];

/// A name and a value. The order is by name, then length of the value, then value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attribute<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) value: Cow<'a, [u8]>,
}

impl Attribute<'_> {
    fn order(&self) -> (&[u8], usize, &[u8]) {
        (&self.name, self.value.len(), &self.value)
    }

    /// The index of the prefix and what follows it.
    fn suffix(&self) -> (u8, &[u8]) {
        let split = |(prefix, index): &(&[u8], u8)| Some((*index, self.name.strip_prefix(*prefix)?));
        PREFIXES.iter().find_map(split).unwrap_or((0, &self.name))
    }

    fn is_acl(&self) -> bool {
        matches!(self.suffix(), (2 | 3, b""))
    }

    /// The bit of the filter that this name clears.
    fn filter_bit(&self) -> u32 {
        let (index, suffix) = self.suffix();
        1 << (xxh32(suffix, FILTER_SEED + u32::from(index)) & 31)
    }

    fn len(&self) -> usize {
        (size_of::<XattrEntry>() + self.suffix().1.len() + self.value.len()).next_multiple_of(4)
    }

    /// Appends the entry, padded to four bytes.
    fn append(&self, bytes: &mut Vec<u8>) {
        let (name_index, suffix) = self.suffix();
        let value_len = (self.value.len() as u16).into();
        let entry = XattrEntry { name_len: suffix.len() as u8, name_index, value_len };
        bytes.extend_from_slice(entry.as_bytes());
        bytes.extend_from_slice(suffix);
        bytes.extend_from_slice(&self.value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
}

/// Every attribute of an image once, with the number of inodes that have it.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    ids: HashMap<Attribute<'a>, u32>,
    counts: Vec<u32>,
}

impl<'a> Attributes<'a> {
    /// Counts a use of the attribute and returns its number.
    pub(super) fn add(&mut self, attribute: Attribute<'a>) -> anyhow::Result<u32> {
        let name = || format!("extended attribute '{}'", attribute.name.escape_ascii());
        ensure!(attribute.suffix().1.len() <= usize::from(u8::MAX), "{}: name too long", name());
        ensure!(attribute.value.len() <= usize::from(u16::MAX), "{}: value over 65535 bytes", name());
        let next = u32::try_from(self.counts.len()).context("too many extended attributes")?;
        let id = *self.ids.entry(attribute).or_insert(next);
        if id == next {
            self.counts.push(0);
        }
        self.counts[id as usize] += 1;
        Ok(id)
    }

    /// Decides what is shared: all that more than one inode has, in descending order.
    pub(super) fn into_table(self) -> Table<'a> {
        let has_acl = self.ids.keys().any(Attribute::is_acl);
        let mut attributes: Vec<_> = self.ids.into_iter().collect();
        attributes.sort_unstable_by_key(|(_, id)| *id);
        let attributes: Vec<_> = attributes.into_iter().map(|(attribute, _)| attribute).collect();
        let mut common: Vec<usize> = (0..attributes.len()).filter(|&id| self.counts[id] > 1).collect();
        common.sort_unstable_by(|&a, &b| attributes[b].order().cmp(&attributes[a].order()));
        let mut offsets = vec![None; attributes.len()];
        let mut shared = Vec::new();
        for id in common {
            offsets[id] = Some(shared.len());
            attributes[id].append(&mut shared);
        }
        Table { attributes, offsets, shared, has_acl }
    }
}

/// The attributes by number, and the shared table.
#[derive(Debug)]
pub(super) struct Table<'a> {
    attributes: Vec<Attribute<'a>>,
    offsets: Vec<Option<usize>>,
    /// The bytes of the shared table.
    pub(super) shared: Vec<u8>,
    /// Whether any attribute is an access control list.
    pub(super) has_acl: bool,
}

impl Table<'_> {
    /// Bytes that these attributes take behind an inode.
    pub(super) fn inline_len(&self, ids: &[u32]) -> usize {
        if ids.is_empty() {
            return 0;
        }
        let len = |&id: &u32| match self.offsets[id as usize] {
            Some(_) => size_of::<u32>(),
            None => self.attributes[id as usize].len(),
        };
        size_of::<XattrHeader>() + ids.iter().map(len).sum::<usize>()
    }

    /// What stands behind an inode; the shared table starts `base` bytes into its first block.
    pub(super) fn inline(&self, ids: &[u32], base: usize) -> Vec<u8> {
        if ids.is_empty() {
            return Vec::new();
        }
        let shared: Vec<usize> = ids.iter().filter_map(|&id| self.offsets[id as usize]).collect();
        let bits = ids.iter().fold(0, |bits, &id| bits | self.attributes[id as usize].filter_bit());
        let header =
            XattrHeader { name_filter: (!bits).into(), shared_count: shared.len() as u8, reserved: [0; 7] };
        let mut bytes = header.as_bytes().to_vec();
        for offset in shared {
            bytes.extend_from_slice(&(((base + offset) / 4) as u32).to_le_bytes());
        }
        for &id in ids.iter().filter(|&&id| self.offsets[id as usize].is_none()) {
            self.attributes[id as usize].append(&mut bytes);
        }
        bytes
    }
}

const PRIME_1: u32 = 0x9E37_79B1;
const PRIME_2: u32 = 0x85EB_CA77;
const PRIME_3: u32 = 0xC2B2_AE3D;
const PRIME_4: u32 = 0x27D4_EB2F;
const PRIME_5: u32 = 0x1656_67B1;

/// The 32-bit xxHash, as the xxHash specification describes it.
fn xxh32(bytes: &[u8], seed: u32) -> u32 {
    let (stripes, rest) = bytes.as_chunks::<16>();
    let mut hash = if stripes.is_empty() { seed.wrapping_add(PRIME_5) } else { lanes(stripes, seed) };
    hash = hash.wrapping_add(bytes.len() as u32);
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIME_3));
        hash = hash.rotate_left(17).wrapping_mul(PRIME_4);
    }
    for &byte in rest {
        hash = hash.wrapping_add(u32::from(byte).wrapping_mul(PRIME_5));
        hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 16)
}

fn lanes(stripes: &[[u8; 16]], seed: u32) -> u32 {
    let start = seed.wrapping_add(PRIME_1).wrapping_add(PRIME_2);
    let mut lanes = [start, seed.wrapping_add(PRIME_2), seed, seed.wrapping_sub(PRIME_1)];
    for stripe in stripes {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<4>().0) {
            let mixed = lane.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIME_2));
            *lane = mixed.rotate_left(13).wrapping_mul(PRIME_1);
        }
    }
    let rotated = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
    rotated.fold(0, u32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        assert_eq!(xxh32(b"", 0), 0x02cc_5d05);
        assert_eq!(xxh32(b"a", 0), 0x550d_7456);
        assert_eq!(xxh32(b"abc", 0), 0x32d1_53ff);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition", 0), 0xe229_3b2f);
    }
}
