//! ISO 9660, judged by xorriso, isoinfo, 7-Zip, libarchive and sgdisk: what they read out of a hybrid
//! medium is the tree that went in.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use diskwright_formats::{
    Error,
    data::Data,
    disk::{Layout as Table, Partition, TableKind, assemble},
    filesystem::{
        Filesystem, Identity,
        fat::Fat,
        iso9660::{self, Boot, Layout, SECTOR, SYSTEM_AREA, Volume},
    },
    sparse::Sparse,
    tree::{Kind, Meta, Node, NodeId, Time, Tree},
    units::{GIB, MIB, round_up},
    writer::Options,
};
use judge::{noise, pass, refuse, run};
use tempfile::TempDir;
use uuid::Uuid;

const TIME: i64 = 1_767_225_600;
const XORRISO: &str = "xorriso";
const ESP: Uuid = Uuid::from_u128(0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b);
const DATA: Uuid = Uuid::from_u128(0xebd0_a0a2_b9e5_4433_87c0_68b6_b726_99c7);

const fn at(seconds: i64) -> Time {
    Time { seconds, nanoseconds: 0 }
}

fn meta(mode: u16) -> Meta {
    Meta { mtime: at(TIME), ..Meta::root(mode) }
}

fn directory(tree: &mut Tree, parent: NodeId, name: &[u8]) -> NodeId {
    let made = tree.add_directory(meta(0o755));
    tree.link(parent, name, made);
    made
}

fn file(tree: &mut Tree, parent: NodeId, name: &[u8], content: impl Into<Vec<u8>>) -> NodeId {
    let made = tree.add_file(meta(0o644), Sparse::from_bytes(content.into()));
    tree.link(parent, name, made);
    made
}

/// A tree with a file that BIOS would boot.
struct Fixture {
    tree: Tree,
    bios: NodeId,
}

fn small() -> Fixture {
    let mut tree = Tree::new(meta(0o755));
    let root = tree.root();
    let boot = directory(&mut tree, root, b"boot");
    let bios = file(&mut tree, boot, b"eltorito.img", noise(3, 30_000));
    file(&mut tree, root, b"readme", "read me\n");
    Fixture { tree, bios }
}

/// Everything at its limits.
fn corpus() -> Fixture {
    let Fixture { mut tree, bios } = small();
    let root = tree.root();
    let names = directory(&mut tree, root, b"names");
    for len in [1, 30, 31, 32, 180, 190, 191, 200, 249, 250, 251, 255] {
        file(&mut tree, names, &vec![b'n'; len], format!("{len}"));
        directory(&mut tree, names, &vec![b'd'; len]);
    }
    for name in
        ["Case", "case", "CASE", "a+b", "a-b", ".hidden", "x.tar.gz", "dot.", "ends;1", " blank ", "ä"]
    {
        file(&mut tree, names, name.as_bytes(), name);
    }
    let mut deep = root;
    for level in 0..40 {
        deep = directory(&mut tree, deep, format!("level{level}").as_bytes());
    }
    file(&mut tree, deep, b"bottom", "deep");
    contents(&mut tree);
    let readme = tree.lookup("readme").unwrap();
    links(&mut tree, readme);
    let many = directory(&mut tree, root, b"many");
    for number in 0..5000 {
        file(&mut tree, many, format!("the same long beginning of all names {number}").as_bytes(), "");
    }
    Fixture { tree, bios }
}

fn contents(tree: &mut Tree) {
    let root = tree.root();
    let contents = directory(tree, root, b"contents");
    for len in [0, 1, 2047, 2048, 2049, 100_000] {
        file(tree, contents, format!("{len}").as_bytes(), noise(len as u64, len));
    }
    let holes = tree.add_file(meta(0o600), judge::sparse(3 * MIB, [(MIB, &b"island"[..])]));
    tree.link(contents, *b"holes", holes);
    for (name, seconds) in [("1902", -2_145_916_800), ("1969", -3600), ("2038", 2_200_000_000)] {
        let old = tree.add_file(Meta { mtime: at(seconds), ..meta(0o644) }, Sparse::from_bytes(*b"t"));
        tree.link(contents, name.as_bytes(), old);
    }
    for (name, mode) in [("setuid", 0o4755), ("sticky", 0o1777), ("none", 0)] {
        let made = tree.add_file(meta(mode), Sparse::from_bytes(*b"m"));
        tree.link(contents, name.as_bytes(), made);
    }
}

fn links(tree: &mut Tree, other: NodeId) {
    let root = tree.root();
    let links = directory(tree, root, b"links");
    tree.link(links, *b"hard", other);
    let long = [&b"x".repeat(255)[..], b"/", &b"y".repeat(255), b"/../z"].concat();
    let longest = [&b"12345678/".repeat(110)[..], b"end"].concat();
    let absolute = &b"/usr/./../bin/sh"[..];
    for (name, target) in [
        (&b"relative"[..], &b"../boot/eltorito.img"[..]),
        (b"absolute", absolute),
        (b"root", b"/"),
        (b"parent", b".."),
        (b"dots", b"../../.././a"),
        (b"long", &long),
        (b"longest", &longest),
        (&b"l".repeat(255), &longest),
    ] {
        let made = tree.add_symlink(target);
        tree.node_mut(made).meta.mtime = at(TIME);
        tree.link(links, name, made);
    }
}

/// A hybrid medium: boot code aside, what the tool makes.
fn medium(fixture: &Fixture) -> Sparse {
    let layout = Layout::new(&fixture.tree).unwrap();
    let offset = round_up(layout.len(), MIB);
    let esp = esp(offset);
    let size = offset + esp.len() + MIB;
    let volume =
        Volume { id: "DISKWRIGHT_TEST", publisher: "The Tests", application: "a test", time: at(TIME), size };
    let boot = Boot { bios: Some(fixture.bios), efi: Some(offset..offset + esp.len()) };
    let iso = iso9660::write(&fixture.tree, &layout, &volume, &boot).unwrap();
    let partition = |number, offset, size, type_uuid| Partition {
        offset,
        size,
        type_uuid,
        dos_type: None,
        uuid: Uuid::from_u128(number),
        name: format!("part{number}"),
        attributes: 0,
    };
    let partitions = vec![partition(1, SYSTEM_AREA, iso.len(), DATA), partition(2, offset, esp.len(), ESP)];
    let table = Table { size, kind: TableKind::Gpt, sector_size: 512, uuid: Uuid::from_u128(9), partitions };
    assemble(&table, &[(0, iso), (1, esp)]).unwrap()
}

fn esp(offset: u64) -> Sparse {
    let mut tree = Tree::new(meta(0o755));
    let root = tree.root();
    file(&mut tree, root, b"hello.efi", noise(5, 100_000));
    let identity = Identity {
        uuid: Uuid::from_u128(7),
        label: "ESP".into(),
        time: at(TIME),
        sector_size: 512,
        offset,
        on_noise: false,
    };
    let size = round_up(Fat.min_size(&tree, &identity).unwrap(), MIB);
    Fat.mkfs(&tree, &identity, size).unwrap()
}

/// Written, in a directory of its own.
struct Written {
    scratch: TempDir,
    disk: Sparse,
}

impl Written {
    fn new(disk: Sparse) -> Self {
        let written = Self { scratch: TempDir::new().unwrap(), disk };
        judge::write("raw", &written.disk, Options::default(), &written.path());
        written
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("medium.iso")
    }

    fn text(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    /// What xorriso says, messages too; it may load the medium only without a complaint.
    fn xorriso(&self, args: &[&str]) -> String {
        let (iso, mut line) = (self.text(), vec!["-no_rc", "-indev"]);
        line.push(&iso);
        line.extend(args);
        let output = run("xorriso", XORRISO, &line);
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        for word in ["WARNING", "SORRY", "FAILURE", "FATAL", "damaged"] {
            assert!(!said.contains(word), "{said}");
        }
        said
    }

    fn extracted(&self, name: &str) -> PathBuf {
        let to = self.scratch.path().join(name);
        fs::create_dir(&to).unwrap();
        to
    }
}

/// That the directory holds the tree; modes and times too where that is asked.
fn assert_holds(tree: &Tree, root: &Path, exact: bool) {
    for (path, id) in tree.walk().filter(|(path, _)| !path.is_empty()) {
        let place = root.join(OsStr::from_bytes(&path));
        let shown = place.display();
        let found = fs::symlink_metadata(&place).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let node = tree.node(id);
        match &node.kind {
            Kind::File(content) => {
                assert_eq!(found.len(), content.len(), "{shown}");
                assert!(fs::read(&place).unwrap() == content.to_vec().unwrap(), "{shown}: other content");
            }
            Kind::Symlink(target) => {
                assert_eq!(fs::read_link(&place).unwrap().as_os_str().as_bytes(), &target[..], "{shown}");
            }
            Kind::Directory(children) => assert_eq!(fs::read_dir(&place).unwrap().count(), children.len()),
            other => panic!("{shown}: {other:?}"),
        }
        if exact && !matches!(node.kind, Kind::Symlink(_)) {
            assert_eq!(found.mode() & 0o7777, u32::from(node.meta.mode), "{shown}");
            assert_eq!(found.mtime(), node.meta.mtime.seconds, "{shown}");
        }
    }
}

#[test]
fn every_program_reads_the_tree_that_went_in() {
    let fixture = corpus();
    let written = Written::new(medium(&fixture));
    let iso = written.text();
    let to = written.extracted("xorriso");
    written.xorriso(&["-osirrox", "on", "-extract", "/", to.to_str().unwrap()]);
    assert_holds(&fixture.tree, &to, true);
    let to = written.extracted("libarchive");
    pass("libarchive-tools", "bsdtar", &["-xpf", &iso, "-C", to.to_str().unwrap()]);
    assert_holds(&fixture.tree, &to, true);
    let hard = fs::metadata(to.join("links/hard")).unwrap().ino();
    assert_eq!(hard, fs::metadata(to.join("readme")).unwrap().ino(), "not one file");
    let list = pass("genisoimage", "isoinfo", &["-R", "-f", "-i", &iso]);
    assert_eq!(list.lines().count(), fixture.tree.walk().count() - 1, "isoinfo's list");
}

/// 7-Zip reads long links and device numbers its own way, so it gets what all agree on.
#[test]
fn seven_zip_reads_it_too() {
    let mut fixture = small();
    contents(&mut fixture.tree);
    let written = Written::new(medium(&fixture));
    let to = written.extracted("7z");
    let said = pass("7zip", "7zz", &["x", "-tiso", &format!("-o{}", to.display()), &written.text()]);
    assert!(said.contains("Everything is Ok"), "{said}");
    assert_holds(&fixture.tree, &to, false);
}

#[test]
fn firmware_finds_what_it_boots() {
    let fixture = small();
    let written = Written::new(medium(&fixture));
    let sector = Layout::new(&fixture.tree).unwrap().sector_of(fixture.bios).unwrap();
    let torito = written.xorriso(&["-report_el_torito", "plain"]);
    let lines: Vec<String> =
        torito.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |text: &str| assert!(lines.iter().any(|line| line.starts_with(text)), "no '{text}': {torito}");
    has("El Torito catalog : 19 1");
    has(&format!("El Torito boot img : 1 BIOS y none 0x0000 0x00 4 {sector}"));
    has("El Torito boot img : 2 UEFI y none 0x0000 0x00");
    has("El Torito img path : 1 /boot/eltorito.img");
    let area = written.xorriso(&["-report_system_area", "plain"]);
    let area = area.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in ["protective-msdos-label", "GPT type GUID : 2 28732ac11ff8d211ba4b00a0c93ec93b"] {
        assert!(area.contains(text), "{area}");
    }
    let verdict = pass("gdisk", "sgdisk", &["-v", &written.text()]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let esp = written.scratch.path().join("esp");
    let catalogued = lines.iter().find(|line| line.starts_with("El Torito boot img : 2")).unwrap();
    let start: u64 = catalogued.rsplit(' ').next().unwrap().parse().unwrap();
    let mut bytes = vec![0; MIB as usize];
    File::open(written.path()).unwrap().read_exact_at(&mut bytes, start * SECTOR).unwrap();
    fs::write(&esp, bytes).unwrap();
    pass("mtools", "mdir", &["-i", esp.to_str().unwrap(), "::hello.efi"]);
}

#[test]
fn the_volume_says_who_made_it() {
    let written = Written::new(medium(&small()));
    let said = pass("genisoimage", "isoinfo", &["-d", "-i", &written.text()]);
    for text in [
        "Volume id: DISKWRIGHT_TEST",
        "Publisher id: The Tests",
        "Application id: a test",
        "Eltorito validation header:",
        "Rock Ridge signatures version 1 found",
    ] {
        assert!(said.contains(text), "no '{text}': {said}");
    }
    let size = written.disk.len() / SECTOR;
    assert!(said.contains(&format!("Volume size is: {size}\n")), "{said}");
}

#[test]
fn a_file_of_more_than_4_gib_is_whole() {
    let Fixture { mut tree, bios } = small();
    let len = 4 * GIB + MIB + 7;
    let pieces = [(0, &b"first"[..]), (4 * GIB - 2050, &[0xaa; 4096][..]), (len - 4, &b"last"[..])];
    let content = judge::sparse(len, pieces);
    let big = tree.add_file(meta(0o644), content.clone());
    let root = tree.root();
    tree.link(root, *b"big", big);
    file(&mut tree, root, b"big2", "behind it");
    let written = Written::new(medium(&Fixture { tree, bios }));
    let expected = written.scratch.path().join("expected");
    judge::write("raw", &judge::sparse(round_up(len, 512), pieces), Options::default(), &expected);
    File::options().write(true).open(&expected).unwrap().set_len(len).unwrap();
    let compare = format!("bsdtar -xOf {} big | cmp - {}", written.text(), expected.display());
    pass("libarchive-tools", "bash", &["-euo", "pipefail", "-c", &compare]);
    let cut = written.scratch.path().join("cut");
    let (from, count) = ((4 * GIB - 4096).to_string(), MIB.to_string());
    written.xorriso(&["-osirrox", "on", "-extract_cut", "/big", &from, &count, cut.to_str().unwrap()]);
    let mut right = vec![0; MIB as usize];
    content.read_exact_at(&mut right, 4 * GIB - 4096).unwrap();
    assert!(fs::read(cut).unwrap() == right, "xorriso reads something else");
    let list = pass("genisoimage", "isoinfo", &["-R", "-x", "/big2", "-i", &written.text()]);
    assert_eq!(list, "behind it");
}

#[test]
fn names_of_any_bytes_and_devices_come_back() {
    let Fixture { mut tree, bios } = small();
    let root = tree.root();
    file(&mut tree, root, b"\xff\xfe\x80 bytes\n", "odd");
    for (name, kind) in [
        (&b"null"[..], Kind::CharDevice(1, 3)),
        (b"large", Kind::BlockDevice(259, 70_000)),
        (b"pipe", Kind::Fifo),
        (b"socket", Kind::Socket),
    ] {
        let node = tree.add(Node { meta: meta(0o600), kind });
        tree.link(root, name, node);
    }
    let mut fixture = Fixture { tree, bios };
    let written = Written::new(medium(&fixture));
    let output = run("genisoimage", "isoinfo", &["-R", "-l", "-i", &written.text()]);
    assert!(output.stdout.windows(9).any(|window| window == b"\xff\xfe\x80 bytes"), "{output:?}");
    let target = [&b"12345678/".repeat(454)[..], b"end"].concat();
    let link = fixture.tree.add_symlink(&target[..]);
    fixture.tree.link(root, *b"longer than others read", link);
    let written = Written::new(medium(&fixture));
    let list = pass("libarchive-tools", "bsdtar", &["-tvf", &written.text()]);
    let target = String::from_utf8_lossy(&target);
    for text in ["crw-------", "brw-------", "prw-------", "srw-------", "1,3", &*target] {
        assert!(list.contains(text), "no {text}: {list}");
    }
}

#[test]
fn damage_is_seen() {
    let fixture = small();
    let written = Written::new(medium(&fixture));
    let layout = Layout::new(&fixture.tree).unwrap();
    let place = u64::from(layout.sector_of(fixture.bios).unwrap()) * SECTOR;
    judge::flip(&written.path(), place + 5000);
    let to = written.extracted("changed");
    written.xorriso(&["-osirrox", "on", "-extract", "/boot", to.to_str().unwrap()]);
    let Kind::File(content) = &fixture.tree.node(fixture.bios).kind else { panic!("no file") };
    assert!(fs::read(to.join("eltorito.img")).unwrap() != content.to_vec().unwrap());
    judge::flip(&written.path(), 32_769);
    refuse("genisoimage", "isoinfo", &["-d", "-i", &written.text()]);
    judge::flip(&written.path(), 1024 + 60);
    let verdict = run("gdisk", "sgdisk", &["-v", &written.text()]);
    assert!(!String::from_utf8_lossy(&verdict.stdout).contains("No problems found"));
}

#[test]
fn the_same_tree_makes_the_same_bytes() {
    let bytes = |fixture: &Fixture| {
        let mut bytes = Vec::new();
        medium(fixture).reader().read_to_end(&mut bytes).unwrap();
        bytes
    };
    assert!(bytes(&corpus()) == bytes(&corpus()));
}

#[test]
fn what_cannot_be_said_is_refused() {
    let refused = |change: &dyn Fn(&mut Tree)| {
        let mut tree = small().tree;
        change(&mut tree);
        Layout::new(&tree).unwrap_err()
    };
    let error = refused(&|tree| {
        let root = tree.root();
        file(tree, root, &[b'n'; 256], "");
    });
    assert!(matches!(error, Error::Limit { found: 256, allowed: 255, .. }), "{error}");
    let error = refused(&|tree| {
        let link = tree.add_symlink([b'x'; 5000]);
        tree.link(tree.root(), *b"link", link);
    });
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    let error = refused(&|tree| {
        let mut meta = meta(0o644);
        std::sync::Arc::make_mut(&mut meta.xattrs).insert((*b"user.a").into(), (*b"b").into());
        let made = tree.add_file(meta, Sparse::new(0));
        tree.link(tree.root(), *b"labelled", made);
    });
    assert!(error.to_string().contains("labelled"), "{error}");
    let error = refused(&|tree| {
        let made = tree.add_file(meta(0o644), Sparse::new(1 << 43));
        tree.link(tree.root(), *b"huge", made);
    });
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    let (tree, data) = (small().tree, Data::from_bytes(*b""));
    assert!(data.is_empty());
    let layout = Layout::new(&tree).unwrap();
    let volume = Volume { id: "with blank", publisher: "", application: "", time: at(0), size: layout.len() };
    assert!(iso9660::write(&tree, &layout, &volume, &Boot::default()).is_err());
}
