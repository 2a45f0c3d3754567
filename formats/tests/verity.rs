//! fs-verity as ext4 stores it: trees, descriptors and digests are those of
//! `fsverity`, the filesystem is one that e2fsck accepts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use diskwright_formats::{
    data::Data,
    filesystem::{self, Filesystem, Identity, ext4},
    sparse::Sparse,
    tree::{Kind, Meta, Time, Tree},
    units::{KIB, MIB},
    verity::Merkle,
};
use uuid::Uuid;

/// No tree, one level full and one past it, the boundary of 64 KiB and one past it, three levels.
const SIZES: [u64; 9] = [0, 1, 4096, 4097, 128 * 4096, 128 * 4096 + 1, 64 * KIB, 64 * KIB + 1, 64 * MIB + 1];

#[test]
fn trees_descriptors_and_digests_are_those_of_fsverity() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, tree) = filesystem(dir.path());
    let contents = filesystem::read(&Data::from_bytes(fs::read(disk).unwrap())).unwrap();
    assert_eq!(contents.faults, []);
    for size in SIZES {
        let name = format!("sealed {size}");
        let node = contents.tree.lookup(&name).unwrap();
        let Kind::File(content) = &contents.tree.node(node).kind else { panic!("{name}") };
        let Kind::File(original) = &tree.node(tree.lookup(&name).unwrap()).kind else { panic!("{name}") };
        assert!(contents.tree.node(node).meta.verity && content.len() == size);
        assert!(ext4::is_sealed(content, &contents.sealed[&node]).unwrap(), "{name}");
        let judged = Judged::of(dir.path(), &content.to_vec().unwrap());
        assert_eq!(hex(&Merkle::of(original).unwrap().digest()), judged.digest, "{name}");
        let start = size.next_multiple_of(64 * KIB) as usize;
        let stored = contents.sealed[&node].to_vec().unwrap();
        let (merkle, rest) = stored[start..].split_at(judged.tree.len());
        assert!(merkle == judged.tree, "{name}: tree");
        assert_eq!(rest.len(), 4096);
        assert_eq!((&rest[..256], &rest[4092..]), (&judged.descriptor[..], &[0, 1, 0, 0][..]), "{name}");
    }
}

#[test]
fn e2fsck_accepts_sealed_files_and_only_with_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = filesystem(dir.path());
    let disk = disk.to_str().unwrap();
    let fsck = || run("e2fsprogs", "e2fsck", &["-fn", disk]);
    assert!(fsck().status.success(), "{}", String::from_utf8_lossy(&fsck().stdout));
    let header = run("e2fsprogs", "debugfs", &["-R", "stats", disk]);
    assert!(String::from_utf8_lossy(&header.stdout).contains(" verity"));
    let inode = run("e2fsprogs", "debugfs", &["-R", "stat \"/sealed 4097\"", disk]);
    assert!(String::from_utf8_lossy(&inode.stdout).contains("Flags: 0x180000"));
    run("e2fsprogs", "debugfs", &["-w", "-R", "sif \"/sealed 4097\" flags 0x80000", disk]);
    assert!(!fsck().status.success(), "e2fsck accepts a tree past the end of a file without the flag");
}

#[test]
fn without_a_sealed_file_there_is_no_feature() {
    let mut tree = Tree::new(Meta::root(0o755));
    let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(*b"x"));
    tree.link(tree.root(), *b"plain", file);
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::write(&disk, ext4::Ext4.mkfs(&tree, &identity(), 16 * MIB).unwrap().to_vec().unwrap()).unwrap();
    let header = run("e2fsprogs", "debugfs", &["-R", "stats", disk.to_str().unwrap()]);
    assert!(!String::from_utf8_lossy(&header.stdout).contains(" verity"));
}

#[test]
fn only_regular_files_are_sealed() {
    let mut tree = Tree::new(Meta::root(0o755));
    let directory = tree.add_directory(Meta { verity: true, ..Meta::root(0o755) });
    tree.link(tree.root(), *b"directory", directory);
    let error = ext4::Ext4.mkfs(&tree, &identity(), 16 * MIB).unwrap_err();
    assert_eq!(error.to_string(), "directory: only regular files can have fs-verity");
}

/// A disk with a sealed file of each size; the last one is a hole but for its ends.
fn filesystem(dir: &Path) -> (std::path::PathBuf, Tree) {
    let mut tree = Tree::new(Meta::root(0o755));
    for size in SIZES {
        let content = if size > MIB {
            let mut content = Sparse::new(size);
            content.insert(0, Data::from_bytes(*b"start")).unwrap();
            content.insert(size - 1, Data::from_bytes(*b"e")).unwrap();
            content
        } else {
            Sparse::from_bytes((0..size).map(|at| (at / 7) as u8).collect::<Vec<_>>())
        };
        let file = tree.add_file(Meta { verity: true, ..Meta::root(0o644) }, content);
        tree.link(tree.root(), format!("sealed {size}").into_bytes(), file);
    }
    let disk = dir.join("disk");
    fs::write(&disk, ext4::Ext4.mkfs(&tree, &identity(), 32 * MIB).unwrap().to_vec().unwrap()).unwrap();
    (disk, tree)
}

/// What `fsverity` says of content.
struct Judged {
    digest: String,
    tree: Vec<u8>,
    descriptor: Vec<u8>,
}

impl Judged {
    fn of(dir: &Path, content: &[u8]) -> Self {
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let (file, tree, descriptor) = (path("content"), path("tree"), path("descriptor"));
        fs::write(&file, content).unwrap();
        let (tree_to, descriptor_to) =
            (format!("--out-merkle-tree={tree}"), format!("--out-descriptor={descriptor}"));
        let output = run("fsverity", "fsverity", &["digest", "--compact", &tree_to, &descriptor_to, &file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let digest = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Self { digest, tree: fs::read(tree).unwrap(), descriptor: fs::read(descriptor).unwrap() }
    }
}

fn identity() -> Identity {
    let time = Time { seconds: 1, nanoseconds: 0 };
    Identity {
        uuid: Uuid::from_u128(7),
        label: "label".into(),
        time,
        sector_size: 512,
        offset: 0,
        on_noise: false,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program} of the package {package}: {error}"))
}
