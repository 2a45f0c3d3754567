//! A disk with nearly everything that a blueprint can ask of the demo image: logins over the network
//! by password and by key (package sshpass), and what the booted system says of itself.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    demo,
    qemu::{Machine, Report},
};

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);
const PASSWORD: &str = "open sesame";

#[test]
fn everything_that_is_asked_for_is_there() {
    let scratch = demo::scratch("boot-blueprint");
    let key = scratch.join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap_or_else(|error| panic!("ssh-keygen (package openssh-client): {error}")).success());
    let blueprint = scratch.join("everything.toml");
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    fs::write(&blueprint, include_str!("everything.toml").replace("KEY", public.trim())).unwrap();
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let (disk, _) = demo::build(&image, &scratch, &["--blueprint", blueprint.to_str().unwrap()]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let visitor = thread::spawn(move || visit(&key, port));
    let machine = Machine::new(&demo::overlay(&disk, "overlay.qcow2")).uefi().ssh_port(port);
    let report = machine.script(include_str!("blueprint.sh")).boot(BOOT_TIMEOUT);
    let report = report.unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    check_visit(&visitor.join().unwrap());
    check(&report);
    fs::remove_dir_all(scratch).unwrap();
}

/// What each login over the network said; the last one ends the wait of the machine.
struct Visit {
    typed: Option<String>,
    wrong: Option<String>,
    stale: Option<String>,
    expired: Option<String>,
    keyed: Option<String>,
}

fn visit(key: &Path, port: u16) -> Visit {
    let deadline = Instant::now() + BOOT_TIMEOUT;
    let identity = key.to_str().unwrap();
    let mut typed = None;
    while typed.is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_secs(3));
        typed = by_password(port, "typed", PASSWORD, "id -un; id -nG; pwd");
    }
    let wrong = by_password(port, "typed", "wrong", "id");
    let stale = by_password(port, "stale", PASSWORD, "id");
    let expired = by_password(port, "expired", PASSWORD, "id");
    let command = "id -un; pwd; sudo -n id -un; sudo -n touch /run/visited";
    let mut keyed = None;
    while keyed.is_none() && Instant::now() < deadline {
        // sshd makes an address wait after failures
        thread::sleep(Duration::from_secs(5));
        let mut program = Command::new("ssh");
        keyed = ssh(program.args(["-i", identity, "-o", "BatchMode=yes"]), port, "keyed", command);
    }
    Visit { typed, wrong, stale, expired, keyed }
}

fn by_password(port: u16, user: &str, password: &str, command: &str) -> Option<String> {
    let mut sshpass = Command::new("sshpass");
    sshpass.args(["-p", password, "ssh", "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
    ssh(&mut sshpass, port, user, command)
}

/// What the command printed; `None` if it did not run.
fn ssh(program: &mut Command, port: u16, user: &str, command: &str) -> Option<String> {
    let fixed =
        ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=60"];
    for option in fixed {
        program.args(["-o", option]);
    }
    let output = program.args(["-p", &port.to_string(), &format!("{user}@127.0.0.1"), command]).output();
    let output =
        output.unwrap_or_else(|error| panic!("sshpass or ssh (packages sshpass, openssh-client): {error}"));
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
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
}
