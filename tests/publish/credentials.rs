//! Credentials from each place that the AWS tools know, new ones when they end, and proxies.

use std::fs;

use serde_json::json;

use super::cloud::{BLOCKS, Cloud, HOME, SECRET, TOKEN, assert_done, assert_silent, err};

/// A run without keys in its environment.
fn without_keys(cloud: &Cloud, more: &[&str]) -> std::process::Command {
    let mut command = cloud.command(&cloud.disk(), more);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command
}

#[test]
fn a_profile_of_the_configuration_files() {
    let cloud = Cloud::new(json!({}));
    let file = cloud.dir.path().join("credentials");
    let keys = format!(
        "aws_access_key_id = ASIAONE000000000\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    );
    fs::write(&file, format!("[default]\naws_access_key_id = NOBODY\n\n[ci]\n{keys}")).unwrap();
    let mut command = without_keys(&cloud, &["--aws-profile", "ci", "--verbose"]);
    assert_done(&command.env("AWS_SHARED_CREDENTIALS_FILE", &file).output().unwrap());
}

#[test]
fn a_process_of_the_configuration_file() {
    let cloud = Cloud::new(json!({}));
    let (config, script) = (cloud.dir.path().join("config"), cloud.dir.path().join("keys.sh"));
    let keys = json!({"Version": 1, "AccessKeyId": "AKIDTEST00000000", "SecretAccessKey": SECRET});
    fs::write(&script, format!("echo '{keys}'\n")).unwrap();
    fs::write(&config, format!("[default]\ncredential_process = sh {}\n", script.display())).unwrap();
    let mut command = without_keys(&cloud, &["--verbose"]);
    assert_done(&command.env("AWS_CONFIG_FILE", &config).output().unwrap());
}

#[test]
fn a_profile_that_assumes_a_role() {
    let cloud = Cloud::new(json!({"role": "ASIATWO000000000"}));
    let (config, keys) = (cloud.dir.path().join("config"), cloud.dir.path().join("credentials"));
    let role = "role_arn = arn:aws:iam::123456789012:role/ci\nsource_profile = base\nexternal_id = outside\n";
    fs::write(&config, format!("[profile ci]\n{role}region = {HOME}\n")).unwrap();
    let base = format!("[base]\naws_access_key_id = AKIDTEST00000000\naws_secret_access_key = {SECRET}\n");
    fs::write(&keys, base).unwrap();
    let mut command = without_keys(&cloud, &["--verbose"]);
    command.env("AWS_CONFIG_FILE", &config).env("AWS_SHARED_CREDENTIALS_FILE", &keys);
    assert_done(&command.env("AWS_PROFILE", "ci").output().unwrap());
    assert_eq!(cloud.count("credentials"), 1);
    // A role that cannot be assumed is told, and no other credentials are taken for it.
    fs::write(&config, format!("[profile ci]\n{role}external_id = inside\n")).unwrap();
    command.args(["--aws-profile", "ci"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    assert!(err(&output).contains("looked at: role of the profile ("), "{}", err(&output));
    assert_silent(&output);
}

#[test]
fn a_web_identity_as_ci_systems_give_it() {
    let cloud = Cloud::new(json!({"web_identity": "ASIATWO000000000"}));
    let file = cloud.dir.path().join("token");
    fs::write(&file, "web-token\n").unwrap();
    let mut command = without_keys(&cloud, &["--verbose"]);
    command.env("AWS_WEB_IDENTITY_TOKEN_FILE", &file);
    assert_done(&command.env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci").output().unwrap());
    assert_eq!(cloud.count("credentials"), 1);
}

#[test]
fn a_container_s_role_whose_credentials_end_on_the_way() {
    let cloud = Cloud::new(
        json!({"container": ["ASIAONE000000000", "ASIATWO000000000"], "expire": {"ASIAONE000000000": 9}}),
    );
    let mut command = without_keys(&cloud, &["--verbose"]);
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/credentials", cloud.url()));
    assert_done(&command.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token").output().unwrap());
    assert_eq!(cloud.count("credentials"), 2);
    let (id, snapshot) = cloud.snapshot(HOME);
    assert_eq!(snapshot["blocks"], json!(BLOCKS));
    assert!(cloud.same(&id, &cloud.disk()), "the bytes differ");
}

#[test]
fn a_machine_s_role() {
    let cloud = Cloud::new(json!({"machine": "ASIATWO000000000"}));
    let mut command = without_keys(&cloud, &["--verbose"]);
    command.env_remove("AWS_EC2_METADATA_DISABLED").env("HTTP_PROXY", "http://127.0.0.1:1");
    command.env("NO_PROXY", "127.0.0.1").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", cloud.url());
    assert_done(&command.output().unwrap());
    assert_eq!(cloud.count("credentials"), 1);
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let cloud = Cloud::new(json!({}));
    let mut command = cloud.command(&cloud.disk(), &[]);
    command
        .env("AWS_ENDPOINT_URL_EBS", "http://ebs.test.invalid")
        .env("AWS_ENDPOINT_URL_EC2", "http://ec2.test.invalid");
    let output = command.env("HTTP_PROXY", cloud.url()).env("http_proxy", cloud.url()).output().unwrap();
    assert_done(&output);
    assert!(cloud.state()["proxied"].as_u64().unwrap() > 12, "{}", err(&output));
}
