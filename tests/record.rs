//! The record of a run, the names of files and the choices about formats, judged by sha256sum, sfdisk,
//! strace, qemu-img, xmllint and skopeo.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/tiny.rs"]
mod tiny;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
    sync::LazyLock,
};

use diskwright_formats::writer::{Medium, WRITERS};
use serde_json::Value;
use tempfile::TempDir;
use tiny::{Layout, Member, Tiny};

static IMAGE: LazyLock<Layout> = LazyLock::new(|| {
    let upper = [Member::file("etc/.wh.login.defs", "")];
    Tiny::default().with_file("usr/lib/noise", tiny::noise(1 << 20)).with_layer(tiny::archive(&upper)).write()
});

const BUILD: [&str; 6] =
    ["build", "--size", "fit", "--target-imgref", "registry.example.com/os:1", "--output"];

fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env_remove("SOURCE_DATE_EPOCH").output();
    output.unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"))
}

fn judge(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = run(package, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn diskwright(arguments: &[&str]) -> Output {
    run("", env!("CARGO_BIN_EXE_diskwright"), arguments)
}

fn made(arguments: &[&str]) -> String {
    judge("", env!("CARGO_BIN_EXE_diskwright"), arguments)
}

fn build(out: &Path, arguments: &[&str]) -> String {
    made(&[&BUILD[..], &[text(out)], arguments, &[&IMAGE.reference()]].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What sha256sum says of all that is listed.
fn check_sums(dir: &Path) -> Output {
    let script = "cd \"$0\" && sha256sum --check --strict SHA256SUMS";
    run("coreutils", "sh", &["-c", script, text(dir)])
}

#[test]
fn sha256sum_agrees_and_says_no_to_a_flipped_byte() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path(), &["-t", "qcow2,raw,oci,vhd"]);
    let checked = check_sums(dir.path());
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{said}");
    let files = ["image/disk.raw", "manifest-qcow2-raw-oci-vhd.json", "qcow2/disk.qcow2", "vpc/disk.vhd"];
    let listed: BTreeSet<_> = said.lines().map(|line| line.trim_end_matches(": OK")).collect();
    assert_eq!(listed, files.into());
    let path = dir.path().join("qcow2/disk.qcow2");
    let mut bytes = fs::read(&path).unwrap();
    bytes[70_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(!check_sums(dir.path()).status.success());
}

#[test]
fn the_record_says_what_went_in_and_what_came_out() {
    let dir = tempfile::tempdir().unwrap();
    let blueprint = dir.path().join("b.yaml");
    fs::write(&blueprint, "customizations:\n  hostname: h\n").unwrap();
    let printed = build(dir.path(), &["-t", "raw,qcow2", "--format", "json", "-b", text(&blueprint)]);
    let kept = json(&dir.path().join("manifest-raw-qcow2.json"));
    let manifest = IMAGE.manifest();
    let index = json(&IMAGE.path().join("index.json"));
    let source = &kept["source"];
    assert_eq!(source["manifest_digest"], index["manifests"][0]["digest"]);
    assert_eq!(source["config_digest"], manifest["config"]["digest"]);
    for (at, layer) in source["layers"].as_array().unwrap().iter().enumerate() {
        assert_eq!(
            (&layer["digest"], &layer["size"]),
            (&manifest["layers"][at]["digest"], &manifest["layers"][at]["size"])
        );
        assert_eq!(layer["opened"], 1);
    }
    let sum = judge("coreutils", "sha256sum", &[text(&blueprint)]);
    assert_eq!(kept["blueprint_digest"], format!("sha256:{}", &sum[..64]));
    assert_eq!(kept["tool"]["version"], env!("CARGO_PKG_VERSION"));
    assert_table(&kept["disks"][0], &dir.path().join("image/disk.raw"));

    let mut printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["manifest_digest"], source["manifest_digest"]);
    printed.as_object_mut().unwrap().remove("manifest_digest");
    for output in printed["outputs"].as_array_mut().unwrap() {
        let path = output["path"].as_str().unwrap().to_owned();
        assert_eq!(output["size"], fs::metadata(&path).unwrap().len());
        output["path"] = path.strip_prefix(&format!("{}/", text(dir.path()))).unwrap().into();
        assert!(output.as_object_mut().unwrap().remove("seconds").unwrap().is_number());
    }
    assert_eq!(printed, kept);
}

/// The table of the record is the one that sfdisk reads.
fn assert_table(disk: &Value, raw: &Path) {
    let judged: Value = serde_json::from_str(&judge("fdisk", "sfdisk", &["--json", text(raw)])).unwrap();
    let judged = &judged["partitiontable"];
    assert_eq!(disk["size"], fs::metadata(raw).unwrap().len());
    let upper = |value: &Value| value.as_str().unwrap().to_uppercase();
    assert_eq!(upper(&disk["table"]["uuid"]), judged["id"].as_str().unwrap());
    let partitions = disk["table"]["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), judged["partitions"].as_array().unwrap().len());
    for (ours, theirs) in partitions.iter().zip(judged["partitions"].as_array().unwrap()) {
        assert_eq!(ours["offset"].as_u64().unwrap(), theirs["start"].as_u64().unwrap() * 512);
        assert_eq!(ours["size"].as_u64().unwrap(), theirs["size"].as_u64().unwrap() * 512);
        assert_eq!(
            (upper(&ours["uuid"]), upper(&ours["type_uuid"])),
            (upper(&theirs["uuid"]), upper(&theirs["type"]))
        );
        assert_eq!(ours["name"], theirs["name"]);
    }
}

/// A dos table has no GUIDs: signature, PARTUUIDs and types are those that sfdisk and blkid read.
#[test]
fn the_table_of_a_dos_disk_is_recorded() {
    let dir = TempDir::new().unwrap();
    let blueprint = dir.path().join("b.yaml");
    for sector_size in [512, 4096] {
        let disk = format!("{{type: dos, sector_size: {sector_size}, partitions: [{{mountpoint: /}}]}}");
        fs::write(&blueprint, format!("customizations: {{disk: {disk}}}\n")).unwrap();
        build(dir.path(), &["-t", "raw", "-b", text(&blueprint)]);
        let kept = json(&dir.path().join("manifest-raw.json"));
        let ours = &kept["disks"][0]["table"];
        let raw = dir.path().join("image/disk.raw");
        let judged: Value = serde_json::from_str(&judge("fdisk", "sfdisk", &["--json", text(&raw)])).unwrap();
        let judged = &judged["partitiontable"];
        assert_eq!((&ours["kind"], &judged["label"]), (&"dos".into(), &"dos".into()));
        assert_eq!((&ours["uuid"], &ours["sector_size"]), (&judged["id"], &sector_size.into()));
        let partitions = ours["partitions"].as_array().unwrap();
        assert_eq!(partitions.len(), 3);
        for (ours, theirs) in partitions.iter().zip(judged["partitions"].as_array().unwrap()) {
            // sfdisk takes a file's sectors to have 512 bytes
            assert_eq!(ours["offset"], theirs["start"].as_u64().unwrap() * sector_size);
            assert_eq!(ours["size"], theirs["size"].as_u64().unwrap() * sector_size);
            assert_eq!(ours["dos_type"], theirs["type"]);
        }
        let offset = partitions[1]["offset"].to_string();
        let found =
            judge("util-linux", "blkid", &["-p", "-O", &offset, "-s", "LABEL", "-o", "value", text(&raw)]);
        assert_eq!(found.trim(), "boot");
        let signature = ours["uuid"].as_str().unwrap().trim_start_matches("0x");
        assert_eq!(partitions[1]["uuid"], format!("{signature}-02"));
    }
}

#[test]
fn records_of_the_same_are_the_same() {
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    for dir in &dirs {
        build(&dir.path().join("out"), &["-t", "qcow2,vmdk"]);
    }
    for name in ["SHA256SUMS", "manifest-qcow2-vmdk.json"] {
        let [one, other] = dirs.each_ref().map(|dir| dir.path().join("out").join(name));
        judge("diffutils", "cmp", &[text(&one), text(&other)]);
    }
}

#[test]
fn digests_can_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path(), &["--no-checksums"]);
    assert!(!dir.path().join("SHA256SUMS").exists());
    assert_eq!(json(&dir.path().join("manifest-qcow2.json"))["outputs"][0]["sha256"], Value::Null);
}

/// All formats of disks in one run: the files are those of runs of their own, and each blob is opened once.
#[test]
fn together_as_alone_and_each_blob_once() {
    let dir = tempfile::tempdir().unwrap();
    let specs = WRITERS.iter().map(|writer| writer.spec()).filter(|spec| spec.medium == Medium::Disk);
    let names: Vec<_> = specs.map(|spec| spec.name).collect();
    let (all, log) = (dir.path().join("all"), dir.path().join("log"));
    let line = [
        &["-f", "-e", "trace=open,openat,openat2", "-o", text(&log), env!("CARGO_BIN_EXE_diskwright")],
        &BUILD[..],
    ];
    let rest = [text(&all), "-t", &names.join(","), "--output-name", "{type}", &IMAGE.reference()];
    judge("strace", "strace", &[&line.concat()[..], &rest].concat());
    let log = fs::read_to_string(log).unwrap();
    for layer in IMAGE.manifest()["layers"].as_array().unwrap() {
        let hex = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        assert_eq!(log.lines().filter(|line| line.contains(hex)).count(), 1, "{hex}");
    }
    let sums = |dir: &Path| {
        let lines = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
        lines
            .lines()
            .filter(|line| !line.contains("manifest-"))
            .map(ToOwned::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let mut alone = BTreeSet::new();
    for name in &names {
        let out = dir.path().join(name);
        build(&out, &["-t", name, "--output-name", "{type}"]);
        alone.extend(sums(&out));
        fs::remove_dir_all(out).unwrap();
    }
    assert_eq!(sums(&all), alone);
    assert_eq!(alone.len(), names.len());
}

#[test]
fn templates_name_files() {
    let dir = tempfile::tempdir().unwrap();
    let name = IMAGE.path().file_name().unwrap().to_str().unwrap();
    let said = build(dir.path(), &["-t", "qcow2,raw-zst", "--output-name", "x/{name}-{type}-{arch}"]);
    let path = |rest: &str| format!("{}/x/{name}-{rest}\n", text(dir.path()));
    assert_eq!(said, path("qcow2-amd64.qcow2") + &path("raw-zst-amd64.raw.zst"));
    assert!(check_sums(dir.path()).status.success());
}

#[test]
fn templates_that_cannot_be_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (arguments, why) in [
        (&["--output-name", "{nmae}"][..], "{name}, {type}, {arch}, {ext}"),
        (&["-t", "vmdk,vmdk-sparse", "--output-name", "{name}"], "types vmdk and vmdk-sparse would both be"),
        (&["--output-name", "/x"], "no path below the output directory"),
        (&["--output-dir", "../x"], "no path below the output directory"),
        (&["--vm-cpus", "3"], "types that know it: ova, vagrant"),
        (&["-t", "vagrant", "--vm-name", "x"], "types that know it: ova"),
        (&["-t", "vmdk", "--qcow2-version", "2"], "types that know it: qcow2, oci"),
        (&["--push", "registry.example.com/x"], "types that know it: containerdisk"),
        (&["-t", "containerdisk", "--push", "oci:x"], "no tag in a registry"),
        (&["--qcow2-cluster-size", "3KiB"], "a power of two"),
        (&["-t", "ova", "--vm-memory", "1000"], "whole MiB"),
        (&["-t", "ova", "--vm-firmware", "bios", "--vm-secure-boot"], "a BIOS has no Secure Boot"),
    ] {
        let output = diskwright(&[&BUILD[..], &[text(&out)], arguments, &[&IMAGE.reference()]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert!(!out.exists(), "{arguments:?}");
    }
}

#[test]
fn choices_reach_the_formats() {
    let dir = tempfile::tempdir().unwrap();
    let (out, raw) = (dir.path().join("out"), dir.path().join("disk.raw"));
    fs::write(&raw, tiny::noise(1 << 20)).unwrap();
    made(
        &[
            &[
                "convert",
                text(&raw),
                "-o",
                text(&out),
                "-t",
                "qcow2,ova,containerdisk",
                "--target-arch",
                "aarch64",
            ][..],
            &["--qcow2-version", "2", "--qcow2-cluster-size", "4KiB", "--vm-name", "mine", "--vm-cpus", "7"],
            &[
                "--vm-memory",
                "3GiB",
                "--vm-secure-boot",
                "--vm-network",
                "lan",
                "--vm-guest-type",
                "fedora64Guest",
            ],
        ]
        .concat(),
    );
    let info = judge("qemu-utils", "qemu-img", &["info", text(&out.join("qcow2/disk.qcow2"))]);
    assert!(info.contains("compat: 0.10") && info.contains("cluster_size: 4096"), "{info}");
    judge("tar", "tar", &["-xf", text(&out.join("archive/image.ova")), "-C", text(dir.path())]);
    let ovf = fs::read_to_string(dir.path().join("image.ovf")).unwrap();
    for what in [
        "<Name>mine</Name>",
        "7 virtual CPUs",
        "3072 MiB",
        "ovf:name=\"lan\"",
        "fedora64Guest",
        "vmw:value=\"true\"",
    ] {
        assert!(ovf.contains(what), "{what}: {ovf}");
    }
    judge("libxml2-utils", "xmllint", &["--noout", text(&dir.path().join("image.ovf"))]);
    let archive = format!("oci-archive:{}", text(&out.join("containerdisk/disk.oci.tar")));
    let inspect = judge("skopeo", "skopeo", &["inspect", "--override-arch", "arm64", &archive]);
    assert!(inspect.contains("\"Architecture\": \"arm64\""), "{inspect}");
    let record = json(&out.join("manifest-qcow2-ova-containerdisk.json"));
    assert_eq!((&record["source"]["kind"], &record["source"]["size"]), (&"disk".into(), &(1 << 20).into()));
    assert!(check_sums(&out).status.success());
}
