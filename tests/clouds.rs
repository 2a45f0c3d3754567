//! Disks for clouds, as builds make them: what GNU tar unpacks for Google, and what Azure is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/tiny.rs"]
mod tiny;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tiny::Tiny;

fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env_remove("SOURCE_DATE_EPOCH").output();
    output.unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"))
}

fn shell(package: &str, script: &str) -> Output {
    run(package, "sh", &["-euc", script])
}

/// A build of the image, which must go well; what it says meanwhile.
fn build(image: &Tiny, out: &Path, types: &str) -> String {
    let layout = image.write();
    let arguments =
        ["build", "--no-cache", "--no-checksums", "--size", "fit", "-t", types, "-o", out.to_str().unwrap()];
    let reference = layout.reference();
    let output = run("", env!("CARGO_BIN_EXE_diskwright"), &[&arguments[..], &[&reference]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// The archive for Compute Engine is of the older GNU kind, and holds the disk of whole GiB alone.
#[test]
fn gnu_tar_unpacks_the_disk_for_google() {
    let dir = tempfile::tempdir().unwrap();
    let image = Tiny::default().with_file("usr/lib/noise", tiny::noise(1 << 20));
    build(&image, dir.path(), "gce,ami");
    let (work, archive) = (dir.path().display(), dir.path().join("gce/image.tar.gz"));
    let archive = archive.display();
    let listed = shell("tar", &format!("tar -tvzf {archive}"));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let size = fs::metadata(dir.path().join("image/disk.raw")).unwrap().len();
    assert!(listed.starts_with("-rw-r--r-- ") && listed.ends_with(" disk.raw\n"), "{listed}");
    assert!(listed.lines().count() == 1 && listed.contains(&format!(" {size} ")), "{listed}");
    assert_eq!(size % (1 << 30), 0);
    let magic = shell("gzip", &format!("gzip -dc {archive} | dd bs=1 skip=257 count=8 status=none"));
    assert_eq!(magic.stdout, b"ustar  \0");
    let unpacked = shell("tar", &format!("cd {work}; tar -xzSf {archive}; cmp disk.raw image/disk.raw"));
    assert!(unpacked.status.success(), "{unpacked:?}");
    // It says no to a byte that is another one.
    let mut bytes = fs::read(dir.path().join("gce/image.tar.gz")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(dir.path().join("gce/image.tar.gz"), bytes).unwrap();
    assert!(!shell("tar", &format!("tar -tzf {archive}")).status.success());
}

#[test]
fn azure_is_told_the_generation_of_its_machines() {
    let uefi = Tiny::default();
    let both = Tiny::default().with_grub_for_bios();
    let bios = both.clone().without_uefi();
    for (image, firmware, generations, sentence) in [
        (uefi, json!(["uefi"]), json!(["V2"]), "azure: machines of generation 2 (UEFI) start it"),
        (bios, json!(["bios"]), json!(["V1"]), "azure: machines of generation 1 (BIOS) start it"),
        (
            both,
            json!(["uefi", "bios"]),
            json!(["V2", "V1"]),
            "azure: machines of generation 2 (UEFI) and of generation 1 (BIOS) start it",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let said = build(&image, dir.path(), "azure,vhd");
        assert!(said.contains(sentence), "{said}");
        let record = fs::read(dir.path().join("manifest-azure-vhd.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record["disks"][0]["firmware"], firmware);
        assert_eq!(record["outputs"][0]["hyper_v_generations"], generations);
        assert_eq!(record["outputs"][1]["hyper_v_generations"], Value::Null);
    }
}
