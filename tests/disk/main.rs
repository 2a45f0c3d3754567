//! Whole disks of the command line, taken apart by others: sgdisk, the
//! kernel's ext4, e2fsck, fsck.fat, mtools, qemu-img and ostree. Needs root
//! and loop devices.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../common/listing.rs"]
mod listing;
#[path = "../common/tiny.rs"]
mod tiny;

mod bios;
mod deployment;
mod disk;
mod install;
mod kernels;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use deployment::Judged;
use disk::{Disk, agrees, run};

/// What upgrades are asked of.
const TARGET: &str = "registry.example.com/tiny:latest";

/// The small image of `image.sh`: its reference, and the directory its layers were made of.
fn small_image(work: &Path) -> (String, PathBuf) {
    let script = work.join("image.sh");
    std::fs::write(&script, include_str!("image.sh")).unwrap();
    agrees("umoci attr acl", Command::new("bash").arg(&script).arg(work));
    (format!("oci:{}:v1", work.join("layout").display()), work.join("bundle/rootfs"))
}

#[test]
fn a_small_image_on_a_disk() {
    let work = tempfile::tempdir().unwrap();
    let (reference, rootfs) = small_image(work.path());
    let disk = Disk::build(&reference, TARGET, work.path(), &["--type", "raw,qcow2", "--size", "fit"]);
    disk.check_formats(&work.path().join("qcow2/disk.qcow2"));
    disk.check_partitions();
    disk.check_filesystems();
    let mounted = disk.mount(work.path());
    let judged = Judged::new(&mounted, &rootfs, TARGET);
    judged.check_ostree();
    judged.check_deployment();
    judged.check_etc_and_var();
    judged.check_shared_inodes();
    judged.check_boot(&disk);
    judged.check_objects(&work.path().join("layout"), work.path());
}

/// What rpm-ostree's tools make: a commit's objects in layers.
#[test]
fn a_chunked_image_on_a_disk() {
    chunked(&[]);
}

/// The same, and a layer derived from it.
#[test]
fn an_image_derived_from_chunks_on_a_disk() {
    chunked(&["derived"]);
}

fn chunked(arguments: &[&str]) {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    let script = work.path().join("chunked.sh");
    std::fs::write(&script, include_str!("chunked.sh")).unwrap();
    let chunks = work.path().join("chunked.py");
    std::fs::write(&chunks, include_str!("../common/chunked.py")).unwrap();
    let command = &mut Command::new("bash");
    let base =
        agrees("ostree attr python3", command.arg(&script).arg(work.path()).arg(&chunks).args(arguments));
    let base = base.trim();
    let reference = format!("oci:{}", work.path().join("layout").display());
    let disk = Disk::build(&reference, TARGET, work.path(), &["--type", "raw", "--size", "fit"]);
    disk.check_partitions();
    disk.check_filesystems();
    let mounted = disk.mount(work.path());
    let judged = Judged::new(&mounted, &source, TARGET);
    judged.check_ostree();
    judged.check_deployment();
    judged.check_etc_and_var();
    judged.check_boot(&disk);
    judged.check_base(&work.path().join("layout"), &work.path().join("repo"), base);
}

#[test]
fn the_demo_image_on_a_disk() {
    let work = tempfile::tempdir().unwrap();
    let image = demo_image();
    let reference = format!("oci:{}", image.display());
    let disk = Disk::build(&reference, TARGET, work.path(), &["--type", "raw"]);
    disk.check_partitions();
    disk.check_filesystems();
    let plain = work.path().join("plain");
    agrees(
        "python3 zstd",
        Command::new("python3").args(["-c", include_str!("plain.py")]).arg(image).arg(&plain),
    );
    let bundle = work.path().join("bundle");
    let tagged = format!("{}:plain", plain.display());
    agrees("umoci", Command::new("umoci").args(["unpack", "--image", &tagged]).arg(&bundle));
    let mounted = disk.mount(work.path());
    let judged = Judged::new(&mounted, &bundle.join("rootfs"), TARGET);
    judged.check_ostree();
    judged.check_deployment();
    judged.check_etc_and_var();
    judged.check_shared_inodes();
    judged.check_boot(&disk);
    judged.check_objects(&plain, work.path());
}

fn demo_image() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/demo-image");
    let image = env::var_os("DISKWRIGHT_DEMO_IMAGE").map_or(default, PathBuf::from);
    let there = image.join("index.json").exists();
    assert!(
        there,
        "no OCI layout at {}: make it with `scripts/demo-image target/demo-image`",
        image.display()
    );
    image
}

/// Each judge must say no when what it looks at is damaged.
#[test]
fn damage_is_seen() {
    let work = tempfile::tempdir().unwrap();
    let (reference, rootfs) = small_image(work.path());
    let disk = Disk::build(&reference, TARGET, work.path(), &["--type", "raw,qcow2", "--size", "fit"]);
    let says_no = |package: &str, command: &mut Command| {
        let output = run(package, command);
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() || text.contains("differ"), "{command:?}: {text}");
    };
    disk.flipped(512 + 16, || {
        let check = std::panic::AssertUnwindSafe(|| disk.check_partitions());
        assert!(std::panic::catch_unwind(check).is_err(), "a damaged partition table passes");
    });
    let esp = disk.partition(2);
    disk.flipped(esp.offset + disk.fat_start(&esp) + 9, || {
        says_no("dosfstools", Command::new("fsck.fat").arg("-n").arg(disk.extract(&esp, work.path())));
    });
    let root = disk.partition(4);
    disk.flipped(root.offset + 1024 + 4, || says_no("e2fsprogs", &mut disk.e2fsck(&root)));
    disk.flipped(root.offset + 1024 + 4, || {
        let mut command = Command::new("qemu-img");
        command.args(["compare", "-f", "raw", "-F", "qcow2"]).arg(&disk.raw);
        says_no("qemu-utils", command.arg(work.path().join("qcow2/disk.qcow2")));
    });
    disk.flipped(disk.find(b"PRETTY_NAME=\"Tiny 1\""), || {
        let mounted = disk.mount(work.path());
        let repo = format!("--repo={}", mounted.path().join("ostree/repo").display());
        says_no("ostree", Command::new("ostree").args(["fsck", &repo]));
        let judged = Judged::new(&mounted, &rootfs, TARGET);
        let lines = judged.deployment_differences();
        assert!(lines.iter().any(|line| line.starts_with("/usr/lib/os-release")), "{lines:?}");
    });
}
