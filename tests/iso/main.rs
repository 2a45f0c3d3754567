//! Media that install and what does so from a network, judged without starting them: by xorriso, isoinfo,
//! sgdisk, mtools, qemu-img, cpio, systemd-analyze and GRUB's own check of its language.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/tiny.rs"]
mod tiny;

mod edit;
mod medium;
mod network;
mod refused;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use diskwright_formats::{
    cpio,
    sparse::Sparse,
    tree::{Meta, Tree},
};
use tempfile::TempDir;
use tiny::{Layout, Tiny};

/// GRUB for BIOS, of the package grub-pc-bin.
const GRUB: &str = "/usr/lib/grub/i386-pc";
/// What a kernel needs to see a disc.
const DISC: [&str; 3] = ["isofs", "cdrom", "sr_mod"];

/// Runs a judge; what it says, whether it likes what it sees or not.
fn run(package: &str, program: &str, args: &[&str]) -> Output {
    let output =
        Command::new(program).args(args).env("LC_ALL", "C.UTF-8").env("MTOOLS_SKIP_CHECK", "1").output();
    output.unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"))
}

/// Runs a judge and demands that it finds nothing wrong; what it says on standard output.
fn pass(package: &str, program: &str, args: &[&str]) -> String {
    let output = run(package, program, args);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An initramfs with these modules.
fn initramfs(modules: &[&str]) -> Vec<u8> {
    let names: Vec<_> = modules.iter().map(|name| format!("{name}.ko")).collect();
    archive(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// An initramfs with files at these paths.
fn archive(paths: &[&str]) -> Vec<u8> {
    let mut tree = Tree::new(Meta::root(0o755));
    for path in paths {
        let (mut directory, mut parts) = (tree.root(), path.split('/').peekable());
        while let Some(name) = parts.next() {
            let node = match parts.peek() {
                Some(_) => tree.add_directory(Meta::root(0o755)),
                None => tree.add_file(Meta::root(0o644), Sparse::from_bytes(*b"module")),
            };
            tree.link(directory, name.as_bytes().to_vec(), node);
            directory = node;
        }
    }
    cpio::archive(&tree).unwrap().to_vec().unwrap()
}

/// An image with GRUB for BIOS, whose kernel sees discs.
fn image() -> Tiny {
    let mut image = Tiny::default()
        .with_file("usr/lib/modules/6.1.0/initramfs.img", initramfs(&DISC))
        .with_file("usr/lib/noise", tiny::noise(6 << 20));
    let files = fs::read_dir(GRUB).unwrap_or_else(|error| panic!("{GRUB} (package grub-pc-bin): {error}"));
    let mut files: Vec<PathBuf> =
        files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    for path in files {
        image = image.with_file(&path.to_str().unwrap()[1..], fs::read(&path).unwrap());
    }
    image
}

/// A build of an image in a directory of its own.
struct Built {
    scratch: TempDir,
    output: Output,
}

impl Built {
    fn new(layout: &Layout, arguments: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let installer = scratch.path().join("installer");
        fs::write(&installer, tiny::installer()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.args(["build", "--target-imgref", "registry.example.com/os:1", "--no-cache", "--output"]);
        command.arg(scratch.path()).args(arguments).arg(layout.reference()).env("HOME", scratch.path());
        if !arguments.contains(&"--installer") {
            command.arg("--installer").arg(&installer);
        }
        let output = command.env_remove("SOURCE_DATE_EPOCH").output().unwrap();
        Self { scratch, output }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn medium(&self) -> String {
        assert!(self.output.status.success(), "{}", self.said());
        text(&self.path("bootiso/install.iso"))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
