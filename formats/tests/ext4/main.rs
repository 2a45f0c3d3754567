//! ext4 filesystems, judged by e2fsck, debugfs, dumpe2fs, resize2fs, mke2fs and the kernel.
//! Mounting needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod corpus;
mod judge;

use std::{
    fs,
    os::unix::fs::{FileExt, symlink},
};

use compare::compare;
use corpus::{add, directory, file, xattrs};
use diskwright_formats::{
    Error,
    filesystem::{Identity, by_name},
    sparse::Sparse,
    tree::{Kind, Meta, Time, Tree},
    units::{GIB, KIB, MIB, TIB},
};
use judge::{Image, identity, min_size, mkfs, run, run_ok};

/// Clean, and the same tree when mounted.
fn judge(tree: &Tree, size: u64) -> Image {
    let image = Image::of(tree, size);
    image.assert_clean();
    compare(tree, image.mount_ro().path());
    image
}

#[test]
fn an_empty_tree_is_a_filesystem() {
    judge(&corpus::empty(), 64 * MIB);
}

#[test]
fn everything_the_kernel_reads_is_in_the_tree() {
    judge(&corpus::edges(), GIB);
}

#[test]
fn sizes_from_the_smallest_to_the_largest() {
    let tree = corpus::edges();
    for size in [min_size(&tree), 64 * MIB, 10 * GIB, 2 * TIB + 12_345 * KIB] {
        judge(&tree, size);
    }
}

#[test]
fn the_largest_size_and_no_more() {
    let (tree, largest) = (corpus::empty(), 16 * TIB - 4096);
    let image = Image::of(&tree, largest);
    compare(&tree, image.mount_ro().path());
    assert!(image.dumpe2fs().contains("Block count:              4294967295"));
    let error = by_name("ext4").unwrap().mkfs(&tree, &identity(), largest + 4096).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

#[test]
fn every_size_from_the_smallest_on_is_accepted() {
    let trees =
        [corpus::empty(), corpus::edges(), corpus::forest(3000, 1, 100), corpus::forest(400, 1, 900_000)];
    for tree in &trees {
        let smallest = min_size(tree);
        judge(tree, smallest);
        let error = by_name("ext4").unwrap().mkfs(tree, &identity(), smallest - 1).unwrap_err();
        let needs = matches!(error, Error::TooSmall { needed, .. } if needed == smallest);
        assert!(needs, "{smallest}: {error}");
        for step in 0..60 {
            mkfs(tree, smallest + step * 37 * 4096);
        }
    }
}

/// A last group too small for its own tables, and sizes at which the journal grows.
#[test]
fn sizes_around_a_group() {
    let tree = corpus::forest(400, 1, 500_000);
    for blocks in [32_767, 32_768, 32_769, 32_768 + 590, 65_535, 98_304 + 600, 98_304 + 560, 262_144] {
        Image::of(&tree, blocks * 4096).assert_clean();
    }
    judge(&tree, 33_400 * 4096 + 511);
}

#[test]
fn geometry_is_that_of_mke2fs() {
    let fields =
        ["Block count", "Inode count", "Reserved GDT", "Inodes per group", "Total journal blocks", "Flex"];
    let more = ["Block size", "Inode size", "Group descriptor size", "Filesystem features", "First inode"];
    let pick = |text: String| -> Vec<String> {
        let wanted = |line: &&str| fields.iter().chain(&more).any(|field| line.starts_with(field));
        text.lines().filter(wanted).map(|line| line.replace(" needs_recovery", "")).collect()
    };
    let (tree, directory) = (corpus::empty(), tempfile::tempdir().unwrap());
    for size in [64 * MIB, 127 * MIB, 128 * MIB, 132 * MIB, GIB, 2 * GIB, 10 * GIB, 100 * GIB, 2 * TIB] {
        let path = directory.path().join("theirs");
        fs::File::create(&path).unwrap().set_len(size).unwrap();
        let path = path.to_str().unwrap();
        let features = "^metadata_csum_seed,^orphan_file,metadata_csum,64bit";
        let fixed =
            ["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-O", features, path];
        run_ok("mke2fs", "e2fsprogs", &fixed);
        let theirs = pick(run_ok("dumpe2fs", "e2fsprogs", &["-h", path]));
        assert_eq!(pick(Image::of(&tree, size).dumpe2fs()), theirs, "{size}");
    }
}

#[test]
fn the_superblock_says_what_was_asked() {
    let text = Image::of(&corpus::empty(), GIB).dumpe2fs();
    for line in [
        "Filesystem volume name:   root",
        "Last mounted on:          <not available>",
        "Filesystem UUID:          a5010203-0405-4607-8809-0a0b0c0d0e0f",
        "Filesystem state:         clean",
        "Errors behavior:          Continue",
        "Default mount options:    user_xattr acl",
        "Reserved block count:     13107",
        "Filesystem created:       Tue Nov 14 22:13:20 2023",
        "Last write time:          Tue Nov 14 22:13:20 2023",
        "Last checked:             Tue Nov 14 22:13:20 2023",
        "Mount count:              0",
        "Check interval:           0 (<none>)",
        "Default directory hash:   half_md4",
        "Journal features:         (none)",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn directories_at_the_edge_of_one_block() {
    // 4084 bytes hold ".", ".." and 203 entries of 20 bytes.
    for (count, blocks) in [(203, 1), (204, 2), (408, 3)] {
        let tree = corpus::crowd(count, 12);
        let image = judge(&tree, 64 * MIB);
        let stat = image.debugfs("stat /crowd");
        assert!(stat.contains(&format!("Size: {}", blocks * 4096)), "{stat}");
        assert!(stat.contains(if blocks == 1 { "Flags: 0x80000" } else { "Flags: 0x81000" }), "{stat}");
    }
}

#[test]
fn directories_of_50_000_names() {
    judge(&corpus::crowd(50_000, 8), 256 * MIB);
    let image = judge(&corpus::crowd(70_000, 200), 256 * MIB);
    assert!(image.debugfs("htree_dump /crowd").contains("Indirect levels: 1"));
}

/// Found by search for the UUID of these tests: in the order of hashes, 59860 and 117940 have the
/// same one and are the last of the first leaf's 19 names and the first of the second leaf.
const COLLISION: [u32; 40] = [
    131844, 60946, 43695, 113748, 63953, 50731, 147219, 68980, 43473, 71154, 9856, 106636, 39837, 36332,
    48835, 79394, 42090, 37724, 59860, 117940, 94706, 117148, 56012, 37471, 149288, 107758, 38528, 23230,
    14037, 48112, 79520, 142650, 126485, 117832, 4956, 60934, 12717, 89790, 4465, 37219,
];

#[test]
fn names_of_one_hash_in_two_leaves() {
    let mut tree = corpus::empty();
    let root = tree.root();
    let at = directory(&mut tree, root, "crowd");
    COLLISION.iter().for_each(|index| _ = file(&mut tree, at, format!("{index:0200}"), Sparse::new(0)));
    let image = judge(&tree, 64 * MIB);
    let (hash, goes_on) = ("0x1b23c2c8", "0x1b23c2c9");
    let seed = "6c191e71-98ea-4e62-9b69-2590700def44";
    for index in &COLLISION[18..20] {
        let found = image.debugfs(&format!("dx_hash -h half_md4 -s {seed} {index:0200}"));
        assert!(found.contains(hash), "{found}");
    }
    let dump = image.debugfs("htree_dump /crowd");
    assert!(dump.contains(goes_on), "{dump}");
}

/// Bytes of names count as unsigned.
#[test]
fn names_of_high_bytes_are_found_by_their_hash() {
    let mut tree = corpus::empty();
    let root = tree.root();
    let at = directory(&mut tree, root, "crowd");
    for first in 0x80..=0xff_u8 {
        for len in [1, 2, 30, 31, 32, 33, 64, 255] {
            file(&mut tree, at, vec![first; len], Sparse::new(0));
        }
    }
    let image = judge(&tree, 64 * MIB);
    assert!(image.dumpe2fs().contains("unsigned_directory_hash"));
}

#[test]
fn a_directory_of_65_001_directories_has_one_link() {
    let mut tree = corpus::empty();
    let root = tree.root();
    let at = directory(&mut tree, root, "crowd");
    (0..65_001).for_each(|index| _ = directory(&mut tree, at, &format!("d{index}")));
    judge(&tree, GIB);
}

#[test]
fn limits_are_errors_with_a_path() {
    let mut links = corpus::empty();
    let root = links.root();
    let at = directory(&mut links, root, "usr");
    let node = file(&mut links, at, "linked", Sparse::new(0));
    (0..65_000).for_each(|index| _ = links.link(root, format!("{index}").into_bytes(), node));
    let large = Meta { xattrs: xattrs(&[("user.large", &[7; 4096])]), ..Meta::root(0o644) };
    let late = Meta { mtime: Time { seconds: 1 << 34, nanoseconds: 0 }, ..Meta::root(0o644) };
    let fixed = Meta { immutable: true, ..Meta::root(0o777) };
    let cases = [
        (Kind::File(Sparse::new(0)), large),
        (Kind::File(Sparse::new(0)), late),
        (Kind::File(Sparse::new(16 * TIB)), Meta::root(0o644)),
        (Kind::Symlink(vec![b'x'; 4096].into()), Meta::root(0o777)),
        (Kind::Symlink(b"x".as_slice().into()), fixed),
        (Kind::CharDevice(4096, 0), Meta::root(0o644)),
        (Kind::BlockDevice(0, 1 << 20), Meta::root(0o644)),
    ];
    let trees = cases.map(|(kind, meta)| {
        let mut tree = corpus::empty();
        let root = tree.root();
        let at = directory(&mut tree, root, "usr");
        add(&mut tree, at, "x", kind, meta);
        tree
    });
    for (tree, path) in trees.iter().map(|tree| (tree, "usr/x")).chain([(&links, "0")]) {
        let error = by_name("ext4").unwrap().min_size(tree, &identity()).unwrap_err();
        assert!(matches!(error, Error::Limit { .. } | Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().starts_with(path), "{error}");
    }
}

#[test]
fn a_label_of_17_bytes_is_refused() {
    let identity = Identity { label: "x".repeat(17), ..identity() };
    let error = by_name("ext4").unwrap().mkfs(&corpus::empty(), &identity, GIB).unwrap_err();
    assert!(matches!(error, Error::Limit { found: 17, allowed: 16, .. }), "{error}");
}

/// The kernel changes it and e2fsck still agrees: bitmaps, counts and indexes were right.
#[test]
fn the_kernel_can_write_to_it() {
    for size in [min_size(&corpus::edges()) + 20 * MIB, GIB] {
        let image = Image::of(&corpus::edges(), size);
        {
            let mount = image.mount("rw");
            let at = mount.path();
            for name in ["contents", "links", "symlinks", "times", "devices"] {
                fs::remove_dir_all(at.join(name)).unwrap();
            }
            fs::create_dir(at.join("new")).unwrap();
            for index in 0..200 {
                fs::write(at.join(format!("new/{index}")), corpus::noise(index * 97)).unwrap();
                fs::write(at.join(format!("xattrs/many/new{index}")), b"x").unwrap();
                fs::remove_file(at.join(format!("xattrs/many/f{}", index * 3))).unwrap();
            }
            fs::write(at.join("large"), corpus::noise(10_000_000)).unwrap();
            symlink("x".repeat(200), at.join("link")).unwrap();
        }
        image.assert_clean();
        let mount = image.mount_ro();
        assert_eq!(fs::read(mount.path().join("large")).unwrap(), corpus::noise(10_000_000));
    }
}

#[test]
fn it_grows_a_hundredfold() {
    for (tree, size) in
        [(corpus::edges(), 64 * MIB), (corpus::crowd(2000, 100), GIB), (corpus::empty(), 8 * MIB)]
    {
        let image = Image::of(&tree, size);
        let file = fs::File::options().write(true).open(image.file()).unwrap();
        file.set_len(size * 100).unwrap();
        run_ok("resize2fs", "e2fsprogs", &[&image.path()]);
        image.assert_clean();
        compare(&tree, image.mount_ro().path());
        assert!(image.dumpe2fs().contains(&format!("Block count:              {}", size * 100 / 4096)));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let tree = corpus::edges();
    let (one, two) = (mkfs(&tree, 300 * MIB), mkfs(&tree.clone(), 300 * MIB));
    assert_eq!(one.pieces().len(), two.pieces().len());
    for (one, two) in one.pieces().iter().zip(two.pieces()) {
        assert_eq!(one.offset, two.offset);
        assert!(one.data.to_vec().unwrap() == two.data.to_vec().unwrap(), "piece at {}", one.offset);
    }
}

/// Every backup of superblock and descriptors repairs the filesystem when the first one is lost.
#[test]
fn backups_are_usable() {
    let tree = corpus::edges();
    for group in [1, 3, 5, 7] {
        let image = Image::of(&tree, GIB);
        let file = fs::File::options().write(true).open(image.file()).unwrap();
        file.write_all_at(&[0; 8192], 0).unwrap();
        assert!(!image.e2fsck().status.success());
        let block = (group * 32_768).to_string();
        let repair = run("e2fsck", "e2fsprogs", &["-fy", "-b", &block, "-B", "4096", &image.path()]);
        assert_eq!(repair.status.code(), Some(1), "{}", String::from_utf8_lossy(&repair.stdout));
        image.assert_clean();
        compare(&tree, image.mount_ro().path());
    }
}

/// One wrong byte in each kind of metadata, and e2fsck says no.
#[test]
fn e2fsck_sees_a_wrong_byte() {
    let mut tree = corpus::crowd(1000, 30);
    let root = tree.root();
    file(&mut tree, root, "pieces", corpus::holes(20));
    let long = Meta { xattrs: xattrs(&[("user.long", &[3; 500])]), ..Meta::root(0o644) };
    add(&mut tree, root, "attributes", Kind::File(Sparse::new(0)), long);
    let image = Image::of(&tree, 64 * MIB);
    image.assert_clean();
    let block = |request: &str| -> u64 {
        let text = image.debugfs(request);
        let number = text.lines().next().and_then(|line| line.rsplit(' ').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("{request}: {text}"))
    };
    let acl = image.debugfs("stat attributes");
    let acl =
        acl.split("File ACL: ").nth(1).unwrap().split_whitespace().next().unwrap().parse::<u64>().unwrap();
    let extents = image.debugfs("ex pieces");
    let leaf: u64 = extents.lines().nth(1).unwrap().split_whitespace().nth(7).unwrap().parse().unwrap();
    let offsets = [
        1024 + 12,
        4096 + 14,
        block("bmap crowd 0") * 4096 + 36,
        block("bmap crowd 1") * 4096 + 9,
        acl * 4096 + 40,
        leaf * 4096 + 20,
    ];
    for offset in offsets {
        let damaged = Image::of(&tree, 64 * MIB);
        let file = fs::File::options().read(true).write(true).open(damaged.file()).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
        assert!(!damaged.e2fsck().status.success(), "byte {offset}");
    }
}

#[test]
fn a_tree_of_300_000_files() {
    let tree = corpus::forest(300_000, 100, 9000);
    judge(&tree, min_size(&tree));
}

#[test]
fn a_lost_found_of_the_tree_is_kept() {
    let mut tree = corpus::empty();
    let root = tree.root();
    let meta = Meta { mode: 0o700, xattrs: xattrs(&[("security.selinux", b"lost\0")]), ..Meta::default() };
    add(&mut tree, root, "lost+found", Kind::Directory(Default::default()), meta);
    judge(&tree, 64 * MIB);
}

#[test]
fn trees_of_any_shape_in_any_size() {
    for seed in 0..12 {
        let mut dice = corpus::Dice(seed);
        let count = 1 + dice.roll(3000);
        let tree = dice.tree(count);
        judge(&tree, min_size(&tree) + dice.roll(40 * MIB));
    }
}
