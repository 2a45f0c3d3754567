//! A disk that the command line made, and its partitions.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::tiny::{Layout, Tiny};

/// Filesystem tools live in directories that ordinary users lack.
const SEARCH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
const BLOCK: usize = 1 << 20;

/// Runs a judge, whatever it says.
pub(crate) fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("PATH", SEARCH).env("LC_ALL", "C.UTF-8").output();
    output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"))
}

/// What a judge that must agree says.
#[track_caller]
pub(crate) fn judge(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = run(package, program, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}{error}");
    said
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A raw disk and the directory it is in.
pub(crate) struct Disk {
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) path: PathBuf,
    image: Layout,
    arguments: Vec<String>,
}

impl Disk {
    /// Builds a small image by a blueprint.
    pub(crate) fn build(blueprint: &str, arguments: &[&str]) -> Self {
        Self::of(&Tiny::default(), blueprint, arguments)
    }

    pub(crate) fn of(image: &Tiny, blueprint: &str, arguments: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("blueprint.yaml"), blueprint).unwrap();
        let path = scratch.path().join("image/disk.raw");
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let disk = Self { scratch, path, image: image.write(), arguments };
        disk.make(disk.scratch.path());
        disk
    }

    /// What is said of a blueprint that the image cannot have.
    pub(crate) fn refused(blueprint: &str) -> String {
        Self::refused_of(&Tiny::default(), blueprint)
    }

    pub(crate) fn refused_of(image: &Tiny, blueprint: &str) -> String {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("blueprint.yaml"), blueprint).unwrap();
        let path = scratch.path().join("image/disk.raw");
        let disk = Self { scratch, path, image: image.write(), arguments: Vec::new() };
        let output = disk.command(disk.scratch.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn make(&self, output: &Path) {
        let made = self.command(output).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// What `plan` says of the same build.
    #[track_caller]
    pub(crate) fn plan(&self, arguments: &[&str]) -> String {
        let output = self.asked("plan").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, output: &Path) -> Command {
        let mut command = self.asked("build");
        command.args(["-o", text(output)]);
        command
    }

    fn asked(&self, subcommand: &str) -> Command {
        let blueprint = self.scratch.path().join("blueprint.yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command
            .args([subcommand, "-t", "raw", "--no-cache", "--target-arch", "amd64", "-b", text(&blueprint)])
            .args(&self.arguments)
            .arg(self.image.reference())
            .current_dir(self.scratch.path());
        command
    }

    /// What our own reading of the disk finds wrong, beside what a small image has no right of.
    pub(crate) fn verified(&self) -> Vec<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        let output = command.args(["verify", "--format", "json"]).arg(&self.path).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(ToString::to_string).filter(|text| !text.contains("no EFI binary")).collect()
    }

    /// Whether the same build makes the same bytes again.
    pub(crate) fn is_made_again(&self) -> bool {
        let again = self.scratch.path().join("again");
        self.make(&again);
        run("diffutils", "cmp", &[text(&self.path), text(&again.join("image/disk.raw"))]).status.success()
    }

    /// Rows of the table as sfdisk reads it.
    pub(crate) fn table(&self) -> Value {
        let table = judge("fdisk", "sfdisk", &["--json", text(&self.path)]);
        serde_json::from_str::<Value>(&table).unwrap()["partitiontable"].clone()
    }

    /// Offset and size in bytes of a partition, from 1.
    pub(crate) fn partition(&self, number: usize) -> (u64, u64) {
        let row = &self.table()["partitions"][number - 1];
        let bytes = |key: &str| row[key].as_u64().unwrap() * 512;
        (bytes("start"), bytes("size"))
    }

    /// A partition as a file.
    pub(crate) fn extract(&self, number: usize) -> PathBuf {
        let (offset, size) = self.partition(number);
        self.part(&format!("part{number}"), offset, size)
    }

    /// Some bytes as a sparse file.
    pub(crate) fn part(&self, name: &str, offset: u64, size: u64) -> PathBuf {
        let path = self.scratch.path().join(name);
        let (from, to) = (File::open(&self.path).unwrap(), File::create(&path).unwrap());
        to.set_len(size).unwrap();
        let mut buffer = vec![0; BLOCK];
        for at in (0..size).step_by(BLOCK) {
            let part = &mut buffer[..BLOCK.min((size - at) as usize)];
            from.read_exact_at(part, offset + at).unwrap();
            if part.iter().any(|&byte| byte != 0) {
                to.write_all_at(part, at).unwrap();
            }
        }
        path
    }
}

/// A file of an ext4 filesystem.
pub(crate) fn cat(volume: &Path, path: &str) -> String {
    judge("e2fsprogs", "debugfs", &["-R", &format!("cat {path}"), text(volume)])
}

/// Names in a directory of an ext4 filesystem.
pub(crate) fn names(volume: &Path, path: &str) -> Vec<String> {
    let list = judge("e2fsprogs", "debugfs", &["-R", &format!("ls -p {path}"), text(volume)]);
    let name = |line: &str| line.split('/').nth(5).map(str::to_owned);
    let mut names: Vec<_> =
        list.lines().filter_map(name).filter(|name| name != "." && name != "..").collect();
    names.sort();
    names
}

/// The directory of the deployment, and its /etc.
pub(crate) fn etc(root: &Path) -> String {
    let deploy = "/ostree/deploy/default/deploy";
    let name = names(root, deploy).into_iter().find(|name| name.ends_with(".0")).unwrap();
    format!("{deploy}/{name}/etc")
}

#[track_caller]
pub(crate) fn check_ext4(volume: &Path) {
    judge("e2fsprogs", "e2fsck", &["-fn", text(volume)]);
}
