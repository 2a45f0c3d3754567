//! A build with nothing: no user of any right, no capability, no new privileges, a /dev of three
//! devices. strace tells what it asked the kernel for: no process, no mount, no device.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/tiny.rs"]
mod tiny;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use diskwright_formats::writer::{Medium, WRITERS};
use tempfile::TempDir;
use tiny::{Member, Tiny};

const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/urandom"];

/// Calls that start, enter or mount something, and those that open.
const CALLS: &str = "execve,execveat,clone,clone3,fork,vfork,mount,umount2,move_mount,open_tree,fsopen,fsmount,\
                     pivot_root,chroot,unshare,setns,ptrace,mknod,mknodat,open,openat,openat2,socket,setuid,setresuid";

/// Makes /dev, gives everything up, and starts the rest of the line under strace.
const CONFINE: &str = "set -e
mount -t tmpfs -o mode=755 tmpfs /dev
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/zero c 1 5
mknod -m 666 /dev/urandom c 1 9
log=$0
exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs -- \
    strace -f -y --seccomp-bpf -s 4096 -o \"$log\" -e trace=\"$CALLS\" -- \"$@\"
";

/// A place that only the confined user needs.
struct Cell {
    dir: TempDir,
}

impl Cell {
    fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root to make a /dev and to give root up"
        );
        let cell = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["", "out", "spool", "home"] {
            let dir = cell.path(name);
            fs::create_dir_all(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        }
        cell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the command says, and strace of it.
    fn run(&self, command: &[&str]) -> (Output, String) {
        let log = self.path("home/strace");
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", CONFINE])
            .arg(&log)
            .args(command)
            .env("CALLS", CALLS)
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("spool"))
            .current_dir(self.path(""))
            .stdin(Stdio::null())
            .output()
            .expect("unshare and setpriv (package util-linux) are needed");
        let log = fs::read_to_string(log).expect("strace (package strace) is missing");
        (output, log)
    }
}

/// Lines of the log that show what is forbidden. The first `execve` is the start of the command.
fn violations(log: &str) -> Vec<&str> {
    let calls = log.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start()));
    let mut started = false;
    let forbidden = |call: &&str| match call.split('(').next().unwrap_or_default() {
        "execve" => std::mem::replace(&mut started, true),
        "clone" | "clone3" => !call.contains("CLONE_THREAD"),
        "open" | "openat" | "openat2" => opens_device(call),
        _ => {
            opens_device(call) || !["<...", "+++", "---", "exit"].iter().any(|start| call.starts_with(start))
        }
    };
    calls.filter(forbidden).collect()
}

/// Whether a path below /dev is asked for or came of it, other than the three.
fn opens_device(call: &str) -> bool {
    let paths = call.split(['"', '<', '>', '(']).filter(|part| part.starts_with("/dev"));
    paths.into_iter().any(|path| !DEVICES.contains(&path))
}

fn image() -> tiny::Layout {
    let layout = Tiny::default()
        .with_file("usr/lib/some", tiny::noise(3 << 20))
        .with(Member::hardlink("usr/lib/same", "usr/lib/some"))
        .with(Member::symlink("usr/lib/link", "/dev/sda"))
        .with(Member::file("usr/lib/x", "x").pax("SCHILY.xattr.user.a", "b"))
        .write();
    fs::set_permissions(layout.path(), fs::Permissions::from_mode(0o755)).unwrap();
    layout
}

/// The program where the confined user can reach it.
fn program(cell: &Cell) -> PathBuf {
    let path = cell.path("diskwright");
    fs::copy(env!("CARGO_BIN_EXE_diskwright"), &path).unwrap();
    fs::write(cell.path("diskwright-install"), tiny::installer()).unwrap();
    path
}

#[test]
fn a_build_starts_nothing_mounts_nothing_and_opens_no_device() {
    let (cell, layout) = (Cell::new(), image());
    let blueprint = cell.path("home/b.yaml");
    fs::write(&blueprint, "customizations: {user: [{name: anna, password: secret}], hostname: h}\n").unwrap();
    // a medium of Anaconda is built alone, of an image that has it
    let specs = WRITERS.iter().map(|writer| writer.spec()).filter(|spec| spec.medium != Medium::Anaconda);
    let types = specs.map(|spec| spec.name).collect::<Vec<_>>().join(",");
    let (program, out) = (program(&cell), cell.path("out"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (program, out, blueprint) = (text(&program), text(&out), text(&blueprint));
    let line = [&program, "build", "--output", &out, "--type", &types, "-b", &blueprint, &layout.reference()];
    let (output, log) = cell.run(&line);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(violations(&log), [""; 0]);
    assert!(log.contains("CLONE_THREAD") && log.contains("O_TMPFILE"), "strace did not see the build");
    for writer in WRITERS {
        assert!(cell.path("out").join(writer.spec().path).is_file());
    }
}

#[test]
fn looking_at_an_image_needs_nothing_either() {
    let (cell, layout) = (Cell::new(), image());
    let program = program(&cell);
    let (output, log) = cell.run(&[program.to_str().unwrap(), "inspect", &layout.reference()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(violations(&log), [""; 0]);
}

/// The judge says no: a process, a device, a mount and a mere try are seen.
#[test]
fn what_is_forbidden_is_seen() {
    for (script, seen) in [
        ("(exit 0); exit 0", &["clone(", "clone3(", "fork("][..]),
        ("sleep 0; exit 0", &["clone(", "clone3(", "fork("]),
        ("exec true", &["execve("]),
        (": < /dev/loop0", &["/dev/loop0"]),
        (": < /dev/../dev/tty", &["tty"]),
        ("exec mount -t tmpfs tmpfs /tmp", &["mount("]),
        ("exec unshare --user true", &["unshare("]),
    ] {
        let (_, log) = Cell::new().run(&["sh", "-c", script]);
        let is_seen = |line: &&str| seen.iter().any(|call| line.contains(call));
        assert!(violations(&log).iter().any(is_seen), "{script}: {log}");
    }
    let (_, log) = Cell::new().run(&["sh", "-c", ": < /dev/null; : < /dev/zero; : < /dev/urandom"]);
    assert_eq!(violations(&log), [""; 0]);
}

/// The confinement is what it claims to be.
#[test]
fn the_cell_has_no_rights() {
    let (output, _) = Cell::new().run(&["cat", "/proc/self/status"]);
    let status = String::from_utf8(output.stdout).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(name), "0000000000000000", "{name}");
    }
    assert_eq!((field("Uid"), field("NoNewPrivs")), ("65534 65534 65534 65534".to_owned(), "1".to_owned()));
    let (output, _) = Cell::new().run(&["ls", "/dev"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "null\nurandom\nzero\n");
}
