//! Disks for other architectures than most hosts have, made of tiny images:
//! the partition table as sgdisk reads it, and the names on the EFI system
//! partition as mtools does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/tiny.rs"]
mod tiny;

use std::process::{Command, Output};

use tempfile::TempDir;
use tiny::Tiny;

/// Types and names of the partitions: one less than on amd64, whose first is for GRUB's BIOS code.
const PARTITIONS: [(&str, &str); 3] = [
    ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EFI-SYSTEM"),
    ("BC13C2FF-59E6-4262-A352-B275FD6F7172", "boot"),
    ("0FC63DAF-8483-4772-8E79-3D69D8477DE4", "root"),
];
/// The EFI system partition is the first, one MiB in.
const ESP: &str = "@@1M";

#[test]
fn arm64_of_debians_packages() {
    let image = without_amd64("arm64")
        .with_file("usr/lib/shim/shimaa64.efi.signed", "shim")
        .with_file("usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed", "grub /EFI/debian\0");
    let disk = Disk::of(&image, "aarch64");
    disk.check_partitions();
    disk.check_file("EFI/BOOT/BOOTAA64.EFI", "shim");
    disk.check_file("EFI/BOOT/grubaa64.efi", "grub /EFI/debian\0");
    assert!(disk.esp("EFI/debian/grub.cfg").0);
}

#[test]
fn riscv64_of_bootupds_files() {
    let files = ["BOOT/BOOTRISCV64.EFI", "fedora/shimriscv64.efi", "fedora/grubriscv64.efi"];
    let image = files.iter().fold(without_amd64("riscv64"), |image, name| {
        image.with_file(&format!("usr/lib/bootupd/updates/EFI/{name}"), name)
    });
    let image = image
        .with_file("usr/lib/bootupd/grub2-static/grub-static-pre.cfg", "blscfg\n")
        .with_file("usr/lib/bootupd/grub2-static/grub-static-efi.cfg", "efi\n");
    let disk = Disk::of(&image, "riscv64");
    disk.check_partitions();
    files.iter().for_each(|name| disk.check_file(&format!("EFI/{name}"), name));
    disk.check_file("EFI/fedora/grub.cfg", "efi\n");
}

#[test]
fn riscv64_of_debians_packages() {
    let path = "usr/lib/grub/riscv64-efi/monolithic/grubriscv64.efi";
    let disk = Disk::of(&without_amd64("riscv64").with_file(path, "grub"), "riscv64");
    disk.check_file("EFI/BOOT/BOOTRISCV64.EFI", "grub");
}

/// A bootloader for amd64 does not start other machines; and the judges find neither its names nor its partition.
#[test]
fn another_architectures_bootloader_is_none() {
    let output = build(&Tiny::default().for_architecture("arm64"), "arm64").1;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("no bootloader for arm64") && said.contains("BOOTAA64.EFI"), "{said}");
    let amd64 = Disk::of(&Tiny::default(), "x86_64");
    assert!(!amd64.esp("EFI/BOOT/BOOTAA64.EFI").0);
    assert!(amd64.partition(1).contains("BIOS-BOOT"));
}

fn without_amd64(architecture: &str) -> Tiny {
    Tiny::default().without("usr/lib/shim/").without("usr/lib/grub/").for_architecture(architecture)
}

fn build(image: &Tiny, architecture: &str) -> (TempDir, Output) {
    let (layout, work) = (image.write(), tempfile::tempdir().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(["build", "--type", "raw", "--size", "fit", "--target-arch", architecture, "--output"]);
    let output = command.arg(work.path()).arg(layout.reference()).output().unwrap();
    (work, output)
}

struct Disk {
    work: TempDir,
}

impl Disk {
    fn of(image: &Tiny, architecture: &str) -> Self {
        let (work, output) = build(image, architecture);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { work }
    }

    fn path(&self) -> String {
        self.work.path().join("image/disk.raw").display().to_string()
    }

    fn partition(&self, number: usize) -> String {
        judge("gdisk", "sgdisk", &[&format!("-i{number}"), &self.path()]).1
    }

    fn check_partitions(&self) {
        let (ok, verdict) = judge("gdisk", "sgdisk", &["-v", &self.path()]);
        assert!(ok && verdict.contains("No problems found"), "{verdict}");
        for (number, (guid, name)) in (1..).zip(PARTITIONS) {
            let text = self.partition(number);
            assert!(text.contains(guid) && text.contains(&format!("'{name}'")), "{text}");
        }
        assert!(self.partition(PARTITIONS.len() + 1).contains("does not exist"));
    }

    /// A file of the EFI system partition of a disk without a BIOS boot partition, as mtools reads it.
    fn esp(&self, path: &str) -> (bool, String) {
        judge("mtools", "mtype", &["-i", &format!("{}{ESP}", self.path()), &format!("::/{path}")])
    }

    fn check_file(&self, path: &str, content: &str) {
        assert_eq!(self.esp(path), (true, content.to_owned()), "{path}");
    }
}

/// Whether a judge is content, and all it says.
fn judge(package: &str, program: &str, arguments: &[&str]) -> (bool, String) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
