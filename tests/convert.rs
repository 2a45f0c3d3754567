//! `diskwright convert`, judged by qemu-img.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn qemu(args: &[&str]) -> Output {
    let output = Command::new("qemu-img").args(args).output();
    let output =
        output.unwrap_or_else(|error| panic!("qemu-img does not start ({error}): install qemu-utils"));
    assert!(output.status.success(), "{args:?}: {output:?}");
    output
}

fn convert(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .arg("convert")
        .args(args)
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// 6 MiB that compress, with a hole.
fn disk(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("disk.raw");
    let mut bytes: Vec<u8> = (0..1_500_000u32).flat_map(|i| (i.wrapping_mul(i) / 7).to_le_bytes()).collect();
    bytes[2_000_000..4_000_000].fill(0);
    bytes.resize(6 << 20, 0);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn every_kind_of_qcow2_becomes_other_formats() {
    let scratch = tempfile::tempdir().unwrap();
    let raw = disk(scratch.path());
    let kinds: [&[&str]; 4] = [
        &["-o", "compat=0.10"],
        &["-c", "-o", "compat=0.10"],
        &["-c"],
        &["-c", "-o", "compression_type=zstd,cluster_size=1M"],
    ];
    for kind in kinds {
        let (image, out) = (scratch.path().join("in.qcow2"), scratch.path().join("out"));
        qemu(&[&["convert", "-f", "raw", "-O", "qcow2"], kind, &[text(&raw), text(&image)]].concat());
        let done = convert(&[text(&image), "-t", "raw,vmdk,vhd", "-t", "qcow2", "-o", text(&out)]);
        assert!(done.status.success(), "{done:?}");
        let paths = String::from_utf8(done.stdout).unwrap();
        assert_eq!(paths.lines().count(), 4, "{paths}");
        for (path, format) in paths.lines().zip(["raw", "vmdk", "vpc", "qcow2"]) {
            qemu(&["compare", "-f", "raw", "-F", format, text(&raw), path]);
        }
    }
}

#[test]
fn formats_of_one_path_are_one_file() {
    let scratch = tempfile::tempdir().unwrap();
    let raw = disk(scratch.path());
    let done = convert(&[text(&raw), "-t", "qcow2,oci", "-o", text(scratch.path()), "--progress", "json"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8(done.stdout).unwrap().lines().count(), 1);
    let events = String::from_utf8(done.stderr).unwrap();
    assert!(events.contains("\"type\":\"qcow2\"") && events.contains("\"type\":\"oci\""), "{events}");
}

#[test]
fn the_same_disk_becomes_the_same_bytes() {
    let scratch = tempfile::tempdir().unwrap();
    let raw = disk(scratch.path());
    let bytes = ["one", "two"].map(|name| {
        let out = scratch.path().join(name);
        assert!(convert(&[text(&raw), "-t", "ova", "-o", text(&out)]).status.success());
        fs::read(out.join("archive/image.ova")).unwrap()
    });
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn what_cannot_be_done_says_so_and_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let (raw, out) = (disk(scratch.path()), scratch.path().join("out"));
    let image = scratch.path().join("child.qcow2");
    let backing = format!("backing_file={},backing_fmt=raw", text(&raw));
    qemu(&["create", "-f", "qcow2", "-o", &backing, text(&image)]);
    for (args, code, why) in [
        (vec![text(&raw), "-t", "gce"], 3, "qemu-img resize"),
        (vec![text(&image), "-t", "raw"], 3, "backing file"),
        (vec!["/nonexistent", "-t", "raw"], 3, "/nonexistent"),
        (vec![text(scratch.path()), "-t", "raw"], 3, "directory"),
        (vec![text(&raw), "-t", "floppy"], 2, "floppy"),
    ] {
        let done = convert(&[&args[..], &["-o", text(&out)]].concat());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(!out.exists(), "{args:?}");
    }
}
