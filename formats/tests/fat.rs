//! FAT volumes, judged by fsck.fat, mtools and the crate `fatfs`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::Instant,
};

use diskwright_formats::{
    Error,
    filesystem::{Filesystem, Identity, by_name},
    sparse::Sparse,
    tree::{Meta, NodeId, Time, Tree},
    units::{GIB, KIB, MIB},
};
use tempfile::TempDir;

const MTIME: Time = Time { seconds: 1_709_164_799, nanoseconds: 0 };

fn vfat() -> &'static dyn Filesystem {
    by_name("vfat").unwrap()
}

fn identity(sector_size: u32) -> Identity {
    Identity {
        uuid: uuid::Uuid::from_u128(0xdead_beef_0000_4000_8000_0000_0000_0001),
        label: "EFI-SYSTEM".into(),
        time: MTIME,
        sector_size,
        offset: MIB,
        on_noise: false,
    }
}

fn meta(mode: u16) -> Meta {
    Meta { mtime: MTIME, ..Meta::root(mode) }
}

fn tree() -> Tree {
    Tree::new(meta(0o755))
}

/// Adds a file, and the directories above it.
fn add(tree: &mut Tree, path: &str, content: Sparse) -> NodeId {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut at = tree.root();
    for part in above.split('/').filter(|part| !part.is_empty()) {
        at = tree.child(at, part.as_bytes()).unwrap_or_else(|| {
            let directory = tree.add_directory(meta(0o755));
            tree.link(at, part.as_bytes(), directory);
            directory
        });
    }
    let file = tree.add_file(meta(0o644), content);
    tree.link(at, name.as_bytes(), file);
    file
}

/// An ESP's files, and names and lengths at the limits.
fn esp() -> Tree {
    let mut tree = tree();
    add(&mut tree, "EFI/BOOT/BOOTX64.EFI", Sparse::from_bytes(judge::noise(1, 961_024)));
    let shim = add(&mut tree, "EFI/fedora/shimx64.efi", Sparse::from_bytes(judge::noise(2, 4096)));
    add(&mut tree, "EFI/fedora/grub.cfg", Sparse::from_bytes(*b"search --fs-uuid x\n"));
    add(&mut tree, "EFI/fedora/empty file", Sparse::default());
    add(&mut tree, "loader/loader.conf", Sparse::from_bytes(*b"timeout 3\n"));
    add(&mut tree, ".hidden", Sparse::from_bytes(*b"h"));
    add(&mut tree, "Ünïcode 名.txt", Sparse::from_bytes(*b"unicode"));
    add(&mut tree, &"n".repeat(255), Sparse::from_bytes(*b"255"));
    add(&mut tree, &format!("{}/{}", "d".repeat(255), "f".repeat(254)), Sparse::from_bytes(*b"deep"));
    let holes = judge::sparse(300 * KIB, [(0, &b"start"[..]), (200 * KIB + 3, b"middle")]);
    add(&mut tree, "holes.bin", holes);
    for i in 0..300 {
        add(
            &mut tree,
            &format!("loader/entries/a long name of an entry {i:04}.conf"),
            Sparse::from_bytes([b'e'; 600]),
        );
    }
    let fedora = tree.lookup("EFI/fedora").unwrap();
    tree.link(fedora, *b"shim.efi", shim);
    let empty = tree.add_directory(meta(0o700));
    tree.link(tree.root(), *b"empty", empty);
    tree
}

/// What the tree says: path to content, `None` for directories.
type Listing = BTreeMap<String, Option<Vec<u8>>>;

fn expected(tree: &Tree) -> Listing {
    let mut listing = Listing::new();
    for (path, id) in tree.walk().filter(|(path, _)| !path.is_empty()) {
        let content = match &tree.node(id).kind {
            diskwright_formats::tree::Kind::File(content) => Some(content.to_vec().unwrap()),
            _ => None,
        };
        listing.insert(String::from_utf8(path).unwrap(), content);
    }
    listing
}

fn read_host(root: &Path, below: &Path, listing: &mut Listing) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        let name = path.to_str().unwrap().to_owned();
        if root.join(&path).is_dir() {
            listing.insert(name, None);
            read_host(root, &path, listing);
        } else {
            listing.insert(name, Some(fs::read(root.join(&path)).unwrap()));
        }
    }
}

fn read_fatfs(directory: &fatfs::Dir<'_, File>, below: &str, listing: &mut Listing) {
    for entry in directory.iter().map(Result::unwrap) {
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{below}{name}");
        if entry.is_dir() {
            read_fatfs(&entry.to_dir(), &format!("{path}/"), listing);
            listing.insert(path, None);
        } else {
            let mut content = Vec::new();
            entry.to_file().read_to_end(&mut content).unwrap();
            listing.insert(path, Some(content));
        }
    }
}

struct Volume {
    scratch: TempDir,
    path: PathBuf,
}

impl Volume {
    fn new(tree: &Tree, sector_size: u32, size: u64) -> Self {
        let scratch = TempDir::new().unwrap();
        let path = scratch.path().join("esp.img");
        let volume = vfat().mkfs(tree, &identity(sector_size), size).unwrap();
        assert_eq!(volume.len(), size);
        judge::write("raw", &volume, Default::default(), &path);
        Self { scratch, path }
    }

    fn fsck(&self) -> String {
        judge::pass("dosfstools", "fsck.fat", &["-n", "-v", self.path.to_str().unwrap()])
    }

    fn mcopy(&self) -> Listing {
        let out = self.scratch.path().join("out");
        fs::create_dir(&out).unwrap();
        let (image, out_text) = (self.path.to_str().unwrap(), out.to_str().unwrap());
        judge::pass("mtools", "mcopy", &["-s", "-n", "-Q", "-m", "-i", image, "::/", out_text]);
        let mut listing = Listing::new();
        read_host(&out, Path::new(""), &mut listing);
        listing
    }

    fn fatfs(&self) -> Listing {
        let file = File::options().read(true).write(true).open(&self.path).unwrap();
        let filesystem = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).unwrap();
        assert_eq!(filesystem.volume_label(), "EFI-SYSTEM");
        assert_eq!(filesystem.volume_id(), 0xdead_beef);
        let mut listing = Listing::new();
        read_fatfs(&filesystem.root_dir(), "", &mut listing);
        listing
    }
}

fn assert_same(found: &Listing, expected: &Listing) {
    let added: Vec<_> = found.keys().filter(|path| !expected.contains_key(*path)).collect();
    assert!(added.is_empty(), "not in the tree: {added:?}");
    for (path, content) in expected {
        assert!(found.get(path) == Some(content), "{path} is missing or differs");
    }
}

fn judge_all(tree: &Tree, sector_size: u32, size: u64, bits: &str) {
    let volume = Volume::new(tree, sector_size, size);
    let report = volume.fsck();
    assert!(report.contains(bits), "{report}");
    let expected = expected(tree);
    assert_same(&volume.mcopy(), &expected);
    assert_same(&volume.fatfs(), &expected);
}

#[test]
fn an_esp_of_501_mib_is_fat32_and_reads_back() {
    judge_all(&esp(), 512, 501 * MIB, "32 bit entries");
}

#[test]
fn an_esp_on_4096_byte_sectors_is_fat32_and_reads_back() {
    judge_all(&esp(), 4096, 300 * MIB, "32 bit entries");
}

#[test]
fn sizes_below_65525_clusters_are_fat16() {
    judge_all(&esp(), 512, 32 * MIB, "16 bit entries");
    judge_all(&esp(), 4096, 32 * MIB, "16 bit entries");
    judge_all(&esp(), 512, 5 * MIB, "16 bit entries");
}

#[test]
fn a_fat16_root_directory_grows_with_its_names() {
    let mut tree = tree();
    for i in 0..700 {
        add(&mut tree, &format!("a name that takes three entries {i}"), Sparse::from_bytes(*b"x"));
    }
    judge_all(&tree, 512, 16 * MIB, "16 bit entries");
    judge_all(&tree, 4096, 32 * MIB, "16 bit entries");
}

/// mtools has no names outside the basic plane, so fsck.fat and `fatfs` judge alone.
#[test]
fn names_outside_the_basic_plane_read_back() {
    let mut tree = tree();
    add(&mut tree, "😀 and 𝄞.txt", Sparse::from_bytes(*b"x"));
    let volume = Volume::new(&tree, 512, 64 * MIB);
    volume.fsck();
    assert_same(&volume.fatfs(), &expected(&tree));
}

#[test]
fn cluster_sizes_are_mkfs_fats() {
    for size in [260 * MIB, 501 * MIB, GIB, 9 * GIB] {
        let volume = Volume::new(&tree(), 512, size);
        let cluster =
            |report: String| report.lines().find(|line| line.contains("per cluster")).unwrap().to_owned();
        let ours = cluster(volume.fsck());
        judge::pass("dosfstools", "mkfs.fat", &["-F", "32", volume.path.to_str().unwrap()]);
        assert_eq!(ours, cluster(volume.fsck()));
    }
}

#[test]
fn the_smallest_size_is_exact() {
    let mut full = esp();
    add(&mut full, "large", Sparse::new(70 * MIB));
    let mut many = tree();
    for i in 0..66_000 {
        add(&mut many, &format!("{}/{i}", i / 1000), Sparse::from_bytes(*b"x"));
    }
    for (tree, sector_size) in [(&esp(), 512), (&esp(), 4096), (&tree(), 512), (&full, 512), (&many, 512)] {
        let identity = identity(sector_size);
        let size = vfat().min_size(tree, &identity).unwrap();
        let below = size - u64::from(sector_size);
        match vfat().mkfs(tree, &identity, below).unwrap_err() {
            Error::TooSmall { needed, given, .. } => assert_eq!((needed, given), (size, below)),
            error => panic!("{error}"),
        }
        Volume::new(tree, sector_size, size).fsck();
        for more in [1, 2, 3, 100, 1000, 5000, 100_000] {
            vfat().mkfs(tree, &identity, size + more * u64::from(sector_size)).unwrap();
        }
    }
}

#[test]
fn one_thousand_five_hundred_long_names_are_fast() {
    let mut tree = tree();
    for i in 0..1500 {
        add(&mut tree, &format!("modules/kernel-module-with-a-long-name-{i}.ko"), Sparse::from_bytes(*b"ko"));
    }
    let start = Instant::now();
    vfat().mkfs(&tree, &identity(512), 64 * MIB).unwrap();
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    judge_all(&tree, 512, 64 * MIB, "32 bit entries");
}

#[test]
fn mdir_shows_label_serial_times_and_short_names() {
    let volume = Volume::new(&esp(), 512, 64 * MIB);
    let image = volume.path.to_str().unwrap();
    let listing = judge::pass("mtools", "mdir", &["-/", "-a", "-i", image, "::"]);
    for text in
        ["Volume in drive : is EFI-SYSTEM", "DEAD-BEEF", "2024-02-28  23:59", "BOOTX64  EFI    961024"]
    {
        assert!(listing.contains(text), "{text}: {listing}");
    }
    let info = judge::pass("mtools", "minfo", &["-i", image, "::"]);
    for text in [
        "hidden sectors: 2048",
        "media descriptor byte: 0xf8",
        "signature=0x41615252",
        "backup boot sector=6",
    ] {
        assert!(info.contains(text), "{text}: {info}");
    }
}

#[test]
fn fsck_says_no_to_a_flipped_byte() {
    for offset in [0x10, 32 * 512 + 4 * 5, 32 * 512 + 4 * 2000] {
        let volume = Volume::new(&esp(), 512, 64 * MIB);
        volume.fsck();
        judge::flip(&volume.path, offset);
        judge::refuse("dosfstools", "fsck.fat", &["-n", volume.path.to_str().unwrap()]);
    }
}

#[test]
fn what_fat_cannot_hold_is_an_error_with_the_path() {
    let refuse = |change: &dyn Fn(&mut Tree)| {
        let mut tree = esp();
        change(&mut tree);
        vfat().mkfs(&tree, &identity(512), 64 * MIB).unwrap_err()
    };
    let error = refuse(&|tree| _ = add(tree, "EFI/huge", Sparse::new(4 * GIB)));
    assert!(matches!(error, Error::Limit { allowed: 0xffff_ffff, .. }), "{error}");
    assert!(error.to_string().starts_with("EFI/huge"), "{error}");
    let error = refuse(&|tree| _ = add(tree, "EFI/Boot/x", Sparse::default()));
    assert!(error.to_string().starts_with("EFI/Boot: ") && error.to_string().contains("'BOOT'"), "{error}");
    let error = refuse(&|tree| {
        let link = tree.add_symlink(*b"BOOT");
        tree.link(tree.lookup("EFI").unwrap(), *b"link", link);
    });
    assert!(error.to_string().starts_with("EFI/link: "), "{error}");
    let too_long = Identity { label: "TWELVE-BYTES".into(), ..identity(512) };
    assert!(matches!(vfat().min_size(&esp(), &too_long), Err(Error::Limit { .. })));
}

#[test]
fn a_file_of_4_gib_less_one_byte_fits() {
    let mut tree = tree();
    // fsck.fat 4.2 counts a chain's bytes in 32 bits, so it sees a file of one cluster less.
    add(&mut tree, "huge", Sparse::new(4 * GIB - 4 * KIB));
    Volume::new(&tree, 512, 5 * GIB).fsck();
    add(&mut tree, "huge", judge::sparse(4 * GIB - 1, [(4 * GIB - 2, &b"x"[..])]));
    let volume = Volume::new(&tree, 512, 5 * GIB);
    let listing = judge::pass("mtools", "mdir", &["-i", volume.path.to_str().unwrap(), "::"]);
    assert!(listing.contains("4294967295"), "{listing}");
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let bytes = || vfat().mkfs(&esp(), &identity(512), 40 * MIB).unwrap().to_vec().unwrap();
    assert!(bytes() == bytes());
}
