//! Another architecture: the disk of an image of Debian's arm64 packages,
//! whichever machine made it, booted by 64-bit Arm firmware.
//! `DISKWRIGHT_DEMO_IMAGE_ARM64` names the OCI layout.

use std::{fs, process::Command, time::Duration};

use crate::{demo, qemu::Machine, ssh::Visitor};

const BOOT_TIMEOUT: Duration = Duration::from_secs(1200);
const GROWN_BYTES: u64 = 20 << 30;

#[test]
fn an_arm_machine_boots_what_any_machine_built() {
    let scratch = demo::scratch("boot-aarch64");
    let visitor = Visitor::new(&scratch);
    let blueprint = scratch.join("blueprint.yaml");
    fs::write(&blueprint, include_str!("blueprint.yaml").replace("KEY", &visitor.public_key())).unwrap();
    let blueprint = blueprint.to_str().unwrap();
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE_ARM64", "demo-image-arm64", " --arch arm64");
    let arguments = ["--target-arch", "arm64", "--blueprint", blueprint, "--karg", demo::PATIENCE];
    let (disk, said) = demo::build(&image, &scratch, &arguments);
    assert!(!said.contains("BIOS too"), "{said}");
    let disk = demo::overlay(&disk, "overlay.qcow2");
    judge("qemu-utils", "qemu-img", &["resize", "-q", disk.to_str().unwrap(), &GROWN_BYTES.to_string()]);
    let machine = Machine::new(&disk).aarch64().script(include_str!("aarch64.sh"));
    let machine = machine.credential("ssh-key", &visitor.secret_key());
    let report = machine.boot(BOOT_TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert_eq!(report.section("machine"), "aarch64");
    assert_eq!(report.section("firmware"), "UEFI");
    assert_eq!(report.section("root"), "composefs overlay");
    assert!(report.section("status").starts_with("* default "), "{}", report.section("status"));
    assert_eq!(report.section("hostname"), "demo-host");
    assert_eq!(report.section("ssh"), "demo\naarch64");
    // the image's argument for this architecture alone
    assert!(report.section("cmdline").contains(" console=ttyAMA0,115200n8"), "{}", report.section("cmdline"));
    let size: u64 = report.section("size").parse().unwrap();
    assert!(size > GROWN_BYTES / 10 * 8, "/var has {size} bytes after growing: {}", report.section("grow"));
    fs::remove_dir_all(scratch).unwrap();
}

fn judge(package: &str, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
