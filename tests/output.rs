//! Outputs are whole or absent, whatever kills the process. A child (this test program again) writes
//! and waits; the parent kills it and looks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use diskwright::output::{OutputSet, clean_up_on_signals};
use diskwright_formats::writer::Output;
use rustix::process::{Pid, Signal, kill_process};

const DIR: &str = "OUTPUT_TEST_DIR";
const HOW: &str = "OUTPUT_TEST_HOW";

#[test]
#[ignore = "the child of the other tests, not a test"]
fn child() {
    let how = env::var(HOW).unwrap();
    clean_up_on_signals(|| eprintln!("farewell")).unwrap();
    let mut set = OutputSet::new(Path::new(&env::var(DIR).unwrap()).join("new"), None).unwrap();
    if how.contains("named") {
        set = set.without_tmpfile();
    }
    let files = ["qcow2/disk.qcow2", "image/disk.raw"].map(|path| set.create(path).unwrap());
    files[0].write_all_at(&[7; 1 << 20], 0).unwrap();
    let set = if how.contains("commit") {
        set.commit().unwrap();
        None
    } else {
        Some(set)
    };
    println!("\nready");
    std::thread::sleep(Duration::from_secs(60));
    drop(set);
}

fn start(dir: &Path, how: &str) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(HOW, how)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"), "the child did not come that far");
    child
}

fn kill(child: Child, signal: Signal) -> (ExitStatus, String) {
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

/// What `find` sees below a directory.
fn found(dir: &Path) -> Vec<String> {
    let output = Command::new("find").arg(dir).args(["-mindepth", "1", "-printf", "%P\n"]).output();
    let text = String::from_utf8(output.expect("find (package findutils) is missing").stdout).unwrap();
    let mut names: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    names.sort();
    names
}

#[test]
fn sigint_leaves_nothing_behind() {
    for how in ["tmpfile", "named"] {
        let dir = tempfile::tempdir().unwrap();
        let child = start(dir.path(), how);
        assert_eq!(found(dir.path()).is_empty(), how == "tmpfile");
        let (status, said) = kill(child, Signal::INT);
        assert_eq!(status.code(), Some(130), "{how}");
        assert!(said.contains("farewell"));
        assert_eq!(found(dir.path()), [""; 0], "{how}");
    }
}

#[test]
fn sigterm_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (status, _) = kill(start(dir.path(), "named"), Signal::TERM);
    assert_eq!(status.code(), Some(143));
    assert_eq!(found(dir.path()), [""; 0]);
}

#[test]
fn sigkill_leaves_nothing_under_a_final_name() {
    for how in ["tmpfile", "named"] {
        let dir = tempfile::tempdir().unwrap();
        let (status, _) = kill(start(dir.path(), how), Signal::KILL);
        assert_eq!(status.signal(), Some(9));
        let names = found(dir.path());
        assert_eq!(names.len(), if how == "named" { 2 } else { 0 }, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with('.')), "{names:?}");
    }
}

/// The judge says no: what a commit made is seen, and survives.
#[test]
fn a_commit_survives_the_process() {
    for how in ["tmpfile commit", "named commit"] {
        let dir = tempfile::tempdir().unwrap();
        kill(start(dir.path(), how), Signal::KILL);
        let expected = ["new", "new/image", "new/image/disk.raw", "new/qcow2", "new/qcow2/disk.qcow2"];
        assert_eq!(found(dir.path()), expected, "{how}");
        let disk = std::fs::read(dir.path().join("new/qcow2/disk.qcow2")).unwrap();
        assert!(disk.len() == 1 << 20 && disk.iter().all(|byte| *byte == 7));
    }
}

#[test]
#[ignore = "needs a mount namespace: root with CAP_SYS_ADMIN"]
fn without_proc_hidden_names_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let script = "umount -l /proc && exec \"$0\" --ignored --exact child --nocapture";
    let output = Command::new("timeout")
        .args(["--signal=KILL", "3", "unshare", "--mount", "sh", "-c", script])
        .arg(env::current_exe().unwrap())
        .env(DIR, dir.path())
        .env(HOW, "commit")
        .output()
        .expect("timeout (package coreutils) and unshare (package util-linux) are needed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(found(dir.path()).len(), 5, "{said}");
}
