//! The stub says no to what is wrong, or it would judge nothing.

use serde_json::json;

use super::cloud::{Cloud, err};
use std::process::{Command, Output};

#[test]
fn a_wrong_signature_is_refused() {
    let cloud = Cloud::new(json!({}));
    let mut command = cloud.command(&cloud.disk(), &[]);
    let output = command.env("AWS_SECRET_ACCESS_KEY", "another").output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    assert!(err(&output).contains("SignatureDoesNotMatch"), "{}", err(&output));
    let mut command = cloud.command(&cloud.disk(), &[]);
    let output = command.env("AWS_ACCESS_KEY_ID", "NOBODY").output().unwrap();
    assert!(err(&output).contains("UnrecognizedClientException"), "{}", err(&output));
    cloud.assert_empty();
}

/// Runs judge.py, which talks to the stub with one thing wrong.
fn wrong(cloud: &Cloud, what: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/publish/judge.py");
    Command::new("python3").args(["-B", script, &cloud.port.to_string(), what]).output().unwrap()
}

#[test]
fn wrong_requests_are_refused_and_right_ones_are_not() {
    let cloud = Cloud::new(json!({}));
    let right = wrong(&cloud, "nothing");
    assert!(right.status.success(), "{}", err(&right));
    for (what, code) in [
        ("body after signing", "SignatureDoesNotMatch"),
        ("header after signing", "SignatureDoesNotMatch"),
        ("old date", "RequestExpired"),
        ("block checksum", "ValidationException"),
        ("short block", "ValidationException"),
        ("zeros", "ValidationException"),
        ("count", "ValidationException"),
        ("aggregate", "ValidationException"),
        ("token", "ConflictException"),
        ("complete twice", "ValidationException"),
    ] {
        let output = wrong(&cloud, what);
        assert!(!output.status.success(), "{what} is let pass");
        assert!(err(&output).contains(code), "{what}: {}", err(&output));
    }
}
