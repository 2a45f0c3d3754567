//! A GRUB without `blscfg`, with Secure Boot on: the disk of an image of Debian
//! trixie (GRUB 2.12) boots, takes a second deployment, and boots into that by
//! itself, with all that the blueprint (`blueprints/demo.yaml`) and a person have
//! put into /etc. `DISKWRIGHT_DEMO_IMAGE_TRIXIE` names the OCI layout.

use std::fs;
use std::time::Duration;

use crate::demo;
use crate::examples::{blueprint, check, check_promises, promised, script, visit};
use crate::promises::DEMO;
use crate::qemu::{Machine, Report};
use crate::ssh::Visitor;

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);

#[test]
fn a_second_deployment_boots_without_blscfg() {
    let scratch = demo::scratch("boot-trixie");
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE_TRIXIE", "demo-image-trixie", " --suite trixie --metal");
    let visitor = Visitor::new(&scratch);
    let blueprint = blueprint(DEMO.name, &scratch, &visitor);
    let arguments =
        ["--karg", "demo.words=\"two words\"", "--karg", "demo.first=1", "--karg", demo::PATIENCE];
    let (disk, said) =
        demo::build(&image, &scratch, &[&arguments[..], &["--blueprint", &blueprint]].concat());
    assert!(said.contains("boot entries read by GRUB's configuration"), "{said}");
    let disk = demo::overlay(&disk, "overlay.qcow2");
    let machine = Machine::new(&disk).ssh_port(visitor.port);
    let visit = visit(&DEMO, visitor);
    let first = boot(machine, &[&script(&DEMO), include_str!("trixie-first.sh")].concat());
    visit.join().unwrap();
    check(&DEMO, &first);
    assert!(
        first.section("cmdline").contains(" \"demo.words=two words\" demo.first=1"),
        "{}",
        first.section("cmdline")
    );
    let second = ["state\n", &promised(&DEMO), include_str!("trixie-second.sh")].concat();
    let second = boot(Machine::new(&disk), &second);
    check_promises(&DEMO, &second);
    assert_eq!(second.section("etc"), "by hand\n600 demo:sudo\ntoo");
    let booted = format!("* default {}.0", first.section("changed"));
    assert!(second.section("status").contains(&booted), "not {booted}: {}", second.section("status"));
    assert_eq!(second.section("changed"), "changed");
    let arguments: Vec<&str> = second.section("cmdline").split_whitespace().collect();
    assert!(arguments.contains(&"demo.second=2"), "{arguments:?}");
    fs::remove_dir_all(scratch).unwrap();
}

fn boot(machine: Machine, script: &str) -> Report {
    let report =
        machine.secure_boot().script(script).boot(BOOT_TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert_eq!(report.section("secure"), "1", "Secure Boot is off");
    report
}
