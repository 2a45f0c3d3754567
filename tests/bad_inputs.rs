//! Inputs that must be refused: each by name, through the real command line. The answer says what is
//! wrong in words that help, the exit code says whose fault it is, and nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "bad_inputs/blueprint.rs"]
mod blueprint;
#[path = "bad_inputs/bound_images.rs"]
mod bound_images;
#[path = "bad_inputs/image.rs"]
mod image;
#[path = "bad_inputs/interrupted.rs"]
mod interrupted;
#[path = "bad_inputs/kernel.rs"]
mod kernel;
#[path = "bad_inputs/layers.rs"]
mod layers;
#[path = "bad_inputs/place.rs"]
mod place;
#[path = "common/tiny.rs"]
mod tiny;

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// The command line is wrong.
const USAGE: i32 = 2;
/// The image or the blueprint is.
const INPUT: i32 = 3;
/// The output.
const OUTPUT: i32 = 5;

/// Where one run may write: nothing of it may change.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["out", "spool", "home"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("out/mine"), "kept").unwrap();
        fs::write(dir.path().join("installer"), tiny::installer()).unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A build that writes to the desk, silent but for errors; a raw disk if no type is named.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.args(["build", "--output"]).arg(self.path().join("out"));
        command.arg("--spool").arg(self.path().join("spool")).args(arguments);
        if !arguments.contains(&"--installer") {
            command.arg("--installer").arg(self.path().join("installer"));
        }
        if !arguments.contains(&"--type") {
            command.args(["--type", "raw"]);
        }
        if !arguments.contains(&"--progress") {
            command.args(["--log-level", "error"]);
        }
        self.prepare(&mut command);
        command
    }

    /// Environment and streams.
    fn prepare(&self, command: &mut Command) {
        command.stdin(Stdio::null()).env("HOME", self.path().join("home")).env_remove("XDG_CACHE_HOME");
        command.env_remove("SOURCE_DATE_EPOCH").current_dir(self.path());
    }

    /// Every path with type, size and time of change.
    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.path(), &mut found);
        found.sort();
        found
    }
}

fn list(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let (mode, size) = (metadata.mode(), if metadata.is_dir() { 0 } else { metadata.size() });
        found.push(format!("{} {mode:o} {size} {}", path.display(), metadata.ctime_nsec()));
        if metadata.is_dir() {
            list(&path, found);
        }
    }
}

/// The build fails with `code`, says `words`, does not panic and changes nothing.
#[track_caller]
fn refuse(arguments: &[&str], code: i32, words: &[&str]) {
    let desk = Desk::new();
    let before = desk.found();
    let output = desk.command(arguments).output().unwrap();
    assert_refused(&output, code, words);
    assert_eq!(desk.found(), before, "something changed");
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(output.stdout, b"", "{said}");
    assert!(said.starts_with("error: "), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
    for word in ["panicked", "RUST_BACKTRACE", "unwrap", "Os {", "ErrorKind"] {
        assert!(!said.contains(word), "'{word}' is in: {said}");
    }
    assert!(said.len() < 4096, "{} bytes are no message: {said}", said.len());
}

/// As [`refuse`], for an image: the input is at fault.
#[track_caller]
fn refuse_image(image: &tiny::Tiny, words: &[&str]) {
    refuse(&[&image.write().reference()], INPUT, words);
}

/// The judge says no: the image that all others are made of is built.
#[test]
fn the_unbroken_image_is_built() {
    let desk = Desk::new();
    let before = desk.found();
    let output = desk.command(&[&tiny::Tiny::default().write().reference()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_ne!(desk.found(), before);
    assert!(desk.path().join("out/image/disk.raw").is_file());
}
