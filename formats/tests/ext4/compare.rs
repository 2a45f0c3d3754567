//! Compares a mounted filesystem with the tree it was made from: everything
//! the kernel tells of an inode.

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
    tree::{Children, Kind, Node, NodeId, Tree, Xattrs},
};
use rustix::fs::{IFlags, SeekFrom, ioctl_getflags, lgetxattr, llistxattr, makedev, seek};

const BLOCK: u64 = 4096;

/// Panics at the first difference.
pub(crate) fn compare(tree: &Tree, mount: &Path) {
    let mut names: HashMap<NodeId, u64> = HashMap::new();
    tree.walk().for_each(|(_, id)| *names.entry(id).or_default() += 1);
    let mut inodes: HashMap<NodeId, u64> = HashMap::new();
    for (path, id) in tree.walk() {
        let file = mount.join(OsStr::from_bytes(&path));
        let node = tree.node(id);
        let found = fs::symlink_metadata(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        assert_eq!(*inodes.entry(id).or_insert(found.ino()), found.ino(), "{file:?}: one inode");
        compare_meta(node, &found, &file);
        compare_xattrs(&node.meta.xattrs, &file);
        compare_kind(tree, node, &found, &file, id == tree.root());
        if !matches!(node.kind, Kind::Directory(_)) {
            assert_eq!(found.nlink(), names[&id], "{file:?}: links");
        }
    }
    let distinct: BTreeSet<_> = inodes.values().collect();
    assert_eq!(distinct.len(), inodes.len(), "different nodes are different inodes");
}

fn compare_meta(node: &Node, found: &Metadata, file: &Path) {
    assert_eq!(found.mode(), node.st_mode(), "{file:?}: mode");
    assert_eq!((found.uid(), found.gid()), (node.meta.uid, node.meta.gid), "{file:?}: owner");
    let time = (node.meta.mtime.seconds, i64::from(node.meta.mtime.nanoseconds));
    assert_eq!((found.mtime(), found.mtime_nsec()), time, "{file:?}: mtime");
    assert_eq!((found.ctime(), found.ctime_nsec()), time, "{file:?}: ctime");
    if matches!(node.kind, Kind::Directory(_) | Kind::File(_)) {
        let flags = ioctl_getflags(File::open(file).unwrap()).unwrap();
        assert_eq!(flags.contains(IFlags::IMMUTABLE), node.meta.immutable, "{file:?}: immutable");
    }
}

fn compare_xattrs(xattrs: &Xattrs, file: &Path) {
    let mut list = vec![0; 65536];
    let len = llistxattr(file, &mut list).unwrap();
    let names = list[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let mut found = BTreeMap::new();
    for name in names {
        let mut value = vec![0; 65536];
        let len = lgetxattr(file, OsStr::from_bytes(name), &mut value)
            .unwrap_or_else(|error| panic!("{file:?}: {}: {error}", String::from_utf8_lossy(name)));
        found.insert(Box::from(name), Box::from(&value[..len]));
    }
    assert_eq!(&found, xattrs, "{file:?}: extended attributes");
}

fn compare_kind(tree: &Tree, node: &Node, found: &Metadata, file: &Path, is_root: bool) {
    match &node.kind {
        Kind::Directory(children) => compare_directory(tree, children, found, file, is_root),
        Kind::File(content) => compare_content(content, found, file),
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

fn compare_directory(tree: &Tree, children: &Children, found: &Metadata, file: &Path, is_root: bool) {
    let mut expected: BTreeSet<Box<[u8]>> = children.keys().cloned().collect();
    let mut links = 2 + children.values().filter(|&&child| tree.children(child).is_some()).count() as u64;
    if is_root && expected.insert(b"lost+found".as_slice().into()) {
        links += 1;
    }
    let entries = fs::read_dir(file).unwrap().map(|entry| entry.unwrap().file_name().into_vec());
    let names: Vec<Box<[u8]>> = entries.map(Vec::into_boxed_slice).collect();
    assert_eq!(names.len(), expected.len(), "{file:?}: number of names");
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected, "{file:?}: names");
    assert_eq!(found.nlink(), if links > 65_000 { 1 } else { links }, "{file:?}: links");
}

fn compare_content(content: &Sparse, found: &Metadata, file: &Path) {
    assert_eq!(found.len(), content.len(), "{file:?}: size");
    if content.is_empty() {
        return;
    }
    let open = File::open(file).unwrap();
    assert_eq!(data_runs(&open, content.len()), expected_runs(content), "{file:?}: holes");
    for (start, end) in expected_runs(content) {
        for at in (start..end).step_by(1 << 20) {
            let len = (end - at).min(1 << 20) as usize;
            let (mut expected, mut read) = (vec![0; len], vec![0; len]);
            content.read_exact_at(&mut expected, at).unwrap();
            open.read_exact_at(&mut read, at).unwrap();
            assert!(expected == read, "{file:?}: content near {at}");
        }
    }
}

/// Where the kernel says there is data: (start, end) in bytes.
fn data_runs(file: &File, len: u64) -> Vec<(u64, u64)> {
    let (mut runs, mut at) = (Vec::new(), 0);
    while at < len {
        let Ok(start) = seek(file, SeekFrom::Data(at)) else { break };
        at = seek(file, SeekFrom::Hole(start)).unwrap();
        runs.push((start, at));
    }
    runs
}

/// Where the tree has data, in whole blocks up to the end of the file.
fn expected_runs(content: &Sparse) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for piece in content.pieces() {
        let start = piece.offset / BLOCK * BLOCK;
        let end = piece.end().next_multiple_of(BLOCK).min(content.len());
        match runs.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => runs.push((start, end)),
        }
    }
    runs
}
