//! Compares a directory with the tree it should show: everything that the format holds of an inode.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsStr,
    fs::{self, File, Metadata},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileExt, MetadataExt},
    },
    path::Path,
};

use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Node, NodeId, Tree, Xattrs},
};
use rustix::{
    fs::{lgetxattr, llistxattr, makedev},
    io::Errno,
};

/// What stat(2) counts blocks in.
const BLOCK: u64 = 512;

/// Panics at the first difference.
pub(crate) fn compare(tree: &Tree, shown: &Path) {
    let mut names: HashMap<NodeId, u64> = HashMap::new();
    tree.walk().for_each(|(_, id)| *names.entry(id).or_default() += 1);
    let mut inodes: HashMap<NodeId, u64> = HashMap::new();
    for (path, id) in tree.walk() {
        let file = shown.join(OsStr::from_bytes(&path));
        let node = tree.node(id);
        let found = fs::symlink_metadata(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        assert_eq!(*inodes.entry(id).or_insert(found.ino()), found.ino(), "{file:?}: one inode");
        meta(node, &found, &file);
        xattrs(&node.meta.xattrs, &file);
        kind(tree, node, &found, &file);
        if !matches!(node.kind, Kind::Directory(_)) {
            assert_eq!(found.nlink(), names[&id], "{file:?}: links");
        }
    }
    let distinct: BTreeSet<_> = inodes.values().collect();
    assert_eq!(distinct.len(), inodes.len(), "different nodes are different inodes");
}

fn meta(node: &Node, found: &Metadata, file: &Path) {
    assert_eq!(found.mode(), node.st_mode(), "{file:?}: mode");
    assert_eq!((found.uid(), found.gid()), (node.meta.uid, node.meta.gid), "{file:?}: owner");
    let seconds = node.meta.mtime.seconds.clamp(0, u32::MAX.into());
    assert_eq!((found.mtime(), found.mtime_nsec()), (seconds, 0), "{file:?}: mtime");
}

fn xattrs(expected: &Xattrs, file: &Path) {
    let mut list = vec![0; 65536];
    // of a filesystem without any the kernel says that it has no such thing
    let len = match llistxattr(file, &mut list) {
        Err(Errno::NOTSUP) => 0,
        len => len.unwrap(),
    };
    let mut found = BTreeMap::new();
    for name in list[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let len = lgetxattr(file, OsStr::from_bytes(name), &mut value)
            .unwrap_or_else(|error| panic!("{file:?}: {}: {error}", String::from_utf8_lossy(name)));
        found.insert(Box::from(name), Box::from(&value[..len]));
    }
    assert_eq!(&found, expected, "{file:?}: extended attributes");
}

fn kind(tree: &Tree, node: &Node, found: &Metadata, file: &Path) {
    match &node.kind {
        Kind::Directory(children) => {
            let entries = fs::read_dir(file).unwrap().map(|entry| entry.unwrap().file_name().into_vec());
            let names: BTreeSet<Box<[u8]>> = entries.map(Vec::into_boxed_slice).collect();
            assert!(names.iter().eq(children.keys()), "{file:?}: names");
            let below = children.values().filter(|&&child| tree.children(child).is_some()).count() as u64;
            assert_eq!(found.nlink(), 2 + below, "{file:?}: links");
        }
        Kind::File(content) => {
            // gaps of files that are longer than all blocks here; the kernel counts attributes too
            let touched: usize = content.windows(1 << 20).map(|window| window.len).sum();
            let attributes = node.meta.xattrs.iter().map(|(name, value)| 16 + name.len() + value.len());
            let most = (touched + attributes.sum::<usize>()) as u64 / BLOCK + 9;
            let is_fine = content.len() < 1 << 20 || found.blocks() <= most;
            assert!(is_fine, "{file:?}: {} blocks of {BLOCK} bytes", found.blocks());
            compare_content(content, found, file);
        }
        Kind::Symlink(target) => {
            let found = fs::read_link(file).unwrap().into_os_string().into_vec();
            assert_eq!(&found[..], &target[..], "{file:?}: target");
        }
        &Kind::CharDevice(major, minor) | &Kind::BlockDevice(major, minor) => {
            assert_eq!(found.rdev(), makedev(major, minor), "{file:?}: device");
        }
        Kind::Fifo | Kind::Socket => {}
    }
}

/// Data, and the gaps around it.
fn compare_content(content: &Sparse, found: &Metadata, file: &Path) {
    assert_eq!(found.len(), content.len(), "{file:?}: size");
    let open = File::open(file).unwrap();
    let mut around: BTreeSet<u64> = content.windows(1 << 16).map(|window| window.offset).collect();
    around.extend([0, content.len() / 2, content.len().saturating_sub(1)]);
    for at in around {
        let len = (content.len() - at).min(1 << 16) as usize;
        let (mut expected, mut read) = (vec![0; len], vec![0; len]);
        content.read_exact_at(&mut expected, at).unwrap();
        open.read_exact_at(&mut read, at).unwrap();
        assert!(expected == read, "{file:?}: content near {at}");
    }
}
