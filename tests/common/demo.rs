//! Disks of the demo images, or of images derived from them, made for one test and booted from an overlay.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// An emulated machine on a busy host may take longer to find its disk than systemd waits.
pub(crate) const PATIENCE: &str = "systemd.default_device_timeout_sec=600";

/// An empty directory of the test's own.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The OCI layout that `variable` names, else the one in `target`, where `scripts/demo-image` puts it.
pub(crate) fn image(variable: &str, name: &str, arguments: &str) -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name);
    let image = env::var_os(variable).map_or(default, PathBuf::from);
    let there = image.join("index.json").exists();
    assert!(there, "no OCI layout: make it with `scripts/demo-image {}{arguments}`", image.display());
    image
}

/// Builds a qcow2 of the image; returns it and what was said.
pub(crate) fn build(image: &Path, scratch: &Path, arguments: &[&str]) -> (PathBuf, String) {
    let said = build_as("qcow2", image, scratch, arguments);
    (scratch.join("qcow2/disk.qcow2"), said)
}

/// Builds the image in this format; returns what was said.
pub(crate) fn build_as(format: &str, image: &Path, scratch: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["build", &format!("oci:{}", image.display()), "-t", format, "-o"])
        .arg(scratch)
        .args(["--progress", "verbose"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// What may be written to instead of `disk`.
pub(crate) fn overlay(disk: &Path, name: &str) -> PathBuf {
    let overlay = disk.with_file_name(name);
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .arg(disk)
        .arg(&overlay)
        .status();
    assert!(made.unwrap_or_else(|error| panic!("qemu-img (package qemu-utils): {error}")).success());
    overlay
}

/// `image` as an OCI layout at `layout`, with this archive as one more layer.
pub(crate) fn derive(image: &Path, layout: &Path, archive: &[u8]) {
    let blobs = link_blobs(image, layout);
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let document = |entry: &Value| read(&blobs.join(&entry["digest"].as_str().unwrap()["sha256:".len()..]));
    let store = |bytes: &[u8], media_type: &Value| {
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&digest), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let mut index = read(&image.join("index.json"));
    let mut manifest = document(&index["manifests"][0]);
    let mut config = document(&manifest["config"]);
    let layer = store(archive, &json!("application/vnd.oci.image.layer.v1.tar"));
    config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(layer["digest"].clone());
    manifest["layers"].as_array_mut().unwrap().push(layer);
    manifest["config"] = store(config.to_string().as_bytes(), &manifest["config"]["mediaType"]);
    let manifest_type = index["manifests"][0]["mediaType"].clone();
    index["manifests"] = json!([store(manifest.to_string().as_bytes(), &manifest_type)]);
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}

/// Gives `layout` the blobs of `image`; their directory there.
fn link_blobs(image: &Path, layout: &Path) -> PathBuf {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::copy(image.join("oci-layout"), layout.join("oci-layout")).unwrap();
    for blob in fs::read_dir(image.join("blobs/sha256")).unwrap() {
        let (path, link) = blob.map(|blob| (blob.path(), blobs.join(blob.file_name()))).unwrap();
        // another filesystem takes a copy
        fs::hard_link(&path, &link).or_else(|_| fs::copy(&path, &link).map(drop)).unwrap();
    }
    blobs
}
