//! What images ask of their installation (`bootc/install`, `bootc/kargs.d`) and what users ask beside
//! the blueprint, seen on the disk by the kernel, sgdisk, ostree and systemd-tmpfiles.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use crate::{
    TARGET,
    disk::{Disk, agrees},
    tiny::{Member, Tiny},
};

const INSTALL: &str = r#"
[install]
kargs = ["quiet splash", "a.b=1"]
karg-deletes = ["splash", "console=tty0"]
stateroot = "factory"
root-mount-spec = "LABEL=root"
boot-mount-spec = ""
enforce-container-sigpolicy = true
discoverable-partitions = true
[install.ostree]
bls-append-except-default = 'grub_users=""'
unknown = 1
"#;
const KEYS: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILAF64YtqEUoIpnBWoMjwrS1TLaHViT/qeVG98n9ycdG a@b\n";

fn image() -> Tiny {
    Tiny::default()
        .with_file("usr/lib/bootc/install/10.toml", INSTALL)
        .with_file("usr/lib/bootc/install/20.toml", "[install]\nkargs = [\"replaced\"]\n")
        .with_file("etc/bootc/install/20.toml", "[install]\nkargs = [\"replacing\"]\n")
        .with_file("usr/lib/bootc/install/30.toml", "[install]\nkargs = [\"masked\"]\n")
        .with(Member::symlink("etc/bootc/install/30.toml", "/dev/null"))
        .with_file(
            "usr/lib/bootc/install/40.toml",
            "[install]\nmatch-architectures = [\"aarch64\"]\nstateroot = \"arm\"\nkargs = [\"arm\"]\n",
        )
        .with_file("usr/lib/bootc/install/.hidden.toml", "nonsense")
        .with_file("usr/lib/bootc/kargs.d/10.toml", "kargs = [\"from.d=1\"]\n")
        .with_file(
            "usr/lib/bootc/kargs.d/20.toml",
            "kargs = [\"x86=1\"]\nmatch-architectures = [\"x86_64\", \"s390x\"]\n",
        )
        .with_file(
            "usr/lib/bootc/kargs.d/30.toml",
            "kargs = [\"arm=1\"]\nmatch-architectures = [\"aarch64\"]\n",
        )
}

fn options(root: &Path) -> String {
    let entry = fs::read_to_string(root.join("boot/loader/entries/ostree-1.conf")).unwrap();
    entry.lines().find_map(|line| line.strip_prefix("options ")).unwrap().to_owned()
}

fn root_type(disk: &Disk) -> String {
    agrees("gdisk", Command::new("sgdisk").arg("-i4").arg(&disk.raw))
}

#[test]
fn the_install_configuration_is_on_the_disk() {
    let work = tempfile::tempdir().unwrap();
    let keys = work.path().join("keys");
    fs::write(&keys, KEYS).unwrap();
    let keys = keys.to_str().unwrap();
    let layout = image().write();
    let wanted = ["--type", "raw", "--size", "fit", "--karg", "last", "--root-ssh-authorized-keys", keys];
    let disk = Disk::build(&layout.reference(), TARGET, work.path(), &wanted);
    assert!(root_type(&disk).contains("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"), "{}", root_type(&disk));
    let mounted = disk.mount(work.path());
    let root = mounted.path();
    let options = options(root);
    let expected = "root=LABEL=root rw console=ttyS0 last quiet a.b=1 replacing from.d=1 x86=1 ostree=/ostree/boot.1/factory/";
    assert!(options.starts_with(expected), "{options}");
    let mut command = Command::new("ostree");
    command.arg("admin").arg(format!("--sysroot={}", root.display())).arg("status");
    let status = agrees("ostree", &mut command);
    assert!(status.contains("factory "), "{status}");
    let repo = format!("--repo={}", root.join("ostree/repo").display());
    let mut command = Command::new("ostree");
    let value = agrees("ostree", command.args([&repo, "config", "get", "sysroot.bls-append-except-default"]));
    assert_eq!(value.trim(), "grub_users=\"\"");
    let commit = fs::read_to_string(root.join("ostree/repo/refs/heads/ostree/1/1/0")).unwrap();
    let deployment = root.join(format!("ostree/deploy/factory/deploy/{}.0", commit.trim()));
    let origin = fs::read_to_string(format!("{}.origin", deployment.display())).unwrap();
    assert_eq!(
        origin,
        format!("[origin]\ncontainer-image-reference=ostree-image-signed:docker://{TARGET}\n")
    );
    let fstab = fs::read_to_string(deployment.join("etc/fstab")).unwrap();
    assert!(fstab.contains(" /boot/efi ") && !fstab.contains(" /boot "), "{fstab}");
    check_root_keys(&deployment, work.path());
}

/// systemd makes root's keys of what is in the deployment.
fn check_root_keys(deployment: &Path, work: &Path) {
    let top = work.join("booted");
    let directory = top.join("etc/tmpfiles.d");
    fs::create_dir_all(&directory).unwrap();
    fs::copy(deployment.join("etc/tmpfiles.d/bootc-root-ssh.conf"), directory.join("bootc-root-ssh.conf"))
        .unwrap();
    let mut command = Command::new("systemd-tmpfiles");
    command.arg(format!("--root={}", top.display())).args(["--create", "bootc-root-ssh.conf"]);
    agrees("systemd", &mut command);
    let made = top.join("var/roothome/.ssh/authorized_keys");
    assert_eq!(fs::read_to_string(&made).unwrap(), KEYS);
    assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o7777, 0o600);
}

/// The system finds its root by partition type where GRUB can tell it the disk, and is told where not.
#[test]
fn root_is_discovered_where_that_works() {
    let wish = "[install]\ndiscoverable-partitions = true\nboot-mount-spec = \"LABEL=boot\"\n";
    let image = || Tiny::default().with_file("usr/lib/bootc/install/10.toml", wish);
    let grub = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed";
    let tells = image().with_file(grub, "grub /EFI/debian\0 LoaderDevicePartUUID\0");
    for (image, start) in [(image(), "root=UUID="), (tells, "rw boot=LABEL=boot ")] {
        let work = tempfile::tempdir().unwrap();
        let layout = image.write();
        let disk = Disk::build(&layout.reference(), TARGET, work.path(), &["--type", "raw", "--size", "fit"]);
        assert!(root_type(&disk).contains("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"), "{}", root_type(&disk));
        let mounted = disk.mount(work.path());
        let options = options(mounted.path());
        assert!(options.starts_with(start) && options.contains(" boot=LABEL=boot "), "{options}");
    }
}
