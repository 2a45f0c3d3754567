//! One build in many formats: every file holds the same disk, as QEMU's and other readers see it.
//! (Machines boot from each format in `examples.rs`.) `DISKWRIGHT_DEMO_IMAGE` names the OCI layout.

use std::{fs, path::Path, process::Command};

use crate::demo;

/// Appliance and container hold the disks that are beside them, as tar and skopeo unpack these.
const JUDGES: [&str; 4] = [
    "sha256sum --check --quiet --strict SHA256SUMS",
    "tar -xOf archive/image.ova image.vmdk | cmp - vmdk/disk.vmdk",
    "mkdir image
skopeo copy -q --insecure-policy oci-archive:containerdisk/disk.oci.tar dir:image
for blob in image/*; do if tar -tzf $blob disk/disk.qcow2 2>/dev/null; then tar -xzSf $blob; fi; done
qemu-img compare -f qcow2 -F qcow2 disk/disk.qcow2 qcow2/disk.qcow2",
    "for disk in vmdk:vmdk/disk.vmdk vpc:vpc/disk.vhd vhdx:vhdx/disk.vhdx vdi:vdi/disk.vdi; do
    qemu-img compare -f qcow2 -F ${disk%%:*} qcow2/disk.qcow2 ${disk#*:}
done",
];

#[test]
fn every_format_of_one_build_is_the_same_disk() {
    let scratch = demo::scratch("boot-formats");
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    demo::build(&image, &scratch, &["-t", "vmdk,vhd,vhdx,vdi,ova,containerdisk", "--size", "+500MiB"]);
    for script in JUDGES {
        assert!(agrees(&scratch, script), "{script} (packages coreutils, tar, skopeo, qemu-utils)");
    }
    fs::write(scratch.join("vpc/disk.vhd"), [0; 512]).unwrap();
    assert!(!agrees(&scratch, JUDGES[0]) && !agrees(&scratch, JUDGES[3]), "the judges say yes to anything");
    fs::remove_dir_all(scratch).unwrap();
}

fn agrees(scratch: &Path, script: &str) -> bool {
    let output = Command::new("sh").args(["-euc", script]).current_dir(scratch).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}
