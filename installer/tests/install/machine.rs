//! A picture of a machine: `sys`, `dev` and `proc` in a directory, disks as files. The medium in its drive is
//! made by xorriso, and the payload on it by qemu-img.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use sha2::{Digest as _, Sha256};

pub(crate) const MIB: u64 = 1 << 20;
const CHUNK: usize = 64 << 10;
/// Of the payload's disk.
pub(crate) const SIZE: u64 = 64 * MIB;
const VOLUME: &str = "DISKWRIGHT_0000CAFE";

/// A machine with one medium in its drive.
pub(crate) struct Machine {
    pub(crate) root: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new(options: &str) -> Self {
        Self::with(options, "gpt", Some("ext4"))
    }

    /// A payload with such a table, and such a filesystem straight in its root partition.
    pub(crate) fn with(options: &str, table: &str, filesystem: Option<&str>) -> Self {
        let machine = Self { root: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
        for directory in ["sys/block", "dev", "proc/sys/kernel/random", "iso/diskwright"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        fs::write(machine.path("proc/cmdline"), format!("quiet inst.diskwright.medium={VOLUME}\n")).unwrap();
        fs::write(machine.path("iso/diskwright/diskwright.yaml"), options).unwrap();
        machine.make_payload(table, filesystem);
        machine.make_medium();
        machine
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// A disk with a partition table and some data, and its description.
    fn make_payload(&self, table: &str, filesystem: Option<&str>) {
        let raw = self.path("payload.raw");
        let file = File::create(&raw).unwrap();
        file.set_len(SIZE).unwrap();
        let script =
            format!("printf 'label: {table}\nstart=2048, size=8M\nstart=10M\n' | sfdisk -q '{}'", text(&raw));
        judge("fdisk", "sh", &["-c", &script]);
        let noise: Vec<u8> = (0..4 * MIB).map(|i| ((i * i) >> 7) as u8).collect();
        file.write_all_at(&noise, 20 * MIB + 77).unwrap();
        // where a dos table has no backup, and GRUB lies behind either
        file.write_all_at(b"last", if table == "dos" { SIZE - 4 } else { 30 * MIB }).unwrap();
        file.write_all_at(b"core image", 512 * 63).unwrap();
        let packed = self.path("iso/diskwright/disk.qcow2");
        let convert =
            ["convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", text(&raw), text(&packed)];
        judge("qemu-utils", "qemu-img", &convert);
        let bytes = fs::read(packed).unwrap();
        let sums: Vec<_> = bytes.chunks(CHUNK).map(sum).collect();
        let description = serde_json::json!({
            "version": 1, "name": "Test system", "architecture": "amd64",
            "image": { "reference": "registry.example.com/os:1", "manifest_digest": "sha256:0", "target": "x" },
            "disk": { "file": "disk.qcow2", "format": "qcow2", "size": SIZE, "sector_size": 512, "root_partition": 2, "root_filesystem": filesystem },
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

    pub(crate) fn describe(&self, name: &str, size: u64) {
        let directory = self.path("sys/block").join(name);
        fs::create_dir_all(directory.join("queue")).unwrap();
        fs::write(directory.join("size"), (size / 512).to_string()).unwrap();
        fs::write(directory.join("queue/logical_block_size"), "512\n").unwrap();
        fs::write(directory.join("serial"), format!("serial-{name}\n")).unwrap();
    }

    /// A disk that is full of a byte.
    pub(crate) fn disk(&self, name: &str, size: u64, byte: u8) -> PathBuf {
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

    pub(crate) fn succeed(&self, answers: &str) -> String {
        let (code, shown) = self.install(answers);
        assert_eq!(code, Some(0), "{shown}");
        shown
    }

    /// What is shown by an installation that fails.
    pub(crate) fn fail(&self, answers: &str) -> String {
        let (code, shown) = self.install(answers);
        assert_eq!(code, Some(1), "{shown}");
        shown
    }
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn judge(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = run(package, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}

pub(crate) fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"))
}
