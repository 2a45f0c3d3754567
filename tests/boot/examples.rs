//! Every example blueprint on a disk that boots, each in a format of its own: what it promises
//! (`promises.rs`) is judged inside the machine, and by logins over the network.
//! `DISKWRIGHT_DEMO_IMAGE` names the OCI layout.
//!
//! ```text
//! demo image + a layer of what the examples expect -> one disk a format -> five machines
//! trixie.rs: demo.yaml, and an upgrade; install.rs: iso.yaml
//! ```
//!
//! The layer holds stand-ins: services that do nothing, locales that are C's by other names.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    demo,
    promises::{AWS, DEMO, EDGE_KIOSK, Example, KUBERNETES_NODE, MINIMAL, SERVER},
    qemu::{Machine, Report},
    ssh::Visitor,
};

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);
/// A hundred profiles are compiled otherwise, which takes an emulated machine half a minute.
const HASTE: &str = "apparmor=0";
const BLUEPRINTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/blueprints");
/// Where an example has somebody's key.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILAF64YtqEUoIpnBWoMjwrS1TLaHViT/qeVG98n9ycdG admin@example.com";
const SERVICE: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n\
                       [Install]\nWantedBy=multi-user.target\n";
/// Installed by the packages of this host: tzdata, firewalld.
const BORROWED: [&str; 3] = [
    "usr/share/zoneinfo/Europe/Vienna",
    "usr/lib/firewalld/zones/public.xml",
    "usr/lib/firewalld/zones/trusted.xml",
];

#[test]
fn minimal_from_a_fixed_vhd() {
    boots(&MINIMAL, ["vhd", "vpc/disk.vhd", "vpc"]);
}

#[test]
fn server_from_a_vmdk() {
    boots(&SERVER, ["vmdk", "vmdk/disk.vmdk", "vmdk"]);
}

#[test]
fn kubernetes_node_from_a_vhdx() {
    boots(&KUBERNETES_NODE, ["vhdx", "vhdx/disk.vhdx", "vhdx"]);
}

#[test]
fn edge_kiosk_from_a_vdi() {
    boots(&EDGE_KIOSK, ["vdi", "vdi/disk.vdi", "vdi"]);
}

#[test]
fn aws_from_a_qcow2() {
    boots(&AWS, ["qcow2", "qcow2/disk.qcow2", "qcow2"]);
}

#[test]
fn every_example_is_booted() {
    let booted = [&MINIMAL, &SERVER, &KUBERNETES_NODE, &EDGE_KIOSK, &AWS, &DEMO].map(|example| example.name);
    let booted: BTreeSet<_> = booted.iter().chain(&["iso"]).map(|name| format!("{name}.yaml")).collect();
    let names = fs::read_dir(BLUEPRINTS).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.map(|name| name.into_string().unwrap()).collect::<BTreeSet<_>>(), booted);
}

/// Type, file, and QEMU's name of the format.
fn boots(example: &Example, [kind, file, format]: [&str; 3]) {
    let scratch = demo::scratch(&format!("boot-example-{}", example.name));
    let visitor = Visitor::new(&scratch);
    let blueprint = blueprint(example.name, &scratch, &visitor);
    let arguments =
        ["--size", "+500MiB", "--karg", demo::PATIENCE, "--karg", HASTE, "--blueprint", &blueprint];
    demo::build_as(kind, &image(&scratch), &scratch, &arguments);
    let machine = Machine::new(&scratch.join(file)).read_only(format).ssh_port(visitor.port);
    let visit = visit(example, visitor);
    let report = machine.script(&script(example)).boot(BOOT_TIMEOUT);
    let report = report.unwrap_or_else(|why| panic!("{}: {why}", example.name));
    println!("{format}: booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    visit.join().unwrap();
    check(example, &report);
    fs::remove_dir_all(scratch).unwrap();
}

/// The example with the visitor's key in it; its path.
pub(crate) fn blueprint(name: &str, scratch: &Path, visitor: &Visitor) -> String {
    let text = fs::read_to_string(format!("{BLUEPRINTS}/{name}.yaml")).unwrap();
    let path = scratch.join("example.yaml");
    fs::write(&path, text.replace(KEY, &visitor.public_key())).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What to run in the machine.
pub(crate) fn script(example: &Example) -> String {
    let visited = if example.visits.is_empty() { "" } else { "section visited; visited\n" };
    format!("state\n{visited}{}", promised(example))
}

/// Each promise in a section by its number.
pub(crate) fn promised(example: &Example) -> String {
    let commands = example.promises.iter().map(|(command, _)| command).enumerate();
    commands.map(|(number, command)| format!("section promise-{number}; {command}\n")).collect()
}

/// Comes in over the network as the example says, once the machine is up.
pub(crate) fn visit(example: &Example, visitor: Visitor) -> JoinHandle<()> {
    let visits = example.visits;
    thread::spawn(move || {
        let deadline = Instant::now() + BOOT_TIMEOUT;
        let Some(((user, way, command, says), others)) = visits.split_first() else { return };
        let first = visitor.insist(user, *way, command, deadline);
        let others: Vec<_> =
            others.iter().map(|(user, way, command, _)| visitor.run(user, *way, command)).collect();
        // the machine may go on
        visitor.insist(user, *way, "touch /tmp/visited", deadline);
        assert_eq!(first.as_deref(), *says, "{user}");
        for ((user, .., says), said) in visits[1..].iter().zip(others) {
            assert_eq!(said.as_deref(), *says, "{user}");
        }
    })
}

/// Whether the machine is up, was visited, and keeps its promises.
pub(crate) fn check(example: &Example, report: &Report) {
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert!(example.visits.is_empty() || report.section("visited") == "yes", "nobody came");
    check_promises(example, report);
}

/// Whether every promise is kept.
pub(crate) fn check_promises(example: &Example, report: &Report) {
    let said = |number: usize| report.section(&format!("promise-{number}")).to_owned();
    let (kept, broken): (Vec<_>, Vec<_>) =
        example.promises.iter().enumerate().partition(|(number, (_, says))| said(*number) == *says);
    let broken: Vec<_> = broken.iter().map(|(number, promise)| (promise, said(*number))).collect();
    assert!(broken.is_empty(), "{}: {} promises are kept, not {broken:#?}", example.name, kept.len());
}

/// The demo image with what the examples expect of theirs.
fn image(scratch: &Path) -> PathBuf {
    let base = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let layout = scratch.join("image");
    demo::derive(&base, &layout, &layer());
    layout
}

fn layer() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut file = |name: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        layer.append_data(&mut header, name, content).unwrap();
    };
    for name in ["crio", "kubelet", "cloud-init"] {
        file(&format!("usr/lib/systemd/system/{name}.service"), 0o644, SERVICE.as_bytes());
    }
    for name in BORROWED {
        let content = fs::read(Path::new("/").join(name));
        file(name, 0o644, &content.unwrap_or_else(|e| panic!("/{name} (packages tzdata, firewalld): {e}")));
    }
    file("usr/bin/kiosk", 0o755, b"#!/bin/sh\nsleep infinity\n");
    file("usr/share/kbd/keymaps/de.map.gz", 0o644, b"");
    for name in ["de_AT.utf8", "en_US.utf8"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        layer.append_link(&mut header, format!("usr/lib/locale/{name}"), "C.utf8").unwrap();
    }
    layer.into_inner().unwrap()
}
