//! The hash index of a directory of more than one block.
//!
//! ```text
//! block 0      "." and "..", root of the index
//! block 1..    index nodes, if the root cannot hold all leaves
//! then         leaves: ordinary directory blocks, by ascending hash
//! ```
//! The hash is half of an MD4 over the name, bytes taken as unsigned, started
//! from the filesystem's seed. Its lowest bit is never set: in an index entry
//! that bit says that names of the same hash began in the leaf before.
//! Source: the kernel's ext4 documentation, "Hash Tree Directories". Left
//! out: a third level (`large_dir`).

use zerocopy::IntoBytes;

use super::{
    checksum::Checksum,
    directory::{self, LEAF_LEN, Name},
    ondisk::{BLOCK_LEN, DirEntry, DxCount, DxEntry, DxRootInfo, DxTail, HASH_HALF_MD4},
};

/// Offset of the first entry in the root: after "." and ".." (12 bytes each) and the root info.
const ROOT_ENTRIES_AT: usize = 24 + size_of::<DxRootInfo>();
/// Offset of the first entry in a node: after an empty directory entry.
const NODE_ENTRIES_AT: usize = size_of::<DirEntry>();
/// Entries in the root.
const ROOT_LIMIT: usize = (BLOCK_LEN - ROOT_ENTRIES_AT - size_of::<DxTail>()) / size_of::<DxEntry>();
/// Entries in a node.
const NODE_LIMIT: usize = (BLOCK_LEN - NODE_ENTRIES_AT - size_of::<DxTail>()) / size_of::<DxEntry>();
/// Leaves of the largest directory.
pub(super) const LEAVES_MAX: usize = ROOT_LIMIT * NODE_LIMIT;

/// Hash of a name: the part that orders the index, and the part that breaks ties.
pub(super) type Hash = (u32, u32);

/// Hashes names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hasher {
    seed: [u32; 4],
}

impl Hasher {
    /// From `s_hash_seed`; a seed of zeros stands for MD4's own start.
    pub(super) fn new(seed: [u32; 4]) -> Self {
        let standard = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        Self { seed: if seed == [0; 4] { standard } else { seed } }
    }

    pub(super) fn hash(&self, name: &[u8]) -> Hash {
        /// A hash that means the end of a directory to readdir(3).
        const END: u32 = 0x7FFF_FFFF << 1;
        let mut state = self.seed;
        for start in (0..name.len()).step_by(32) {
            half_md4(&mut state, &words(&name[start..]));
        }
        let major = state[1] & !1;
        (if major == END { END - 2 } else { major }, state[2])
    }
}

/// The next 32 bytes as big-endian words, padded with the remaining length.
fn words(rest: &[u8]) -> [u32; 8] {
    let padding = u32::from_ne_bytes([rest.len() as u8; 4]);
    let mut words = [padding; 8];
    for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
        *word = bytes.iter().fold(padding, |word, &byte| (word << 8).wrapping_add(u32::from(byte)));
    }
    words
}

/// Three of MD4's rounds over half its block: (word, shift) of each step, by round.
fn half_md4(state: &mut [u32; 4], input: &[u32; 8]) {
    const STEPS: [[(usize, u32); 8]; 3] = [
        [(0, 3), (1, 7), (2, 11), (3, 19), (4, 3), (5, 7), (6, 11), (7, 19)],
        [(1, 3), (3, 5), (5, 9), (7, 13), (0, 3), (2, 5), (4, 9), (6, 13)],
        [(3, 3), (7, 9), (2, 11), (6, 15), (1, 3), (5, 9), (0, 11), (4, 15)],
    ];
    const ADDENDS: [u32; 3] = [0, 0x5A82_7999, 0x6ED9_EBA1];
    let functions: [fn(u32, u32, u32) -> u32; 3] =
        [|x, y, z| z ^ (x & (y ^ z)), |x, y, z| (x & y).wrapping_add((x ^ y) & z), |x, y, z| x ^ y ^ z];
    let [mut a, mut b, mut c, mut d] = *state;
    for ((steps, addend), function) in STEPS.iter().zip(ADDENDS).zip(functions) {
        for &(word, shift) in steps {
            let sum = a.wrapping_add(function(b, c, d)).wrapping_add(input[word]).wrapping_add(addend);
            (a, b, c, d) = (d, sum.rotate_left(shift), b, c);
        }
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

/// Names in the order of their hashes, cut into leaves.
pub(super) struct Arrangement {
    /// Index of each name, in order.
    order: Vec<u32>,
    leaves: Vec<Leaf>,
}

struct Leaf {
    /// Lowest hash, with the lowest bit set if the leaf before ends with the same.
    hash: u32,
    /// Where it starts in `order`.
    start: usize,
}

impl Arrangement {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a [u8]>, hasher: &Hasher) -> Self {
        let mut hashed: Vec<(Hash, u32, u16)> = (0..)
            .zip(names)
            .map(|(index, name)| (hasher.hash(name), index, directory::entry_len(name) as u16))
            .collect();
        hashed.sort_unstable();
        let mut leaves: Vec<Leaf> = Vec::new();
        let mut room = 0;
        for (start, &((hash, _), _, len)) in hashed.iter().enumerate() {
            let len = usize::from(len);
            if len > room {
                let goes_on = start > 0 && hashed[start - 1].0.0 == hash;
                leaves.push(Leaf { hash: hash | u32::from(goes_on), start });
                room = LEAF_LEN;
            }
            room -= len;
        }
        Self { order: hashed.into_iter().map(|(_, index, _)| index).collect(), leaves }
    }

    pub(super) fn leaf_count(&self) -> usize {
        self.leaves.len()
    }

    /// Blocks of the directory.
    pub(super) fn block_count(&self) -> u64 {
        1 + self.node_count() as u64 + self.leaves.len() as u64
    }

    fn node_count(&self) -> usize {
        if self.leaves.len() > ROOT_LIMIT { self.leaves.len().div_ceil(NODE_LIMIT) } else { 0 }
    }

    /// The directory's blocks, in order.
    pub(super) fn render(&self, names: &[Name<'_>], own: u32, parent: u32, seed: Checksum) -> Vec<u8> {
        let nodes = self.node_count();
        let first_leaf = 1 + nodes as u32;
        let leaves: Vec<_> = self.leaves.iter().map(|leaf| leaf.hash).zip(first_leaf..).collect();
        let mut out = Vec::with_capacity(self.block_count() as usize * BLOCK_LEN);
        if nodes == 0 {
            out.extend(root(&leaves, 0, own, parent, seed));
        } else {
            let above: Vec<_> = leaves.chunks(NODE_LIMIT).map(|chunk| chunk[0].0).zip(1..).collect();
            out.extend(root(&above, 1, own, parent, seed));
            leaves.chunks(NODE_LIMIT).for_each(|chunk| out.extend(node(chunk, seed)));
        }
        for (index, leaf) in self.leaves.iter().enumerate() {
            let end = self.leaves.get(index + 1).map_or(self.order.len(), |next| next.start);
            let entries = self.order[leaf.start..end].iter().map(|&name| names[name as usize]);
            out.extend(directory::leaf(entries, seed));
        }
        out
    }
}

fn root(entries: &[(u32, u32)], levels: u8, own: u32, parent: u32, seed: Checksum) -> Vec<u8> {
    let mut block = vec![0; BLOCK_LEN];
    let dot = directory::dot(own);
    let dot_dot = directory::dot_dot(parent);
    directory::write_entry(&mut block, 0, 12, &dot);
    directory::write_entry(&mut block, 12, BLOCK_LEN - 12, &dot_dot);
    let info = DxRootInfo {
        reserved: 0.into(),
        hash_version: HASH_HALF_MD4,
        info_len: size_of::<DxRootInfo>() as u8,
        indirect_levels: levels,
        unused_flags: 0,
    };
    block[24..ROOT_ENTRIES_AT].copy_from_slice(info.as_bytes());
    write_index(&mut block, ROOT_ENTRIES_AT, ROOT_LIMIT, entries, seed);
    block
}

fn node(entries: &[(u32, u32)], seed: Checksum) -> Vec<u8> {
    let mut block = vec![0; BLOCK_LEN];
    let empty = DirEntry { inode: 0.into(), rec_len: (BLOCK_LEN as u16).into(), name_len: 0, file_type: 0 };
    block[..NODE_ENTRIES_AT].copy_from_slice(empty.as_bytes());
    write_index(&mut block, NODE_ENTRIES_AT, NODE_LIMIT, entries, seed);
    block
}

/// Entries of (lowest hash, block), and the checksum over them.
fn write_index(block: &mut [u8], at: usize, limit: usize, entries: &[(u32, u32)], seed: Checksum) {
    let first = DxCount {
        limit: (limit as u16).into(),
        count: (entries.len() as u16).into(),
        block: entries[0].1.into(),
    };
    let slots = block[at..].chunks_exact_mut(size_of::<DxEntry>());
    for (slot, &(hash, place)) in slots.zip(entries) {
        slot.copy_from_slice(DxEntry { hash: hash.into(), block: place.into() }.as_bytes());
    }
    block[at..at + size_of::<DxCount>()].copy_from_slice(first.as_bytes());
    let used = at + entries.len() * size_of::<DxEntry>();
    let mut tail = DxTail { reserved: 0.into(), checksum: 0.into() };
    tail.checksum = seed.with(&block[..used]).with(tail.as_bytes()).value().into();
    let tail_at = at + limit * size_of::<DxEntry>();
    block[tail_at..tail_at + size_of::<DxTail>()].copy_from_slice(tail.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_hash_may_fill_several_leaves() {
        let hasher = Hasher::new([1, 2, 3, 4]);
        let name = [b'x'; 255];
        let arrangement = Arrangement::new(std::iter::repeat_n(&name[..], 40), &hasher);
        let hash = hasher.hash(&name).0;
        let hashes: Vec<_> = arrangement.leaves.iter().map(|leaf| leaf.hash).collect();
        assert_eq!(hashes, [hash, hash | 1, hash | 1]);
    }
}
