//! Reading disks that qemu-img made, and refusing hostile ones.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use diskwright_formats::{
    reader,
    sparse::Sparse,
    units::{KIB, MIB, TIB},
    writer::Options,
};
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn qemu(args: &[&str]) {
    judge::pass("qemu-utils", "qemu-img", args);
}

fn open(path: &Path) -> Sparse {
    reader::open(File::open(path).unwrap()).unwrap()
}

fn error(path: &Path) -> String {
    reader::open(File::open(path).unwrap()).unwrap_err().to_string()
}

/// A raw disk with all there is: holes, zeros, noise, text, and ends in the middle of clusters.
fn original(dir: &Path) -> PathBuf {
    let noise = judge::noise(1, 3 * MIB as usize);
    let text = b"all work and no play ".repeat(100_000);
    let disk = judge::sparse(
        45 * MIB + 512,
        [(0, &noise[..100_000]), (MIB, &text), (20 * MIB + 512, &noise), (45 * MIB, &text[..512])],
    );
    let path = dir.join("original.raw");
    judge::write("raw", &disk, Options::default(), &path);
    path
}

/// What qemu-img can make of a disk in QCOW2.
const KINDS: &[&[&str]] = &[
    &["-o", "compat=1.1"],
    &["-o", "compat=0.10"],
    &["-o", "compat=1.1,cluster_size=512"],
    &["-o", "compat=1.1,cluster_size=2M"],
    &["-o", "compat=1.1,preallocation=metadata"],
    &["-c", "-o", "compat=1.1"],
    &["-c", "-o", "compat=0.10,cluster_size=4k"],
    &["-c", "-o", "compat=1.1,cluster_size=2M"],
    &["-c", "-o", "compat=1.1,compression_type=zstd"],
    &["-c", "-o", "compat=1.1,compression_type=zstd,cluster_size=4k"],
];

#[test]
fn what_qemu_img_writes_is_read() {
    let scratch = TempDir::new().unwrap();
    let original = original(scratch.path());
    let expected = fs::read(&original).unwrap();
    assert!(open(&original).to_vec().unwrap() == expected);
    let image = scratch.path().join("image");
    for kind in KINDS {
        let convert = [&["convert", "-f", "raw", "-O", "qcow2"], *kind, &[text(&original), text(&image)]];
        qemu(&convert.concat());
        let disk = open(&image);
        assert!(disk.to_vec().unwrap() == expected, "{kind:?}");
        let mut part = [0; 1000];
        disk.read_exact_at(&mut part, MIB + 65_000).unwrap();
        assert!(part[..] == expected[MIB as usize + 65_000..][..1000], "{kind:?}");
    }
}

#[test]
fn zero_clusters_and_overwritten_ones_are_read() {
    let scratch = TempDir::new().unwrap();
    let (original, image) = (original(scratch.path()), scratch.path().join("image"));
    for kind in KINDS {
        qemu(&[&["convert", "-f", "raw", "-O", "qcow2"], *kind, &[text(&original), text(&image)]].concat());
        let mut commands = vec!["-c", "write -P 7 1M 70000", "-c", "write -P 9 44M 1M"];
        if !kind.iter().any(|word| word.contains("0.10")) {
            commands.extend(["-c", "write -z 20M 128k", "-c", "discard 21M 1M"]);
        }
        commands.push(text(&image));
        judge::pass("qemu-utils", "qemu-io", &commands);
        let back = scratch.path().join("back.raw");
        qemu(&["convert", "-O", "raw", text(&image), text(&back)]);
        assert!(open(&image).to_vec().unwrap() == fs::read(&back).unwrap(), "{kind:?}");
    }
}

#[test]
fn holes_are_gaps() {
    let scratch = TempDir::new().unwrap();
    let path = scratch.path().join("disk.raw");
    let disk = judge::sparse(TIB, [(MIB, &[1; 4096][..]), (TIB - 4096, &[2; 4096])]);
    judge::write("raw", &disk, Options::default(), &path);
    assert!(open(&path).data_len() <= 2 * MIB);
    fs::write(&path, [5; 700]).unwrap();
    let odd = open(&path);
    assert_eq!(odd.len(), 1024);
    assert_eq!(odd.to_vec().unwrap()[699..702], [5, 0, 0]);
    fs::write(&path, "").unwrap();
    assert_eq!(open(&path).len(), 0);
}

#[test]
fn what_cannot_be_read_is_said() {
    let scratch = TempDir::new().unwrap();
    let (original, image) = (original(scratch.path()), scratch.path().join("image"));
    let backing = format!("backing_file={},backing_fmt=raw", text(&original));
    for (option, why) in [
        (backing.as_str(), "backing file"),
        ("extended_l2=on", "extended L2"),
        (&format!("data_file={}/data", scratch.path().display()), "another file"),
    ] {
        qemu(&["create", "-f", "qcow2", "-o", option, text(&image), "46M"]);
        assert!(error(&image).contains(why), "{}", error(&image));
    }
    qemu(&["create", "-f", "qcow2", text(&image), "1M"]);
    // The method of encryption is LUKS; qemu-img makes such disks only where it can measure time.
    patch(&image, 35, &[2]);
    assert!(error(&image).contains("encrypted"));
    patch(&image, 35, &[0]);
    for (bit, why) in [(1, "not closed"), (2, "corrupt"), (32, "not known")] {
        patch(&image, 79, &[bit]);
        assert!(error(&image).contains(why), "{}", error(&image));
    }
}

fn patch(path: &Path, offset: u64, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

/// Every field of header and tables with absurd values: an error or some bytes, soon and in little memory.
#[test]
fn hostile_files_are_errors_and_never_panics() {
    let scratch = TempDir::new().unwrap();
    let (original, image) = (original(scratch.path()), scratch.path().join("image"));
    for kind in
        [&["-o", "compat=1.1"][..], &["-c", "-o", "compat=1.1"], &["-c", "-o", "compression_type=zstd"]]
    {
        qemu(&[&["convert", "-f", "raw", "-O", "qcow2"], kind, &[text(&original), text(&image)]].concat());
        let sound = fs::read(&image).unwrap();
        let l2 = 4 * 64 * KIB;
        let fields = (4..112).chain(3 * 64 * KIB..3 * 64 * KIB + 8).chain(l2..l2 + 24);
        for offset in fields {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                patch(&image, offset, &[value; 4]);
                if let Ok(disk) = reader::open(File::open(&image).unwrap()) {
                    let mut buf = vec![0; 100_000.min(disk.len() as usize)];
                    let _ = disk.read_exact_at(&mut buf, 0);
                }
                patch(&image, offset, &sound[offset as usize..offset as usize + 4]);
            }
        }
        for len in [3, 4, 71, 72, 100, 104, 65_536, 200_000, sound.len() as u64 / 2] {
            fs::write(&image, &sound[..len as usize]).unwrap();
            if let Ok(disk) = reader::open(File::open(&image).unwrap()) {
                let _ = disk.to_vec();
            }
        }
    }
}

#[test]
fn a_disk_of_absurd_size_is_an_error() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    qemu(&["create", "-f", "qcow2", text(&image), "1M"]);
    patch(&image, 24, &u64::MAX.to_be_bytes());
    assert!(error(&image).contains("past the limit"), "{}", error(&image));
    patch(&image, 24, &TIB.to_be_bytes());
    assert!(error(&image).contains("L1 table"), "{}", error(&image));
    patch(&image, 36, &2048u32.to_be_bytes());
    patch(&image, 40, &(1u64 << 40).to_be_bytes());
    assert!(error(&image).contains("past the end"), "{}", error(&image));
}

#[test]
fn tables_that_are_shared_are_an_error() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    qemu(&["create", "-f", "qcow2", "-o", "preallocation=metadata", text(&image), "2G"]);
    let mut entry = [0; 16];
    let file = File::open(&image).unwrap();
    FileExt::read_exact_at(&file, &mut entry, 3 * 64 * KIB).unwrap();
    let first = entry[..8].to_vec();
    patch(&image, 3 * 64 * KIB + 8, &first);
    assert!(error(&image).contains("two L1 entries"), "{}", error(&image));
}
