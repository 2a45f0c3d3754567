//! The dry run: what would be allowed, and the policy that is needed.

use serde_json::{Value, json};

use super::cloud::{Cloud, assert_silent, bare, err, out};

#[test]
fn a_dry_run_changes_nothing_and_prints_the_policy() {
    let cloud = Cloud::new(json!({}));
    let more = ["--dry-run", "--aws-copy-to", "us-east-1", "--aws-share-with", "123456789012"];
    let output = cloud.publish(&more);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let policy: Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    assert!(out(&output).contains("arn:aws:ec2:us-east-1::image/*"), "{policy:#}");
    assert!(err(&output).contains("ec2:CopyImage in us-east-1: allowed"), "{}", err(&output));
    let ebs = "ebs:StartSnapshot in eu-central-1: not checked: EBS direct has no dry run";
    assert!(err(&output).contains(ebs), "{}", err(&output));
    cloud.assert_empty();
    assert_eq!(cloud.count("StartSnapshot"), 0);
    let refused = cloud.state()["refused"].as_array().unwrap().clone();
    assert!(refused.iter().all(|line| line.as_str().unwrap().contains("DryRunOperation")), "{refused:?}");
}

#[test]
fn the_policy_of_the_page_is_the_one_that_is_printed() {
    let page = include_str!("../../docs/publish-aws.md");
    let (_, rest) = page.split_once("With everything, it is\n\n```json\n").expect("the page's policy");
    let shown: Value = serde_json::from_str(rest.split("```").next().unwrap()).unwrap();
    let cloud = Cloud::new(json!({}));
    let output =
        cloud.publish(&["--dry-run", "--aws-copy-to", "us-east-1", "--aws-share-with", "123456789012"]);
    assert_eq!(serde_json::from_str::<Value>(out(&output)).unwrap(), shown);
}

#[test]
fn what_is_denied_is_told_in_text_and_code() {
    let cloud = Cloud::new(json!({"deny": ["RegisterImage"]}));
    let output = cloud.publish(&["--dry-run", "--format", "json"]);
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    let told: Value = serde_json::from_str(out(&output)).unwrap();
    let denied: Vec<_> =
        told["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "denied").collect();
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0]["action"], "ec2:RegisterImage");
    assert!(told["policy"]["Statement"].is_array());
}

#[test]
fn without_credentials_there_is_a_policy_all_the_same() {
    let cloud = Cloud::new(json!({}));
    let mut command = bare(cloud.dir.path());
    command.args(["publish", "aws", "--dry-run", "--aws-ami-name", "os-1", "--aws-region", "cn-north-1"]);
    let output = command.arg(cloud.disk()).args(["--target-arch", "arm64"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    assert!(out(&output).contains("arn:aws-cn:ec2:cn-north-1::snapshot/*"), "{}", out(&output));
    assert!(err(&output).contains("no AWS credentials found"), "{}", err(&output));
    assert_silent(&output);
}
