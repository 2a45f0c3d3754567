//! The raw and qcow2 formats, judged by qemu-img.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use diskwright_formats::{
    Error,
    data::{Data, ReadAt},
    sparse::Sparse,
    units::{GIB, KIB, MIB, TIB},
    writer::{self, Compression, Options},
};
use tempfile::TempDir;

const ALL: [Compression; 3] = [Compression::None, Compression::Zlib, Compression::Zstd];

fn options(compression: Compression) -> Options {
    Options { compression, ..Options::default() }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Bytes that compress.
fn prose(len: usize) -> Vec<u8> {
    let words = judge::noise(7, len / 4 + 1);
    words.iter().flat_map(|byte| format!("{:03} ", byte % 50).into_bytes()).take(len).collect()
}

fn corpus() -> Vec<(&'static str, Sparse)> {
    let (noise, prose, zeros) =
        (judge::noise(1, 5 * MIB as usize), prose(3 * MIB as usize), vec![0; 200_000]);
    let mut mixed = Vec::new();
    for i in 0..150 {
        let from: &[u8] = [&noise[..], &prose, &zeros][i % 3];
        mixed.extend_from_slice(&from[i * 512..][..70_000 + i * 17]);
    }
    mixed.truncate(mixed.len() / 512 * 512);
    let tiny: Vec<_> = (0..3000).map(|i| (i * 1000, &prose[i as usize..][..700])).collect();
    let edge = 64 * KIB;
    vec![
        ("empty", Sparse::new(10 * MIB)),
        ("one byte at the end", judge::sparse(10 * MIB, [(10 * MIB - 1, &b"x"[..])])),
        ("one sector", Sparse::from_bytes(&noise[..512])),
        ("noise", Sparse::from_bytes(noise.clone())),
        ("prose", Sparse::from_bytes(prose.clone())),
        ("zeros that are data", Sparse::from_bytes(vec![0; MIB as usize])),
        ("mixed", Sparse::from_bytes(mixed)),
        ("one byte repeated", Sparse::from_bytes(vec![0xff; 40 * MIB as usize])),
        ("tiny pieces", judge::sparse(4 * MIB, tiny)),
        (
            "cluster edges",
            judge::sparse(
                MIB + 512,
                [
                    (edge - 1, &b"ab"[..]),
                    (3 * edge, &prose[..edge as usize]),
                    (5 * edge, &noise[..edge as usize]),
                    (7 * edge - 1, b"x"),
                    (MIB, &noise[..512]),
                ],
            ),
        ),
        (
            "L2 edges",
            judge::sparse(2 * GIB + 512, [(512 * MIB - 1, &b"ab"[..]), (GIB, b"c"), (2 * GIB, b"d")]),
        ),
    ]
}

struct Written {
    raw: PathBuf,
    qcow2: PathBuf,
}

fn write(scratch: &TempDir, disk: &Sparse, compression: Compression) -> Written {
    let written = Written { raw: scratch.path().join("disk.raw"), qcow2: scratch.path().join("disk.qcow2") };
    judge::write("raw", disk, Options::default(), &written.raw);
    judge::write("qcow2", disk, options(compression), &written.qcow2);
    written
}

#[test]
fn qemu_img_finds_no_error_and_no_difference() {
    for (name, disk) in corpus() {
        for compression in ALL {
            let scratch = TempDir::new().unwrap();
            let Written { raw, qcow2 } = write(&scratch, &disk, compression);
            let check = judge::pass("qemu-utils", "qemu-img", &["check", "-f", "qcow2", text(&qcow2)]);
            assert!(check.contains("No errors were found"), "{name} {compression:?}: {check}");
            let compare = ["compare", "-f", "raw", "-F", "qcow2", text(&raw), text(&qcow2)];
            judge::pass("qemu-utils", "qemu-img", &compare);
            let back = scratch.path().join("back.raw");
            judge::pass("qemu-utils", "qemu-img", &["convert", "-O", "raw", text(&qcow2), text(&back)]);
            assert_eq!(fs::metadata(&back).unwrap().len(), disk.len());
            if disk.len() < 100 * MIB {
                let expected = disk.to_vec().unwrap();
                assert!(fs::read(&back).unwrap() == expected, "{name} {compression:?}");
                assert!(fs::read(&raw).unwrap() == expected, "{name}");
            }
        }
    }
}

#[test]
fn a_disk_of_2_tib_costs_what_its_data_costs() {
    let disk = judge::sparse(2 * TIB, [(0, &b"first"[..]), (TIB, b"middle"), (2 * TIB - 1, b"l")]);
    for compression in ALL {
        let scratch = TempDir::new().unwrap();
        let start = Instant::now();
        let Written { raw, qcow2 } = write(&scratch, &disk, compression);
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
        assert!(fs::metadata(&qcow2).unwrap().len() <= MIB);
        assert!(fs::metadata(&raw).unwrap().blocks() * 512 <= MIB);
        judge::pass("qemu-utils", "qemu-img", &["check", text(&qcow2)]);
        judge::pass(
            "qemu-utils",
            "qemu-img",
            &["compare", "-f", "raw", "-F", "qcow2", text(&raw), text(&qcow2)],
        );
    }
}

#[test]
fn zeros_are_not_stored() {
    let scratch = TempDir::new().unwrap();
    for compression in ALL {
        let zeros = Sparse::from_bytes(vec![0; 8 * MIB as usize]);
        let Written { raw, qcow2 } = write(&scratch, &zeros, compression);
        assert_eq!(fs::metadata(&raw).unwrap().blocks(), 0);
        assert_eq!(fs::metadata(&qcow2).unwrap().len(), 4 * 64 * KIB);
    }
}

/// A span of real bytes: the test's own program.
fn program() -> Sparse {
    let path = std::env::current_exe().unwrap();
    let len = fs::metadata(&path).unwrap().len() / 512 * 512;
    let source: Arc<dyn ReadAt> = Arc::new(File::open(path).unwrap());
    Sparse::from_data(Data::from_source(source, 0, len))
}

#[test]
fn compressed_disks_are_no_larger_than_qemus() {
    let scratch = TempDir::new().unwrap();
    let Written { raw, qcow2 } = write(&scratch, &program(), Compression::Zlib);
    let theirs = scratch.path().join("qemu.qcow2");
    judge::pass("qemu-utils", "qemu-img", &["convert", "-c", "-O", "qcow2", text(&raw), text(&theirs)]);
    let (ours, theirs) = (fs::metadata(&qcow2).unwrap().len(), fs::metadata(&theirs).unwrap().len());
    assert!(ours <= theirs + 4 * 64 * KIB, "{ours} bytes, qemu-img {theirs}");
    let zstd = scratch.path().join("zstd.qcow2");
    judge::write("qcow2", &program(), options(Compression::Zstd), &zstd);
    let info = judge::pass("qemu-utils", "qemu-img", &["info", text(&zstd)]);
    assert!(info.contains("compression type: zstd"), "{info}");
}

#[test]
fn any_number_of_threads_writes_the_same_file() {
    let disk = corpus().remove(6).1;
    for name in ["raw", "qcow2"] {
        for compression in ALL {
            let scratch = TempDir::new().unwrap();
            let files: Vec<_> = [1, 2, 5]
                .map(|threads| {
                    let path = scratch.path().join(threads.to_string());
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| judge::write(name, &disk, options(compression), &path));
                    fs::read(path).unwrap()
                })
                .into();
            assert!(files[0] == files[1] && files[0] == files[2], "{name} {compression:?}");
        }
    }
}

#[test]
fn qemu_img_says_no_to_a_flipped_byte() {
    let scratch = TempDir::new().unwrap();
    let disk = corpus().remove(4).1;
    for compression in ALL {
        let Written { raw, qcow2 } = write(&scratch, &disk, compression);
        let l1_entry = 64 * KIB + 5;
        judge::flip(&qcow2, l1_entry);
        judge::refuse("qemu-utils", "qemu-img", &["check", text(&qcow2)]);
        judge::flip(&qcow2, l1_entry);
        judge::pass("qemu-utils", "qemu-img", &["check", text(&qcow2)]);
        judge::flip(&qcow2, 2 * 64 * KIB + 4000);
        judge::refuse(
            "qemu-utils",
            "qemu-img",
            &["compare", "-f", "raw", "-F", "qcow2", text(&raw), text(&qcow2)],
        );
    }
}

#[test]
fn a_disk_past_qcow2s_limit_is_an_error() {
    let out = tempfile::tempfile().unwrap();
    let disk = Sparse::new(4096 * TIB);
    let error = writer::by_name("qcow2").unwrap().write(&disk, &Options::default(), &out, &()).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}
