//! The bytes of a composefs image, at the numbers of its layout.

use zerocopy::IntoBytes;

use super::{
    Content, Inode,
    layout::{Layout, Place, entries, entry_len},
    ondisk::{
        BLOCK, BLOCK_BITS, CHUNK_BASED, COMPAT_MTIME, COMPAT_XATTR_FILTER, CompactInode, Dirent,
        ExtendedInode, FLAT_INLINE, FLAT_PLAIN, HEADER_HAS_ACL, HEADER_MAGIC, HEADER_VERSION, Header,
        NULL_ADDRESS, SUPER_MAGIC, SUPERBLOCK_OFFSET, Superblock, file_type,
    },
    xattr::Table,
};

/// The whole image.
pub(super) fn emit(inodes: &[Inode<'_>], xattrs: &Table<'_>, layout: &Layout) -> Vec<u8> {
    let mut image = vec![0; layout.end_block * BLOCK];
    put(&mut image, 0, header(xattrs).as_bytes());
    put(&mut image, SUPERBLOCK_OFFSET, superblock(layout).as_bytes());
    for (index, (inode, place)) in inodes.iter().zip(&layout.places).enumerate() {
        let at = put(&mut image, place.offset, &inode_bytes(inode, place, index as u32));
        put(&mut image, at, &xattrs.inline(&inode.xattrs, layout.shared_offset % BLOCK));
        put_content(&mut image, inodes, layout, index);
    }
    put(&mut image, layout.shared_offset, &xattrs.shared);
    image
}

/// Writes `bytes` at `at`; returns where they end.
fn put(image: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let end = at + bytes.len();
    image[at..end].copy_from_slice(bytes);
    end
}

fn header(xattrs: &Table<'_>) -> Header {
    let flags = if xattrs.has_acl { HEADER_HAS_ACL } else { 0 };
    Header {
        magic: HEADER_MAGIC.into(),
        version: HEADER_VERSION.into(),
        flags: flags.into(),
        composefs_version: 0.into(),
    }
}

fn superblock(layout: &Layout) -> Superblock {
    Superblock {
        magic: SUPER_MAGIC.into(),
        checksum: 0.into(),
        feature_compat: (COMPAT_MTIME | COMPAT_XATTR_FILTER).into(),
        block_bits: BLOCK_BITS,
        extension_slots: 0,
        root_nid: (layout.places[0].nid() as u16).into(),
        inode_count: (layout.places.len() as u64).into(),
        build_time: 0.into(),
        build_time_nsec: 0.into(),
        blocks: (layout.end_block as u32).into(),
        meta_block: 0.into(),
        xattr_block: ((layout.shared_offset / BLOCK) as u32).into(),
        uuid: [0; 16],
        volume_name: [0; 16],
        feature_incompat: 0.into(),
        rest: [0; 44],
    }
}

fn inode_bytes(inode: &Inode<'_>, place: &Place, number: u32) -> Vec<u8> {
    let (layout, data) = match inode.content {
        Content::External(file) => (CHUNK_BASED, file.chunk_format),
        _ if place.tail_len > 0 => (FLAT_INLINE, place.block as u32),
        _ => (FLAT_PLAIN, place.block as u32),
    };
    let size = match inode.content {
        Content::Directory => (place.block_count * BLOCK + place.tail_len) as u64,
        _ => inode.size(),
    };
    let (xattr_count, mode) = (place.xattr_count().into(), (inode.mode as u16).into());
    if place.compact {
        return CompactInode {
            format: (layout << 1).into(),
            xattr_count,
            mode,
            link_count: (inode.link_count as u16).into(),
            size: (size as u32).into(),
            reserved: 0.into(),
            data: data.into(),
            number: number.into(),
            uid: (inode.uid as u16).into(),
            gid: (inode.gid as u16).into(),
            reserved2: 0.into(),
        }
        .as_bytes()
        .to_vec();
    }
    ExtendedInode {
        format: (layout << 1 | 1).into(),
        xattr_count,
        mode,
        reserved: 0.into(),
        size: size.into(),
        data: data.into(),
        number: number.into(),
        uid: inode.uid.into(),
        gid: inode.gid.into(),
        mtime: 0.into(),
        mtime_nsec: 0.into(),
        link_count: inode.link_count.into(),
        reserved2: [0; 16],
    }
    .as_bytes()
    .to_vec()
}

fn put_content(image: &mut [u8], inodes: &[Inode<'_>], layout: &Layout, index: usize) {
    let place = &layout.places[index];
    let outside = place.block * BLOCK;
    match inodes[index].content {
        Content::Directory => put_names(image, inodes, layout, index),
        Content::Symlink(target) if place.block_count > 0 => _ = put(image, outside, target),
        Content::Symlink(target) => _ = put(image, place.tail_offset(), target),
        Content::External(_) => _ = put(image, place.tail_offset(), &NULL_ADDRESS.to_le_bytes()),
        Content::Empty | Content::Whiteout => {}
    }
}

/// Writes a directory's full blocks, then the rest inline or as one more block.
fn put_names(image: &mut [u8], inodes: &[Inode<'_>], layout: &Layout, index: usize) {
    let place = &layout.places[index];
    let mut blocks: Vec<Vec<(&[u8], usize)>> = vec![Vec::new()];
    let mut filled = 0;
    for entry in entries(inodes, index) {
        let len = entry_len(entry.0);
        if filled + len > BLOCK {
            blocks.push(Vec::new());
            filled = 0;
        }
        filled += len;
        blocks.last_mut().expect("it starts with one").push(entry);
    }
    for (number, block) in blocks.iter().enumerate() {
        let inline = number >= place.block_count;
        let at = if inline { place.tail_offset() } else { (place.block + number) * BLOCK };
        put(image, at, &dirents(inodes, layout, block));
    }
}

fn dirents(inodes: &[Inode<'_>], layout: &Layout, entries: &[(&[u8], usize)]) -> Vec<u8> {
    let mut name_offset = size_of::<Dirent>() * entries.len();
    let mut bytes = Vec::with_capacity(BLOCK);
    for &(name, child) in entries {
        let dirent = Dirent {
            nid: layout.places[child].nid().into(),
            name_offset: (name_offset as u16).into(),
            file_type: file_type(&inodes[child]),
            reserved: 0,
        };
        bytes.extend_from_slice(dirent.as_bytes());
        name_offset += name.len();
    }
    entries.iter().for_each(|(name, _)| bytes.extend_from_slice(name));
    bytes
}

const fn file_type(inode: &Inode<'_>) -> u8 {
    match inode.content {
        Content::Directory => file_type::DIRECTORY,
        Content::Symlink(_) => file_type::SYMLINK,
        Content::Whiteout => file_type::CHARACTER_DEVICE,
        Content::External(_) | Content::Empty => file_type::REGULAR,
    }
}
