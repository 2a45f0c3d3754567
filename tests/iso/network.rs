//! What installs from a network, judged without starting it: every file of the directory, what is said
//! of it, and what is refused.

use std::fs;

use serde_json::Value;

use crate::{Built, image, initramfs, pass, refused::refuse, text, tiny};

const MODULES: [&str; 2] = ["virtio_net", "e1000e"];

/// An initramfs with these modules and programs.
fn networked(programs: &[&str]) -> Vec<u8> {
    // one archive after the other, as kernels take them
    let mut all = initramfs(&MODULES);
    all.extend(crate::archive(programs));
    all
}

fn layout(programs: &[&str]) -> tiny::Layout {
    let grub = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed";
    let image = image().with_file("usr/lib/modules/6.1.0/initramfs.img", networked(programs));
    image.with_file(grub, "grub /EFI/debian\0octet\0").write()
}

const NETWORKD: &str = "usr/lib/systemd/systemd-networkd";

fn unpacked(built: &Built) -> std::path::PathBuf {
    let root = built.path("unpacked");
    fs::create_dir(&root).unwrap();
    let unpack = "cd \"$0\" && cpio -idm --quiet < \"$1\"";
    pass("cpio", "sh", &["-c", unpack, &text(&root), &text(&built.path("netboot/installer.img"))]);
    root
}

#[test]
fn the_directory_has_what_a_machine_asks_for_and_pins_it() {
    let arguments = ["-t", "netboot,raw", "--size", "fit", "--karg", "a.b=c"];
    let built = Built::new(&layout(&[NETWORKD]), &arguments);
    assert!(built.output.status.success(), "{}", built.said());
    let read = |name: &str| fs::read_to_string(built.path("netboot").join(name)).unwrap();
    assert_eq!((read("vmlinuz").as_str(), read("EFI/BOOT/BOOTX64.EFI").as_str()), ("kernel", "shim"));
    assert_eq!(fs::read(built.path("netboot/initramfs.img")).unwrap(), networked(&[NETWORKD]));
    let sum = pass("coreutils", "sha256sum", &[&text(&built.path("netboot/payload.json"))]);
    let pin = format!("inst.diskwright.payload-digest=sha256:{} ", &sum[..64]);
    let (script, menu) = (read("boot.ipxe"), read("EFI/debian/grub.cfg"));
    assert!(script.starts_with("#!ipxe\n") && script.contains("set payload ${cwuri}\n"), "{script}");
    for text in [&script, &menu] {
        assert!(text.contains(&pin) && text.contains(" a.b=c"), "{text}");
    }
    assert_eq!(menu, read("EFI/BOOT/grub.cfg"));
    pass("grub-common", "grub-script-check", &[&text(&built.path("netboot/EFI/debian/grub.cfg"))]);
    let said: Value = serde_json::from_str(&read("payload.json")).unwrap();
    let payload = text(&built.path("netboot/disk.qcow2"));
    assert_eq!(said["file_size"], fs::metadata(&payload).unwrap().len());
    assert_eq!(said["sha256"], pass("coreutils", "sha256sum", &[&payload])[..64]);
    let raw = text(&built.path("image/disk.raw"));
    pass("qemu-utils", "qemu-img", &["compare", "-f", "qcow2", "-F", "raw", &payload, &raw]);
    let check = "cd \"$0\" && sha256sum --quiet -c SHA256SUMS";
    pass("coreutils", "sh", &["-c", check, &text(&built.path("."))]);
    let printed = String::from_utf8_lossy(&built.output.stdout).into_owned();
    for name in ["boot.ipxe", "payload.json", "installer.img", "EFI/BOOT/grubx64.efi", "README"] {
        assert!(printed.contains(&format!("/netboot/{name}\n")), "{printed}");
    }
    assert!(built.path("manifest-netboot-raw.json").is_file());
}

#[test]
fn the_second_initramfs_brings_up_the_network_by_what_is_there() {
    let built = Built::new(&layout(&[NETWORKD]), &["-t", "netboot"]);
    assert!(built.said().contains("reaches the network by virtio_net, e1000e"), "{}", built.said());
    let root = unpacked(&built);
    let file = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert!(file("usr/lib/systemd/network/zz-diskwright.network").contains("DHCP=yes"));
    let drop_in = "usr/lib/systemd/system/diskwright-install.service.d/network.conf";
    assert!(file(drop_in).contains("systemd-networkd.service"));
    assert!(file("diskwright/diskwright.yaml").contains("\nunattended: no\n"));
    let units = root.join("usr/lib/systemd/system");
    let initramfs = networked(&["usr/sbin/NetworkManager"]);
    let image = image().with_file("usr/lib/modules/6.1.0/initramfs.img", initramfs);
    let built = Built::new(&image.write(), &["-t", "netboot"]);
    let other = unpacked(&built);
    assert!(built.said().contains("UEFI starts this by iPXE alone"), "{}", built.said());
    assert!(!built.path("netboot/EFI").exists(), "a GRUB that could not go on");
    assert!(fs::read_to_string(other.join(drop_in)).unwrap().contains("nm-initrd.service"));
    let service = other.join("usr/lib/systemd/system/diskwright-network.service");
    let verify = ["verify", "--man=no", "--recursive-errors=no", &text(&service)];
    pass("systemd", "systemd-analyze", &verify);
    // the judge says no
    fs::write(units.join("wrong.service"), "[Service]\nType=nothing\n").unwrap();
    let wrong = text(&units.join("wrong.service"));
    let verdict = crate::run("systemd", "systemd-analyze", &["verify", "--man=no", &wrong]);
    assert!(!verdict.status.success(), "{verdict:?}");
}

#[test]
fn the_address_may_be_fixed_and_the_directory_named() {
    let url = "http://boot.example.com:8080/os/";
    let arguments = ["-t", "netboot,iso", "--payload-url", url, "--output-dir", "{type}-{arch}"];
    let programs = [NETWORKD, "isofs.ko", "virtio_blk.ko"];
    let built = Built::new(&layout(&programs), &arguments);
    assert!(built.output.status.success(), "{}", built.said());
    let read = |name: &str| fs::read_to_string(built.path("netboot-amd64").join(name)).unwrap();
    assert!(read("boot.ipxe").starts_with(&format!("#!ipxe\nset payload {url}\n")));
    assert!(read("EFI/BOOT/grub.cfg").starts_with(&format!("set payload=\"{url}\"\n")));
    // one payload for both
    let (iso, to) = (text(&built.path("iso-amd64/install.iso")), text(&built.path("payload.json")));
    pass(
        "xorriso",
        "xorriso",
        &["-no_rc", "-osirrox", "on", "-indev", &iso, "-extract", "/diskwright/payload.json", &to],
    );
    pass("diffutils", "cmp", &[&to, &text(&built.path("netboot-amd64/payload.json"))]);
}

#[test]
fn what_could_not_work_is_refused() {
    let none = layout(&[]);
    refuse(
        &Built::new(&none, &["-t", "netboot"]),
        3,
        &[
            "neither systemd-networkd nor NetworkManager",
            "dracut's module systemd-networkd or network-manager",
        ],
    );
    let without_cards = image()
        .with_file("usr/lib/modules/6.1.0/initramfs.img", crate::archive(&[NETWORKD]))
        .with_file("usr/lib/modules/6.1.0/modules.dep", "kernel/x/virtio_net.ko.xz: a.ko\n")
        .write();
    refuse(
        &Built::new(&without_cards, &["-t", "netboot"]),
        3,
        &["would see no network", "the initramfs has no virtio_net, the kernel does"],
    );
    let layout = layout(&[NETWORKD]);
    for (arguments, code, words) in [
        (&["-t", "qcow2", "--payload-url", "http://a/"][..], 2, "types that know it: netboot"),
        (&["-t", "netboot", "--payload-url", "https://a/"], 2, "there is no TLS here"),
        (&["-t", "netboot", "--output-name", "x"], 2, "name the directory with --output-dir"),
    ] {
        refuse(&Built::new(&layout, arguments), code, &[words]);
    }
    let blueprint = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(blueprint.path(), "customizations: {iso: {volume_id: X}}\n").unwrap();
    let arguments = ["-t", "netboot", "-b", &text(blueprint.path())];
    refuse(&Built::new(&layout, &arguments), 3, &["customizations.iso", "build the type iso"]);
}
