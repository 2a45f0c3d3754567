//! Extended attributes of an inode and of the block it may share, back in the
//! form that getxattr(2) gives.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use zerocopy::FromBytes;

use super::super::{
    checksum::Checksum,
    ondisk::{XATTR_MAGIC, XattrEntry, XattrHeader},
    xattr::{acl_shown, full_name},
};
use super::{inode::Record, superblock::Volume};
use crate::tree::Xattrs;

/// Where an inode's attributes begin, without the bytes of `extra_isize`.
const INODE_AT: usize = 128;
/// Where the checksum of a block is.
const CHECKSUM: std::ops::Range<usize> = 16..20;
/// All of a set's values; the kernel allows no larger block.
type Pairs = Vec<(Box<[u8]>, Box<[u8]>)>;

/// Blocks and sets seen before: most inodes share few.
#[derive(Default)]
pub(super) struct Cache {
    blocks: HashMap<u64, Pairs>,
    sets: HashSet<Arc<Xattrs>>,
}

impl Cache {
    /// All attributes of an inode; those that cannot be read are faults.
    pub(super) fn read(&mut self, volume: &mut Volume, record: &Record, path: &str) -> Arc<Xattrs> {
        let mut pairs = match in_inode(record) {
            Ok(pairs) => pairs,
            Err(what) => {
                volume.faults.error(path, format!("extended attributes in the inode: {what}"));
                Vec::new()
            }
        };
        let inode = &record.inode;
        let block = u64::from(inode.file_acl_hi.get()) << 32 | u64::from(inode.file_acl_lo.get());
        if block != 0 {
            match self.block(volume, block) {
                Ok(more) => pairs.extend(more.iter().cloned()),
                Err(what) => volume.faults.error(path, format!("extended attributes: {what}")),
            }
        }
        let set = Arc::new(pairs.into_iter().collect::<Xattrs>());
        if let Some(known) = self.sets.get(&set) {
            return Arc::clone(known);
        }
        self.sets.insert(Arc::clone(&set));
        set
    }

    fn block(&mut self, volume: &mut Volume, number: u64) -> Result<&Pairs, String> {
        match self.blocks.entry(number) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(slot) => Ok(slot.insert(read_block(volume, number)?)),
        }
    }
}

fn read_block(volume: &mut Volume, number: u64) -> Result<Pairs, String> {
    if !volume.claims.take(number, 1) {
        return Err(format!("block {number} has another use"));
    }
    let bytes = volume.read_block(number)?;
    let (header, _) = XattrHeader::read_from_prefix(&bytes).map_err(|_| "short block".to_owned())?;
    if header.magic.get() != XATTR_MAGIC {
        return Err(format!("block {number}: magic is {:08x}", header.magic));
    }
    if let Some(seed) = volume.seed {
        check(seed, number, &bytes, header.checksum.get())?;
    }
    entries(&bytes, size_of::<XattrHeader>())
}

fn check(seed: Checksum, number: u64, bytes: &[u8], stored: u32) -> Result<(), String> {
    let mut zeroed = bytes.to_vec();
    zeroed[CHECKSUM].fill(0);
    let computed = seed.with(&number.to_le_bytes()).with(&zeroed).value();
    if stored == computed {
        return Ok(());
    }
    Err(format!("block {number}: checksum is {stored:08x}, the bytes have {computed:08x}"))
}

fn in_inode(record: &Record) -> Result<Pairs, String> {
    let at = INODE_AT + usize::from(record.inode.extra_isize.get());
    let Some(bytes) = record.raw.get(at..).filter(|_| record.raw.len() > INODE_AT) else {
        return Ok(Vec::new());
    };
    match bytes.split_first_chunk::<4>() {
        Some((magic, entries_at)) if u32::from_le_bytes(*magic) == XATTR_MAGIC => entries(entries_at, 0),
        _ => Ok(Vec::new()),
    }
}

/// Entries from `first`; values' offsets count from the start of `bytes`.
fn entries(bytes: &[u8], first: usize) -> Result<Pairs, String> {
    let mut pairs = Vec::new();
    let mut at = first;
    while bytes.get(at..at + 4).is_some_and(|word| word != [0; 4]) {
        let (entry, rest) =
            XattrEntry::read_from_prefix(&bytes[at..]).map_err(|_| format!("entry at byte {at}"))?;
        let name_len = usize::from(entry.name_len);
        let name = rest.get(..name_len).ok_or_else(|| format!("name at byte {at}"))?;
        let name = full_name(entry.name_index, name)
            .ok_or_else(|| format!("name index {} at byte {at}", entry.name_index))?;
        if entry.value_inode.get() != 0 {
            return Err(format!("value of '{}' in an inode of its own", name.escape_ascii()));
        }
        let (start, len) = (usize::from(entry.value_offset.get()), entry.value_size.get() as usize);
        let end = start.checked_add(len);
        let value = end.and_then(|end| bytes.get(start..end)).filter(|_| len == 0 || start >= first);
        let value = value.ok_or_else(|| format!("value of '{}' at {start}+{len}", name.escape_ascii()))?;
        let value = acl_shown(entry.name_index, value).ok_or("access control list".to_owned())?;
        pairs.push((name, value));
        at += (size_of::<XattrEntry>() + name_len).next_multiple_of(4);
    }
    Ok(pairs)
}
