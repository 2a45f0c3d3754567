//! Container disks that are pushed, as skopeo finds them in a real registry.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::{
    fixture::{judge, noise, skopeo},
    wire::{Registry, auth_file},
};

/// base64 of "builder:correct:horse".
const CREDENTIALS: &str = "YnVpbGRlcjpjb3JyZWN0OmhvcnNl";

fn convert(dir: &Path, to: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["convert", "--type", "containerdisk", "--format", "json", "--push", to, "--output"])
        .arg(dir.join("out"))
        .args(arguments)
        .arg(dir.join("disk.raw"))
        .env("HOME", dir)
        .env_remove("REGISTRY_AUTH_FILE")
        .output()
        .unwrap()
}

/// The disk in the image that skopeo pulls, as qemu-img compares it.
fn assert_same_disk(dir: &Path, reference: &str, certs: &str) {
    let script = "set -eu; cd \"$0\"; mkdir pulled
        skopeo copy -q --insecure-policy --src-cert-dir \"$2\" --src-creds builder:correct:horse \"$1\" dir:pulled
        for blob in pulled/*; do if tar -tzf $blob disk/disk.qcow2 2>/dev/null; then tar -xzf $blob; fi; done
        qemu-img compare -f raw -F qcow2 disk.raw disk/disk.qcow2";
    let output = judge("sh", Command::new("sh").args(["-c", script]).arg(dir).args([reference, certs]));
    assert!(output.status.success(), "{output:?} (packages skopeo, tar, qemu-utils)");
}

#[test]
fn a_pushed_disk_is_pulled_by_skopeo() {
    let (registry, dir) = (Registry::secure(), tempfile::tempdir().unwrap());
    fs::write(dir.path().join("disk.raw"), noise(6 << 20)).unwrap();
    let host = format!("127.0.0.1:{}", registry.port);
    let auth = auth_file(dir.path(), &host, CREDENTIALS).unwrap().display().to_string();
    let (certs, to) = (registry.certs().display().to_string(), format!("{host}/team/disk:v1"));
    let good = ["--authfile", &auth, "--cert-dir", &certs];

    let refused = convert(dir.path(), &to, &good[2..]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("refuses anonymous access") && said.contains("podman login"), "{said}");
    assert!(!dir.path().join("out").exists());

    // The second time every blob is there already.
    for _ in 0..2 {
        let pushed = convert(dir.path(), &to, &good);
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
        let printed: Value = serde_json::from_slice(&pushed.stdout).unwrap();
        let digest = skopeo(&[
            "inspect",
            "--no-tags",
            "--format",
            "{{.Digest}}",
            "--cert-dir",
            &certs,
            "--creds",
            "builder:correct:horse",
            &format!("docker://{to}"),
        ]);
        let digest = digest.trim();
        assert_eq!(printed["outputs"][0]["pushed"], format!("docker://{to}@{digest}"));
    }
    assert_same_disk(dir.path(), &format!("docker://{to}"), &certs);
}
