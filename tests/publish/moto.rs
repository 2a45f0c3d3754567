//! moto, a stub of others: what it makes of our requests is read back by AWS's own library for Python.
//! It believes any checksum and signature, so it judges forms and fields only. And that library talks to
//! our stub, which must not refuse what AWS accepts.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::cloud::{Cloud, HOME, Running, SECRET, assert_done, bare, err, out};

/// The interpreter that moto is installed for; it has boto3 too.
fn python() -> (PathBuf, PathBuf) {
    let paths = std::env::var_os("PATH").unwrap();
    let home = PathBuf::from(std::env::var_os("HOME").unwrap()).join(".local/bin");
    let places = std::env::split_paths(&paths).chain([home]).map(|dir| dir.join("moto_server"));
    // Version managers leave scripts of that name that run nothing.
    let installed = places
        .filter_map(|path| fs::canonicalize(path).ok())
        .map(|path| (path.with_file_name("python"), path));
    let mut with_library = installed.filter(|(python, _)| {
        Command::new(python)
            .args(["-c", "import boto3, moto"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|done| done.success())
    });
    with_library
        .next()
        .expect("this test needs moto: pipx install 'moto[server,ec2,ebs]' (scripts/setup does it)")
}

#[test]
fn moto_has_the_image_and_the_blocks() {
    let (python, server) = python();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut moto = Command::new(server);
    moto.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let _moto = Running(moto.spawn().unwrap());
    let since = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(since.elapsed() < Duration::from_secs(120), "moto does not start");
        thread::sleep(Duration::from_millis(100));
    }
    let cloud = Cloud::new(json!({}));
    let url = format!("http://127.0.0.1:{port}");
    let disk = cloud.disk();
    let output = cloud.command(&disk, &["--format", "json"]).env("AWS_ENDPOINT_URL", &url).output().unwrap();
    assert_done(&output);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/publish/moto_reads.py");
    let mut reader = bare(cloud.dir.path());
    let reader = Command::new(python)
        .args(["-B", script, &url, HOME, out(&output)])
        .arg(&disk)
        .envs(
            reader
                .env("AWS_ACCESS_KEY_ID", "x")
                .env("AWS_SECRET_ACCESS_KEY", "x")
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap();
    assert!(reader.status.success(), "{}", err(&reader));
}

#[test]
fn the_stub_accepts_what_aws_s_own_library_sends() {
    let (python, _) = python();
    let cloud = Cloud::new(json!({}));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/publish/boto_writes.py");
    let mut writer = Command::new(python);
    writer.args(["-B", script, &cloud.url(), HOME]).env("AWS_ACCESS_KEY_ID", "AKIDTEST00000000");
    let output = writer.env("AWS_SECRET_ACCESS_KEY", SECRET).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(cloud.snapshot(HOME).1["blocks"], json!([2, 7]));
}
