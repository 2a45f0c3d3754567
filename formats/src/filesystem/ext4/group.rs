//! Block groups: descriptors, bitmaps and inode tables.
//!
//! A group of which nothing is in use but its superblock copy has no bitmaps
//! (`BLOCK_UNINIT`, `INODE_UNINIT`); of an inode table only the part in use
//! is written, the rest reads as zero (`INODE_ZEROED`) or is for the kernel to
//! clear later, where the volume is encrypted. Source: the kernel's
//! ext4 documentation, "Block Group Descriptors", "Block and inode Bitmaps".

use std::ops::Range;

use rayon::prelude::*;
use zerocopy::IntoBytes;

use super::{
    checksum::Checksum,
    emit::Piece,
    inode::Inodes,
    layout::Placement,
    ondisk::{
        BLOCK_BYTES, BLOCK_LEN, GROUP_BLOCK_UNINIT, GROUP_INODE_UNINIT, GROUP_INODE_ZEROED, GroupDescriptor,
        INODE_BYTES, halves, words, zeroed,
    },
};
use crate::data::Data;

/// What is in use of an inode table.
struct Table {
    bytes: Option<Data>,
    directories: u32,
}

/// Bitmaps and inode tables, and the group descriptors' blocks.
pub(super) fn render(inodes: &Inodes<'_>) -> (Vec<Piece>, Vec<u8>) {
    let geometry = &inodes.layout.geometry;
    let groups = 0..geometry.group_count();
    let tables: Vec<_> = groups.into_par_iter().map(|group| table(inodes, group)).collect();
    let mut out = Groups { inodes, pieces: Vec::new(), descriptors: Vec::new(), last: Data::from_bytes([]) };
    (0..).zip(tables).for_each(|(group, table)| out.push(group, table));
    out.descriptors.resize(geometry.descriptor_blocks as usize * BLOCK_LEN, 0);
    (out.pieces, out.descriptors)
}

fn table(inodes: &Inodes<'_>, group: u64) -> Table {
    let layout = inodes.layout;
    let used = layout.used_inodes(group);
    if used == 0 {
        return Table { bytes: None, directories: 0 };
    }
    let first = (group * layout.geometry.inodes_per_group) as u32 + 1;
    let mut bytes = Vec::with_capacity((used * INODE_BYTES) as usize);
    let (mut directories, mut placement) = (0, Placement::default());
    for number in first..first + used as u32 {
        let (inode, is_directory) = inodes.render(number, &mut placement);
        bytes.extend_from_slice(inode.as_bytes());
        directories += u32::from(is_directory);
    }
    Table { bytes: Some(Data::from_bytes(bytes)), directories }
}

struct Groups<'a> {
    inodes: &'a Inodes<'a>,
    pieces: Vec<Piece>,
    descriptors: Vec<u8>,
    /// The last block bitmap: many are the same.
    last: Data,
}

impl Groups<'_> {
    fn push(&mut self, group: u64, table: Table) {
        let mut descriptor = self.places(group);
        descriptor.flags = if self.inodes.on_noise { 0 } else { GROUP_INODE_ZEROED }.into();
        self.count(group, &table, &mut descriptor);
        self.block_bitmap(group, &mut descriptor);
        self.inode_bitmap(group, &mut descriptor);
        if let Some(bytes) = table.bytes {
            self.put(self.inodes.layout.geometry.tables[group as usize].inode_table, bytes);
        }
        let checksum = self.inodes.seed.with(&(group as u32).to_le_bytes()).with(descriptor.as_bytes());
        descriptor.checksum = words(checksum.value()).0.into();
        self.descriptors.extend_from_slice(descriptor.as_bytes());
    }

    fn places(&self, group: u64) -> GroupDescriptor {
        let tables = self.inodes.layout.geometry.tables[group as usize];
        let (block_bitmap, block_bitmap_hi) = halves(tables.block_bitmap);
        let (inode_bitmap, inode_bitmap_hi) = halves(tables.inode_bitmap);
        let (inode_table, inode_table_hi) = halves(tables.inode_table);
        GroupDescriptor {
            block_bitmap_lo: block_bitmap.into(),
            block_bitmap_hi: block_bitmap_hi.into(),
            inode_bitmap_lo: inode_bitmap.into(),
            inode_bitmap_hi: inode_bitmap_hi.into(),
            inode_table_lo: inode_table.into(),
            inode_table_hi: inode_table_hi.into(),
            ..zeroed()
        }
    }

    fn count(&self, group: u64, table: &Table, descriptor: &mut GroupDescriptor) {
        let layout = self.inodes.layout;
        let blocks = layout.geometry.group(group);
        let free_blocks = blocks.end - blocks.start - layout.used_blocks(group);
        let free_inodes = layout.geometry.inodes_per_group - layout.used_inodes(group);
        let (lo, hi) = words(free_blocks as u32);
        (descriptor.free_blocks_count_lo, descriptor.free_blocks_count_hi) = (lo.into(), hi.into());
        let (lo, hi) = words(free_inodes as u32);
        (descriptor.free_inodes_count_lo, descriptor.free_inodes_count_hi) = (lo.into(), hi.into());
        (descriptor.itable_unused_lo, descriptor.itable_unused_hi) = (lo.into(), hi.into());
        let (lo, hi) = words(table.directories);
        (descriptor.used_dirs_count_lo, descriptor.used_dirs_count_hi) = (lo.into(), hi.into());
    }

    fn block_bitmap(&mut self, group: u64, descriptor: &mut GroupDescriptor) {
        let layout = self.inodes.layout;
        if layout.is_untouched(group) {
            descriptor.flags |= GROUP_BLOCK_UNINIT;
            return;
        }
        let blocks = layout.geometry.group(group);
        let mut bits = vec![0; BLOCK_LEN];
        let content_end = layout.end.clamp(blocks.start, blocks.end);
        set(&mut bits, 0..content_end - blocks.start);
        for range in layout.geometry.occupied_in(content_end..blocks.end) {
            set(&mut bits, range.start - blocks.start..range.end - blocks.start);
        }
        set(&mut bits, blocks.end - blocks.start..8 * BLOCK_BYTES);
        let (lo, hi) = words(self.checksum(&bits));
        (descriptor.block_bitmap_csum_lo, descriptor.block_bitmap_csum_hi) = (lo.into(), hi.into());
        let bitmap = self.share(bits);
        self.put(layout.geometry.tables[group as usize].block_bitmap, bitmap);
    }

    fn inode_bitmap(&mut self, group: u64, descriptor: &mut GroupDescriptor) {
        let layout = self.inodes.layout;
        let used = layout.used_inodes(group);
        if used == 0 {
            descriptor.flags |= GROUP_INODE_UNINIT;
            return;
        }
        let count = layout.geometry.inodes_per_group;
        let mut bits = vec![0; BLOCK_LEN];
        set(&mut bits, 0..used);
        set(&mut bits, count..8 * BLOCK_BYTES);
        let (lo, hi) = words(self.checksum(&bits[..(count / 8) as usize]));
        (descriptor.inode_bitmap_csum_lo, descriptor.inode_bitmap_csum_hi) = (lo.into(), hi.into());
        self.put(layout.geometry.tables[group as usize].inode_bitmap, Data::from_bytes(bits));
    }

    fn checksum(&self, bits: &[u8]) -> u32 {
        let seed: Checksum = self.inodes.seed;
        seed.with(bits).value()
    }

    fn share(&mut self, bits: Vec<u8>) -> Data {
        if self.last.to_vec().is_ok_and(|last| last == bits) {
            return self.last.clone();
        }
        self.last = Data::from_bytes(bits);
        self.last.clone()
    }

    fn put(&mut self, block: u64, data: Data) {
        self.pieces.push((block * BLOCK_BYTES, data));
    }
}

/// Sets a range of bits, lowest bit of each byte first.
fn set(bits: &mut [u8], range: Range<u64>) {
    let (start, end) = (range.start as usize, range.end as usize);
    let (first, last) = (start.next_multiple_of(8).min(end), (end / 8 * 8).max(start));
    if first <= last {
        bits[first / 8..last / 8].fill(0xFF);
        (start..first).chain(last..end).for_each(|bit| bits[bit / 8] |= 1 << (bit % 8));
    } else {
        (start..end).for_each(|bit| bits[bit / 8] |= 1 << (bit % 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_any_range() {
        for start in 0..40 {
            for end in start..40 {
                let mut bits = [0; 5];
                set(&mut bits, start..end);
                let found = bits.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
                assert_eq!(found, (1 << end) - (1 << start), "{start}..{end}");
            }
        }
    }
}
