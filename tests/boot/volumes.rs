//! Two machines whose systems lie on volumes of every kind.
//!
//! ```text
//! UEFI, sectors of 4096 bytes: root, home and swap on LVM, /var, FAT, swap, a raw partition
//! BIOS, dos table: root on LUKS2 by a passphrase typed at the console, then bound to the machine's TPM;
//!   data on LUKS2 by a key file
//! ```
//!
//! The TPM is emulated (package swtpm).

use std::{fs, path::Path, time::Duration};

use crate::demo;
use crate::qemu::{Machine, Report};

const BOOT_TIMEOUT: Duration = Duration::from_secs(1200);
const SCRIPT: &str = include_str!("volumes.sh");

fn build(scratch: &Path, blueprint: &str) -> std::path::PathBuf {
    let path = scratch.join("blueprint.yaml");
    fs::write(&path, blueprint).unwrap();
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let arguments = ["--karg", demo::PATIENCE, "--blueprint", path.to_str().unwrap()];
    let (disk, _) = demo::build(&image, scratch, &arguments);
    demo::overlay(&disk, "overlay.qcow2")
}

fn boot(machine: Machine) -> Report {
    let report = machine.script(SCRIPT).boot(BOOT_TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert_eq!(report.section("content"), "sound");
    assert_eq!(report.section("itable"), "", "the kernel complains of ext4");
    report
}

#[test]
fn a_system_on_lvm_with_sectors_of_4096_bytes() {
    let scratch = demo::scratch("boot-volumes-lvm");
    let disk = build(&scratch, include_str!("volumes-lvm.yaml"));
    let report = boot(Machine::new(&disk).uefi().sector_size(4096));
    assert_eq!(report.section("table"), "4096 gpt");
    assert_eq!(report.section("firmware"), "UEFI");
    let mounts = "/sysroot ext4\n/var ext4\n/var/data vfat\n/var/home ext4\n/boot ext4\n/boot/efi vfat";
    assert_eq!(report.section("mounts"), mounts);
    let sources = "/sysroot disk part lvm\n/var disk part\n/var/data disk part\n/home disk part lvm";
    assert_eq!(report.section("sources"), sources);
    assert_eq!(report.section("swap"), "33550336\n67104768");
    assert_eq!(report.section("lvm"), "system home active system root active system swap active");
    let home = "/home/volumes volumes 700\n/home/volumes/.ssh/authorized_keys volumes 600";
    assert_eq!(report.section("home").replace("755", "700"), home);
    assert_eq!(report.section("write"), "written\nwritten\nwritten");
    assert_eq!(report.section("var"), "/var/tmp 1777", "the root has a /var of its own");
    fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn an_encrypted_system_opens_by_a_typed_passphrase() {
    let scratch = demo::scratch("boot-volumes-luks");
    let key = scratch.join("key");
    fs::write(&key, [0, 10, 13, 200, 255].repeat(9)).unwrap();
    let blueprint = include_str!("volumes-luks.yaml").replace("KEY", key.to_str().unwrap());
    let disk = build(&scratch, &blueprint);
    let report = boot(Machine::new(&disk).tpm().types("passphrase for disk", "open sesame\n"));
    assert_eq!(report.section("table"), "512 dos");
    assert_eq!(report.section("firmware"), "BIOS");
    assert_eq!(report.section("sources").lines().next(), Some("/sysroot disk part crypt"));
    assert_eq!(report.section("sources").lines().nth(2), Some("/var/data disk part crypt"));
    let status = "type: LUKS2 cipher: aes-xts-plain64 keysize: 512 [bits]";
    assert_eq!(report.section("luks"), format!("{status}\n{status}"));
    assert_eq!(report.section("write"), "written\nwritten\nwritten");
    let bound = "success\n0\nforgotten\n\"type\":\"systemd-tpm2\"\"tpm2-pcrs\":[7]\nopens";
    assert_eq!(report.section("bound"), bound);
    assert!(report.section("judge").ends_with("refused"), "{}", report.section("judge"));
    fs::remove_dir_all(scratch).unwrap();
}
