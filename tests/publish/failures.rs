//! What goes wrong on the way, and what is left then: nothing, or what the next run goes on with.

use std::fs;

use serde_json::json;

use super::cloud::{BLOCKS, Cloud, HOME, assert_done, assert_silent, bare, err, out};

#[test]
fn what_passes_is_waited_for() {
    let faults = json!([
        {"action": "PutSnapshotBlock", "at": [1, 2, 9], "do": "throttle"},
        {"action": "PutSnapshotBlock", "at": [4, 11], "do": "500"},
        {"action": "PutSnapshotBlock", "at": [5], "do": "drop"},
        {"action": "PutSnapshotBlock", "at": [7], "do": "lose"},
        {"action": "StartSnapshot", "at": [1], "do": "lose"},
        {"action": "CompleteSnapshot", "at": [1], "do": "500"},
        {"action": "DescribeSnapshots", "at": [2], "do": "throttle"},
        {"action": "RegisterImage", "at": [1], "do": "throttle"},
        {"action": "DescribeImages", "at": [1], "do": "drop"},
    ]);
    let cloud = Cloud::new(json!({"faults": faults, "invisible_puts": 3}));
    let output = cloud.publish(&[]);
    assert_done(&output);
    let (id, snapshot) = cloud.snapshot(HOME);
    assert_eq!(snapshot["blocks"], json!(BLOCKS));
    assert!(cloud.same(&id, &cloud.disk()), "the bytes differ");
}

#[test]
fn lost_answers_make_nothing_twice() {
    let lost = |action: &str| json!({"action": action, "at": [1], "do": "lose"});
    let faults: Vec<_> =
        ["StartSnapshot", "CompleteSnapshot", "RegisterImage", "CopyImage"].map(lost).to_vec();
    let cloud = Cloud::new(json!({"faults": faults, "polls": 0}));
    let output = cloud.publish(&["--aws-copy-to", "us-east-1"]);
    assert_done(&output);
    let state = cloud.state();
    assert_eq!(state["snapshots"].as_object().unwrap().len(), 2, "one, and one of the copy");
    assert_eq!(state["images"].as_object().unwrap().len(), 2);
}

#[test]
fn a_failed_publication_leaves_nothing() {
    let every: Vec<u32> = (1..1000).collect();
    for (config, said) in [
        (json!({"fail": {"RegisterImage": "InvalidParameterValue"}}), "RegisterImage in eu-central-1"),
        (json!({"fail": {"CopyImage": "ResourceLimitExceeded"}}), "CopyImage in us-east-1"),
        (json!({"deny": ["PutSnapshotBlock"]}), "AccessDeniedException"),
        (json!({"deny": ["ModifySnapshotAttribute"]}), "UnauthorizedOperation"),
        (json!({"faults": [{"action": "PutSnapshotBlock", "at": every, "do": "500"}]}), "HTTP status 500"),
    ] {
        let cloud = Cloud::new(config);
        let output = cloud.publish(&["--aws-copy-to", "us-east-1", "--aws-share-with", "123456789012"]);
        assert_eq!(output.status.code(), Some(4), "{said}: {}", err(&output));
        assert!(err(&output).contains(said), "{said}: {}", err(&output));
        assert_eq!(out(&output), "");
        assert_silent(&output);
        cloud.assert_empty();
    }
}

#[test]
fn after_a_failure_the_next_run_starts_anew() {
    let cloud = Cloud::new(json!({"faults": [{"action": "PutSnapshotBlock", "at": [3], "do": "throttle"}]}));
    let disk = cloud.disk();
    let failed = cloud.command(&disk, &[]).env("AWS_MAX_ATTEMPTS", "1").output().unwrap();
    assert_eq!(failed.status.code(), Some(4), "{}", err(&failed));
    cloud.assert_empty();
    assert_done(&cloud.command(&disk, &[]).output().unwrap());
    assert!(cloud.same(&cloud.snapshot(HOME).0, &disk), "the bytes differ");
}

#[test]
fn a_token_of_a_deleted_snapshot_is_given_up() {
    let faults = json!([{"action": "RegisterImage", "at": [1, 2, 3, 4], "do": "500"}]);
    let cloud = Cloud::new(json!({ "faults": faults }));
    let disk = cloud.disk();
    assert_eq!(cloud.command(&disk, &[]).output().unwrap().status.code(), Some(4));
    cloud.assert_empty();
    fs::remove_dir_all(cloud.dir.path().join("cache")).unwrap();
    let output = cloud.command(&disk, &[]).output().unwrap();
    assert_done(&output);
    assert_eq!(cloud.count("StartSnapshot"), 3, "the first, the same again, another");
    assert!(cloud.same(&cloud.snapshot(HOME).0, &disk), "the bytes differ");
}

#[test]
fn what_cannot_be_deleted_is_named() {
    let cloud = Cloud::new(json!({"deny": ["RegisterImage", "DeleteSnapshot"]}));
    let output = cloud.publish(&[]);
    assert_eq!(output.status.code(), Some(4));
    let (id, _) = cloud.snapshot(HOME);
    let named = format!("snapshot {id} in {HOME} is left and must be removed by hand");
    assert!(err(&output).contains(&named), "{}", err(&output));
    assert!(err(&output).contains("--dry-run prints the policy"), "{}", err(&output));
}

#[test]
fn credentials_that_end_leave_an_upload_to_go_on_with() {
    let cloud = Cloud::new(json!({"expire": {"ASIAONE000000000": 8}, "put_ms": 20}));
    let disk = cloud.disk();
    let with = |key: &str, token: &str| {
        let mut command = cloud.command(&disk, &[]);
        command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SESSION_TOKEN", token).output().unwrap()
    };
    let output = with("ASIAONE000000000", super::cloud::TOKEN);
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    assert!(err(&output).contains("is kept: the same command goes on with it"), "{}", err(&output));
    assert!(err(&output).contains("renew the credentials"), "{}", err(&output));
    let before = cloud.count("PutSnapshotBlock");
    let output = with("ASIATWO000000000", "another");
    assert_done(&output);
    assert_eq!(cloud.count("StartSnapshot"), 1);
    assert!(cloud.count("PutSnapshotBlock") - before < BLOCKS.len() as u64, "all was sent again");
    assert!(cloud.same(&cloud.snapshot(HOME).0, &disk), "the bytes differ");
}

#[test]
fn a_name_that_is_taken_is_told_before_anything_is_sent() {
    let cloud = Cloud::new(json!({}));
    assert_done(&cloud.publish(&[]));
    let output = cloud.publish(&[]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("has an AMI of the name 'os 1.0' already: ami-"), "{}", err(&output));
    assert_eq!(cloud.count("StartSnapshot"), 1);
}

#[test]
fn bad_input_is_told_before_the_network_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.raw");
    fs::write(&disk, vec![1; 4096]).unwrap();
    let empty = dir.path().join("empty.raw");
    fs::write(&empty, vec![0; 4096]).unwrap();
    let (disk, empty) = (disk.to_str().unwrap(), empty.to_str().unwrap());
    let named = ["--aws-ami-name", "os-1", "--aws-region", HOME];
    for (line, code, said) in [
        (vec![disk], 2, "the AMI has no name"),
        (vec![disk, "--aws-ami-name", "os-1"], 2, "no AWS region"),
        (vec![disk, "--aws-ami-name", "o", "--aws-region", HOME], 2, "a name has 3 to 128 characters"),
        (vec![disk, "--aws-ami-name", "os-1", "--aws-region", "evil.example.com/"], 2, "is no AWS region"),
        ([&[disk, "--aws-share-with", "me"], &named[..]].concat(), 2, "is no AWS account"),
        ([&[disk], &named[..]].concat(), 3, "which architecture the disk is for cannot be told"),
        ([&[disk, "--target-arch", "s390x"], &named[..]].concat(), 2, "no machines of architecture"),
        ([&["/nonexistent"], &named[..]].concat(), 3, "opening /nonexistent"),
        ([&[disk, "--target-arch", "amd64"], &named[..]].concat(), 4, "no AWS credentials found"),
        (
            [&[disk, "--target-arch", "amd64", "--aws-profile", "x"], &named[..]].concat(),
            4,
            "looked at: role of the profile",
        ),
    ] {
        let output = bare(dir.path()).args(["publish", "aws"]).args(&line).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line:?}: {}", err(&output));
        assert!(err(&output).contains(said), "{line:?}: {}", err(&output));
    }
    let cloud = Cloud::new(json!({}));
    let output = cloud.command(empty.as_ref(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("the disk is empty"), "{}", err(&output));
    let mut build =
        cloud.on(&["build", "-t", "raw", "--aws-ami-name", "os-1", "--aws-region", HOME, "oci:/nowhere"]);
    let output = build.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("hint: add --type ami"), "{}", err(&output));
}
