//! The stub as a process, a disk to publish, and the command.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const BLOCK: u64 = 512 << 10;
pub(crate) const HOME: &str = "eu-central-1";
/// Blocks of [`Cloud::disk`] that hold data: the first, neighbours, some apart, the last of the file.
pub(crate) const BLOCKS: [u64; 12] = [0, 1, 2, 3, 40, 41, 99, 100, 512, 550, 580, 599];
pub(crate) const SECRET: &str = "secret/of+the=stub";
pub(crate) const TOKEN: &str = "session-token-of-the-stub";

/// A process that ends with its owner.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A stub with its own directory, cache and disk.
pub(crate) struct Cloud {
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
    _stub: Running,
}

impl Cloud {
    /// With these settings (see stub.py) beside a set of keys.
    pub(crate) fn new(mut config: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = json!({"AKIDTEST00000000": [SECRET, null], "ASIAONE000000000": [SECRET, TOKEN], "ASIATWO000000000": [SECRET, "another"]});
        config["keys"] = keys;
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        std::fs::create_dir(dir.path().join("snapshots")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/publish/stub.py");
        let mut stub = Command::new("python3")
            .args(["-B".as_ref(), script.as_os_str()])
            .args([dir.path().join("config.json"), dir.path().join("snapshots")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stub needs python3");
        let mut line = String::new();
        BufReader::new(stub.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the stub did not start");
        Self { port, dir, _stub: Running(stub) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A disk of 300 MiB with data in [`BLOCKS`], and a span of zeros that is no hole.
    pub(crate) fn disk(&self) -> PathBuf {
        let path = self.dir.path().join("disk.raw");
        let file = File::create(&path).unwrap();
        file.set_len(300 << 20).unwrap();
        for (at, block) in BLOCKS.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..9000_u32).map(|n| (n.wrapping_mul(97) as u8) ^ (at as u8)).collect();
            file.write_all_at(&bytes, block * BLOCK + 1234).unwrap();
        }
        file.write_all_at(&vec![0; 2 * BLOCK as usize], 200 * BLOCK).unwrap();
        path
    }

    /// `publish aws` of a disk, with the stub's endpoint, keys that it knows, and few tries.
    pub(crate) fn command(&self, disk: &Path, more: &[&str]) -> Command {
        let mut command = bare(self.dir.path());
        command
            .args(["publish", "aws", "--aws-ami-name", "os 1.0", "--aws-region", HOME])
            .args(["--target-arch", "amd64"])
            .arg(disk)
            .args(more)
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST00000000")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_MAX_ATTEMPTS", "4");
        command
    }

    pub(crate) fn publish(&self, more: &[&str]) -> Output {
        self.command(&self.disk(), more).output().unwrap()
    }

    /// What the stub has and was asked.
    pub(crate) fn state(&self) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /_state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// How often an action was asked for.
    pub(crate) fn count(&self, action: &str) -> u64 {
        self.state()["counts"][action].as_u64().unwrap_or(0)
    }

    /// The one snapshot of a region.
    pub(crate) fn snapshot(&self, region: &str) -> (String, Value) {
        let state = self.state();
        let found: Vec<_> = state["snapshots"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, one)| one["region"] == region)
            .collect();
        let [(id, snapshot)] = found[..] else { panic!("{region}: {found:?}") };
        (id.clone(), snapshot.clone())
    }

    /// Nothing is at the cloud that costs money.
    pub(crate) fn assert_empty(&self) {
        let state = self.state();
        assert_eq!((&state["snapshots"], &state["images"]), (&json!({}), &json!({})));
    }

    /// cmp(1) of the snapshot's bytes with the disk's.
    pub(crate) fn same(&self, snapshot: &str, disk: &Path) -> bool {
        let stored = self.dir.path().join("snapshots").join(format!("{snapshot}.raw"));
        let len = std::fs::metadata(disk).unwrap().len().to_string();
        Command::new("cmp")
            .args(["-s", "-n", &len])
            .args([stored.as_path(), disk])
            .status()
            .unwrap()
            .success()
    }
}

/// The command without anything of AWS in its environment.
pub(crate) fn bare(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.starts_with("aws_") || text.ends_with("_proxy") {
            command.env_remove(&name);
        }
    }
    command
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

pub(crate) fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Fails unless it ended well, and unless secrets stay where they are.
pub(crate) fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", err(output));
    assert_silent(output);
}

/// No secret is printed.
pub(crate) fn assert_silent(output: &Output) {
    for secret in [SECRET, TOKEN, "web-token", "container-token", "Signature="] {
        assert!(!out(output).contains(secret) && !err(output).contains(secret), "{secret}: {}", err(output));
    }
}

impl Cloud {
    /// A disk with data in two hundred blocks.
    pub(crate) fn big_disk(&self) -> PathBuf {
        let path = self.dir.path().join("big.raw");
        let file = File::create(&path).unwrap();
        file.set_len(200 * BLOCK).unwrap();
        for block in 0..200_u64 {
            file.write_all_at(format!("block {block}").as_bytes(), block * BLOCK + 77).unwrap();
        }
        path
    }

    /// Any command, with the stub's endpoint and keys.
    pub(crate) fn on(&self, arguments: &[&str]) -> Command {
        let mut command = bare(self.dir.path());
        command
            .args(arguments)
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST00000000")
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
        command
    }
}
