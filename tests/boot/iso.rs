//! The medium that installs, as a disc by SeaBIOS and by OVMF (`install.rs` starts it as a stick, and under
//! Secure Boot): what it starts finds it, mounts it, and reads the payload that its description promises.
//! `DISKWRIGHT_DEMO_IMAGE` names the OCI layout.
//!
//! In the installer's place is a program that runs the test's script, so each machine ends where an
//! installation would begin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::demo;
use crate::qemu::{Machine, Report};

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);
const SCRIPT: &str = include_str!("iso.sh");

#[test]
fn a_medium_boots_as_a_disc_by_either_firmware() {
    let scratch = demo::scratch("boot-iso");
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let probe = probe(&scratch);
    let arguments = ["--installer", probe.to_str().unwrap(), "--karg", demo::PATIENCE];
    let said = demo::build_as("iso", &image, &scratch, &arguments);
    assert!(
        said.contains("the installer runs from a disc or a virtual disk; not from a USB stick"),
        "{said}"
    );
    let medium = scratch.join("bootiso/install.iso");
    let bios = boot(Machine::with_disc(&medium));
    assert_eq!(bios.section("firmware"), "BIOS");
    check_payload(&bios);
    let uefi = boot(Machine::with_disc(&medium).uefi().credential("brief", "yes"));
    assert_eq!(uefi.section("firmware"), "UEFI");
    fs::remove_dir_all(scratch).unwrap();
}

/// A static program that runs the script with the shell of the initramfs.
fn probe(scratch: &Path) -> PathBuf {
    let (source, program) = (scratch.join("probe.c"), scratch.join("probe"));
    fs::write(&source, include_str!("probe.c")).unwrap();
    let compiled =
        Command::new("cc").args(["-static", "-O1", "-s", "-o"]).arg(&program).arg(&source).status();
    assert!(compiled.unwrap_or_else(|error| panic!("cc (package build-essential): {error}")).success());
    program
}

fn boot(machine: Machine) -> Report {
    let machine = machine.credential("script", SCRIPT);
    let report = machine.boot(BOOT_TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert!(report.section("cmdline").contains("rd.systemd.unit=diskwright-install.target"));
    assert_eq!(report.section("medium"), "/dev/sr0");
    assert!(report.section("mount").contains(" iso9660 ro"), "{}", report.section("mount"));
    assert_eq!(report.section("yaml"), "version: 1");
    report
}

fn check_payload(report: &Report) {
    let sum = report.section("sha256");
    assert!(sum.len() == 64 && sum == report.section("expected"), "{}", report.output);
}
