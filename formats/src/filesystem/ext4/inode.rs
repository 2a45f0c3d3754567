//! Inodes: what is known of a file beside its content, 256 bytes each.
//!
//! Access, change and modification time are the node's time; the creation
//! time is the filesystem's. Generations are zero. Source: the kernel's ext4
//! documentation, "Index Nodes".

use zerocopy::IntoBytes;

use super::{
    checksum::Checksum,
    directory::LOST_FOUND_BLOCKS,
    extent::{self, InodeBlock},
    inventory::{Entry, FAST_SYMLINK_END, LINKS_MAX},
    layout::{Layout, Placement},
    ondisk::{
        BLOCK_BYTES, EXTRA_ISIZE, FIRST_INODE, INODE_EXTENTS, INODE_IMMUTABLE, INODE_INDEX, INODE_VERITY,
        Inode, JOURNAL_INODE, RESIZE_INODE, SECTOR_BYTES, halves, words, zeroed,
    },
    resize_inode,
};
use crate::tree::{Kind, Node, Time};

/// `st_mode` of the journal and the resize inode.
const MODE_HIDDEN_FILE: u16 = 0o100_600;
/// `st_mode` of lost+found.
const MODE_LOST_FOUND: u16 = 0o040_700;

/// Inodes of a filesystem.
pub(super) struct Inodes<'a> {
    pub(super) layout: &'a Layout<'a>,
    /// Time of creation.
    pub(super) time: Time,
    /// Whether what is not written may be anything.
    pub(super) on_noise: bool,
    /// The filesystem's seed.
    pub(super) seed: Checksum,
}

impl Inodes<'_> {
    /// The inode of that number with its checksum; all zero if it is reserved and not in use.
    /// Sets `placement`. Whether it is a directory comes along.
    pub(super) fn render(&self, number: u32, placement: &mut Placement) -> (Inode, bool) {
        let layout = self.layout;
        let mut inode = match number {
            RESIZE_INODE => self.resize(),
            JOURNAL_INODE => self.journal(),
            FIRST_INODE if layout.inventory.lost_found().is_some() => self.lost_found(),
            _ => match layout.inventory.by_inode(number) {
                Some((index, entry)) => {
                    layout.find(index, placement);
                    self.of_entry(number, entry, placement)
                }
                None => return (zeroed(), false),
            },
        };
        let checksum = self.seed.of_inode(number).with(inode.as_bytes()).value();
        let (lo, hi) = words(checksum);
        (inode.checksum_lo, inode.checksum_hi) = (lo.into(), hi.into());
        let is_directory = inode.mode.get() & MODE_FORMAT == MODE_LOST_FOUND & MODE_FORMAT;
        (inode, is_directory)
    }

    /// `i_block` of the journal.
    pub(super) fn journal_block(&self) -> InodeBlock {
        let place = self.layout.journal();
        extent::tree(&place.extents, &place.nodes, self.seed.of_inode(JOURNAL_INODE)).0
    }

    fn resize(&self) -> Inode {
        let mut inode = self.hidden(MODE_HIDDEN_FILE, 1);
        set_size(&mut inode, resize_inode::SIZE);
        set_blocks(&mut inode, resize_inode::blocks(&self.layout.geometry));
        inode.block = resize_inode::inode_block(self.layout.resize);
        inode
    }

    fn journal(&self) -> Inode {
        let mut inode = self.hidden(MODE_HIDDEN_FILE, 1);
        set_size(&mut inode, self.layout.journal_blocks() * BLOCK_BYTES);
        set_blocks(&mut inode, self.layout.journal().blocks());
        inode.flags = INODE_EXTENTS.into();
        inode.block = self.journal_block();
        inode
    }

    fn lost_found(&self) -> Inode {
        let place = self.layout.lost_found();
        let mut inode = self.hidden(MODE_LOST_FOUND, 2);
        set_size(&mut inode, LOST_FOUND_BLOCKS * BLOCK_BYTES);
        set_blocks(&mut inode, place.blocks());
        inode.flags = INODE_EXTENTS.into();
        inode.block = extent::tree(&place.extents, &place.nodes, self.seed.of_inode(FIRST_INODE)).0;
        inode
    }

    /// An inode that is not in the tree.
    fn hidden(&self, mode: u16, links: u16) -> Inode {
        let mut inode = Inode { mode: mode.into(), links_count: links.into(), ..zeroed() };
        self.set_times(&mut inode, self.time);
        inode
    }

    fn of_entry(&self, number: u32, entry: &Entry, placement: &Placement) -> Inode {
        let inventory = self.layout.inventory;
        let node = inventory.node(entry);
        let mut inode = Inode { mode: (node.st_mode() as u16).into(), ..zeroed() };
        set_owner(&mut inode, node);
        self.set_times(&mut inode, node.meta.mtime);
        let links = if entry.links > LINKS_MAX { 1 } else { entry.links };
        inode.links_count = (links as u16).into();
        if node.meta.immutable {
            inode.flags |= INODE_IMMUTABLE;
        }
        if node.meta.verity {
            inode.flags |= INODE_VERITY;
        }
        self.set_xattrs(&mut inode, entry);
        set_blocks(&mut inode, placement.blocks() + u64::from(entry.xattrs.block.is_some()));
        self.set_content(&mut inode, number, entry, placement);
        inode
    }

    fn set_content(&self, inode: &mut Inode, number: u32, entry: &Entry, placement: &Placement) {
        match &self.layout.inventory.node(entry).kind {
            Kind::Directory(_) => {
                set_size(inode, entry.blocks * BLOCK_BYTES);
                if entry.blocks > 1 {
                    inode.flags |= INODE_INDEX;
                }
            }
            Kind::File(content) => set_size(inode, content.len()),
            Kind::Symlink(target) => {
                set_size(inode, target.len() as u64);
                if target.len() < FAST_SYMLINK_END {
                    inode.block[..target.len()].copy_from_slice(target);
                    return;
                }
            }
            &Kind::CharDevice(major, minor) | &Kind::BlockDevice(major, minor) => {
                inode.block[..8].copy_from_slice(&device(major, minor));
                return;
            }
            Kind::Fifo | Kind::Socket => return,
        }
        inode.flags |= INODE_EXTENTS;
        inode.block = extent::tree(&placement.extents, &placement.nodes, self.seed.of_inode(number)).0;
    }

    fn set_xattrs(&self, inode: &mut Inode, entry: &Entry) {
        let in_inode = self.layout.inventory.xattrs.in_inode(entry.xattrs.set);
        inode.xattrs[..in_inode.len()].copy_from_slice(in_inode);
        if let Some(block) = entry.xattrs.block {
            let (lo, hi) = halves(self.layout.xattr_blocks[block as usize]);
            inode.file_acl_lo = lo.into();
            inode.file_acl_hi = (hi as u16).into();
        }
    }

    fn set_times(&self, inode: &mut Inode, time: Time) {
        let (seconds, extra) = encode_time(time);
        let (created, created_extra) = encode_time(self.time);
        inode.extra_isize = EXTRA_ISIZE.into();
        for field in [&mut inode.atime, &mut inode.ctime, &mut inode.mtime] {
            *field = seconds.into();
        }
        for field in [&mut inode.atime_extra, &mut inode.ctime_extra, &mut inode.mtime_extra] {
            *field = extra.into();
        }
        inode.crtime = created.into();
        inode.crtime_extra = created_extra.into();
    }
}

/// The file type bits of `st_mode`.
const MODE_FORMAT: u16 = 0o170_000;

fn set_owner(inode: &mut Inode, node: &Node) {
    let (uid, uid_hi) = words(node.meta.uid);
    let (gid, gid_hi) = words(node.meta.gid);
    (inode.uid, inode.uid_hi) = (uid.into(), uid_hi.into());
    (inode.gid, inode.gid_hi) = (gid.into(), gid_hi.into());
}

fn set_size(inode: &mut Inode, bytes: u64) {
    let (lo, hi) = halves(bytes);
    (inode.size_lo, inode.size_hi) = (lo.into(), hi.into());
}

fn set_blocks(inode: &mut Inode, blocks: u64) {
    let (lo, hi) = halves(blocks * (BLOCK_BYTES / SECTOR_BYTES));
    (inode.blocks_lo, inode.blocks_hi) = (lo.into(), (hi as u16).into());
}

/// Seconds, and the field of nanoseconds (30 bits) and how many times 2³² to add to the signed seconds (2 bits).
fn encode_time(time: Time) -> (u32, u32) {
    let low = time.seconds as i32;
    let epoch = ((time.seconds - i64::from(low)) >> 32) as u32 & 3;
    (low as u32, time.nanoseconds << 2 | epoch)
}

/// The first two words of a device's `i_block`: the old form where both numbers have 8 bits, else the new one.
fn device(major: u32, minor: u32) -> [u8; 8] {
    let (old, new) = match (u8::try_from(major), u8::try_from(minor)) {
        (Ok(_), Ok(_)) => (major << 8 | minor, 0),
        _ => (0, minor & 0xFF | major << 8 | (minor & !0xFF) << 12),
    };
    let mut words = [0; 8];
    words[..4].copy_from_slice(&old.to_le_bytes());
    words[4..].copy_from_slice(&new.to_le_bytes());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_34_bits() {
        let encode = |seconds| encode_time(Time { seconds, nanoseconds: 5 });
        assert_eq!(encode(-1), (u32::MAX, 5 << 2));
        assert_eq!(encode(i64::from(i32::MAX)), (i32::MAX as u32, 5 << 2));
        assert_eq!(encode(1 << 31), (1 << 31, 5 << 2 | 1));
        assert_eq!(encode(15_032_385_535), (i32::MAX as u32, 5 << 2 | 3));
    }
}
