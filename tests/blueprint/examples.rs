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

#[test]
fn a_plan_writes_nothing_and_says_what_would_be() {
    let (layout, scratch) = (layout(), tempfile::tempdir().unwrap());
    let blueprint = Path::new(env!("CARGO_MANIFEST_DIR")).join("blueprints/server.yaml");
    let arguments = ["plan", &layout.reference(), "--no-cache", "-t", "raw,ami,qcow2", "--size", "fit", "-b"];
    let plan = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.args(arguments).arg(&blueprint).args(more).current_dir(scratch.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = plan(&[]);
    for part in [
        "| 2 EFI-SYSTEM",
        "console=ttyS0,115200n8",
        "/etc/motd (24 bytes)",
        "admin (password and key, in users)",
        "hostname: server.example.com",
        "what is left of the disk",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    let json: serde_json::Value = serde_json::from_str(&plan(&["--format", "json"])).unwrap();
    let disks = json["disks"].as_array().unwrap();
    assert_eq!(
        disks.iter().map(|disk| disk["path"].as_str().unwrap()).collect::<Vec<_>>(),
        ["image/disk.raw", "qcow2/disk.qcow2"]
    );
    // what is planned is what is written, as sfdisk (package fdisk) reads it
    let built = diskwright(&[
        "build",
        &layout.reference(),
        "--no-cache",
        "-t",
        "raw,ami",
        "--size",
        "fit",
        "-b",
        blueprint.to_str().unwrap(),
        "-o",
        scratch.path().to_str().unwrap(),
    ]);
    assert!(built.status.success(), "{}", said(&built));
    let table =
        Command::new("/sbin/sfdisk").arg("--json").arg(scratch.path().join("image/disk.raw")).output();
    let table: serde_json::Value =
        serde_json::from_slice(&table.expect("sfdisk (package fdisk)").stdout).unwrap();
    let rows = table["partitiontable"]["partitions"].as_array().unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["start"].as_u64().unwrap() * 512,
                row["size"].as_u64().unwrap() * 512,
                row["uuid"].as_str().unwrap().to_lowercase(),
            )
        })
        .collect();
    let planned: Vec<_> = disks[0]["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            (
                part["offset"].as_u64().unwrap(),
                part["size"].as_u64().unwrap(),
                part["uuid"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(planned, found);
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
