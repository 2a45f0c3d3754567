//! Installations that fail, in one machine: the first leaves a shell, the others are started there.
//! Each says why, and a disk is as it was or has no partition table.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::demo;
use crate::install::{TARGET, create};
use crate::qemu::{Machine, Report};

const TIMEOUT: Duration = Duration::from_secs(900);
const SCRIPT: &str = include_str!("faults.sh");
/// Both ends of a disk, where its partition tables are.
const ENDS: [u64; 2] = [0, TARGET - (1 << 20)];

/// The disks, all but the small one with an installed system.
struct Disks {
    target: PathBuf,
    small: PathBuf,
    worn: PathBuf,
    pulled: PathBuf,
    damaged: PathBuf,
}

/// Goes through all of them: `medium` asks nothing and wants `serial=target`, `disk` was installed by it,
/// and `superblock` is a sector of it that holds data.
pub(crate) fn end_with_a_reason(scratch: &Path, medium: &Path, disk: &Path, superblock: u64) {
    let disks = Disks {
        target: demo::overlay(disk, "target.qcow2"),
        small: scratch.join("small.qcow2"),
        worn: demo::overlay(disk, "worn.qcow2"),
        pulled: demo::overlay(disk, "pulled.qcow2"),
        damaged: damaged(scratch, medium),
    };
    create(&disks.small, 64 << 20);
    for disk in [&disks.worn, &disks.pulled] {
        assert!(!has_no_table(disk), "{} is empty before", disk.display());
    }
    let report = run(medium, &disks, superblock);
    check(&report);
    assert!(is_same(&disks.target, disk), "a disk that was refused is another now");
    for disk in [&disks.worn, &disks.pulled] {
        assert!(has_no_table(disk), "{} has a table", disk.display());
        assert!(!is_same(disk, &disks.target), "nothing was written to {}", disk.display());
    }
}

fn run(medium: &Path, disks: &Disks, superblock: u64) -> Report {
    let machine = Machine::with_disc(medium)
        .target(&disks.target, "target")
        .target(&disks.small, "small")
        .target(&disks.damaged, "damaged")
        .worn(&disks.worn, "worn", superblock)
        .credential("script", SCRIPT)
        .may_fail()
        .types("The installation failed", "")
        .types("# ", "sh /run/credentials/@system/script\n")
        .types("attempt: pulled", "")
        .pulled(&disks.pulled, "pulled", "Writing");
    let report = machine.boot(TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("failed and powered off in {} s\n{}", report.duration.as_secs(), report.serial);
    report
}

fn check(report: &Report) {
    let first = said(report, "The installation failed", "attempt: small");
    assert!(first.contains("give `wipe: yes` to overwrite it"), "{first}");
    let left = "it has no partition table now and starts nothing";
    for (name, next, words) in [
        ("small", "several", ["has 67108864 bytes", "are needed"]),
        ("several", "damaged", ["several disks could be meant", "/dev/sda"]),
        ("damaged", "worn", ["the medium is damaged; the disk is as it was", "corrupt"]),
        ("worn", "pulled", [left, "Input/output error"]),
        ("pulled", "none", [left, "the disk is gone"]),
    ] {
        let said = said(report, &format!("attempt: {name}"), &format!("attempt: {next}"));
        assert!(words.iter().all(|word| said.contains(word)), "{name}: {said}");
        assert_eq!(report.section(name), "exit 1");
    }
}

/// What the console shows from one mark to another.
fn said<'a>(report: &'a Report, from: &str, to: &str) -> &'a str {
    let (_, rest) =
        report.serial.split_once(from).unwrap_or_else(|| panic!("no '{from}': {}", report.serial));
    rest.split(to).next().unwrap_or_default()
}

/// Another medium, with another volume id and a wrong byte amid its payload.
fn damaged(scratch: &Path, medium: &Path) -> PathBuf {
    let disk = scratch.join("damaged.qcow2");
    let middle = medium.metadata().unwrap().len() / 2;
    let made =
        qemu("qemu-img", &["create", "-q", "-f", "qcow2", "-F", "raw", "-b", text(medium), text(&disk)]);
    assert!(made.0, "{}", made.1);
    let (id, byte) = ("write -P 0x41 32808 32", format!("write -P 0x5a {middle} 1"));
    let made = qemu("qemu-io", &["-f", "qcow2", "-c", id, "-c", &byte, text(&disk)]);
    assert!(made.0, "{}", made.1);
    disk
}

/// Whether both ends of the disk are zeros.
fn has_no_table(disk: &Path) -> bool {
    let reads = ENDS.map(|at| format!("read -P 0 {at} 1M"));
    let (_, said) = qemu("qemu-io", &["-r", "-f", "qcow2", "-c", &reads[0], "-c", &reads[1], text(disk)]);
    assert_eq!(said.matches("read 1048576/1048576 bytes").count(), 2, "{said}");
    !said.contains("Pattern verification failed")
}

fn is_same(one: &Path, other: &Path) -> bool {
    let (_, said) = qemu("qemu-img", &["compare", "-f", "qcow2", "-F", "qcow2", text(one), text(other)]);
    let is_same = said.contains("Images are identical");
    assert!(is_same || said.contains("Content mismatch"), "{said}");
    is_same
}

/// Whether the program ends well, and what it says.
fn qemu(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (package qemu-utils): {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
