//! The same disk wherever the image comes from, through the command line: a real registry with
//! passwords and certificates, one that drops connections, a layout, an archive.

use std::process::Command;

use tempfile::TempDir;

use crate::{
    fixture::skopeo,
    tiny::{self, Layout, Tiny},
    wire::{Damage, Proxy, Registry, auth_file},
};

/// base64 of "builder:correct:horse".
const CREDENTIALS: &str = "YnVpbGRlcjpjb3JyZWN0OmhvcnNl";

/// A bootable image with a layer of 3 MB, long enough to be cut.
fn image() -> Layout {
    let upper = [tiny::Member::file("etc/.wh.login.defs", "")];
    Tiny::default().with_file("usr/lib/noise", tiny::noise(3 << 20)).with_layer(tiny::archive(&upper)).write()
}

/// Builds a raw disk and a qcow2.
fn disks(reference: &str, arguments: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["build", "--type", "raw,qcow2", "--size", "fit", "--no-cache"])
        .args(["--target-imgref", "registry.example.com/os:1", "--output"])
        .arg(dir.path())
        .args(arguments)
        .arg(reference)
        .output()
        .unwrap();
    assert!(output.status.success(), "{reference}: {}", String::from_utf8_lossy(&output.stderr));
    dir
}

/// Every byte of both, compared by `cmp`.
fn assert_same(one: &TempDir, other: &TempDir, what: &str) {
    for path in ["image/disk.raw", "qcow2/disk.qcow2"] {
        let same =
            Command::new("cmp").args([one.path().join(path), other.path().join(path)]).status().unwrap();
        assert!(same.success(), "{what}: {path} differs");
    }
}

#[test]
fn every_source_of_a_manifest_gives_the_same_disk() {
    let layout = image();
    let wanted = disks(&layout.reference(), &[]);
    let scratch = tempfile::tempdir().unwrap();

    let archive = format!("oci-archive:{}", scratch.path().join("image.tar").display());
    skopeo(&["copy", "-q", "--preserve-digests", &layout.reference(), &archive]);
    assert_same(&disks(&archive, &[]), &wanted, &archive);

    let registry = Registry::secure();
    registry.push(&layout.reference(), "team/os:v1", &["--preserve-digests"]);
    let auth = auth_file(scratch.path(), &format!("127.0.0.1:{}", registry.port), CREDENTIALS).unwrap();
    let (auth, certs) = (auth.display().to_string(), registry.certs().display().to_string());
    let options = ["--authfile", &auth, "--cert-dir", &certs];
    assert_same(&disks(&registry.name("team/os:v1"), &options), &wanted, "a registry with passwords and TLS");

    let open = Registry::open();
    open.push(&layout.reference(), "os:v1", &["--preserve-digests"]);
    let damage = Damage { cut_after: Some(1_000_000), times: 3, ..Damage::default() };
    let proxy = Proxy::new(open.port, damage);
    assert_same(&disks(&proxy.name("os:v1"), &["--tls-verify=false"]), &wanted, "a registry that cuts");
    assert!(proxy.said().contains("range: bytes="), "nothing was resumed: {}", proxy.said());
}

/// skopeo's docker archive has a manifest of its own, so identifiers differ; the trees are the same.
#[test]
fn a_docker_archive_gives_the_same_trees() {
    let layout = image();
    let scratch = tempfile::tempdir().unwrap();
    let archive = format!("docker-archive:{}:os:v1", scratch.path().join("docker.tar").display());
    skopeo(&["copy", "-q", &layout.reference(), &archive]);
    assert_eq!(commit_content(&archive), commit_content(&layout.reference()));
}

/// The content checksum of the deployed commit, as libostree reads it from the disk's root filesystem.
fn commit_content(reference: &str) -> String {
    const PARTITION: u64 = (1 + 1 + 501 + 1024) << 20;
    let disks = disks(reference, &[]);
    let disk = disks.path().join("image/disk.raw");
    let script = format!(
        "set -e; m=$(mktemp -d); mount -o ro,loop,offset={PARTITION} '{}' $m; \
         trap 'umount $m; rmdir $m' EXIT; \
         ostree --repo=$m/ostree/repo show ostree/1/1/0 | grep ContentChecksum",
        disk.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{} (apt-get install ostree)", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
