//! Archives for the kernel, unpacked by GNU cpio and by libarchive.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use diskwright_formats::{
    Error, cpio,
    sparse::Sparse,
    tree::{Kind, Meta, Node, Time, Tree},
};
use tempfile::TempDir;

const TIME: i64 = 1_767_225_600;

fn tree() -> Tree {
    let meta = |mode| Meta { mtime: Time { seconds: TIME, nanoseconds: 0 }, ..Meta::root(mode) };
    let mut tree = Tree::new(meta(0o755));
    let root = tree.root();
    let directory = tree.add_directory(meta(0o700));
    tree.link(root, *b"directory", directory);
    for len in [0, 1, 2, 3, 4, 5, 4095, 70_000] {
        let file = tree.add_file(meta(0o640), Sparse::from_bytes(judge::noise(len as u64, len)));
        tree.link(directory, format!("{:>1$}", len, len % 9 + 5).into_bytes(), file);
    }
    for len in [1, 2, 3, 4, 255] {
        let file = tree.add_file(meta(0o4755), Sparse::from_bytes(*b"x"));
        tree.link(root, vec![b'n'; len], file);
    }
    for (name, target) in [("link", "directory"), ("longer", "../some/where/else")] {
        let link = tree.add_symlink(target.as_bytes());
        tree.link(root, name.as_bytes(), link);
    }
    let odd = tree.add_file(meta(0o644), judge::sparse(9000, [(5000, &b"island"[..])]));
    tree.link(root, &b"\xff\xfe\n"[..], odd);
    tree
}

fn assert_holds(tree: &Tree, root: &Path) {
    for (path, id) in tree.walk().filter(|(path, _)| !path.is_empty()) {
        let place = root.join(OsStr::from_bytes(&path));
        let found =
            fs::symlink_metadata(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        let node = tree.node(id);
        match &node.kind {
            Kind::File(content) => {
                assert!(fs::read(&place).unwrap() == content.to_vec().unwrap(), "{place:?}");
            }
            Kind::Symlink(target) => {
                assert_eq!(fs::read_link(&place).unwrap().as_os_str().as_bytes(), &target[..]);
            }
            _ => assert!(found.is_dir(), "{place:?}"),
        }
        assert_eq!(found.mode(), node.st_mode(), "{place:?}");
    }
}

fn unpacked(bytes: &[u8], script: &str) -> (TempDir, bool) {
    let scratch = TempDir::new().unwrap();
    fs::write(scratch.path().join("archive"), bytes).unwrap();
    fs::create_dir(scratch.path().join("root")).unwrap();
    let script = format!("cd \"$0/root\" && {script}");
    let output =
        judge::run("cpio and libarchive-tools", "sh", &["-c", &script, scratch.path().to_str().unwrap()]);
    let is_sound = output.status.success() && output.stderr.is_empty();
    (scratch, is_sound)
}

const UNPACK: [&str; 2] = ["cpio -idm --quiet < ../archive", "bsdtar -xpf ../archive"];

#[test]
fn every_program_unpacks_the_tree_that_went_in() {
    let tree = tree();
    let archive = cpio::archive(&tree).unwrap().to_vec().unwrap();
    assert!(archive.len().is_multiple_of(512));
    for script in UNPACK {
        let (scratch, is_sound) = unpacked(&archive, script);
        assert!(is_sound, "{script}");
        assert_holds(&tree, &scratch.path().join("root"));
    }
}

#[test]
fn half_an_archive_is_refused() {
    let archive = cpio::archive(&tree()).unwrap().to_vec().unwrap();
    for script in UNPACK {
        assert!(!unpacked(&archive[..archive.len() / 2], script).1, "{script}");
    }
}

#[test]
fn what_an_initramfs_does_not_get_is_an_error() {
    let mut tree = tree();
    let device = tree.add(Node { meta: Meta::root(0o600), kind: Kind::CharDevice(1, 3) });
    tree.link(tree.root(), *b"null", device);
    assert!(matches!(cpio::archive(&tree), Err(Error::Unsupported { .. })));
    tree.node_mut(device).kind = Kind::File(Sparse::new(1 << 32));
    assert!(matches!(cpio::archive(&tree), Err(Error::Limit { .. })));
}
