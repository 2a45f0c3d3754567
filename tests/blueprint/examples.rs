//! Every example is built, on an image that has all they ask for, and is right by the JSON Schema
//! (judge: python3-jsonschema). Commands on blueprints say what they should.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{image::full, tiny::Layout};

fn diskwright(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diskwright")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn examples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("blueprints");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The image, with the groups that the demonstration's needs.
fn layout() -> Layout {
    let groups = "root:x:0:\nwheel:x:10:\nsudo:x:27:\nvideo:x:44:\nusers:x:100:\ninput:x:101:\n";
    full().without("etc/group").with_file("etc/group", groups).write()
}

#[test]
fn every_example_is_built() {
    let (layout, scratch) = (layout(), tempfile::tempdir().unwrap());
    let mut built = 0;
    for path in examples() {
        let path = path.to_str().unwrap();
        let output = scratch.path().join(format!("{built}"));
        let arguments =
            ["build", &layout.reference(), "-t", "raw", "--size", "fit", "--no-cache", "-b", path, "-o"];
        let made = diskwright(&[&arguments[..], &[output.to_str().unwrap()]].concat());
        if path.ends_with("/iso.yaml") {
            assert_eq!(made.status.code(), Some(3), "{path}");
            assert!(
                said(&made).contains("customizations.installer.unattended: has no meaning for the type raw")
            );
            let checked = diskwright(&["blueprint", "check", "--type", "iso", path]);
            assert!(checked.status.success(), "{}", said(&checked));
            continue;
        }
        assert!(made.status.success(), "{path}: {}", said(&made));
        assert!(output.join("image/disk.raw").exists());
        built += 1;
    }
    assert!(built >= 6, "{built}");
}

/// What `plan` says of an example with these arguments, in a directory where it leaves nothing.
fn plan(layout: &Layout, example: &str, arguments: &[&str]) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(["plan", &layout.reference(), "--no-cache", "-b"]).arg(example_path(example));
    let output = command.args(arguments).current_dir(scratch.path()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "a plan writes");
    String::from_utf8(output.stdout).unwrap()
}

fn example_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("blueprints").join(name)
}

#[track_caller]
fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

#[test]
fn a_plan_says_what_would_be() {
    let text = plan(&layout(), "server.yaml", &["-t", "raw,ami,qcow2", "--size", "fit"]);
    let parts = [
        "| 2 EFI-SYSTEM",
        "console=ttyS0,115200n8",
        "/etc/motd (24 bytes)",
        "admin (password and key, in users)",
        "hostname: server.example.com",
        "what is left of the disk",
    ];
    assert_parts(&text, &parts);
}

#[test]
fn a_plan_of_a_medium_is_that_of_the_disk_it_installs() {
    let image = layout();
    let text = plan(&image, "iso.yaml", &["-t", "iso"]);
    let parts = [
        "bootiso/install.iso (iso)",
        "the disk that is installed",
        "unattended: true",
        "volume id: EXAMPLE-1",
    ];
    assert_parts(&text, &parts);
    let size = |arguments: &[&str]| {
        let json: serde_json::Value = serde_json::from_str(&plan(&image, "minimal.yaml", arguments)).unwrap();
        json["disks"][0]["size"].as_u64().unwrap()
    };
    let (medium, free) = (["-t", "iso", "--format", "json"], ["--size", "+1GiB", "--format", "json"]);
    assert_eq!(size(&medium), size(&free));
}

/// The start, size and GUID of each partition of `disk`, as sfdisk (package fdisk) reads it.
fn partitions(disk: &Path) -> Vec<(u64, u64, String)> {
    let table =
        Command::new("/sbin/sfdisk").arg("--json").arg(disk).output().expect("sfdisk (package fdisk)");
    let table: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
    let rows = table["partitiontable"]["partitions"].as_array().unwrap().iter();
    let bytes = |value: &serde_json::Value| value.as_u64().unwrap() * 512;
    rows.map(|row| (bytes(&row["start"]), bytes(&row["size"]), row["uuid"].as_str().unwrap().to_lowercase()))
        .collect()
}

#[test]
fn what_is_planned_is_what_is_written() {
    let (layout, scratch) = (layout(), tempfile::tempdir().unwrap());
    let json = plan(&layout, "server.yaml", &["-t", "raw,ami,qcow2", "--size", "fit", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let disks = json["disks"].as_array().unwrap();
    let paths: Vec<_> = disks.iter().map(|disk| disk["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["image/disk.raw", "qcow2/disk.qcow2"]);
    let reference = layout.reference();
    let (blueprint, output) = (example_path("server.yaml"), scratch.path().to_str().unwrap());
    let arguments = ["build", &reference, "--no-cache", "-t", "raw,ami", "--size", "fit", "-o", output, "-b"];
    let built = diskwright(&[&arguments[..], &[blueprint.to_str().unwrap()]].concat());
    assert!(built.status.success(), "{}", said(&built));
    let number = |part: &serde_json::Value, key: &str| part[key].as_u64().unwrap();
    let planned: Vec<_> = disks[0]["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (number(part, "offset"), number(part, "size"), part["uuid"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(planned, partitions(&scratch.path().join("image/disk.raw")));
}

/// Whether the JSON Schema of a blueprint has nothing against it.
fn is_valid(schema: &Path, instance: &str) -> bool {
    let program = "import json, sys, jsonschema\n\
        jsonschema.Draft202012Validator(json.load(open(sys.argv[1]))).validate(json.loads(sys.argv[2]))";
    let output =
        Command::new("/usr/bin/python3").args(["-c", program]).arg(schema).arg(instance).output().unwrap();
    assert!(!said(&output).contains("ModuleNotFoundError"), "jsonschema (package python3-jsonschema)");
    output.status.success()
}

#[test]
fn the_schema_takes_the_examples_and_not_their_misspellings() {
    let directory = tempfile::tempdir().unwrap();
    let schema = directory.path().join("schema.json");
    fs::write(&schema, diskwright(&["blueprint", "schema"]).stdout).unwrap();
    for path in examples() {
        let json = diskwright(&["blueprint", "convert", "--to", "json", path.to_str().unwrap()]);
        let json = String::from_utf8(json.stdout).unwrap();
        assert!(is_valid(&schema, &json), "{}", path.display());
        assert!(
            !is_valid(&schema, &json.replacen("customizations", "customisations", 1)),
            "{}",
            path.display()
        );
    }
    assert!(!is_valid(&schema, r#"{"customizations": {"hostname": 5}}"#));
}

#[test]
fn examples_mean_the_same_in_every_syntax() {
    let directory = tempfile::tempdir().unwrap();
    for path in examples() {
        let mut texts = Vec::new();
        let mut path = path;
        for to in ["toml", "yaml", "json"] {
            let made = diskwright(&["blueprint", "convert", "--to", to, path.to_str().unwrap()]);
            assert!(made.status.success(), "{}", said(&made));
            path = directory.path().join(format!("b.{to}"));
            fs::write(&path, &made.stdout).unwrap();
            texts.push(diskwright(&["blueprint", "convert", "--to", "json", path.to_str().unwrap()]).stdout);
        }
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
    }
}
