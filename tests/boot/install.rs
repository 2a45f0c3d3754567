//! A medium that installs: from a disc under Secure Boot without a question, and from a copy on a disk
//! under BIOS, where a person answers on the serial line. What was installed boots.
//!
//! `DISKWRIGHT_DEMO_IMAGE` names the OCI layout, `DISKWRIGHT_INSTALLER` the static installer
//! (`scripts/installer` makes both the program and its default place).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::demo;
use crate::qemu::{Machine, Report};

const TIMEOUT: Duration = Duration::from_secs(900);
const SCRIPT: &str = include_str!("install.sh");
/// Bytes of the disks that are installed on.
const TARGET: u64 = 20 << 30;

#[test]
fn a_medium_installs_a_system_that_boots_and_fills_the_disk() {
    let scratch = demo::scratch("boot-install");
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let installer = installer();
    let arguments = ["--installer", installer.to_str().unwrap(), "--karg", demo::PATIENCE];
    demo::build_as("iso", &image, &scratch, &arguments);
    let medium = scratch.join("bootiso/install.iso");

    let chosen = scratch.join("chosen.qcow2");
    create(&chosen);
    let asked = Machine::with_copy(&medium).target(&chosen, "first").target(&small(&scratch), "second");
    let asked = asked.types("Install on which disk? [1-1]", "1\n").run(TIMEOUT);
    let asked = asked.unwrap_or_else(|why| panic!("{why}"));
    assert!(asked.serial.contains("first: empty"), "{}", asked.serial);
    assert!(asked.serial.contains("Installed."), "{}", asked.serial);

    let unattended = scratch.join("unattended.iso");
    edit(&medium, &unattended);
    let disk = scratch.join("disk.qcow2");
    create(&disk);
    let machine = Machine::with_disc(&unattended).target(&disk, "target").secure_boot();
    let report = machine.run(TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    assert!(report.serial.contains("Installed."), "{}", report.serial);
    assert!(report.serial.contains("root filesystem: 1"), "{}", report.serial);
    check(
        &Machine::new(&disk).secure_boot().script(SCRIPT).boot(TIMEOUT).unwrap_or_else(|why| panic!("{why}")),
    );

    // once more on the disk that holds data now: refused, and it still is what it was
    let machine = Machine::with_disc(&unattended).target(&disk, "target");
    let report = machine.run(Duration::from_secs(300));
    let said = report.map_or_else(|why| why, |report| report.serial);
    assert!(said.contains("give `wipe: yes` to overwrite it"), "{said}");
    fs::remove_dir_all(scratch).unwrap();
}

fn check(report: &Report) {
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert!(report.section("status").contains("* default "), "{}", report.section("status"));
    assert!(report.section("cmdline").contains("demo.installed=1"), "{}", report.section("cmdline"));
    assert!(report.section("keys").contains("ssh-ed25519 AAAAdemo"), "{}", report.section("keys"));
    assert_eq!(report.section("fsck"), "clean");
    let size: u64 = report.section("size").parse().unwrap();
    assert!(size > TARGET - (3 << 30), "the root filesystem has {size} bytes");
    assert!(!report.section("table").contains("not all"), "{}", report.section("table"));
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

fn create(disk: &Path) {
    let size = TARGET.to_string();
    let made = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(disk).arg(size).status();
    assert!(made.unwrap_or_else(|error| panic!("qemu-img (package qemu-utils): {error}")).success());
}

/// A disk that is too small for anything.
fn small(scratch: &Path) -> PathBuf {
    let disk = scratch.join("small.qcow2");
    let made = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(&disk).arg("64M").status();
    assert!(made.unwrap_or_else(|error| panic!("qemu-img (package qemu-utils): {error}")).success());
    disk
}

pub(crate) fn installer() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/installer/diskwright-install");
    let program = env::var_os("DISKWRIGHT_INSTALLER").map_or(default, PathBuf::from);
    assert!(program.exists(), "no {}: make it with `scripts/installer`", program.display());
    program
}
