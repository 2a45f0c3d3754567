//! Outputs that cannot be: too small, too full, not permitted, not known.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
};

use diskwright_formats::writer::{Medium, WRITERS};

use super::{Desk, INPUT, OUTPUT, USAGE, assert_refused, refuse, tiny::Tiny};

#[test]
fn disk_too_small() {
    let layout = Tiny::default().write();
    refuse(&["--size", "1M", &layout.reference()], USAGE, &["1048576", "too small", "GiB"]);
}

#[test]
fn disk_size_not_a_multiple_of_its_sectors() {
    let layout = Tiny::default().write();
    let size = (10_u64 << 30) + 1;
    refuse(&["--size", &size.to_string(), &layout.reference()], USAGE, &[&size.to_string(), "512"]);
}

#[test]
fn disk_larger_than_any_filesystem() {
    let layout = Tiny::default().write();
    let size = (u64::MAX / 512 * 512).to_string();
    refuse(&["--size", &size, &layout.reference()], INPUT, &["root", "past the limit"]);
}

#[test]
fn free_space_larger_than_any_number() {
    let layout = Tiny::default().write();
    let size = format!("+{}", u64::MAX);
    refuse(&["--size", &size, &layout.reference()], USAGE, &["too large"]);
}

#[test]
fn unknown_type() {
    let layout = Tiny::default().write();
    let desk = Desk::new();
    let output = desk.command(&["--type", "floppy", &layout.reference()]).output().unwrap();
    assert_refused(&output, USAGE, &["floppy", "raw"]);
}

#[test]
fn unknown_root_filesystem() {
    let layout = Tiny::default().write();
    refuse(&["--rootfs", "xfs", &layout.reference()], USAGE, &["xfs", "ext4"]);
}

#[test]
fn output_is_a_file() {
    let (desk, layout) = (Desk::new(), Tiny::default().write());
    let file = desk.path().join("out/mine");
    let before = desk.found();
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(["--log-level", "error", "--type", "raw", "-o"]).arg(&file).arg(layout.reference());
    desk.prepare(&mut command);
    assert_refused(&command.output().unwrap(), OUTPUT, &[file.to_str().unwrap(), "no directory"]);
    assert_eq!(desk.found(), before);
}

#[test]
fn directory_in_the_place_of_the_output() {
    let (desk, layout) = (Desk::new(), Tiny::default().write());
    fs::create_dir_all(desk.path().join("out/image/disk.raw")).unwrap();
    let before = desk.found();
    let output = desk.command(&[&layout.reference()]).output().unwrap();
    assert_refused(&output, OUTPUT, &["out/image/disk.raw", "directory"]);
    assert_eq!(desk.found(), before);
}

#[test]
fn file_in_the_place_of_the_outputs_directory() {
    let (desk, layout) = (Desk::new(), Tiny::default().write());
    fs::write(desk.path().join("out/image"), "mine").unwrap();
    let before = desk.found();
    let output = desk.command(&[&layout.reference()]).output().unwrap();
    assert_refused(&output, OUTPUT, &["out/image", "no directory"]);
    assert_eq!(desk.found(), before);
}

/// Runs the command as a user who may read everything and write nothing.
fn as_nobody(desk: &Desk, arguments: &[&str]) -> Output {
    fs::set_permissions(desk.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let inner = desk.command(arguments);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    // The program may lie where only root can look: an open descriptor reaches it.
    let program = fs::File::open(inner.get_program()).unwrap();
    command.arg("sh").args(["-c", "exec /proc/self/fd/0 \"$@\"", "diskwright"]).args(inner.get_args());
    desk.prepare(&mut command);
    command.stdin(program).output().expect("setpriv (package util-linux) is missing")
}

fn readable_layout() -> super::tiny::Layout {
    let layout = Tiny::default().write();
    fs::set_permissions(layout.path(), fs::Permissions::from_mode(0o755)).unwrap();
    layout
}

#[test]
fn output_directory_that_cannot_be_written() {
    let (desk, layout) = (Desk::new(), readable_layout());
    fs::set_permissions(desk.path().join("spool"), fs::Permissions::from_mode(0o777)).unwrap();
    let output = as_nobody(&desk, &[&layout.reference()]);
    assert_refused(&output, OUTPUT, &["out/image/disk.raw", "Permission denied"]);
    assert!(!desk.path().join("out/image").exists());
}

#[test]
fn spool_directory_that_cannot_be_written() {
    let (desk, layout) = (Desk::new(), readable_layout());
    fs::set_permissions(desk.path().join("out"), fs::Permissions::from_mode(0o777)).unwrap();
    let output = as_nobody(&desk, &[&layout.reference()]);
    assert_refused(&output, OUTPUT, &["spool", "Permission denied", "--spool"]);
    assert!(!desk.path().join("out/image").exists());
}

#[test]
fn owner_that_may_not_be_given() {
    let (desk, layout) = (Desk::new(), readable_layout());
    for name in ["out", "spool"] {
        fs::set_permissions(desk.path().join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let output = as_nobody(&desk, &["--chown", "7:7", &layout.reference()]);
    assert_refused(&output, OUTPUT, &["owner", "not permitted"]);
    assert_eq!(fs::read_dir(desk.path().join("out")).unwrap().count(), 1);
}

/// Runs the command where `directory` of the desk is a file system of `size`; prints what is in it afterwards.
fn with_small(desk: &Desk, directory: &str, size: &str, arguments: &[&str]) -> (Output, String) {
    let script = "mount -t tmpfs -o size=$0 tmpfs \"$1\" || exit 99\nleft=$1\nlist=$2\nshift 2\n\"$@\"\ncode=$?\n\
                  find \"$left\" -mindepth 1 > \"$list\"\nexit $code\n";
    let inner = desk.command(arguments);
    let list = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", script, size]).arg(desk.path().join(directory)).arg(list.path());
    command.arg(inner.get_program()).args(inner.get_args());
    desk.prepare(&mut command);
    let output = command.output().expect("unshare (package util-linux) is missing");
    (output, fs::read_to_string(list.path()).unwrap())
}

/// What no format makes small.
fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(1 << 18).collect()
}

#[test]
fn full_disk() {
    let specs = WRITERS.iter().map(|writer| writer.spec());
    for spec in specs.filter(|spec| spec.medium != Medium::Anaconda) {
        let (desk, layout) = (Desk::new(), Tiny::default().with_file("usr/noise", noise()).write());
        let before = desk.found();
        let (output, left) = with_small(&desk, "out", "64k", &["--type", spec.name, &layout.reference()]);
        let directory = spec.path.split('/').next().unwrap();
        assert_refused(&output, OUTPUT, &["No space left", directory]);
        assert_eq!(left, "");
        assert_eq!(desk.found(), before);
    }
}

#[test]
fn full_spool() {
    let (desk, image) = (Desk::new(), Tiny::default().with_file("usr/big", vec![0; 1 << 20]));
    let before = desk.found();
    let (output, left) = with_small(&desk, "spool", "64k", &[&image.write().reference()]);
    assert_refused(&output, OUTPUT, &["No space left", "spool", "--spool"]);
    assert_eq!(left, "");
    assert_eq!(desk.found(), before);
}

/// The judge says no: on a file system with room nothing is refused, and what is left is seen.
#[test]
fn disk_with_room() {
    let (desk, layout) = (Desk::new(), Tiny::default().write());
    let (output, left) = with_small(&desk, "out", "512m", &[&layout.reference()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(left.contains("image/disk.raw"), "{left}");
}
