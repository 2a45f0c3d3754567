//! Kernels where ostree does not look, too many of them, and machines that no disk can be made for.

use std::fs;

use super::{
    INPUT, refuse, refuse_image,
    tiny::{Member, Tiny},
};

/// What an older layout's names end in.
const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn without_kernel() -> Tiny {
    Tiny::default().without("usr/lib/modules/")
}

#[test]
fn no_kernel() {
    let words = ["no kernel", "usr/lib/modules/VERSION/vmlinuz", "usr/lib/ostree-boot or boot"];
    refuse_image(&without_kernel(), &words);
}

#[test]
fn layout_of_a_plain_distribution() {
    let image = without_kernel().with_file("boot/vmlinuz-6.1.0-amd64", "x");
    refuse_image(&image, &["no kernel", "no layout", "/boot/vmlinuz-6.1.0-amd64", "hint: put the kernel at"]);
}

#[test]
fn unified_kernels() {
    for path in ["boot/EFI/Linux/6.1.efi", "usr/lib/modules/6.1.0/linux.efi"] {
        refuse_image(
            &without_kernel().with_file(path, "x"),
            &["no kernel", "no layout", &format!("/{path}")],
        );
    }
}

#[test]
fn compressed_kernel_of_another_name() {
    let image = without_kernel().with_file("usr/lib/modules/6.1.0/vmlinuz.zst", "x");
    refuse_image(&image, &["no kernel", "/usr/lib/modules/6.1.0/vmlinuz.zst"]);
}

#[test]
fn two_kernels() {
    let image = Tiny::default().with_file("usr/lib/modules/6.2.0/vmlinuz", "kernel");
    refuse_image(&image, &["more than one kernel", "usr/lib/modules/6.1.0", "usr/lib/modules/6.2.0"]);
}

#[test]
fn two_kernels_of_an_older_layout() {
    let (one, two) = (format!("boot/vmlinuz-6.1-{SUM}"), format!("boot/vmlinuz-6.2-{SUM}"));
    let image = without_kernel().with_file(&one, "x").with_file(&two, "x");
    refuse_image(&image, &["more than one kernel", &one, &two]);
}

#[test]
fn initramfs_of_another_kernel() {
    let (one, two) =
        (format!("boot/vmlinuz-6.1-{SUM}"), format!("boot/initramfs-6.1.img-{}", "0".repeat(64)));
    let image = without_kernel().with_file(&one, "x").with_file(&two, "x");
    refuse_image(&image, &["two checksums", &one, &two]);
}

#[test]
fn kernel_is_a_directory() {
    let image = Tiny::default().without("usr/lib/modules/6.1.0/vmlinuz");
    let image = image.with(Member::directory("usr/lib/modules/6.1.0/vmlinuz/"));
    refuse_image(&image, &["no regular file", "vmlinuz"]);
}

#[test]
fn kernel_version_with_a_line_break() {
    let image = without_kernel().with_file("usr/lib/modules/6.1\noptions evil/vmlinuz", "x");
    refuse_image(&image, &["kernel", "6.1\\n"]);
}

/// Nobody downloads an image to hear that its machine has no disks: no layer is read before that is said.
#[test]
fn architectures_are_refused_before_any_layer_is_read() {
    for (architecture, asked, words) in [
        ("s390x", &[][..], ["no disks for s390x", "zipl"]),
        ("s390x", &["--target-arch", "s390x"], ["no disks for s390x", "zipl"]),
        ("ppc64le", &["--target-arch", "ppc64le"], ["no disks for ppc64le", "firmware"]),
        ("loong64", &[], ["no disks for the architecture 'loong64'", "amd64, arm64 and riscv64"]),
        ("amd64", &["--target-arch", "arm64"], ["the image is for amd64, not for arm64", "hint: leave out"]),
        ("arm64", &["--target-arch", "amd64"], ["the image is for arm64, not for amd64", "hint: leave out"]),
    ] {
        let layout = Tiny::default().for_architecture(architecture).write();
        fs::remove_file(layout.layer_path(0)).unwrap();
        refuse(&[asked, &[&layout.reference()]].concat(), INPUT, &words);
    }
}

#[test]
fn stateroot_that_is_no_name() {
    for name in ["../../etc", "", "two words", ".hidden"] {
        let text = format!("[install]\nstateroot = {name:?}\n");
        let image = Tiny::default().with_file("usr/lib/bootc/install/10.toml", text);
        refuse_image(&image, &["stateroot", &format!("{name:?}"), "bootc/install"]);
    }
}

#[test]
fn root_keys_that_are_none() {
    let layout = Tiny::default().write();
    let path = layout.path().join("keys");
    let path = path.to_str().unwrap();
    let arguments = ["--root-ssh-authorized-keys", path, &layout.reference()];
    refuse(&arguments, INPUT, &["--root-ssh-authorized-keys", path, "No such file"]);
    fs::write(path, "# nobody\n\n").unwrap();
    refuse(&arguments, INPUT, &["--root-ssh-authorized-keys", path, "no key"]);
}
