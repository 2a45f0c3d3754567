//! The superblock and the group descriptors: where inode tables are.

use std::collections::HashMap;

use uuid::Uuid;
use zerocopy::FromBytes;

use super::super::{
    checksum::Checksum,
    ondisk::{
        GroupDescriptor, INCOMPAT_64BIT, INCOMPAT_CSUM_SEED, INCOMPAT_READ, INCOMPAT_RECOVER,
        RO_COMPAT_METADATA_CSUM, STATE_CLEAN, STATE_ERRORS, SUPER_MAGIC, SUPERBLOCK_OFFSET, Superblock,
    },
};
use crate::{Faults, data::Data, filesystem::Claims, sparse::Sparse};

/// Where the seed of checksums is in the superblock, with [`INCOMPAT_CSUM_SEED`].
const CHECKSUM_SEED_AT: usize = 0x270;
/// Bytes of a descriptor without `64bit`.
const SHORT_DESCRIPTOR: usize = 32;
/// Where a descriptor's checksum is.
const DESCRIPTOR_CHECKSUM: std::ops::Range<usize> = 0x1E..0x20;
/// Descriptors are read so many bytes at once.
const READ_BYTES: usize = 1 << 20;

/// An open filesystem.
pub(super) struct Volume {
    pub(super) bytes: Data,
    /// Bytes per block.
    pub(super) block: u64,
    /// Blocks.
    pub(super) blocks: u64,
    pub(super) inode_count: u32,
    pub(super) inodes_per_group: u32,
    /// Bytes per inode.
    pub(super) inode_bytes: u64,
    /// First block of each group's inode table.
    pub(super) tables: Vec<u64>,
    /// `None` without metadata checksums.
    pub(super) seed: Option<Checksum>,
    pub(super) claims: Claims,
    pub(super) faults: Faults,
    /// By inode: what is stored of a file with fs-verity, past its end too.
    pub(super) sealed: HashMap<u32, Sparse>,
    pub(super) uuid: Uuid,
    pub(super) label: String,
    /// Whether the numbers make sense.
    pub(super) readable: bool,
}

impl Volume {
    /// `None` without the magic number.
    pub(super) fn open(bytes: &Data) -> Option<Self> {
        let mut raw = [0; size_of::<Superblock>()];
        bytes.read_exact_at(&mut raw, SUPERBLOCK_OFFSET).ok()?;
        let superblock = Superblock::read_from_bytes(&raw).ok()?;
        if superblock.magic.get() != SUPER_MAGIC {
            return None;
        }
        let uuid = Uuid::from_bytes(superblock.uuid);
        let name = superblock.volume_name;
        let label = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut volume = Self {
            bytes: bytes.clone(),
            block: 1024 << superblock.log_block_size.get().min(6),
            blocks: u64::from(superblock.blocks_count_hi.get()) << 32
                | u64::from(superblock.blocks_count_lo.get()),
            inode_count: superblock.inodes_count.get(),
            inodes_per_group: superblock.inodes_per_group.get(),
            inode_bytes: superblock.inode_size.get().into(),
            tables: Vec::new(),
            seed: seed(&superblock, &raw, &uuid),
            claims: Claims::default(),
            faults: Faults::default(),
            sealed: HashMap::new(),
            uuid,
            label: String::from_utf8_lossy(label).into_owned(),
            readable: false,
        };
        volume.check_superblock(&superblock, &raw);
        volume.readable = volume.check_numbers(&superblock) && volume.groups(&superblock).is_some();
        Some(volume)
    }

    fn check_superblock(&mut self, superblock: &Superblock, raw: &[u8]) {
        const PLACE: &str = "superblock";
        let computed = Checksum::NEW.with(&raw[..raw.len() - 4]).value();
        let stored = superblock.checksum.get();
        if superblock.feature_ro_compat.get() & RO_COMPAT_METADATA_CSUM != 0 && stored != computed {
            let what = format!("checksum is {stored:08x}, the bytes have {computed:08x}");
            self.faults.error(PLACE, what);
        }
        if superblock.feature_incompat.get() & INCOMPAT_RECOVER != 0 {
            let what = "the journal holds changes that are not read (the filesystem was not unmounted)";
            self.faults.warning(PLACE, what);
        } else if superblock.state.get() & STATE_CLEAN == 0 {
            self.faults.warning(PLACE, "the filesystem was not unmounted");
        }
        if superblock.state.get() & STATE_ERRORS != 0 {
            self.faults.error(PLACE, "the kernel saw errors in this filesystem");
        }
    }

    /// Whether the filesystem can be read at all.
    fn check_numbers(&mut self, superblock: &Superblock) -> bool {
        let unknown = superblock.feature_incompat.get() & !INCOMPAT_READ;
        let space = self.bytes.len() / self.block;
        let table_blocks = u64::from(self.inodes_per_group) * self.inode_bytes / self.block;
        let wrong = if unknown != 0 {
            format!("incompatible features {unknown:#x} are not known here")
        } else if superblock.log_block_size.get() > 5 {
            format!("log2 of the block size is {}", superblock.log_block_size)
        } else if self.blocks == 0 || self.blocks > space {
            format!("{} blocks of {} bytes do not fit the partition's {}", self.blocks, self.block, space)
        } else if !self.inode_bytes.is_power_of_two() || !(128..=self.block).contains(&self.inode_bytes) {
            format!("inodes of {} bytes", self.inode_bytes)
        } else if superblock.blocks_per_group.get() == 0 || self.inodes_per_group == 0 {
            "groups without blocks or inodes".to_owned()
        } else if table_blocks > self.blocks {
            format!("inode tables of {table_blocks} blocks")
        } else {
            return true;
        };
        self.faults.error("superblock", wrong);
        false
    }

    /// Reads the group descriptors.
    fn groups(&mut self, superblock: &Superblock) -> Option<()> {
        let first = u64::from(superblock.first_data_block.get());
        let blocks_per_group = u64::from(superblock.blocks_per_group.get());
        let count = self.blocks.saturating_sub(first).div_ceil(blocks_per_group);
        let wide = superblock.feature_incompat.get() & INCOMPAT_64BIT != 0;
        let len = if wide { usize::from(superblock.desc_size.get()) } else { SHORT_DESCRIPTOR };
        if !matches!(len, SHORT_DESCRIPTOR | 64) {
            self.faults.error("superblock", format!("group descriptors of {len} bytes"));
            return None;
        }
        let needed = count.saturating_mul(u64::from(self.inodes_per_group));
        let table = (first + 1).saturating_mul(self.block);
        if needed < self.inode_count.into() || count.saturating_mul(len as u64) > self.bytes.len() {
            self.faults.error("superblock", format!("{count} groups for {} inodes", self.inode_count));
            return None;
        }
        let mut group = 0;
        while group < count {
            let batch = (count - group).min((READ_BYTES / len) as u64);
            let mut raw = vec![0; batch as usize * len];
            if let Err(error) = self.bytes.read_exact_at(&mut raw, table + group * len as u64) {
                self.faults.error("group descriptors", error.to_string());
                return None;
            }
            for descriptor in raw.chunks_exact(len) {
                self.group(group as u32, descriptor);
                group += 1;
            }
        }
        Some(())
    }

    fn group(&mut self, group: u32, raw: &[u8]) {
        let mut padded = [0; size_of::<GroupDescriptor>()];
        padded[..raw.len()].copy_from_slice(raw);
        let Ok(descriptor) = GroupDescriptor::read_from_bytes(&padded) else { return };
        if let Some(seed) = self.seed {
            let mut zeroed = raw.to_vec();
            zeroed[DESCRIPTOR_CHECKSUM].fill(0);
            let computed = seed.with(&group.to_le_bytes()).with(&zeroed).value() as u16;
            let stored = descriptor.checksum.get();
            if stored != computed {
                let what = format!("checksum is {stored:04x}, the bytes have {computed:04x}");
                self.faults.error(format!("group {group} descriptor"), what);
            }
        }
        let high = u64::from(descriptor.inode_table_hi.get()) << 32;
        self.tables.push(high | u64::from(descriptor.inode_table_lo.get()));
    }

    /// One block.
    pub(super) fn read_block(&self, number: u64) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; self.block as usize];
        let at = number.checked_mul(self.block).filter(|_| number < self.blocks);
        let at = at.ok_or_else(|| format!("block {number} of {}", self.blocks))?;
        self.bytes.read_exact_at(&mut bytes, at).map_err(|error| format!("block {number}: {error}"))?;
        Ok(bytes)
    }
}

fn seed(superblock: &Superblock, raw: &[u8], uuid: &Uuid) -> Option<Checksum> {
    let stored = superblock.feature_incompat.get() & INCOMPAT_CSUM_SEED != 0;
    let word = raw[CHECKSUM_SEED_AT..].first_chunk().map(|word| u32::from_le_bytes(*word));
    let seed = if stored { Checksum::from_value(word?) } else { Checksum::of_filesystem(uuid) };
    (superblock.feature_ro_compat.get() & RO_COMPAT_METADATA_CSUM != 0).then_some(seed)
}
