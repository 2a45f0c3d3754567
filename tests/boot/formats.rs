//! One build in many formats: a machine boots from each that QEMU can open, up to basic.target, and
//! reads the same there. Appliance and container hold the disks that were booted.
//! `DISKWRIGHT_DEMO_IMAGE` names the OCI layout.

use std::{fs, path::Path, process::Command, time::Duration};

use crate::{demo, qemu::Machine};

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);
/// Path of each file, and QEMU's name of the format.
const DISKS: [(&str, &str); 5] = [
    ("qcow2/disk.qcow2", "qcow2"),
    ("vmdk/disk.vmdk", "vmdk"),
    ("vpc/disk.vhd", "vpc"),
    ("vhdx/disk.vhdx", "vhdx"),
    ("vdi/disk.vdi", "vdi"),
];
const SCRIPT: &str = r"
section root; findmnt -no SOURCE,FSTYPE /
section ostree; grep -o 'ostree=[^ ]*' /proc/cmdline
section system; cat /usr/lib/os-release /usr/lib/modules/*/vmlinuz /usr/bin/[a-m]* 2>/dev/null | cksum
";

#[test]
fn machines_boot_from_every_format_of_one_build() {
    let scratch = demo::scratch("boot-formats");
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let types = "vmdk,vhd,vhdx,vdi,ova,containerdisk";
    demo::build(&image, &scratch, &["-t", types, "--size", "+500MiB", "--karg", demo::PATIENCE]);
    judge(&scratch, "sha256sum --check --quiet --strict SHA256SUMS");
    judge(&scratch, "tar -xOf archive/image.ova image.vmdk | cmp - vmdk/disk.vmdk");
    judge(&scratch, CONTAINER);
    let said: Vec<_> = DISKS.iter().map(|(path, format)| boot(&scratch.join(path), format)).collect();
    assert!(said[0].contains("composefs") && said[0].contains("ostree=/ostree/boot."), "{}", said[0]);
    for (said_here, (_, format)) in said.iter().zip(DISKS) {
        assert_eq!(*said_here, said[0], "{format}");
    }
    fs::remove_dir_all(scratch).unwrap();
}

/// The disk in the container, as skopeo unpacks it, is the one that is booted.
const CONTAINER: &str = "mkdir image
skopeo copy -q --insecure-policy oci-archive:containerdisk/disk.oci.tar dir:image
for blob in image/*; do if tar -tzf $blob disk/disk.qcow2 2>/dev/null; then tar -xzSf $blob; fi; done
qemu-img compare -f qcow2 -F qcow2 disk/disk.qcow2 qcow2/disk.qcow2";

fn judge(scratch: &Path, script: &str) {
    let output = Command::new("sh").args(["-euc", script]).current_dir(scratch).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?} (packages coreutils, tar, skopeo, qemu-utils)");
}

/// What a machine with the disk says.
fn boot(disk: &Path, format: &str) -> String {
    let report = Machine::new(disk).read_only(format).early_script(SCRIPT).boot(BOOT_TIMEOUT);
    let report = report.unwrap_or_else(|why| panic!("{format}: {why}"));
    println!("{format}: booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    report.output
}
