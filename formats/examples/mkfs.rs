//! Makes a filesystem of a directory, as `mke2fs -d` and `mksquashfs` do: for measuring one against the other.
//!
//! `cargo run --release -p diskwright-formats --example mkfs -- ext4 DIRECTORY FILE BYTES`

use std::{
    collections::HashMap,
    error::Error,
    ffi::OsStr,
    fs::{self, File},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileExt, FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use diskwright_formats::{
    data::{Data, ReadAt},
    filesystem::{self, Identity, squashfs},
    sparse::Sparse,
    tree::{Kind, Meta, Node, NodeId, Time, Tree, Xattrs},
    writer::{self, Options},
};
use rustix::fs::{SeekFrom, lgetxattr, llistxattr, major, minor, seek};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let start = Instant::now();
    let [kind, directory, out, rest @ ..] = arguments.as_slice() else {
        return Err("ext4 DIRECTORY FILE BYTES, or squashfs-xz or squashfs-zstd DIRECTORY FILE".into());
    };
    let tree = Scan::default().tree(Path::new(directory))?;
    let scanned = Instant::now();
    let sparse = match (*kind, rest) {
        ("ext4", [bytes]) => ext4(&tree, bytes.parse()?)?,
        ("squashfs-xz", []) => squashfs(&tree, squashfs::Compression::Xz)?,
        ("squashfs-zstd", []) => squashfs(&tree, squashfs::Compression::Zstd)?,
        _ => return Err(format!("no such filesystem: {kind}").into()),
    };
    let made = Instant::now();
    write(&sparse, Path::new(out))?;
    let (scan, mkfs, write) = (scanned - start, made - scanned, made.elapsed());
    println!("{} nodes: scan {scan:?}, mkfs {mkfs:?}, write {write:?}", tree.node_count());
    Ok(())
}

fn ext4(tree: &Tree, bytes: u64) -> Result<Sparse> {
    let identity = Identity {
        uuid: Uuid::from_bytes([7; 16]),
        label: "example".into(),
        time: Time::default(),
        sector_size: 512,
        offset: 0,
        on_noise: false,
    };
    Ok(filesystem::by_name("ext4").ok_or("no ext4")?.mkfs(tree, &identity, bytes)?)
}

/// With blocks as long as the program mksquashfs makes them.
fn squashfs(tree: &Tree, compression: squashfs::Compression) -> Result<Sparse> {
    let options = squashfs::Options { compression, block_bytes: 1 << 17, time: Time::default() };
    Ok(squashfs::write(tree, &options, tempfile::tempfile()?, &|_| ())?)
}

/// Content of a file that is opened for each read: there are more files than descriptors.
struct Opened(PathBuf);

impl ReadAt for Opened {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        FileExt::read_exact_at(&File::open(&self.0)?, buf, offset)
    }
}

#[derive(Default)]
struct Scan {
    links: HashMap<(u64, u64), NodeId>,
    xattrs: HashMap<Arc<Xattrs>, ()>,
}

impl Scan {
    fn tree(mut self, directory: &Path) -> Result<Tree> {
        let mut tree = Tree::new(self.meta(directory)?);
        let mut stack = vec![(directory.to_path_buf(), tree.root())];
        while let Some((path, parent)) = stack.pop() {
            for entry in fs::read_dir(&path)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().as_bytes().to_vec();
                let node = self.node(&mut tree, &path)?;
                tree.link(parent, name, node);
                if tree.children(node).is_some() {
                    stack.push((path, node));
                }
            }
        }
        Ok(tree)
    }

    fn node(&mut self, tree: &mut Tree, path: &Path) -> Result<NodeId> {
        let stat = fs::symlink_metadata(path)?;
        let identity = (stat.dev(), stat.ino());
        if let Some(&node) = self.links.get(&identity) {
            return Ok(node);
        }
        let kind = stat.file_type();
        let (major, minor) = (major(stat.rdev()), minor(stat.rdev()));
        let kind = match () {
            () if kind.is_dir() => Kind::Directory(Default::default()),
            () if kind.is_symlink() => Kind::Symlink(fs::read_link(path)?.into_os_string().into_vec().into()),
            () if kind.is_char_device() => Kind::CharDevice(major, minor),
            () if kind.is_block_device() => Kind::BlockDevice(major, minor),
            () if kind.is_fifo() => Kind::Fifo,
            () if kind.is_socket() => Kind::Socket,
            () => Kind::File(content(path, &stat)?),
        };
        let node = tree.add(Node { meta: self.meta(path)?, kind });
        if stat.nlink() > 1 && !stat.is_dir() {
            self.links.insert(identity, node);
        }
        Ok(node)
    }

    fn meta(&mut self, path: &Path) -> Result<Meta> {
        let stat = fs::symlink_metadata(path)?;
        let xattrs = Arc::new(xattrs(path)?);
        let xattrs = match self.xattrs.get_key_value(&xattrs) {
            Some((known, ())) => Arc::clone(known),
            None => {
                self.xattrs.insert(Arc::clone(&xattrs), ());
                xattrs
            }
        };
        Ok(Meta {
            mode: (stat.mode() & 0o7777) as u16,
            uid: stat.uid(),
            gid: stat.gid(),
            mtime: Time { seconds: stat.mtime(), nanoseconds: stat.mtime_nsec() as u32 },
            xattrs,
            immutable: false,
            verity: false,
        })
    }
}

fn content(path: &Path, stat: &fs::Metadata) -> Result<Sparse> {
    let mut content = Sparse::new(stat.len());
    if stat.len() == 0 {
        return Ok(content);
    }
    let source: Arc<dyn ReadAt> = Arc::new(Opened(path.into()));
    let (file, mut at) = (File::open(path)?, 0);
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        at = seek(&file, SeekFrom::Hole(start))?;
        content.insert(start, Data::from_source(Arc::clone(&source), start, at - start))?;
    }
    Ok(content)
}

fn xattrs(path: &Path) -> Result<Xattrs> {
    let mut list = [0; 4096];
    let len = llistxattr(path, &mut list)?;
    let mut xattrs = Xattrs::new();
    for name in list[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = [0; 4096];
        let len = lgetxattr(path, OsStr::from_bytes(name), &mut value)?;
        xattrs.insert(name.into(), value[..len].into());
    }
    Ok(xattrs)
}

fn write(sparse: &Sparse, path: &Path) -> Result<()> {
    let raw = writer::by_name("raw").ok_or("no raw")?;
    Ok(raw.write(sparse, &Options::default(), &File::create(path)?, &())?)
}
