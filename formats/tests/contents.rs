//! The readers: of what mke2fs and mtools wrote they read what was put in, and
//! no bytes make them panic or go on for ever.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, process::Command, sync::Arc};

use diskwright_formats::{
    data::Data,
    filesystem::{self, Contents, Filesystem, Identity, ext4::Ext4, fat::Fat},
    partition::gpt,
    sparse::Sparse,
    tree::{Kind, Meta, Time, Tree, Xattrs},
    units::MIB,
};
use uuid::Uuid;

#[test]
fn what_mke2fs_wrote_is_read_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (top, disk) = (dir.path().join("top"), dir.path().join("disk"));
    fs::create_dir_all(top.join("many")).unwrap();
    fs::create_dir_all(top.join("a/b/c")).unwrap();
    for index in 0..3000 {
        fs::write(top.join(format!("many/file number {index}")), format!("{index}")).unwrap();
    }
    fs::write(top.join("large"), vec![7; 9 << 20]).unwrap();
    fs::hard_link(top.join("large"), top.join("a/b/c/again")).unwrap();
    symlink("short", top.join("short")).unwrap();
    symlink("long/".repeat(60), top.join("long")).unwrap();
    for features in ["", "metadata_csum_seed,^resize_inode", "^metadata_csum,^64bit"] {
        fs::write(&disk, b"").unwrap();
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-t", "ext4", "-O", features, "-d"]).arg(&top).arg(&disk).arg("64M");
        assert!(mke2fs.status().expect("mke2fs (package e2fsprogs)").success());
        let contents = read(fs::read(&disk).unwrap());
        assert_eq!(contents.faults, [], "{features}");
        let tree = &contents.tree;
        assert_eq!(tree.children(tree.lookup("many").unwrap()).unwrap().len(), 3000);
        assert_eq!(bytes(&contents, "many/file number 2999"), b"2999");
        assert_eq!(bytes(&contents, "large"), vec![7; 9 << 20]);
        assert_eq!(tree.lookup("large"), tree.lookup("a/b/c/again"));
        let Kind::Symlink(target) = &tree.node(tree.lookup("long").unwrap()).kind else { panic!() };
        assert_eq!(**target, *"long/".repeat(60).as_bytes());
    }
}

#[test]
fn our_own_ext4_is_read_with_every_attribute() {
    let tree = sample();
    let contents = read(Ext4.mkfs(&tree, &identity(), 16 * MIB).unwrap().to_vec().unwrap());
    assert_eq!(contents.faults, []);
    let found: BTreeMap<_, _> = contents.tree.walk().collect();
    for (path, id) in tree.walk() {
        let (before, after) = (tree.node(id), contents.tree.node(found[&path]));
        assert_eq!(before.meta, after.meta, "{}", path.escape_ascii());
        assert_eq!(before.st_mode(), after.st_mode());
    }
    assert_eq!(found.len(), tree.walk().count() + 1, "lost+found more");
}

#[test]
fn our_own_fat_is_read() {
    let mut tree = Tree::new(Meta::root(0o755));
    let directory = tree.add_directory(Meta::root(0o755));
    let file = tree.add_file(Meta::root(0o755), Sparse::from_bytes(vec![3; 100_000]));
    tree.link(tree.root(), *b"EFI", directory);
    tree.link(directory, *b"a longer name than eight.efi", file);
    let contents = read(Fat.mkfs(&tree, &identity(), 64 * MIB).unwrap().to_vec().unwrap());
    assert_eq!((contents.filesystem, contents.faults.as_slice()), ("vfat", &[][..]));
    assert_eq!(bytes(&contents, "EFI/a longer name than eight.efi"), vec![3; 100_000]);
}

#[test]
fn no_bytes_make_the_readers_panic_or_hang() {
    let ext4 = Ext4.mkfs(&sample(), &identity(), 16 * MIB).unwrap().to_vec().unwrap();
    let mut tree = Tree::new(Meta::root(0o755));
    let directory = tree.add_directory(Meta::root(0o755));
    tree.link(tree.root(), *b"EFI", directory);
    let fat = Fat.mkfs(&tree, &identity(), 34 * MIB).unwrap().to_vec().unwrap();
    let mut random = Random(1);
    for (original, rounds) in [(ext4, 500), (fat, 100)] {
        let blocks: Vec<usize> = (0..original.len() / 512)
            .filter(|block| original[block * 512..][..512].iter().any(|&byte| byte != 0))
            .collect();
        for _ in 0..rounds {
            let mut bytes = original.clone();
            for _ in 0..=random.below(8) {
                let at = blocks[random.below(blocks.len())] * 512 + random.below(512);
                bytes[at] = random.below(256) as u8;
            }
            let data = Data::from_bytes(bytes);
            if let Some(contents) = filesystem::read(&data) {
                contents.tree.walk().for_each(drop);
            }
            drop(gpt::read(&data));
        }
    }
    for len in [0, 1, 511, 512, 1024, 2048, 4096, 70000] {
        let noise: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
        drop((filesystem::read(&Data::from_bytes(noise.clone())), gpt::read(&Data::from_bytes(noise))));
    }
}

fn read(bytes: Vec<u8>) -> Contents {
    filesystem::read(&Data::from_bytes(bytes)).unwrap()
}

fn bytes(contents: &Contents, path: &str) -> Vec<u8> {
    match &contents.tree.node(contents.tree.lookup(path).unwrap()).kind {
        Kind::File(content) => content.to_vec().unwrap(),
        other => panic!("{path}: {other:?}"),
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

/// Directories with an index, attributes in the inode and in a block, access control lists, devices.
fn sample() -> Tree {
    let mut tree = Tree::new(Meta::root(0o755));
    let root = tree.root();
    let acl =
        [&2_u32.to_le_bytes()[..], &[1, 0, 7, 0, 255, 255, 255, 255], &[2, 0, 4, 0, 7, 0, 0, 0]].concat();
    let sets: [&[(&str, &[u8])]; 3] = [
        &[("security.selinux", b"system_u:object_r:bin_t:s0\0")],
        &[("user.large", &[9; 2000]), ("security.capability", &[1; 20])],
        &[("system.posix_acl_access", &acl), ("trusted.empty", b"")],
    ];
    for (index, set) in sets.into_iter().enumerate() {
        let xattrs: Xattrs =
            set.iter().map(|(name, value)| (name.as_bytes().into(), (*value).into())).collect();
        let mtime = Time { seconds: (1 << 33) - 1, nanoseconds: 999 };
        let meta = Meta {
            uid: 70_000,
            gid: 5,
            mode: 0o4755,
            mtime,
            xattrs: Arc::new(xattrs),
            immutable: true,
            verity: index == 2,
        };
        let file = tree.add_file(meta, Sparse::from_bytes(vec![1; 10_000]));
        tree.link(root, format!("file{index}").into_bytes(), file);
        tree.link(root, format!("link{index}").into_bytes(), file);
    }
    let many = tree.add_directory(Meta::root(0o1777));
    tree.link(root, *b"many", many);
    for index in 0..900 {
        let link = tree.add_symlink(format!("target {index}").into_bytes());
        tree.link(many, format!("a name that is not short, {index}").into_bytes(), link);
    }
    for (name, kind) in
        [("char", Kind::CharDevice(300, 70_000)), ("block", Kind::BlockDevice(8, 1)), ("fifo", Kind::Fifo)]
    {
        let node = tree.add(diskwright_formats::tree::Node { meta: Meta::root(0o600), kind });
        tree.link(root, name.as_bytes(), node);
    }
    tree
}

/// xorshift: the same bytes each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
