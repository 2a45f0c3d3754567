//! The IAM policy that a wish needs, and no more.

use serde_json::{Value, json};

use super::{endpoint::partition, wish::Wish};

/// A policy document for the regions and actions of `wish`.
pub(super) fn policy(wish: &Wish, home: &str) -> Value {
    let home_only = [home.to_owned()];
    let all: Vec<String> = home_only.iter().chain(&wish.copy_to).cloned().collect();
    let (snapshots, images) =
        (|regions: &[String]| arns(regions, "snapshot"), |regions: &[String]| arns(regions, "image"));
    let both = |regions: &[String]| [snapshots(regions), images(regions)].concat();
    let upload = ["ebs:StartSnapshot", "ebs:PutSnapshotBlock", "ebs:CompleteSnapshot"];
    let mut statements = vec![
        statement("Upload", &upload, &snapshots(&home_only)),
        statement("Look", &["ec2:DescribeImages", "ec2:DescribeSnapshots"], &["*".to_owned()]),
        statement("Register", &["ec2:RegisterImage"], &both(&home_only)),
        statement("Tag", &["ec2:CreateTags"], &both(&all)),
        statement("CleanUp", &["ec2:DeleteSnapshot", "ec2:DeregisterImage"], &both(&all)),
    ];
    if !wish.copy_to.is_empty() {
        statements.push(statement("Copy", &["ec2:CopyImage"], &both(&all)));
    }
    if !wish.share_with.is_empty() {
        let share = ["ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute"];
        statements.push(statement("Share", &share, &both(&all)));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statement(name: &str, actions: &[&str], resources: &[String]) -> Value {
    json!({"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources})
}

/// Names of all resources of a kind; snapshots and images are of a region, not of an account.
fn arns(regions: &[String], kind: &str) -> Vec<String> {
    regions.iter().map(|region| format!("arn:{}:ec2:{region}::{kind}/*", partition(region))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_in_it() {
        let plain = policy(&Wish::default(), "cn-north-1").to_string();
        assert!(plain.contains("arn:aws-cn:ec2:cn-north-1::snapshot/*"));
        assert!(!plain.contains("CopyImage") && !plain.contains("Attribute"));
        let wish = Wish {
            copy_to: vec!["eu-west-1".into()],
            share_with: vec!["123456789012".into()],
            ..Wish::default()
        };
        let full = policy(&wish, "eu-central-1").to_string();
        for text in ["ec2:CopyImage", "ec2:ModifySnapshotAttribute", "arn:aws:ec2:eu-west-1::image/*"] {
            assert!(full.contains(text), "{text}");
        }
    }
}
