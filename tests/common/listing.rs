//! Everything that can be known of a tree, from a [`Tree`] or from a directory
//! of the host, in one form, so that the two can be compared.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt, fs, io,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileExt as _, MetadataExt as _},
    },
    path::Path,
};

use diskwright_formats::tree::{Kind, NodeId, Tree};
use rustix::fs::{SeekFrom, llistxattr, major, minor, seek};
use sha2::{Digest as _, Sha256};

/// Holes are compared in units of the host's blocks.
const BLOCK: u64 = 4096;
/// The zeros of holes in larger files are not hashed.
const LARGE: u64 = 64 << 20;

/// One name of a tree.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// `st_mode` with the type.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// The first name of the inode if it has several in the tree.
    pub(crate) linked: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) size: u64,
    /// Of a regular file.
    pub(crate) sha256: Option<String>,
    /// First byte of each run of blocks with data and the first byte after it.
    pub(crate) data: Vec<(u64, u64)>,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:o} {}:{} {:?} dev {:?}", self.mode, self.uid, self.gid, self.mtime, self.device)?;
        write!(f, " linked {:?} -> {:?} {} bytes", self.linked, self.target, self.size)?;
        write!(f, " {:?} data {:?}", self.sha256.as_ref().map(|sum| &sum[..8]), self.data)?;
        for (name, value) in &self.xattrs {
            write!(f, " {name}={}", value.escape_ascii())?;
        }
        Ok(())
    }
}

/// Path (escaped, no leading slash) to what is there; the root has the empty path.
pub(crate) type Listing = BTreeMap<String, Item>;

fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}

/// Gives every inode with several names its first one.
fn link<I: Ord>(listing: &mut Listing, inodes: BTreeMap<I, Vec<String>>) {
    for mut paths in inodes.into_values().filter(|paths| paths.len() > 1) {
        paths.sort();
        for path in &paths {
            listing.get_mut(path).unwrap().linked = Some(paths[0].clone());
        }
    }
}

fn blocks(runs: impl IntoIterator<Item = (u64, u64)>, size: u64) -> Vec<(u64, u64)> {
    let mut blocks: Vec<(u64, u64)> = Vec::new();
    for (start, end) in runs {
        let (start, end) = (start / BLOCK * BLOCK, end.next_multiple_of(BLOCK).min(size));
        match blocks.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => blocks.push((start, end)),
        }
    }
    blocks
}

/// What is below `root`.
pub(crate) fn of_tree(tree: &Tree, root: NodeId) -> Listing {
    let (mut listing, mut inodes) = (Listing::new(), BTreeMap::<NodeId, Vec<String>>::new());
    let mut stack = vec![(Vec::new(), root)];
    while let Some((path, id)) = stack.pop() {
        for (name, &child) in tree.children(id).into_iter().flatten() {
            let below = if path.is_empty() { name.to_vec() } else { [&path[..], b"/", name].concat() };
            stack.push((below, child));
        }
        listing.insert(shown(&path), of_node(tree, id));
        inodes.entry(id).or_default().push(shown(&path));
    }
    link(&mut listing, inodes);
    listing
}

fn of_node(tree: &Tree, id: NodeId) -> Item {
    let node = tree.node(id);
    let meta = &node.meta;
    let mut item = Item {
        mode: node.st_mode(),
        uid: meta.uid,
        gid: meta.gid,
        mtime: (meta.mtime.seconds, meta.mtime.nanoseconds),
        device: (0, 0),
        linked: None,
        target: None,
        size: 0,
        sha256: None,
        data: Vec::new(),
        xattrs: meta.xattrs.iter().map(|(name, value)| (shown(name), value.to_vec())).collect(),
    };
    match &node.kind {
        Kind::File(content) => {
            item.size = content.len();
            item.data = blocks(content.pieces().iter().map(|piece| (piece.offset, piece.end())), item.size);
            item.sha256 = Some(digest(&item, |buffer, at| content.read_exact_at(buffer, at)));
        }
        Kind::Symlink(target) => item.target = Some(shown(target)),
        &Kind::CharDevice(major, minor) | &Kind::BlockDevice(major, minor) => item.device = (major, minor),
        _ => {}
    }
    item
}

/// Of all bytes; of large files those that are not holes.
fn digest(item: &Item, read: impl Fn(&mut [u8], u64) -> io::Result<()>) -> String {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let whole = vec![(0, item.size)];
    for &(mut at, end) in if item.size > LARGE { &item.data } else { &whole } {
        while at < end {
            let len = (end - at).min(1 << 18);
            read(&mut buffer[..len as usize], at).unwrap();
            hasher.update(&buffer[..len as usize]);
            at += len;
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is below `root` on the host.
pub(crate) fn of_directory(root: &Path) -> Listing {
    let (mut listing, mut inodes) = (Listing::new(), BTreeMap::<u64, Vec<String>>::new());
    let mut stack = vec![Vec::new()];
    while let Some(path) = stack.pop() {
        let place = if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(&path)) };
        let meta = fs::symlink_metadata(&place).unwrap();
        if meta.is_dir() {
            for entry in fs::read_dir(&place).unwrap() {
                let name = entry.unwrap().file_name().into_vec();
                stack.push(if path.is_empty() { name } else { [&path[..], b"/", &name].concat() });
            }
        }
        listing.insert(shown(&path), of_path(&place, &meta));
        inodes.entry(meta.ino()).or_default().push(shown(&path));
    }
    link(&mut listing, inodes);
    listing
}

fn of_path(path: &Path, meta: &fs::Metadata) -> Item {
    let kind = meta.file_type();
    let device = matches!(meta.mode() & 0o170_000, 0o020_000 | 0o060_000);
    let mut item = Item {
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        mtime: (meta.mtime(), meta.mtime_nsec().try_into().unwrap()),
        device: if device { (major(meta.rdev()), minor(meta.rdev())) } else { (0, 0) },
        linked: None,
        target: None,
        size: 0,
        sha256: None,
        data: Vec::new(),
        xattrs: xattrs(path),
    };
    if kind.is_file() {
        let file = fs::File::open(path).unwrap();
        item.size = meta.len();
        item.data = blocks(runs(&file, item.size), item.size);
        item.sha256 = Some(digest(&item, |buffer, at| file.read_exact_at(buffer, at)));
    } else if kind.is_symlink() {
        item.target = Some(shown(fs::read_link(path).unwrap().as_os_str().as_bytes()));
    }
    item
}

fn runs(file: &fs::File, size: u64) -> Vec<(u64, u64)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size
        && let Ok(start) = seek(file, SeekFrom::Data(at))
    {
        at = seek(file, SeekFrom::Hole(start)).unwrap();
        runs.push((start, at));
    }
    runs
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let len = llistxattr(path, &mut names[..]).unwrap();
    let names = names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 1 << 16];
        let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap();
        value.truncate(len);
        (shown(name), value)
    };
    names.map(value).collect()
}

/// One line for each name that is not the same on both sides.
pub(crate) fn differences(ours: &Listing, theirs: &Listing) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, our) in ours {
        match theirs.get(path) {
            None => lines.push(format!("/{path}: only ours: {our:?}")),
            Some(their) if their != our => {
                lines.push(format!("/{path}:\n    ours   {our:?}\n    theirs {their:?}"));
            }
            Some(_) => {}
        }
    }
    let missing = theirs.iter().filter(|(path, _)| !ours.contains_key(*path));
    lines.extend(missing.map(|(path, their)| format!("/{path}: only theirs: {their:?}")));
    lines
}

#[track_caller]
pub(crate) fn assert_same(what: &str, ours: &Listing, theirs: &Listing) {
    let lines = differences(ours, theirs);
    let first = lines.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(lines.is_empty(), "{what}: {} differences\n{first}", lines.len());
}
