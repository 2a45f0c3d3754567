//! Layouts that cannot be, refused before the image is looked at.

use std::{fs, process::Command};

/// Builds an image that is not there; what is said must be of the blueprint.
#[track_caller]
fn refuse(customizations: &str, words: &[&str]) {
    let scratch = tempfile::tempdir().unwrap();
    let blueprint = scratch.path().join("disk.yaml");
    fs::write(&blueprint, format!("customizations: {{{customizations}}}\n")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["build", "oci:/no/such/image:v1", "-b"])
        .arg(&blueprint)
        .arg("-o")
        .arg(scratch.path().join("out"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{customizations}: {said}");
    for word in words {
        assert!(said.contains(word), "{customizations}: no {word:?} in: {said}");
    }
    assert!(!said.contains("/no/such/image"), "the image was looked at first: {said}");
    assert!(!scratch.path().join("out").exists());
}

#[track_caller]
fn refuse_partition(partition: &str, words: &[&str]) {
    refuse(&format!("disk: {{partitions: [{{{partition}}}]}}"), words);
}

#[test]
fn tables() {
    refuse("disk: {partitions: []}", &["customizations.disk.partitions", "without partitions"]);
    refuse(
        "filesystem: [{mountpoint: /var}], disk: {}",
        &["customizations.filesystem", "beside customizations.disk"],
    );
    refuse("disk: {sector_size: 2048, partitions: [{mountpoint: /}]}", &["disk.sector_size", "512 nor 4096"]);
    refuse("disk: {start_offset: 1000, partitions: [{mountpoint: /}]}", &["disk.start_offset", "whole MiB"]);
    refuse("disk: {type: apm, partitions: [{mountpoint: /}]}", &["disk.type", "none of gpt, dos"]);
    let two = "{mountpoint: /var/a}, {mountpoint: /var/b}";
    refuse(
        &format!("disk: {{type: dos, partitions: [{two}]}}"),
        &["disk.partitions", "4 partitions", "are 5", "use gpt"],
    );
    refuse("disk: {type: dos, partitions: [{mountpoint: /, part_label: x}]}", &["part_label", "no names"]);
    refuse("disk: {type: dos, partitions: [{mountpoint: /, part_type: 8300}]}", &["part_type"]);
}

#[test]
fn modes() {
    let beside = "partitioning_mode: lvm, disk: {partitions: [{mountpoint: /}]}";
    refuse(beside, &["customizations.partitioning_mode", "beside customizations.disk"]);
    refuse("partitioning_mode: btrfs", &["customizations.partitioning_mode", "btrfs cannot be written yet"]);
    refuse("partitioning_mode: thin", &["partitioning_mode", "none of raw, lvm, auto-lvm, btrfs"]);
    let twins = "filesystem: [{mountpoint: /var/a_b}, {mountpoint: /var/a/b}]";
    refuse(&format!("partitioning_mode: auto-lvm, {twins}"), &["filesystem[1].mountpoint", "there twice"]);
}

#[test]
fn mount_points() {
    for (path, why) in [
        ("var", "not an absolute path"),
        ("/var/../etc", "shortest form"),
        ("/var/", "shortest form"),
        ("'/var/a b'", "no table of mounts"),
        ("/usr", "laid out by the deployment"),
        ("/etc/x", "laid out by the deployment"),
        ("/ostree", "laid out by the deployment"),
        ("/boot/grub", "laid out by the deployment"),
        ("/var/run", "link into /run"),
        ("/tmp", "use /var/tmp"),
    ] {
        refuse(
            &format!("filesystem: [{{mountpoint: {path}}}]"),
            &["customizations.filesystem[0].mountpoint", why],
        );
        refuse_partition(
            &format!("mountpoint: {path}"),
            &["customizations.disk.partitions[0].mountpoint", why],
        );
    }
    refuse(
        "filesystem: [{mountpoint: /var}, {mountpoint: /var}]",
        &["filesystem[1].mountpoint", "mounted twice"],
    );
    refuse("filesystem: [{mountpoint: /boot/efi}]", &["filesystem[0].mountpoint", "its own size"]);
}

#[test]
fn contents() {
    refuse_partition("mountpoint: /, fs_type: xfs", &["partitions[0].fs_type", "cannot be written yet"]);
    refuse_partition("mountpoint: /, fs_type: btrfs", &["fs_type", "cannot be written yet"]);
    refuse_partition("mountpoint: /, fs_type: vfat", &["fs_type", "no owners"]);
    refuse_partition("mountpoint: /boot/efi, fs_type: ext4", &["fs_type", "vfat"]);
    refuse_partition("fs_type: swap", &["minsize", "needs a size"]);
    refuse_partition("fs_type: swap, mountpoint: /var/x, minsize: 1 GiB", &["mountpoint", "not mounted"]);
    refuse_partition("minsize: 1 GiB", &["fs_type", "what shall be in it"]);
    refuse_partition("mountpoint: /var/x, label: 'seventeen letters'", &["label", "16 bytes"]);
    refuse_partition("mountpoint: /, part_uuid: x", &["part_uuid", "no GUID"]);
    refuse_partition("mountpoint: /, part_type: '83'", &["part_type", "no GUID"]);
    refuse_partition("mountpoint: /, minsize: 1 furlong", &["minsize", "furlong"]);
    refuse_partition("mountpoint: /, name: x", &["name", "logical volumes"]);
    refuse_partition("mountpoint: /, passphrase: x", &["passphrase", "only for the type luks"]);
    refuse_partition(
        "type: btrfs, subvolumes: [{name: root, mountpoint: /}]",
        &["type", "cannot be written yet"],
    );
    refuse_partition("type: raid", &["type", "none of plain, lvm, luks, btrfs"]);
}

#[test]
fn groups() {
    let group = |volumes: &str| format!("type: lvm, logical_volumes: [{volumes}]");
    refuse_partition("type: lvm", &["logical_volumes", "without volumes"]);
    refuse_partition(&group("{mountpoint: /}"), &["logical_volumes[0].name", "missing"]);
    refuse_partition(&group("{name: -a, mountpoint: /}"), &["logical_volumes[0].name", "no name for LVM"]);
    refuse_partition(
        &group("{name: boot, mountpoint: /boot}"),
        &["logical_volumes[0].mountpoint", "GRUB reads /boot"],
    );
    refuse_partition(
        &group("{name: a, mountpoint: /}, {name: a, mountpoint: /var}"),
        &["[1].name", "there twice"],
    );
    let one = "{type: lvm, logical_volumes: [{name: a, mountpoint: /var/a}]}";
    let other = "{type: lvm, logical_volumes: [{name: a, mountpoint: /var/b}]}";
    refuse(&format!("disk: {{partitions: [{one}, {other}]}}"), &["partitions[1].name", "there twice"]);
}

#[test]
fn encryption() {
    refuse_partition("type: luks, mountpoint: /", &["passphrase", "nothing would open it"]);
    refuse_partition("type: luks, mountpoint: /boot, passphrase: x", &["mountpoint", "plain partition"]);
    let data = "type: luks, mountpoint: /var, passphrase: x, tpm2: {}";
    refuse_partition(data, &["tpm2", "must be encrypted too"]);
    refuse_partition("type: luks, mountpoint: /, passphrase: x, tpm2: {pcrs: [24]}", &["tpm2", "0 to 23"]);
    refuse_partition("type: luks, mountpoint: /, key_file: /no/such/key", &["/no/such/key", "No such file"]);
    let secret = "type: luks, passphrase: very secret words, mountpoint: /usr";
    refuse_partition(secret, &["mountpoint"]);
}

#[test]
fn secrets_are_not_shown() {
    let scratch = tempfile::tempdir().unwrap();
    let blueprint = scratch.path().join("disk.yaml");
    let text = "customizations:\n  disk:\n    partitions:\n      - {type: luks, passphrase: [hidden words], mountpoint: /}\n";
    fs::write(&blueprint, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    let output = command.args(["build", "oci:/no/such/image:v1", "-b"]).arg(&blueprint).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("passphrase") && !said.contains("hidden words"), "{said}");
}
