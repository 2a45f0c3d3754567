//! One disk, two kinds of firmware: SeaBIOS, then OVMF with Secure Boot on,
//! judged by the kernel and systemd inside. `DISKWRIGHT_DEMO_IMAGE` names the OCI layout.

use std::fs;
use std::time::Duration;

use crate::demo;
use crate::qemu::{Machine, Report};

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);
const SCRIPT: &str = include_str!("firmware.sh");

#[test]
fn the_same_disk_boots_by_bios_and_by_secure_boot() {
    let scratch = demo::scratch("boot-bios");
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let (disk, said) = demo::build(&image, &scratch, &["--karg", demo::PATIENCE]);
    assert!(said.contains("BIOS too, GRUB from usr/lib/grub/i386-pc"), "{said}");
    let bios = boot(Machine::new(&demo::overlay(&disk, "bios.qcow2")));
    assert_eq!(bios.section("firmware"), "BIOS");
    let secure = boot(Machine::new(&demo::overlay(&disk, "secure.qcow2")).secure_boot());
    assert_eq!(secure.section("firmware"), "UEFI");
    assert_eq!(secure.section("secure"), "1", "Secure Boot is off");
    assert!(
        secure.section("lockdown").contains("[integrity]"),
        "no lockdown: {}",
        secure.section("lockdown")
    );
    assert_eq!(bios.section("status"), secure.section("status"));
    fs::remove_dir_all(scratch).unwrap();
}

fn boot(machine: Machine) -> Report {
    let report = machine.script(SCRIPT).boot(BOOT_TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    report
}
