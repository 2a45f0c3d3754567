//! SquashFS, judged by the kernel's own mount and by unsquashfs: what they read is the tree that went in.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod compare;
#[allow(dead_code, reason = "some of it is at ext4's edges only")]
#[path = "../ext4/corpus.rs"]
mod corpus;
#[path = "../judge/mod.rs"]
mod judge;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use compare::compare;
use diskwright_formats::{
    Error,
    filesystem::squashfs::{self, Compression, Options},
    sparse::Sparse,
    tree::{Kind, Meta, NodeId, Time, Tree},
    units::{GIB, KIB, MIB},
};
use judge::{flip, noise, pass, refuse, run};
use tempfile::TempDir;

const PACKAGE: &str = "squashfs-tools";

fn options(compression: Compression, block_bytes: u32) -> Options {
    Options { compression, block_bytes, time: Time { seconds: 1_767_225_600, nanoseconds: 0 } }
}

const SMALL: u32 = 128 << 10;

fn make(tree: &Tree, options: &Options) -> Result<Sparse, Error> {
    squashfs::write(tree, options, tempfile::tempfile().unwrap(), &|_| ())
}

/// A filesystem in a file.
struct Image {
    scratch: TempDir,
}

impl Image {
    fn of(tree: &Tree, options: &Options) -> Self {
        let image = Self { scratch: TempDir::new().unwrap() };
        let made = make(tree, options).unwrap();
        judge::write("raw", &made, Default::default(), &image.path());
        image
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("image")
    }

    fn text(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    /// Where the kernel shows it.
    fn mount(&self) -> Mount {
        let point = self.scratch.path().join("mount");
        fs::create_dir_all(&point).unwrap();
        let text = point.to_str().unwrap();
        pass("mount", "mount", &["-t", "squashfs", "-o", "loop,ro", &self.text(), text]);
        Mount { point }
    }

    /// Where unsquashfs unpacked it.
    fn unpack(&self) -> PathBuf {
        let to = self.scratch.path().join("unpacked");
        pass(PACKAGE, "unsquashfs", &["-no-progress", "-d", to.to_str().unwrap(), &self.text()]);
        to
    }
}

struct Mount {
    point: PathBuf,
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = run("mount", "umount", &[self.point.to_str().unwrap()]).status;
        assert!(status.success() || std::thread::panicking(), "umount");
    }
}

/// Everything at its limits.
fn edges() -> Tree {
    let mut tree = corpus::edges();
    let root = tree.root();
    for path in ["contents", "xattrs"] {
        let at = tree.lookup(path).unwrap();
        tree.unlink(at, b"16 TiB");
        tree.unlink(at, b"acl");
        tree.unlink(at, b"directory");
    }
    contents(&mut tree, root);
    let many = corpus::directory(&mut tree, root, "many attributes");
    for number in 0..300 {
        let value = format!("value {number}");
        let meta =
            Meta { xattrs: corpus::xattrs(&[("trusted.number", value.as_bytes())]), ..Meta::root(0o644) };
        corpus::add(&mut tree, many, format!("{number}"), Kind::Fifo, meta);
    }
    let mut deep = corpus::directory(&mut tree, root, "deep");
    for _ in 0..200 {
        deep = corpus::directory(&mut tree, deep, "d");
    }
    corpus::file(&mut tree, deep, "bottom", Sparse::from_bytes(*b"deep"));
    // nothing can change the mode of a link, so neither can unsquashfs
    let all: Vec<_> = tree.walk().map(|(_, id)| id).collect();
    for id in all {
        if matches!(tree.node(id).kind, Kind::Symlink(_)) {
            tree.node_mut(id).meta.mode = 0o777;
        }
    }
    tree
}

/// Contents at the edges of blocks of 128 KiB and 1 MiB.
fn contents(tree: &mut Tree, root: NodeId) {
    let at = corpus::directory(tree, root, "blocks");
    for block in [128 * KIB, MIB] {
        for len in [block - 1, block, block + 1, 3 * block] {
            let bytes = [&noise(len, 70_000)[..], &vec![b'z'; len as usize - 70_000]].concat();
            corpus::file(tree, at, format!("{len}"), Sparse::from_bytes(bytes.clone()));
            corpus::file(tree, at, format!("again {len}"), Sparse::from_bytes(bytes));
        }
    }
    let huge = [(0, &b"start"[..]), (4 * GIB - 2, b"over 4 GiB"), (5 * GIB, b"end")];
    corpus::file(tree, at, "huge", judge::sparse(5 * GIB + 3, huge));
    corpus::file(tree, at, "nothing", Sparse::new(10 * MIB));
    corpus::file(tree, at, "noise", Sparse::from_bytes(noise(7, 1_300_000)));
}

#[test]
fn the_kernel_and_unsquashfs_read_the_tree_that_went_in() {
    let tree = edges();
    for options in [options(Compression::Xz, SMALL), options(Compression::Zstd, 1 << 20)] {
        let image = Image::of(&tree, &options);
        compare(&tree, &image.mount().point);
        let stat = pass(PACKAGE, "unsquashfs", &["-s", &image.text()]);
        assert!(stat.contains("Found a valid SQUASHFS 4:0 superblock"), "{stat}");
    }
    let image = Image::of(&tree, &options(Compression::Xz, 4096));
    let unpacked = image.unpack();
    compare(&tree, &unpacked);
}

#[test]
fn trees_of_no_design_too() {
    for seed in [3, 4] {
        let tree = corpus::Dice(seed).tree(400);
        let image = Image::of(&tree, &options(Compression::Zstd, SMALL));
        compare(&tree, &image.mount().point);
    }
}

#[test]
fn an_empty_tree_is_a_filesystem() {
    let tree = corpus::empty();
    let image = Image::of(&tree, &options(Compression::Xz, SMALL));
    compare(&tree, &image.mount().point);
    assert_eq!(fs::metadata(image.path()).unwrap().len(), 4096);
}

#[test]
fn of_a_hundred_thousand_names_each_is_found() {
    let tree = corpus::crowd(100_000, 30);
    let image = Image::of(&tree, &options(Compression::Zstd, SMALL));
    let mount = image.mount();
    assert_eq!(fs::read_dir(mount.point.join("crowd")).unwrap().count(), 100_000);
    for index in (0..100_000).step_by(97) {
        let len = fs::metadata(mount.point.join(format!("crowd/{index:030}"))).unwrap().len();
        assert_eq!(len, u64::from(index < 60_000));
    }
    fs::metadata(mount.point.join("crowd/1")).unwrap_err();
}

#[test]
fn equal_files_are_stored_once() {
    let mut tree = corpus::empty();
    let root = tree.root();
    for name in ["a", "b", "c"] {
        corpus::file(&mut tree, root, name, Sparse::from_bytes(noise(1, 3 << 20)));
        corpus::file(&mut tree, root, format!("small {name}"), Sparse::from_bytes(noise(2, 100_000)));
    }
    let made = make(&tree, &options(Compression::Zstd, SMALL)).unwrap();
    assert!(made.len() < (3 << 20) + 150_000, "{}", made.len());
    let image = Image::of(&tree, &options(Compression::Zstd, SMALL));
    compare(&tree, &image.mount().point);
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_cores() {
    let tree = corpus::Dice(9).tree(150);
    let bytes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let heard = AtomicU64::new(0);
        let made = pool.install(|| {
            let hear = |bytes| {
                heard.fetch_add(bytes, Ordering::Relaxed);
            };
            let options = options(Compression::Xz, 1 << 16);
            squashfs::write(&tree, &options, tempfile::tempfile().unwrap(), &hear).unwrap()
        });
        (made.to_vec().unwrap(), heard.into_inner())
    };
    let one = bytes(1);
    assert!(one == bytes(3), "the bytes are others with three threads");
    let mut seen = std::collections::BTreeSet::new();
    let content = |(_, id)| match &tree.node(id).kind {
        Kind::File(content) if seen.insert(id) => content.data_len(),
        _ => 0,
    };
    assert_eq!(one.1, tree.walk().map(content).sum::<u64>(), "progress ends with all");
}

#[test]
fn judges_find_what_is_damaged() {
    let mut tree = corpus::empty();
    let root = tree.root();
    corpus::file(&mut tree, root, "file", Sparse::from_bytes(vec![b'x'; 300_000]));
    let image = Image::of(&tree, &options(Compression::Xz, SMALL));
    let inodes = u64::from_le_bytes(fs::read(image.path()).unwrap()[64..72].try_into().unwrap());
    let unpacked = image.scratch.path().join("unpacked");
    let unpack = ["-no-progress", "-d", unpacked.to_str().unwrap(), &image.text()];
    for offset in [0, 96 + 20, inodes + 2 + 20] {
        flip(&image.path(), offset);
        refuse(PACKAGE, "unsquashfs", &unpack);
        flip(&image.path(), offset);
        fs::remove_dir_all(&unpacked).unwrap_or_default();
    }
    flip(&image.path(), 96 + 20);
    let mount = image.mount();
    fs::read(mount.point.join("file")).unwrap_err();
    drop(mount);
    flip(&image.path(), 96 + 20);
    compare(&tree, &image.unpack());
}

#[test]
fn what_has_no_place_is_refused_by_its_path() {
    let refused = |meta: Meta, kind: Kind, name: &str| {
        let mut tree = corpus::empty();
        let root = tree.root();
        corpus::add(&mut tree, root, name, kind, meta);
        make(&tree, &options(Compression::Zstd, SMALL)).unwrap_err().to_string()
    };
    let empty = || Kind::File(Sparse::new(0));
    let acl = Meta { xattrs: corpus::xattrs(&[("system.posix_acl_access", b"x")]), ..Meta::root(0o644) };
    let said = refused(acl, empty(), "f");
    assert_eq!(said, "f: SquashFS has no place for the extended attribute system.posix_acl_access");
    let sealed = Meta { verity: true, ..Meta::root(0o644) };
    assert_eq!(refused(sealed, empty(), "f"), "f: SquashFS has no fs-verity");
    let long = "n".repeat(256);
    assert!(
        refused(Meta::root(0o644), empty(), &long).ends_with("name, bytes: 256 is past the limit of 255")
    );
    let target = Kind::Symlink(vec![b't'; 4096].into());
    let said = refused(Meta::root(0o777), target, "l");
    assert_eq!(said, "l: target, bytes: 4096 is past the limit of 4095");
    let tree = corpus::empty();
    let odd = make(&tree, &options(Compression::Xz, 5000)).unwrap_err();
    assert!(matches!(odd, Error::Unsupported { .. }), "{odd}");
}

/// As small as the stock tool makes it, give or take 2 %.
#[test]
fn mksquashfs_makes_it_no_smaller() {
    let mut tree = corpus::empty();
    let root = tree.root();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    fill(&mut tree, root, &source);
    for (compression, name) in [(Compression::Xz, "xz"), (Compression::Zstd, "zstd")] {
        let ours = make(&tree, &options(compression, SMALL)).unwrap().len();
        let scratch = TempDir::new().unwrap();
        let theirs = scratch.path().join("theirs");
        let arguments =
            [source.to_str().unwrap(), theirs.to_str().unwrap(), "-comp", name, "-quiet", "-no-progress"];
        pass(PACKAGE, "mksquashfs", &arguments);
        let theirs = fs::metadata(theirs).unwrap().len();
        assert!(ours <= theirs + theirs / 50, "{name}: {ours} bytes, {theirs} by mksquashfs");
    }
}

fn fill(tree: &mut Tree, at: NodeId, directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let below = corpus::directory(tree, at, &name);
            fill(tree, below, &entry.path());
        } else {
            let bytes = fs::read(entry.path()).unwrap();
            corpus::file(tree, at, name, Sparse::from_bytes(bytes));
        }
    }
}
