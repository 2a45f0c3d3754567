//! Extended attributes: in the inode as far as they fit, the rest in a block
//! that inodes with equal attributes share.
//!
//! ```text
//! inode   magic | entries -> | 0000 | ... | <- values       offsets from the first entry
//! block   header (32 bytes) | entries -> | 0000 | ... | <- values    offsets from the block
//! ```
//! Entries are ordered by (name index, name length, name): the kernel stops
//! its search in a block by that order. POSIX ACLs arrive as getxattr(2)
//! gives them and are stored in ext4's shorter form. Source: the kernel's
//! ext4 documentation, "Extended Attributes". Left out: values in inodes of
//! their own (`ea_inode`), which GRUB cannot read.

use std::{collections::HashMap, sync::Arc};

use zerocopy::IntoBytes;

use super::{
    checksum::Checksum,
    ondisk::{BLOCK_LEN, INODE_XATTR_LEN, XATTR_MAGIC, XATTR_REFCOUNT_MAX, XattrEntry, XattrHeader},
};
use crate::{Error, Result, tree::Xattrs};

/// Name prefixes and their `e_name_index`. The kernel shows no others to anyone.
const PREFIXES: [(&[u8], u8); 5] =
    [(b"user.", 1), (ACL_ACCESS, 2), (ACL_DEFAULT, 3), (b"trusted.", 4), (b"security.", 6)];
const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
/// `e_name_index` of names that begin with "security.": stored in the inode first.
const INDEX_SECURITY: u8 = 6;

/// Bytes for entries and values in an inode, after the magic number.
const INODE_ROOM: usize = INODE_XATTR_LEN - 4;
/// Bytes for entries and values in a block.
const BLOCK_ROOM: usize = BLOCK_LEN - size_of::<XattrHeader>();
/// The four zero bytes after the last entry.
const END_LEN: usize = 4;

/// Version of an ACL as getxattr(2) gives it.
const ACL_VERSION_LINUX: u32 = 2;
/// Version of an ACL as ext4 stores it.
const ACL_VERSION_EXT4: u32 = 1;
/// Tags of ACL entries that name a user or group: `ACL_USER`, `ACL_GROUP`.
const ACL_TAGS_WITH_ID: [u16; 2] = [0x02, 0x08];
/// Tags of ACL entries that do not: owner, owning group, mask, others.
const ACL_TAGS: [u16; 4] = [0x01, 0x04, 0x10, 0x20];

/// An attribute as it is stored.
struct Attribute<'a> {
    index: u8,
    name: &'a [u8],
    value: Box<[u8]>,
}

impl Attribute<'_> {
    fn len(&self) -> usize {
        size_of::<XattrEntry>() + padded(self.name.len()) + padded(self.value.len())
    }
}

/// What an inode's attributes come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    /// The set, for [`Table::in_inode`].
    pub(super) set: u32,
    /// The shared block, for [`Table::blocks`].
    pub(super) block: Option<u32>,
}

struct Set {
    in_inode: Box<[u8]>,
    /// The content of its block.
    content: Option<u32>,
}

/// A block's content, and the block that has room for one more reference.
struct Content {
    bytes: Box<[u8]>,
    open: u32,
}

/// A block to be written.
pub(super) struct Block {
    content: u32,
    refcount: u32,
}

/// All attribute sets of a filesystem, each once.
pub(super) struct Table {
    sets: Vec<Set>,
    by_value: HashMap<Arc<Xattrs>, u32>,
    /// By address: most inodes share few sets, and a set is long to hash.
    by_pointer: HashMap<usize, u32>,
    contents: Vec<Content>,
    by_bytes: HashMap<Box<[u8]>, u32>,
    blocks: Vec<Block>,
}

impl Table {
    /// Of the empty set.
    pub(super) fn new() -> Self {
        Self {
            sets: vec![Set { in_inode: Box::default(), content: None }],
            by_value: HashMap::new(),
            by_pointer: HashMap::new(),
            contents: Vec::new(),
            by_bytes: HashMap::new(),
            blocks: Vec::new(),
        }
    }

    /// Counts one more inode with these attributes. `path` is for errors.
    pub(super) fn add(&mut self, xattrs: &Arc<Xattrs>, path: &dyn Fn() -> String) -> Result<Stored> {
        if xattrs.is_empty() {
            return Ok(Stored::default());
        }
        let set = match self.by_pointer.get(&Arc::as_ptr(xattrs).addr()) {
            Some(&set) => set,
            None => self.intern(xattrs, path)?,
        };
        let block = self.sets[set as usize].content.map(|content| self.refer(content));
        Ok(Stored { set, block })
    }

    /// What the inode holds after its fields.
    pub(super) fn in_inode(&self, set: u32) -> &[u8] {
        &self.sets[set as usize].in_inode
    }

    /// Blocks in the order of their numbers.
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The bytes of `block` at block number `place`.
    pub(super) fn render(&self, block: &Block, place: u64, seed: Checksum) -> Vec<u8> {
        let mut bytes = self.contents[block.content as usize].bytes.to_vec();
        let refcount = std::mem::offset_of!(XattrHeader, refcount);
        bytes[refcount..refcount + 4].copy_from_slice(&block.refcount.to_le_bytes());
        let checksum = seed.with(&place.to_le_bytes()).with(&bytes).value();
        let at = std::mem::offset_of!(XattrHeader, checksum);
        bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn intern(&mut self, xattrs: &Arc<Xattrs>, path: &dyn Fn() -> String) -> Result<u32> {
        let set = match self.by_value.get(xattrs) {
            Some(&set) => set,
            None => {
                let Encoded { in_inode, block } = encode(xattrs, path)?;
                let content = block.map(|bytes| self.content(bytes));
                self.sets.push(Set { in_inode, content });
                self.by_value.insert(Arc::clone(xattrs), self.sets.len() as u32 - 1);
                self.sets.len() as u32 - 1
            }
        };
        self.by_pointer.insert(Arc::as_ptr(xattrs).addr(), set);
        Ok(set)
    }

    fn content(&mut self, bytes: Box<[u8]>) -> u32 {
        if let Some(&content) = self.by_bytes.get(&bytes) {
            return content;
        }
        let content = self.contents.len() as u32;
        self.by_bytes.insert(bytes.clone(), content);
        self.contents.push(Content { bytes, open: u32::MAX });
        content
    }

    fn refer(&mut self, content: u32) -> u32 {
        let open = &mut self.contents[content as usize].open;
        match self.blocks.get_mut(*open as usize) {
            Some(block) if block.refcount < XATTR_REFCOUNT_MAX => block.refcount += 1,
            _ => {
                *open = self.blocks.len() as u32;
                self.blocks.push(Block { content, refcount: 1 });
            }
        }
        *open
    }
}

/// A set as it is stored.
struct Encoded {
    in_inode: Box<[u8]>,
    /// Where the inode is too small for all.
    block: Option<Box<[u8]>>,
}

fn encode(xattrs: &Xattrs, path: &dyn Fn() -> String) -> Result<Encoded> {
    let mut attributes =
        xattrs.iter().map(|(name, value)| attribute(name, value, path)).collect::<Result<Vec<_>>>()?;
    attributes.sort_by_key(|attribute| (attribute.index, attribute.name.len(), attribute.name));
    let (inside, outside) = divide(attributes);
    let needed = outside.iter().map(Attribute::len).sum::<usize>();
    if needed > BLOCK_ROOM - END_LEN {
        let what = format!("{}: extended attributes, bytes", path());
        let allowed = BLOCK_ROOM - END_LEN;
        return Err(Error::Limit { what, found: needed as u64, allowed: allowed as u64 });
    }
    let block = (!outside.is_empty()).then(|| in_block(&outside));
    Ok(Encoded { in_inode: in_inode(&inside), block })
}

/// Which attributes the inode holds and which the block: "security." has the first choice of the inode.
fn divide(attributes: Vec<Attribute<'_>>) -> (Vec<Attribute<'_>>, Vec<Attribute<'_>>) {
    let mut room = INODE_ROOM - END_LEN;
    let mut inside: Vec<bool> = vec![false; attributes.len()];
    for security in [true, false] {
        for (attribute, inside) in attributes.iter().zip(&mut inside) {
            if (attribute.index == INDEX_SECURITY) == security && attribute.len() <= room {
                room -= attribute.len();
                *inside = true;
            }
        }
    }
    let (inside, outside): (Vec<_>, Vec<_>) =
        attributes.into_iter().zip(inside).partition(|&(_, inside)| inside);
    let strip = |list: Vec<(_, _)>| list.into_iter().map(|(attribute, _)| attribute).collect();
    (strip(inside), strip(outside))
}

fn attribute<'a>(name: &'a [u8], value: &[u8], path: &dyn Fn() -> String) -> Result<Attribute<'a>> {
    let unsupported = |why: &str| Error::Unsupported {
        what: format!("{}: extended attribute {:?}", path(), String::from_utf8_lossy(name)),
        why: why.into(),
    };
    let (prefix, index) = PREFIXES
        .into_iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .ok_or_else(|| unsupported("ext4 has user, trusted and security attributes and POSIX ACLs only"))?;
    let rest = &name[prefix.len()..];
    let is_acl = prefix == ACL_ACCESS || prefix == ACL_DEFAULT;
    if rest.is_empty() != is_acl || rest.len() > usize::from(u8::MAX) || rest.contains(&0) {
        return Err(unsupported("not a valid name of an attribute"));
    }
    let value = if is_acl {
        acl(value).ok_or_else(|| unsupported("not an access control list of version 2"))?
    } else {
        value.into()
    };
    Ok(Attribute { index, name: rest, value })
}

/// From the form of getxattr(2), 8 bytes an entry, to that of ext4, where only named users and groups have an id.
fn acl(value: &[u8]) -> Option<Box<[u8]>> {
    let (version, entries) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != ACL_VERSION_LINUX || entries.len() % 8 != 0 {
        return None;
    }
    let mut stored = ACL_VERSION_EXT4.to_le_bytes().to_vec();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let len = if ACL_TAGS_WITH_ID.contains(&tag) {
            8
        } else if ACL_TAGS.contains(&tag) {
            4
        } else {
            return None;
        };
        stored.extend_from_slice(&entry[..len]);
    }
    Some(stored.into())
}

/// The name that getxattr(2) takes for an entry, the inverse of [`PREFIXES`].
pub(super) fn full_name(index: u8, rest: &[u8]) -> Option<Box<[u8]>> {
    let (prefix, _) = PREFIXES.into_iter().find(|(_, known)| *known == index)?;
    Some([prefix, rest].concat().into())
}

/// The value that getxattr(2) gives: only access control lists are stored in another form.
pub(super) fn acl_shown(index: u8, stored: &[u8]) -> Option<Box<[u8]>> {
    if full_name(index, b"").is_none_or(|name| *name != *ACL_ACCESS && *name != *ACL_DEFAULT) {
        return Some(stored.into());
    }
    let (version, mut rest) = stored.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != ACL_VERSION_EXT4 {
        return None;
    }
    let mut shown = ACL_VERSION_LINUX.to_le_bytes().to_vec();
    while let Some(tag) = rest.first_chunk::<2>() {
        let has_id = ACL_TAGS_WITH_ID.contains(&u16::from_le_bytes(*tag));
        let (entry, after) = rest.split_at_checked(if has_id { 8 } else { 4 })?;
        shown.extend_from_slice(entry);
        shown.extend_from_slice(if has_id { &[] } else { &[0xFF; 4] });
        rest = after;
    }
    rest.is_empty().then(|| shown.into())
}

fn in_inode(attributes: &[Attribute<'_>]) -> Box<[u8]> {
    if attributes.is_empty() {
        return Box::default();
    }
    let mut bytes = XATTR_MAGIC.to_le_bytes().to_vec();
    bytes.resize(INODE_XATTR_LEN, 0);
    write_entries(&mut bytes[4..], 0, attributes, |_| 0);
    bytes.into()
}

/// The block with a reference count and checksum of zero.
fn in_block(attributes: &[Attribute<'_>]) -> Box<[u8]> {
    let hashes: Vec<_> = attributes.iter().map(entry_hash).collect();
    let header = XattrHeader {
        magic: XATTR_MAGIC.into(),
        refcount: 0.into(),
        blocks: 1.into(),
        hash: block_hash(&hashes).into(),
        checksum: 0.into(),
        reserved: [0.into(); 3],
    };
    let mut bytes = vec![0; BLOCK_LEN];
    bytes[..size_of::<XattrHeader>()].copy_from_slice(header.as_bytes());
    write_entries(&mut bytes, size_of::<XattrHeader>(), attributes, entry_hash);
    bytes.into()
}

/// Entries from `first` up, values from the end down; offsets count from the start of `out`.
fn write_entries(
    out: &mut [u8],
    first: usize,
    attributes: &[Attribute<'_>],
    hash: impl Fn(&Attribute<'_>) -> u32,
) {
    let (mut at, mut values) = (first, out.len());
    for attribute in attributes {
        values -= padded(attribute.value.len());
        let entry = XattrEntry {
            name_len: attribute.name.len() as u8,
            name_index: attribute.index,
            value_offset: if attribute.value.is_empty() { 0 } else { values as u16 }.into(),
            value_inode: 0.into(),
            value_size: (attribute.value.len() as u32).into(),
            hash: hash(attribute).into(),
        };
        let name = at + size_of::<XattrEntry>();
        out[at..name].copy_from_slice(entry.as_bytes());
        out[name..name + attribute.name.len()].copy_from_slice(attribute.name);
        out[values..values + attribute.value.len()].copy_from_slice(&attribute.value);
        at = name + padded(attribute.name.len());
    }
}

const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// `e_hash`, over name and value.
fn entry_hash(attribute: &Attribute<'_>) -> u32 {
    let name = attribute.name.iter().fold(0_u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
    attribute.value.chunks(4).fold(name, |hash, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}

/// `h_hash`: zero, for "not shared", when an entry's hash is zero.
fn block_hash(hashes: &[u32]) -> u32 {
    if hashes.contains(&0) {
        return 0;
    }
    hashes.iter().fold(0_u32, |hash, entry| hash.rotate_left(16) ^ entry)
}

/// Names in one place, so that tests can build sets briefly.
#[cfg(test)]
pub(super) fn set(list: &[(&str, &[u8])]) -> Arc<Xattrs> {
    let pair = |&(name, value): &(&str, &[u8])| (name.as_bytes().into(), value.into());
    Arc::new(list.iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> String {
        "usr/x".into()
    }

    #[test]
    fn equal_sets_share_a_block_up_to_its_limit() {
        let mut table = Table::new();
        let blocks: Vec<_> = (0..2050)
            .map(|_| table.add(&set(&[("user.big", &[7; 200])]), &path).unwrap().block.unwrap())
            .collect();
        assert_eq!((blocks[0], blocks[1023], blocks[1024], blocks[2049]), (0, 0, 1, 2));
        assert_eq!(table.blocks().iter().map(|block| block.refcount).collect::<Vec<_>>(), [1024, 1024, 2]);
    }

    #[test]
    fn too_large_a_set_is_refused_by_path() {
        let error = Table::new().add(&set(&[("user.big", &[7; 4060])]), &path).unwrap_err();
        assert!(matches!(&error, Error::Limit { what, .. } if what.starts_with("usr/x")), "{error}");
    }

    #[test]
    fn names_ext4_does_not_have_are_refused() {
        for name in ["os2.x", "system.data", "user.", "system.posix_acl_access", "system.posix_acl_accessx"] {
            let error = Table::new().add(&set(&[(name, b"v")]), &path).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn an_acl_loses_the_ids_that_mean_nothing() {
        let entry = |tag: u16, id: u32| [&tag.to_le_bytes()[..], &[6, 0], &id.to_le_bytes()].concat();
        let linux = [vec![2, 0, 0, 0], entry(1, !0), entry(2, 1000), entry(4, !0), entry(0x20, !0)].concat();
        let stored = [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 6, 0, 0xE8, 3, 0, 0, 4, 0, 6, 0, 0x20, 0, 6, 0];
        assert_eq!(acl(&linux).unwrap().as_ref(), stored);
        assert!(acl(&linux[..30]).is_none());
    }
}
