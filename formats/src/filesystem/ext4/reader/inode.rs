//! Inodes: owner, mode, times, checksum.

use std::sync::Arc;

use zerocopy::FromBytes;

use super::super::{
    checksum::Checksum,
    ondisk::{INODE_BYTES, INODE_IMMUTABLE, INODE_VERITY, Inode},
};
use super::superblock::Volume;
use crate::tree::{Meta, Time, Xattrs};

/// Bytes of an inode that every ext4 has.
const BASE_BYTES: usize = 128;
/// Where the low half of the checksum is.
const CHECKSUM_LO: std::ops::Range<usize> = 0x7C..0x7E;
/// Where its high half is, if `extra_isize` reaches there.
const CHECKSUM_HI: std::ops::Range<usize> = 0x82..0x84;

/// An inode in use.
pub(super) struct Record {
    pub(super) number: u32,
    pub(super) inode: Inode,
    /// The whole inode.
    pub(super) raw: Vec<u8>,
    /// Seed of its blocks.
    pub(super) seed: Option<Checksum>,
}

impl Volume {
    /// The inode of that number, its checksum compared.
    pub(super) fn inode(&mut self, number: u32, path: &str) -> Result<Record, String> {
        if number == 0 || number > self.inode_count {
            return Err(format!("there are {}", self.inode_count));
        }
        let (group, index) = ((number - 1) / self.inodes_per_group, (number - 1) % self.inodes_per_group);
        let table = self.tables.get(group as usize).ok_or("no such group")?;
        let at =
            table.checked_mul(self.block).and_then(|at| at.checked_add(u64::from(index) * self.inode_bytes));
        let mut raw = vec![0; self.inode_bytes as usize];
        let at = at.ok_or_else(|| format!("table at block {table}"))?;
        self.bytes.read_exact_at(&mut raw, at).map_err(|error| error.to_string())?;
        let mut padded = [0; INODE_BYTES as usize];
        let len = raw.len().min(padded.len());
        padded[..len].copy_from_slice(&raw[..len]);
        let inode = Inode::read_from_bytes(&padded).map_err(|_| "short inode".to_owned())?;
        let seed = self.seed.map(|seed| seed.of_generation(number, inode.generation.get()));
        if let Some(seed) = seed {
            self.check_inode(number, &raw, &inode, seed, path);
        }
        if inode.mode.get() == 0 || inode.links_count.get() == 0 {
            return Err("not in use".to_owned());
        }
        Ok(Record { number, inode, raw, seed })
    }

    fn check_inode(&mut self, number: u32, raw: &[u8], inode: &Inode, seed: Checksum, path: &str) {
        let mut zeroed = raw.to_vec();
        zeroed[CHECKSUM_LO].fill(0);
        let mut stored = u32::from(inode.checksum_lo.get());
        let mut mask = u32::from(u16::MAX);
        if raw.len() > BASE_BYTES && usize::from(inode.extra_isize.get()) + BASE_BYTES >= CHECKSUM_HI.end {
            zeroed[CHECKSUM_HI].fill(0);
            stored |= u32::from(inode.checksum_hi.get()) << 16;
            mask = u32::MAX;
        }
        let computed = seed.with(&zeroed).value() & mask;
        if stored != computed {
            let what = format!("inode {number}: checksum is {stored:08x}, the bytes have {computed:08x}");
            self.faults.error(path, what);
        }
    }
}

impl Record {
    /// The whole `st_mode`.
    pub(super) fn mode(&self) -> u16 {
        self.inode.mode.get()
    }

    /// Bytes of content.
    pub(super) fn size(&self) -> u64 {
        u64::from(self.inode.size_hi.get()) << 32 | u64::from(self.inode.size_lo.get())
    }

    pub(super) fn is_directory(&self) -> bool {
        self.mode() & 0o170_000 == 0o040_000
    }

    pub(super) fn has_verity(&self) -> bool {
        self.inode.flags.get() & INODE_VERITY != 0
    }

    /// The type as names carry it.
    pub(super) fn file_type(&self) -> u8 {
        match self.mode() >> 12 {
            0o10 => 1,
            0o4 => 2,
            0o2 => 3,
            0o6 => 4,
            0o1 => 5,
            0o14 => 6,
            0o12 => 7,
            _ => 0,
        }
    }

    pub(super) fn meta(&self, xattrs: Arc<Xattrs>) -> Meta {
        let inode = &self.inode;
        let wide = |low: u16, high: u16| u32::from(high) << 16 | u32::from(low);
        Meta {
            mode: self.mode() & 0o7777,
            uid: wide(inode.uid.get(), inode.uid_hi.get()),
            gid: wide(inode.gid.get(), inode.gid_hi.get()),
            mtime: self.mtime(),
            xattrs,
            immutable: inode.flags.get() & INODE_IMMUTABLE != 0,
            verity: self.has_verity(),
        }
    }

    /// Two bits of the extra field widen the seconds.
    fn mtime(&self) -> Time {
        let has_extra = self.raw.len() > BASE_BYTES && self.inode.extra_isize.get() >= 12;
        let extra = if has_extra { self.inode.mtime_extra.get() } else { 0 };
        let seconds = i64::from(self.inode.mtime.get() as i32) + (i64::from(extra & 3) << 32);
        Time { seconds, nanoseconds: (extra >> 2).min(999_999_999) }
    }
}
