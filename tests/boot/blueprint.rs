//! A disk with nearly everything that a blueprint can ask of the demo image: logins over the network
//! by password and by key (package sshpass), and what the booted system says of itself.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    demo,
    qemu::{Machine, Report},
    ssh::{Visitor, Way},
};

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);
const PASSWORD: &str = "open sesame";

#[test]
fn everything_that_is_asked_for_is_there() {
    let scratch = demo::scratch("boot-blueprint");
    let visitor = Visitor::new(&scratch);
    let blueprint = scratch.join("everything.toml");
    let certificate = certificate(&scratch);
    let text = include_str!("everything.toml").replace("KEY", &visitor.public_key());
    fs::write(&blueprint, text.replace("CERT", &certificate)).unwrap();
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let (disk, _) = demo::build(&image, &scratch, &["--blueprint", blueprint.to_str().unwrap()]);
    let machine = Machine::new(&demo::overlay(&disk, "overlay.qcow2")).uefi().ssh_port(visitor.port);
    let machine = machine.credential("certificate", &certificate);
    let visit = thread::spawn(move || visit(&visitor));
    let report = machine.script(include_str!("blueprint.sh")).boot(BOOT_TIMEOUT);
    let report = report.unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    check_visit(&visit.join().unwrap());
    check(&report);
    fs::remove_dir_all(scratch).unwrap();
}

/// A certificate made for this run, in PEM.
fn certificate(scratch: &Path) -> String {
    let (arguments, key) =
        (["req", "-x509", "-nodes", "-subj", "/CN=Own  Authority", "-newkey"], scratch.join("ca"));
    let output = Command::new("openssl").args(arguments).args(["rsa:2048", "-keyout"]).arg(key).output();
    let output = output.unwrap_or_else(|error| panic!("openssl (package openssl): {error}"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What each login over the network said; the last one ends the wait of the machine.
struct Visit {
    typed: Option<String>,
    wrong: Option<String>,
    stale: Option<String>,
    expired: Option<String>,
    keyed: Option<String>,
}

fn visit(visitor: &Visitor) -> Visit {
    let deadline = Instant::now() + BOOT_TIMEOUT;
    let typed = visitor.insist("typed", Way::Password(PASSWORD), "id -un; id -nG; pwd", deadline);
    let wrong = visitor.run("typed", Way::Password("wrong"), "id");
    let stale = visitor.run("stale", Way::Password(PASSWORD), "id");
    let expired = visitor.run("expired", Way::Password(PASSWORD), "id");
    let command = "id -un; pwd; sudo -n id -un; touch /tmp/visited";
    Visit { typed, wrong, stale, expired, keyed: visitor.insist("keyed", Way::Key, command, deadline) }
}

fn check_visit(visit: &Visit) {
    let typed = visit.typed.as_deref().expect("no login by password");
    assert_eq!(typed.replace("/var/home", "/home"), "typed\ntyped sudo crew\n/home/typed\n");
    assert_eq!(visit.wrong, None, "a wrong password lets in");
    assert_eq!(visit.stale, None, "a password that must be changed lets in");
    assert_eq!(visit.expired, None, "an expired account lets in");
    assert_eq!(visit.keyed.as_deref(), Some("keyed\n/var/lib/keyed\nroot\n"), "no login by key, or no sudo");
}

fn check(report: &Report) {
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert_eq!(report.section("visited"), "yes");
    assert_eq!(report.section("hostname"), "everything.example");
    assert!(report.section("cmdline").contains(" demo.everything=1 "), "{}", report.section("cmdline"));
    assert_eq!(report.section("time"), "Timezone=UTC\nLANG=C.UTF-8");
    assert_eq!(report.section("ntp"), "192.0.2.1 time.example.com");
    assert_eq!(
        report.section("files"),
        "/etc/demo 755 root:root\n/etc/demo/deep 750 root:crew\n/etc/demo/deep/file 640 typed:crew\nfrom the blueprint"
    );
    assert_eq!(report.section("asked"), "active\nstarted\nactive");
    assert_eq!(report.section("enabled"), "enabled\nenabled\ndisabled\nmasked\nmasked");
    let sshd = report.section("sshd").to_lowercase();
    assert!(sshd.contains("permitrootlogin no") && sshd.contains("clientaliveinterval 77"), "{sshd}");
    assert!(report.section("expires").contains("2037"), "{}", report.section("expires"));
    assert_eq!(report.section("checks"), "good\ngood");
    assert_eq!(report.section("trusted"), "by its hash\nby the bundle\nafter an update\nnot without");
}
