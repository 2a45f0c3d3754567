//! The disk of the demo image, booted three times: judged by its own kernel,
//! systemd and ostree inside, by e2fsck and fsck.fat outside.
//!
//! ```text
//! build -> overlay enlarged -> boot 1 (as asked for, grown, change staged)
//!                           -> boot 2 (changed commit, rolled back) -> boot 3 (ours again)
//! ```
//!
//! `DISKWRIGHT_DEMO_IMAGE` names the OCI layout (`scripts/demo-image` makes it);
//! `DISKWRIGHT_TEST_DISK` names a finished qcow2 of it to boot instead of building one.

use std::env;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::qemu::{Machine, Report};
use crate::ssh::Visitor;

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);
const GROWN_BYTES: u64 = 100 << 30;
const ESP_TYPE: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const TARGET: &str = "registry.example.com/demo:latest";

#[test]
fn a_built_disk_boots_grows_changes_and_rolls_back() {
    let scratch = scratch("boot");
    // one key for all runs: the disk may be of an earlier one
    let keys = scratch.with_file_name("boot-keys");
    fs::create_dir_all(&keys).unwrap();
    let visitor = Visitor::new(&keys);
    let built = env::var_os("DISKWRIGHT_TEST_DISK").map_or_else(|| build(&scratch, &visitor), PathBuf::from);
    let disk = overlay(&scratch, &built);
    let boot = |script: &str| {
        let machine = Machine::new(&disk).uefi().script(script);
        let machine = machine.credential("ssh-key", &visitor.secret_key());
        let report = machine.boot(BOOT_TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
        println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
        report
    };
    let first = boot(include_str!("first.sh"));
    check_system(&first);
    check_deployment(&first);
    check_customizations(&first);
    check_layers(&first);
    check_partitions(&first);
    check_second(&boot(include_str!("second.sh")), &first);
    check_third(&boot(include_str!("third.sh")), &first);
    check_offline(&scratch, &disk);
}

#[test]
fn a_disk_without_a_system_does_not_pass() {
    let scratch = scratch("blank");
    let disk = scratch.join("blank.qcow2");
    judge("qemu-utils", "qemu-img", &["create", "-q", "-f", "qcow2", path(&disk), "1G"]);
    let outcome = Machine::new(&disk).uefi().script("").boot(Duration::from_secs(20));
    assert!(outcome.err().unwrap().starts_with("no power off"));
}

fn check_system(report: &Report) {
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert_eq!(report.section("failed"), "");
    assert_eq!(report.section("root"), "composefs overlay");
    assert!(report.section("read-only").contains("Read-only file system"));
    assert_eq!(report.section("writable"), "yes");
    assert_eq!(report.section("hostname"), "demo-host");
}

fn check_deployment(report: &Report) {
    let commit = report.section("commit");
    assert_eq!(commit.len(), 64, "not a commit: {commit:?}");
    let status = report.section("status");
    assert_eq!(status.matches(" default ").count(), 1, "more than one deployment: {status}");
    let origin = format!("[origin]\ncontainer-image-reference=ostree-unverified-registry:{TARGET}");
    assert_eq!(report.section("origin"), origin);
    assert_eq!(report.section("manifest-digest").trim_matches('\''), manifest_digest());
    assert_eq!(report.section("fsck"), "clean");
}

fn check_customizations(report: &Report) {
    assert_eq!(report.section("passwd"), "demo:x:1234:1234:Demo User:/home/demo:/bin/bash");
    let mut groups: Vec<_> = report.section("groups").split(' ').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["adm", "demo", "sudo"]);
    assert_eq!(report.section("password"), "right");
    let login = report.section("ssh").replace("/var/home", "/home");
    assert!(login.starts_with("demo\n/home/demo\n"), "{login}");
    let files = "/etc/demo.conf 644 root:root 19\n/etc/demo.d/secret 640 demo:adm 6\nfrom the blueprint";
    assert_eq!(report.section("files"), files);
    let arguments = report.section("cmdline");
    // GRUB moves the quotes before the key, which means the same to the kernel
    assert!(arguments.contains(r#" demo.first=1 "demo.second=two words""#), "{arguments}");
    assert!(arguments.contains(" console=ttyS0,115200n8"), "{arguments}");
}

/// What the third layer of the demo image did (`scripts/lib/demo-image/layers.py`).
fn check_layers(report: &Report) {
    let long = format!("./{}-\u{e9}", "n".repeat(200));
    let derived = report.section("derived");
    for line in [
        "./added -rw-r--r-- 0:0 15 ",
        "./hardlink -rw-r--r-- 0:0 15 ",
        "./kept -rw-r--r-- 0:0 11 ",
        "./replaced lrwxrwxrwx 0:0 5 added",
        "./setuid -rwsr-xr-x 1:65534 16 ",
        "./unreadable ---------- 0:0 20 ",
        "./empty -rw-r--r-- 0:0 0 ",
        &format!("{long} -rw-r--r-- 0:0 50 "),
        "derived: opaque/new",
        "derived: added",
    ] {
        assert!(derived.lines().any(|found| found.trim_end() == line.trim_end()), "no {line:?} in {derived}");
    }
    for gone in ["deleted", "opaque/old", "opaque/below", ".wh."] {
        assert!(!derived.contains(gone), "{gone} is still in {derived}");
    }
}

fn check_partitions(report: &Report) {
    let esp = report.section("esp");
    assert!(esp.starts_with("vfat\n"), "{esp}");
    assert!(esp.contains("/EFI/BOOT/BOOTX64.EFI"), "{esp}");
    let size: u64 = report.section("size").parse().unwrap();
    let wanted = GROWN_BYTES / 10 * 9;
    assert!(size > wanted, "/var has {size} bytes after growing, not {wanted}: {}", report.section("grow"));
}

fn check_second(report: &Report, first: &Report) {
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert_eq!(report.section("changed"), "changed");
    assert_eq!(report.section("kept"), "first\nfirst");
    let booted = format!("* default {}.0", first.section("changed"));
    assert!(report.section("status").contains(&booted), "not {booted}: {}", report.section("status"));
    assert!(report.section("cmdline").contains(" demo.first=1 "), "kernel arguments are not inherited");
}

fn check_third(report: &Report, first: &Report) {
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    let booted = format!("* default {}.0", first.section("commit"));
    assert!(report.section("status").contains(&booted), "not {booted}: {}", report.section("status"));
    assert!(report.section("changed").contains("No such file"));
    assert_eq!(report.section("kept"), "first\nsecond");
    assert_eq!(report.section("fsck"), "clean");
}

/// After power off every filesystem is clean, and the judge can say no.
fn check_offline(scratch: &Path, disk: &Path) {
    let raw = scratch.join("raw");
    judge("qemu-utils", "qemu-img", &["convert", "-O", "raw", path(disk), path(&raw)]);
    let mut checked = 0;
    for (offset, size, kind) in partitions(&raw) {
        let magic = read_at(&raw, offset + 1024 + 56, 2);
        if kind == ESP_TYPE {
            let esp = scratch.join("esp");
            let (skip, count) = (format!("skip={offset}"), format!("count={size}"));
            let (from, to) = (format!("if={}", path(&raw)), format!("of={}", path(&esp)));
            let flags = "iflag=skip_bytes,count_bytes";
            judge(
                "coreutils",
                "dd",
                &[&from, &to, &skip, &count, flags, "bs=1M", "conv=sparse", "status=none"],
            );
            judge("dosfstools", "fsck.fat", &["-n", path(&esp)]);
        } else if magic == [0x53, 0xef] {
            assert!(e2fsck(&raw, offset).status.success(), "e2fsck of the partition at {offset}");
            fs::File::options()
                .write(true)
                .open(&raw)
                .unwrap()
                .write_all_at(&[0; 64], offset + 1024 + 4)
                .unwrap();
            assert!(!e2fsck(&raw, offset).status.success(), "e2fsck passes a broken superblock");
        } else {
            continue;
        }
        checked += 1;
    }
    assert!(checked >= 2, "no filesystems found");
    fs::remove_dir_all(scratch).unwrap();
}

fn e2fsck(raw: &Path, offset: u64) -> Output {
    run("e2fsprogs", "e2fsck", &["-fn", &format!("{}?offset={offset}", path(raw))])
}

/// Offset, size (bytes) and type of each partition, as sfdisk reads them.
fn partitions(raw: &Path) -> Vec<(u64, u64, String)> {
    let table = judge("fdisk", "sfdisk", &["--json", path(raw)]);
    let table: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
    let rows = table["partitiontable"]["partitions"].as_array().unwrap();
    let sectors = |row: &serde_json::Value, key: &str| row[key].as_u64().unwrap() * 512;
    rows.iter()
        .map(|row| (sectors(row, "start"), sectors(row, "size"), row["type"].as_str().unwrap().into()))
        .collect()
}

fn read_at(file: &Path, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fs::File::open(file).unwrap().read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

fn build(scratch: &Path, visitor: &Visitor) -> PathBuf {
    let blueprint = scratch.join("blueprint.yaml");
    fs::write(&blueprint, include_str!("blueprint.yaml").replace("KEY", &visitor.public_key())).unwrap();
    let image = format!("oci:{}", path(&demo_image()));
    let output = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["build", &image, "-t", "qcow2", "-o", path(scratch), "-b", path(&blueprint)])
        .args(["--target-imgref", TARGET, "--progress", "verbose"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    scratch.join("qcow2/disk.qcow2")
}

/// An enlarged overlay, so that the built disk stays as it is.
fn overlay(scratch: &Path, built: &Path) -> PathBuf {
    let overlay = scratch.join("overlay.qcow2");
    let built = built.canonicalize().unwrap();
    let size = GROWN_BYTES.to_string();
    judge("qemu-utils", "qemu-img", &["check", "-q", path(&built)]);
    judge(
        "qemu-utils",
        "qemu-img",
        &["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", path(&built), path(&overlay), &size],
    );
    overlay
}

fn demo_image() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/demo-image");
    let image = env::var_os("DISKWRIGHT_DEMO_IMAGE").map_or(default, PathBuf::from);
    assert!(
        image.join("index.json").exists(),
        "no OCI layout: make it with `scripts/demo-image {}`",
        image.display()
    );
    image
}

fn manifest_digest() -> String {
    let index = fs::read(demo_image().join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().into()
}

fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Runs an outside program that must succeed.
fn judge(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = run(package, program, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("PATH", search_path()).output();
    output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"))
}

/// Filesystem tools live in directories that ordinary users lack.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
