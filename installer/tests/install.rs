//! The installer against a picture of a machine: `sys`, `dev` and `proc` in a
//! directory, disks as files. The medium is made by xorriso and its payload by
//! qemu-img, the result is judged by qemu-img and sgdisk.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use sha2::{Digest as _, Sha256};

const MIB: u64 = 1 << 20;
const CHUNK: usize = 64 << 10;
/// Of the payload's disk.
const SIZE: u64 = 64 * MIB;
const VOLUME: &str = "DISKWRIGHT_0000CAFE";

/// A machine with one medium in its drive.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new(options: &str) -> Self {
        let machine = Self { root: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
        for directory in ["sys/block", "dev", "proc/sys/kernel/random", "iso/diskwright"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        fs::write(machine.path("proc/cmdline"), format!("quiet inst.diskwright.medium={VOLUME}\n")).unwrap();
        fs::write(machine.path("iso/diskwright/diskwright.yaml"), options).unwrap();
        machine.make_payload();
        machine.make_medium();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// A disk with a partition table and some data, and its description.
    fn make_payload(&self) {
        let raw = self.path("payload.raw");
        let file = File::create(&raw).unwrap();
        file.set_len(SIZE).unwrap();
        let table = ["-n", "1:2048:+8M", "-c", "1:boot", "-n", "2:0:0", "-c", "2:root"];
        judge("gdisk", "sgdisk", &[&table[..], &[text(&raw)]].concat());
        let noise: Vec<u8> = (0..4 * MIB).map(|i| ((i * i) >> 7) as u8).collect();
        file.write_all_at(&noise, 20 * MIB + 77).unwrap();
        let packed = self.path("iso/diskwright/disk.qcow2");
        let convert =
            ["convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", text(&raw), text(&packed)];
        judge("qemu-utils", "qemu-img", &convert);
        let bytes = fs::read(packed).unwrap();
        let sums: Vec<_> = bytes.chunks(CHUNK).map(sum).collect();
        let description = serde_json::json!({
            "version": 1, "name": "Test system", "architecture": "amd64",
            "image": { "reference": "registry.example.com/os:1", "manifest_digest": "sha256:0", "target": "x" },
            "disk": { "file": "disk.qcow2", "format": "qcow2", "size": SIZE, "sector_size": 512, "root_partition": 2, "root_filesystem": "ext4" },
            "file_size": bytes.len(), "sha256": sum(&bytes), "chunk_size": CHUNK, "chunks": sums,
        });
        fs::write(self.path("iso/diskwright/payload.json"), description.to_string()).unwrap();
    }

    fn make_medium(&self) {
        let (iso, tree) = (self.path("dev/sr0"), self.path("iso"));
        let arguments = ["-as", "mkisofs", "-quiet", "-R", "-V", VOLUME, "-o", text(&iso), text(&tree)];
        judge("xorriso", "xorriso", &arguments);
        self.describe("sr0", fs::metadata(iso).unwrap().len());
    }

    fn describe(&self, name: &str, size: u64) {
        let directory = self.path("sys/block").join(name);
        fs::create_dir_all(directory.join("queue")).unwrap();
        fs::write(directory.join("size"), (size / 512).to_string()).unwrap();
        fs::write(directory.join("queue/logical_block_size"), "512\n").unwrap();
        fs::write(directory.join("serial"), format!("serial-{name}\n")).unwrap();
    }

    /// A disk that is full of a byte.
    fn disk(&self, name: &str, size: u64, byte: u8) -> PathBuf {
        let path = self.path("dev").join(name);
        fs::write(&path, vec![byte; size as usize]).unwrap();
        self.describe(name, size);
        path
    }

    /// Exit code and what was shown, with `answers` typed.
    fn install(&self, answers: &str) -> (Option<i32>, String) {
        let mut installer = Command::new(env!("CARGO_BIN_EXE_diskwright-install"))
            .arg("--root")
            .arg(self.root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        installer.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        let output = installer.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn succeed(&self, answers: &str) -> String {
        let (code, shown) = self.install(answers);
        assert_eq!(code, Some(0), "{shown}");
        shown
    }

    /// What is shown by an installation that fails.
    fn fail(&self, answers: &str) -> String {
        let (code, shown) = self.install(answers);
        assert_eq!(code, Some(1), "{shown}");
        shown
    }
}

#[test]
fn an_unattended_installation_fills_the_disk_and_moves_the_backup_table() {
    let machine = Machine::new("version: 1\nunattended: yes\nwipe: yes\ngrow: no\n");
    let target = machine.disk("vda", 100 * MIB, 0xa5);
    machine.succeed("");
    let (disk, payload) = (fs::read(&target).unwrap(), fs::read(machine.path("payload.raw")).unwrap());
    let (start, end) = (MIB as usize, (SIZE - MIB) as usize);
    assert!(disk[start..end] == payload[start..end], "other bytes between the tables");
    let report = judge("gdisk", "sgdisk", &["-v", text(&target)]);
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(report.contains("No problems found"), "{report}");
    let backup = 100 * MIB - 512 + 24;
    File::options().write(true).open(&target).unwrap().write_all_at(&[0xff; 8], backup).unwrap();
    let report = run("gdisk", "sgdisk", &["-v", text(&target)]);
    let report = String::from_utf8_lossy(&[report.stdout, report.stderr].concat()).into_owned();
    assert!(
        report.contains("Invalid") || report.contains("invalid"),
        "sgdisk passes a broken backup: {report}"
    );
}

#[test]
fn a_person_chooses_the_disk_and_confirms_what_is_lost() {
    let machine = Machine::new("grow: no\n");
    machine.disk("vda", 80 * MIB, 0);
    let second = machine.disk("vdb", 80 * MIB, 0xa5);
    let shown = machine.succeed("7\n2\nyes\n");
    assert!(shown.contains("'7' is not in the list"), "{shown}");
    assert!(shown.contains("2) ") && shown.contains("serial-vdb: data of an unknown kind"), "{shown}");
    assert!(shown.contains("All on /dev/vdb will be lost"), "{shown}");
    assert_eq!(&fs::read(second).unwrap()[510..520], b"\x55\xaaEFI PART");
}

#[test]
fn without_a_yes_nothing_is_written() {
    let machine = Machine::new("");
    let target = machine.disk("vda", 80 * MIB, 0xa5);
    let shown = machine.fail("1\ny\n");
    assert!(shown.contains("not confirmed; /dev/vda is as it was"), "{shown}");
    assert!(fs::read(target).unwrap().iter().all(|&byte| byte == 0xa5));
}

#[test]
fn unattended_a_disk_with_data_is_refused() {
    let machine = Machine::new("unattended: yes\n");
    let target = machine.disk("vda", 80 * MIB, 0xa5);
    let shown = machine.fail("");
    assert!(shown.contains("holds data of an unknown kind; give `wipe: yes`"), "{shown}");
    assert!(fs::read(target).unwrap().iter().all(|&byte| byte == 0xa5));
}

#[test]
fn unattended_two_disks_are_not_chosen_between_and_a_small_one_is_no_choice() {
    let machine = Machine::new("unattended: yes\n");
    machine.disk("vda", 80 * MIB, 0);
    machine.disk("vdb", 90 * MIB, 0);
    let shown = machine.fail("");
    assert!(shown.contains("several disks could be meant") && shown.contains("/dev/vdb"), "{shown}");
    let machine = Machine::new("unattended: yes\n");
    machine.disk("vda", 40 * MIB, 0);
    let shown = machine.fail("");
    assert!(shown.contains("no disk has the 67108864 bytes that are needed"), "{shown}");
}

#[test]
fn a_damaged_medium_is_found_before_the_disk_is_touched() {
    let machine = Machine::new("unattended: yes\nwipe: yes\n");
    let target = machine.disk("vda", 80 * MIB, 0xa5);
    let iso = fs::read(machine.path("dev/sr0")).unwrap();
    let packed = fs::read(machine.path("iso/diskwright/disk.qcow2")).unwrap();
    let at = iso.windows(512).position(|window| *window == packed[packed.len() * 3 / 4..][..512]).unwrap();
    let medium = File::options().write(true).open(machine.path("dev/sr0")).unwrap();
    medium.write_all_at(&[!iso[at]], at as u64).unwrap();
    let shown = machine.fail("");
    assert!(
        shown.contains("the medium is damaged; the disk is as it was") && shown.contains("corrupt"),
        "{shown}"
    );
    assert!(fs::read(target).unwrap().iter().all(|&byte| byte == 0xa5));
}

#[test]
fn a_disk_that_refuses_writes_is_left_without_a_table() {
    let machine = Machine::new("unattended: yes\nwipe: yes\n");
    std::os::unix::fs::symlink("/dev/full", machine.path("dev/vda")).unwrap();
    machine.describe("vda", 80 * MIB);
    let shown = machine.fail("");
    assert!(shown.contains("The installation failed: installing on"), "{shown}");
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn judge(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = run(package, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}

fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"))
}
