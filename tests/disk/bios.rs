//! An image with GRUB for BIOS and nothing for UEFI: a disk for BIOS, which says so, and on which GRUB
//! finds its configuration, the boot entry and the kernel.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::{disk::agrees, tiny::Tiny};

/// SeaBIOS and GRUB take seconds; a busy host takes its time.
const TIMEOUT: Duration = Duration::from_secs(300);

#[test]
fn an_image_for_bios_alone_makes_a_disk_for_bios_alone() {
    let work = tempfile::tempdir().unwrap();
    let layout = Tiny::default().without_uefi().with_grub_for_bios().write();
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(["build", "--no-cache", "--type", "raw,ova", "--size", "fit", "--progress", "verbose"]);
    let output = command.arg("--output").arg(work.path()).arg(layout.reference()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("BIOS only: the image has no UEFI bootloader"), "{said}");
    let disk = work.path().join("image/disk.raw");
    let table = agrees("gdisk", Command::new("sgdisk").arg("-p").arg(&disk));
    assert!(table.contains("BIOS-BOOT") && table.contains("root") && !table.contains("EFI"), "{table}");
    let mut tar = Command::new("tar");
    let ovf = agrees(
        "tar",
        tar.args(["--wildcards", "-xOf"]).arg(work.path().join("archive/image.ova")).arg("*.ovf"),
    );
    assert!(ovf.contains("\"bios\"") && !ovf.contains("\"efi\""), "{ovf}");
    let mut verify = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    agrees("", verify.arg("verify").arg(&disk));
    // The kernel is six bytes: GRUB comes as far as it can.
    let console = console(&disk, "you need to load the kernel first");
    for text in ["Booting `Tiny 1 (ostree-1)'", "premature end of file", "vmlinuz-6.1.0"] {
        assert!(console.contains(text), "{text}: {console}");
    }
    // Nothing is found where GRUB is not.
    fs::File::options().write(true).open(&disk).unwrap().set_len(1 << 20).unwrap();
    let mut verify = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    assert!(!verify.arg("verify").arg(&disk).output().unwrap().status.success());
}

/// What a machine with SeaBIOS shows on its serial port until `end`.
fn console(disk: &Path, end: &str) -> String {
    let mut machine = Command::new("qemu-system-x86_64")
        .args([
            "-accel",
            "tcg",
            "-m",
            "256",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-nic",
            "none",
            "-no-reboot",
        ])
        .args(["-drive", &format!("file={},format=raw,if=virtio,snapshot=on", disk.display())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("qemu-system-x86_64 (package qemu-system-x86): {error}"));
    let mut serial = machine.stdout.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = serial.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let (begun, mut seen) = (Instant::now(), Vec::new());
    while !String::from_utf8_lossy(&seen).contains(end) && begun.elapsed() < TIMEOUT {
        match receiver.recv_timeout(Duration::from_secs(1)) {
            Ok(bytes) => seen.extend(bytes),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    machine.kill().unwrap();
    machine.wait().unwrap();
    reader.join().unwrap();
    let text = String::from_utf8_lossy(&seen).into_owned();
    assert!(text.contains(end), "{text}");
    println!("GRUB came to the kernel in {} s", begun.elapsed().as_secs());
    text
}
