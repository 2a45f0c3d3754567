//! What arrives: the disk's bytes, no more, and what is said of it.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    cloud::{BLOCKS, Cloud, HOME, Running, assert_done, err, out},
    tiny::Tiny,
};

#[test]
fn the_snapshot_is_the_disk_and_empty_blocks_are_not_sent() {
    let cloud = Cloud::new(json!({"polls": 2}));
    let output = cloud.publish(&["--verbose", "--aws-tag", "team=a b"]);
    assert_done(&output);
    let (id, snapshot) = cloud.snapshot(HOME);
    assert_eq!(snapshot["blocks"], json!(BLOCKS));
    assert_eq!(cloud.count("PutSnapshotBlock"), BLOCKS.len() as u64);
    assert!(cloud.same(&id, &cloud.disk()), "the bytes differ");
    assert_eq!(snapshot["gib"], 1);
    assert_eq!(snapshot["tags"][0], json!({"Key": "team", "Value": "a b"}));
    let state = cloud.state();
    let (image, form) = state["images"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(out(&output), format!("{HOME} {image}\n"));
    for (name, value) in
        [("BootMode", "uefi"), ("TpmSupport", "v2.0"), ("ImdsSupport", "v2.0"), ("Name", "os 1.0")]
    {
        assert_eq!(form["form"][name], value);
    }
    assert_eq!(state["refused"], json!([]));
    let cache = cloud.dir.path().join("cache/diskwright/publish");
    assert_eq!(std::fs::read_dir(cache).unwrap().count(), 0, "the journal stayed");
}

#[test]
fn a_qcow2_disk_is_the_same_and_json_tells_all() {
    let cloud = Cloud::new(json!({}));
    let (raw, qcow2) = (cloud.disk(), cloud.dir.path().join("disk.qcow2"));
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-c", "-O", "qcow2"]).args([&raw, &qcow2]);
    assert!(convert.status().expect("this test needs qemu-img (qemu-utils)").success());
    let more =
        ["--format", "json", "--aws-copy-to", "us-east-1,ap-south-1", "--aws-share-with", "123456789012"];
    let output = cloud.command(&qcow2, &more).output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!((told["blocks"].as_u64(), told["sent"].as_u64()), (Some(12), Some(12)));
    let regions: Vec<_> = told["images"].as_array().unwrap().iter().map(|image| &image["region"]).collect();
    assert_eq!(regions, [HOME, "us-east-1", "ap-south-1"]);
    let state = cloud.state();
    for image in told["images"].as_array().unwrap() {
        let (image_id, snapshot) = (image["image"].as_str().unwrap(), image["snapshot"].as_str().unwrap());
        assert_eq!(state["images"][image_id]["shared"], json!(["123456789012"]));
        assert_eq!(state["snapshots"][snapshot]["shared"], json!(["123456789012"]));
        assert_eq!(state["images"][image_id]["state"], "available");
    }
    assert!(cloud.same(told["images"][0]["snapshot"].as_str().unwrap(), &raw), "the bytes differ");
}

#[test]
fn a_killed_upload_goes_on_and_sends_nothing_twice() {
    let cloud = Cloud::new(json!({"put_ms": 300}));
    let disk = cloud.big_disk();
    let mut command = cloud.command(&disk, &[]);
    let mut run = Running(command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    let since = Instant::now();
    while cloud.count("PutSnapshotBlock") < 60 {
        assert!(since.elapsed() < Duration::from_secs(120), "nothing is sent");
        thread::sleep(Duration::from_millis(20));
    }
    run.0.kill().unwrap(); // SIGKILL
    run.0.wait().unwrap();
    thread::sleep(Duration::from_secs(1)); // the stub ends what it began
    let before = cloud.snapshot(HOME).1["blocks"].as_array().unwrap().len();
    let sent = cloud.count("PutSnapshotBlock");
    assert!(before > 24 && before < 200, "{before}");
    let output = cloud.command(&disk, &["--format", "json"]).output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_str(out(&output)).unwrap();
    let resent = told["sent"].as_u64().unwrap();
    assert_eq!(told["blocks"], 200);
    // What was under way when it was killed may go twice: as many as are sent at a time.
    assert!(resent <= 200 - before as u64 + 24 && resent < 200, "{resent} after {before}");
    assert_eq!(cloud.count("PutSnapshotBlock"), sent + resent);
    assert_eq!(cloud.count("StartSnapshot"), 1);
    assert!(err(&output).contains("from an earlier run"), "{}", err(&output));
    let (id, _) = cloud.snapshot(HOME);
    assert!(cloud.same(&id, &disk), "the bytes differ");
}

#[test]
fn a_build_publishes_its_disk() {
    let cloud = Cloud::new(json!({}));
    let layout = Tiny::default().write();
    let out_dir = cloud.dir.path().join("out");
    let mut command = cloud.on(&[
        "build",
        "--no-cache",
        "--size",
        "fit",
        "--type",
        "ami",
        "--aws-ami-name",
        "tiny",
        "--aws-bucket",
        "b",
    ]);
    let output =
        command.args(["--aws-region", HOME, &layout.reference(), "-o"]).arg(&out_dir).output().unwrap();
    assert_done(&output);
    let raw = out_dir.join("image/disk.raw");
    let (id, snapshot) = cloud.snapshot(HOME);
    assert!(cloud.same(&id, &raw), "the bytes differ");
    let sent = snapshot["blocks"].as_array().unwrap().len();
    assert!(sent > 0 && sent < 400, "{sent} blocks of a disk that is nearly empty");
    let lines: Vec<_> = out(&output).lines().collect();
    assert_eq!(lines[0], raw.display().to_string());
    assert!(lines[1].starts_with(&format!("{HOME} ami-")), "{lines:?}");
    assert!(err(&output).contains("note: --aws-bucket has no effect"), "{}", err(&output));
}

#[test]
fn an_interrupt_ends_a_build_that_publishes_and_leaves_its_disk() {
    let cloud = Cloud::new(json!({"put_ms": 20_000}));
    let (layout, out_dir) = (Tiny::default().write(), cloud.dir.path().join("out"));
    let mut command =
        cloud.on(&["build", "--no-cache", "--size", "fit", "--type", "ami", "--aws-ami-name", "tiny", "-o"]);
    command.arg(&out_dir).args(["--aws-region", HOME, &layout.reference()]).stderr(Stdio::null());
    let mut run = Running(command.spawn().unwrap());
    let since = Instant::now();
    while cloud.count("PutSnapshotBlock") == 0 {
        assert!(since.elapsed() < Duration::from_secs(120), "nothing is sent");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(Command::new("kill").args(["-INT", &run.0.id().to_string()]).status().unwrap().success());
    assert_eq!(run.0.wait().unwrap().code(), Some(130));
    assert!(out_dir.join("image/disk.raw").exists());
}

#[test]
fn an_architecture_is_read_from_the_disk() {
    let cloud = Cloud::new(json!({}));
    let layout = Tiny::default().write();
    let mut build =
        cloud.on(&["build", "--no-cache", "--size", "fit", "--type", "ami", &layout.reference(), "-o"]);
    assert!(build.arg(cloud.dir.path()).output().unwrap().status.success());
    let mut publish = cloud.on(&["publish", "aws", "--aws-ami-name", "tiny", "--aws-region", HOME]);
    let output = publish.arg(cloud.dir.path().join("image/disk.raw")).output().unwrap();
    assert_done(&output);
    let state = cloud.state();
    let image = state["images"].as_object().unwrap().values().next().unwrap();
    assert_eq!(
        (&image["form"]["Architecture"], &image["form"]["BootMode"]),
        (&json!("x86_64"), &json!("uefi"))
    );
}
