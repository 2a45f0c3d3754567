//! GRUB for BIOS, put together from the files of Debian's grub-pc-bin: what it
//! unpacks to is what `grub-mkimage` packs, byte for byte. The host's GRUB judges, and the one that is
//! in the image of the next release (`DISKWRIGHT_DEMO_IMAGE_TRIXIE`).

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "common/demo.rs"]
mod demo;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use diskwright::deploy::bootloader::bios::{core_image::Parts, modules::Dependencies};
use liblzma::stream::{Action, Filters, LzmaOptions, Stream};

const FILES: &str = "/usr/lib/grub/i386-pc";
const SECTOR: usize = 512;
/// Offsets in a core image: sectors in the block list, sizes in the decompressor.
const SECTOR_COUNT: usize = 508;
const COMPRESSED: usize = SECTOR + 8;
const UNCOMPRESSED: usize = SECTOR + 12;

/// A GRUB: its files, and the program that packs them.
struct Grub {
    files: PathBuf,
    mkimage: Vec<PathBuf>,
}

impl Grub {
    fn of_host() -> Self {
        Self { files: FILES.into(), mkimage: vec!["grub-mkimage".into()] }
    }

    /// Out of the layers of the image of Debian 13, run with the libraries it has there.
    fn of_trixie(directory: &Path) -> Self {
        let layout =
            demo::image("DISKWRIGHT_DEMO_IMAGE_TRIXIE", "demo-image-trixie", " --suite trixie --metal");
        let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
        let libraries = "usr/lib/x86_64-linux-gnu";
        for blob in blobs.filter(|blob| fs::metadata(blob).unwrap().len() > 1 << 20) {
            let wanted = [&format!("{libraries}/*.so*"), "usr/bin/grub-mkimage", "usr/lib/grub/i386-pc/*"];
            // Tar fails over what another layer holds.
            let mut tar = Command::new("tar");
            tar.args(["--wildcards", "--no-wildcards-match-slash", "-xf"]).arg(blob).arg("-C").arg(directory);
            tar.args(wanted).output().unwrap_or_else(|error| panic!("tar (packages tar, zstd): {error}"));
        }
        let libraries = directory.join(libraries);
        let loader = vec![libraries.join("ld-linux-x86-64.so.2"), "--library-path".into(), libraries];
        let files = directory.join("usr/lib/grub/i386-pc");
        Self { files, mkimage: [loader, vec![directory.join("usr/bin/grub-mkimage")]].concat() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.mkimage[0]);
        command.args(&self.mkimage[1..]);
        command
    }
}

#[test]
fn the_payload_is_that_of_grub_mkimage() {
    check_payloads(&Grub::of_host());
}

#[test]
fn the_payload_is_that_of_the_next_releases_grub_mkimage() {
    let directory = tempfile::tempdir().unwrap();
    let grub = Grub::of_trixie(directory.path());
    let version = grub.command().arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(version.contains(" 2.12-"), "{version}");
    assert!(
        fs::read(grub.files.join("kernel.img")).unwrap() != fs::read(format!("{FILES}/kernel.img")).unwrap()
    );
    check_payloads(&grub);
}

fn check_payloads(grub: &Grub) {
    for (modules, config) in [
        (&["biosdisk", "part_gpt", "ext2", "search_fs_uuid"][..], "set prefix=($root)'/grub'\n"),
        (&["normal", "linux", "xfs", "btrfs", "regexp", "serial", "loadenv"], "odd\n"),
        (&["all_video", "lvm", "mdraid1x", "luks2", "configfile", "search"], "search.fs_uuid 1-2 root\nx\n"),
    ] {
        let parts = parts_of(&grub.files, modules, config);
        let core = parts.assemble().unwrap();
        let (ours, theirs) = (core.unplaced(), mkimage(grub, modules, config));
        let payload = parts.payload().unwrap();
        assert!(unpack(&theirs) == payload, "{modules:?}: not what grub-mkimage packs");
        assert!(unpack(ours) == payload, "{modules:?}: the stream is not the payload's");
        check_heads(&grub.files, ours, &theirs);
    }
}

#[test]
fn another_byte_in_a_module_is_another_payload() {
    let modules = ["biosdisk", "part_gpt"];
    let mut parts = parts(&modules, "x\n");
    let last = parts.modules.last_mut().unwrap();
    last[100] ^= 1;
    assert!(unpack(&mkimage(&Grub::of_host(), &modules, "x\n")) != parts.payload().unwrap());
}

#[test]
fn it_knows_its_place_and_leaves_the_disks_bytes_alone() {
    let core = parts(&["biosdisk"], "x\n").assemble().unwrap();
    let placed = core.placed(0x1_2345_6789);
    assert_eq!(placed[500..508], 0x1_2345_678a_u64.to_le_bytes());
    assert_eq!(placed[..500], core.unplaced()[..500]);
    assert_eq!(placed[508..], core.unplaced()[508..]);
    let (code, original) = (core.boot_code(0x1_2345_6789), fs::read(format!("{FILES}/boot.img")).unwrap());
    assert_eq!(code[0x5c..0x64], 0x1_2345_6789_u64.to_le_bytes());
    assert_eq!(code[3..0x5a], [0; 0x57]);
    assert_eq!(code[0x64..0x68], [0xff, original[0x65], 0x90, 0x90]);
    assert_eq!((&code[..3], &code[0x68..]), (&original[..3], &original[0x68..440]));
}

#[test]
fn damaged_files_are_refused() {
    let whole = parts(&["biosdisk"], "x\n");
    let refused = |change: fn(&mut Parts)| {
        let mut parts = whole.clone();
        change(&mut parts);
        format!("{:#}", parts.assemble().unwrap_err())
    };
    assert!(refused(|parts| parts.boot.truncate(511)).contains("boot.img"));
    assert!(refused(|parts| parts.diskboot[510] = 0).contains("diskboot.img"));
    assert!(refused(|parts| parts.decompressor.truncate(10)).contains("lzma_decompress.img"));
    assert!(refused(|parts| parts.decompressor.resize(4000, 0)).contains("lzma_decompress.img"));
    assert!(refused(|parts| parts.kernel.truncate(3000)).contains("kernel.img"));
    assert!(refused(|parts| parts.kernel[4] = 2).contains("kernel.img"));
    assert!(refused(|parts| parts.modules.push(noise(600_000))).contains("at most"));
}

/// Bytes that cannot be packed.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn parts(modules: &[&str], config: &str) -> Parts {
    parts_of(Path::new(FILES), modules, config)
}

fn parts_of(files: &Path, modules: &[&str], config: &str) -> Parts {
    let read = |name: &str| {
        fs::read(files.join(name)).unwrap_or_else(|error| panic!("{name} (package grub-pc-bin): {error}"))
    };
    let list = String::from_utf8(read("moddep.lst")).unwrap();
    let modules = Dependencies::parse(&list).closure(modules).unwrap();
    Parts {
        boot: read("boot.img"),
        diskboot: read("diskboot.img"),
        decompressor: read("lzma_decompress.img"),
        kernel: read("kernel.img"),
        modules: modules.iter().map(|name| read(&format!("{name}.mod"))).collect(),
        config: config.into(),
        prefix: "/grub".into(),
    }
}

fn mkimage(grub: &Grub, modules: &[&str], config: &str) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let (early, core) = (scratch.path().join("early.cfg"), scratch.path().join("core.img"));
    fs::write(&early, config).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let output = grub
        .command()
        .args([
            "-O",
            "i386-pc",
            "-d",
            &path(&grub.files),
            "-p",
            "/grub",
            "-c",
            &path(&early),
            "-o",
            &path(&core),
        ])
        .args(modules)
        .output()
        .unwrap_or_else(|error| panic!("grub-mkimage (package grub-common): {error}"));
    assert!(output.status.success(), "grub-mkimage: {}", String::from_utf8_lossy(&output.stderr));
    fs::read(core).unwrap()
}

/// All but what depends on the length of the stream, which is another encoder's.
fn check_heads(files: &Path, ours: &[u8], theirs: &[u8]) {
    let decompressor = fs::metadata(files.join("lzma_decompress.img")).unwrap().len() as usize;
    let blank = |image: &[u8]| {
        let mut head = image[..SECTOR + decompressor].to_vec();
        head[SECTOR_COUNT..SECTOR_COUNT + 2].fill(0);
        head[COMPRESSED..COMPRESSED + 4].fill(0);
        head
    };
    assert!(blank(ours) == blank(theirs), "the first sectors differ");
    let count = u16::from_le_bytes([ours[SECTOR_COUNT], ours[SECTOR_COUNT + 1]]);
    assert_eq!(usize::from(count), ours.len().div_ceil(SECTOR) - 1);
}

fn unpack(image: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize;
    let mut options = LzmaOptions::new_preset(6).unwrap();
    options.dict_size(64 << 10).literal_context_bits(3).literal_position_bits(0).position_bits(2);
    let mut filters = Filters::new();
    filters.lzma1(&options);
    let mut decoder = Stream::new_raw_decoder(&filters).unwrap();
    let mut bytes = Vec::with_capacity(word(UNCOMPRESSED));
    let stream = &image[image.len() - word(COMPRESSED)..];
    decoder.process_vec(stream, &mut bytes, Action::Run).unwrap();
    assert_eq!(bytes.len(), word(UNCOMPRESSED));
    bytes
}
