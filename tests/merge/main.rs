//! Layers as GNU tar, bsdtar and Python write them, merged by us and
//! unpacked by others: GNU tar for the members, umoci for the rules of OCI.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../common/listing.rs"]
mod listing;

mod archives;
mod images;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use diskwright::merge::Merged;
use diskwright_formats::data::Data;
use listing::Listing;

/// Runs a judge; one that is missing fails the test with the name of its package.
fn run(package: &str, command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error} (apt-get install {package})"))
}

#[track_caller]
fn agrees(package: &str, command: &mut Command) -> String {
    let output = run(package, command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn try_merge(layers: &[Vec<u8>]) -> anyhow::Result<Merged> {
    let mut merged = Merged::default();
    for layer in layers {
        merged.add_layer(Data::from_bytes(layer.as_slice()))?;
    }
    Ok(merged)
}

fn merge(layers: &[Vec<u8>]) -> Listing {
    let merged = try_merge(layers).unwrap_or_else(|error| panic!("{error:#}"));
    listing::of_tree(&merged.tree, merged.tree.root())
}

/// What GNU tar makes of `tar` in `directory`, on top of what is there.
fn extract(tar: &Path, directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("tar");
    command.args([
        "-x",
        "-p",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--delay-directory-restore",
    ]);
    command.args(["--warning=no-timestamp", "--warning=no-unknown-keyword", "--no-acls"]).args(arguments);
    agrees("tar", command.arg("-C").arg(directory).arg("-f").arg(tar));
}

/// What a script of these tests makes in `directory`, as root.
fn script(text: &str, directory: &Path, arguments: &[&str]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    agrees("attr acl", Command::new("bash").arg(file.path()).arg(directory).args(arguments));
}
