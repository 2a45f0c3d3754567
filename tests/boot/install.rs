//! A medium that installs: from a stick, where a person answers at a terminal, and from a disc under Secure
//! Boot without a question. What was installed is whole, and boots as `blueprints/iso.yaml` has it.
//!
//! `DISKWRIGHT_DEMO_IMAGE` and `DISKWRIGHT_DEMO_IMAGE_TRIXIE` (whose kernel sees sticks) name the OCI layouts,
//! `DISKWRIGHT_INSTALLER` the static installer (`scripts/installer` makes both the program and its default place).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::demo;
use crate::examples::blueprint;
use crate::faults;
use crate::qemu::{Machine, Report};
use crate::ssh::Visitor;

const TIMEOUT: Duration = Duration::from_secs(900);
const SCRIPT: &str = include_str!("install.sh");
/// Bytes of the disks that are installed on.
pub(crate) const TARGET: u64 = 20 << 30;

#[test]
fn a_person_at_a_terminal_installs_from_a_stick() {
    let scratch = demo::scratch("boot-stick");
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE_TRIXIE", "demo-image-trixie", " --suite trixie --metal");
    let (medium, said) = medium(&image, &scratch, &[]);
    assert!(said.contains("the installer runs from a disc or a USB stick or a virtual disk"), "{said}");
    let (disk, small) = (scratch.join("disk.qcow2"), scratch.join("small.qcow2"));
    create(&disk, TARGET);
    create(&small, 64 << 20);
    let machine = Machine::with_stick(&medium).uefi().target(&disk, "first").target(&small, "second");
    let machine = machine.types("Install on which disk? [1-1]", "2\n");
    let machine = machine.types("Install on which disk? [1-1]", "1\n");
    let report = machine.run(TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("installed from a stick in {} s\n{}", report.duration.as_secs(), report.serial);
    for words in ["first: empty", "'2' is not in the list", "Installed.", "root filesystem: 1"] {
        assert!(report.serial.contains(words), "{words}: {}", report.serial);
    }
    judge(&disk);
    fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn a_medium_installs_a_system_that_boots_and_fills_the_disk() {
    let scratch = demo::scratch("boot-install");
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let visitor = Visitor::new(&scratch);
    let blueprint = blueprint("iso", &scratch, &visitor);
    let (medium, _) = medium(&image, &scratch, &["--blueprint", &blueprint]);
    let unattended = scratch.join("unattended.iso");
    edit(&medium, &unattended);
    let disk = scratch.join("disk.qcow2");
    create(&disk, TARGET);
    let machine = Machine::with_disc(&unattended).target(&disk, "target").secure_boot();
    let report = machine.run(TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("installed from a disc in {} s", report.duration.as_secs());
    assert!(report.serial.contains("Installed."), "{}", report.serial);
    assert!(report.serial.contains("root filesystem: 1"), "{}", report.serial);
    let machine =
        Machine::new(&disk).secure_boot().script(SCRIPT).credential("ssh-key", &visitor.secret_key());
    let report = machine.boot(TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    check(&report);
    faults::end_with_a_reason(&scratch, &unattended, &disk, report.section("superblock").parse().unwrap());
    fs::remove_dir_all(scratch).unwrap();
}

fn check(report: &Report) {
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert!(report.section("status").contains("* default "), "{}", report.section("status"));
    assert!(report.section("cmdline").contains("demo.installed=1"), "{}", report.section("cmdline"));
    assert!(report.section("keys").contains("ssh-ed25519 AAAAdemo"), "{}", report.section("keys"));
    assert_eq!(report.section("fsck"), "clean");
    assert_eq!(report.section("example"), "installed\nadmin\nadmin users");
    let size: u64 = report.section("size").parse().unwrap();
    assert!(size > TARGET - (3 << 30), "the root filesystem has {size} bytes");
    assert!(!report.section("table").contains("not all"), "{}", report.section("table"));
}

/// A disk that was installed and never started: its table, and the root filesystem in its last partition.
fn judge(disk: &Path) {
    let raw = disk.with_extension("raw");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    pass("qemu-utils", "qemu-img", &["convert", "-O", "raw", &text(disk), &text(&raw)]);
    let table = pass("gdisk", "sgdisk", &["-v", &text(&raw)]);
    assert!(table.contains("No problems found"), "{table}");
    let parts = pass("fdisk", "sfdisk", &["--json", &text(&raw)]);
    let parts: serde_json::Value = serde_json::from_str(&parts).unwrap();
    let last = parts["partitiontable"]["partitions"].as_array().unwrap().last().unwrap().clone();
    let [start, size] = ["start", "size"].map(|key| last[key].as_u64().unwrap() * 512);
    assert!(start + size > TARGET - (2 << 20), "the last partition ends at {}", start + size);
    let root = format!("{}?offset={start}", text(&raw));
    pass("e2fsprogs", "e2fsck", &["-fn", &root]);
    let facts = pass("e2fsprogs", "dumpe2fs", &["-h", &root]);
    let number = |key: &str| {
        let row = facts.lines().find(|row| row.starts_with(key)).unwrap();
        row.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(number("Block count:") * number("Block size:"), size, "{facts}");
}

fn pass(package: &str, program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The medium of the image, and what was said when it was made.
fn medium(image: &Path, scratch: &Path, more: &[&str]) -> (PathBuf, String) {
    let installer = installer();
    let arguments = ["--installer", installer.to_str().unwrap(), "--karg", demo::PATIENCE];
    let said = demo::build_as("iso", image, scratch, &[&arguments[..], more].concat());
    (scratch.join("bootiso/install.iso"), said)
}

/// The medium with options for a machine where nobody is asked.
fn edit(medium: &Path, to: &Path) {
    let edited = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["iso", "edit", "--unattended", "yes", "--to", "serial=target", "--karg", "demo.installed=1"])
        .args(["--ssh-key", "ssh-ed25519 AAAAdemo test", "--output"])
        .args([to, medium])
        .output()
        .unwrap();
    assert!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));
}

/// An empty disk.
pub(crate) fn create(disk: &Path, size: u64) {
    pass(
        "qemu-utils",
        "qemu-img",
        &["create", "-q", "-f", "qcow2", disk.to_str().unwrap(), &size.to_string()],
    );
}

pub(crate) fn installer() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/installer/diskwright-install");
    let program = env::var_os("DISKWRIGHT_INSTALLER").map_or(default, PathBuf::from);
    assert!(program.exists(), "no {}: make it with `scripts/installer`", program.display());
    program
}
