//! Media that would not work are not made, and the answer says why.

use std::fs;

use crate::{Built, image, initramfs, text, tiny};

pub(crate) fn refuse(built: &Built, code: i32, words: &[&str]) {
    let said = built.said();
    assert_eq!(built.output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
    assert!(!built.path("bootiso").exists() && !built.path("netboot").exists(), "something is left");
}

#[test]
fn a_program_that_would_not_start_is_refused() {
    let layout = image().write();
    let scratch = tempfile::tempdir().unwrap();
    let program = |bytes: &[u8]| {
        let path = scratch.path().join("program");
        fs::write(&path, bytes).unwrap();
        text(&path)
    };
    let mut foreign = tiny::installer();
    foreign[18] = 183;
    let mut truncated = tiny::installer();
    truncated[56] = 9;
    for (bytes, word) in [
        (b"#!/bin/sh\n".to_vec(), "no ELF program"),
        (foreign, "another architecture than x86_64"),
        (truncated, "truncated"),
        (fs::read("/bin/true").unwrap(), "not static"),
    ] {
        refuse(
            &Built::new(&layout, &["-t", "iso", "--installer", &program(&bytes)]),
            2,
            &["installer ", word],
        );
    }
    refuse(&Built::new(&layout, &["-t", "iso", "--installer", "/nonexistent"]), 2, &["/nonexistent"]);
}

#[test]
fn a_kernel_that_sees_no_medium_is_refused_with_what_it_lacks() {
    let lacking = |modules: &[&str]| {
        let image = image().with_file("usr/lib/modules/6.1.0/initramfs.img", initramfs(modules));
        image.with_file("usr/lib/modules/6.1.0/modules.dep", "kernel/x/virtio_blk.ko.xz: a.ko\n").write()
    };
    let built = Built::new(&lacking(&["isofs"]), &["-t", "iso"]);
    let words = [
        "would see no medium",
        "the kernel has no cdrom, sr_mod",
        "the initramfs has no virtio_blk, the kernel does",
    ];
    refuse(&built, 3, &words);
    let built = Built::new(&lacking(&["isofs", "usb-storage", "xhci-pci", "sd_mod"]), &["-t", "iso"]);
    built.medium();
    assert!(built.said().contains("runs from a USB stick; not from a disc"), "{}", built.said());
}

#[test]
fn an_image_without_an_initramfs_is_refused() {
    let layout = image().without("usr/lib/modules/6.1.0/initramfs.img").write();
    refuse(&Built::new(&layout, &["-t", "iso"]), 3, &["no initramfs"]);
}

#[test]
fn an_image_that_nothing_boots_on_a_medium_is_refused() {
    let disks_alone = image().without("usr/lib/shim").without("usr/lib/grub/x86_64-efi-signed");
    let layout = disks_alone.without("usr/lib/grub/i386-pc/cdboot.img").write();
    let words = ["nothing boots a medium of this image", "no UEFI bootloader", "cdboot.img"];
    refuse(&Built::new(&layout, &["-t", "iso"]), 3, &words);
}

#[test]
fn a_disk_that_an_installer_could_not_lay_out_is_refused() {
    let layout = image().write();
    let blueprint = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let path = text(blueprint.path());
    for (disk, words) in [
        ("{type: dos, partitions: [{mountpoint: /}]}", ["dos partition table", "gpt"]),
        (
            "{partitions: [{type: lvm, logical_volumes: [{name: a, mountpoint: /}]}]}",
            ["LVM or LUKS", "straight in"],
        ),
        ("{partitions: [{type: luks, passphrase: p, mountpoint: /}]}", ["LVM or LUKS", "straight in"]),
    ] {
        fs::write(blueprint.path(), format!("customizations: {{disk: {disk}}}\n")).unwrap();
        refuse(&Built::new(&layout, &["-t", "iso", "-b", &path]), 3, &words);
        let mut plan = std::process::Command::new(env!("CARGO_BIN_EXE_diskwright"));
        let plan = plan.args(["plan", "-t", "iso", "--no-cache", "-b", &path]).arg(layout.reference());
        let output = plan.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

#[test]
fn a_disk_does_not_become_an_installer() {
    let built = Built::new(&image().write(), &["-t", "raw"]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["convert", "-t", "iso", "-o"])
        .arg(built.path("converted"))
        .arg(built.path("image/disk.raw"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("does not become an installer") && said.contains("--type iso IMAGE"), "{said}");
}
