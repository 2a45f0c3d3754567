//! The installer against a picture of a machine whose payload is on a web server: one that listens
//! on loopback and does what bad servers and networks do. The payload is made by qemu-img, what was
//! installed is judged by qemu-img and sgdisk.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sha2::{Digest as _, Sha256};

const MIB: u64 = 1 << 20;
const CHUNK: usize = 64 << 10;
/// Of the payload's disk, and of the one that is installed on.
const SIZE: u64 = 64 * MIB;
const TARGET: u64 = 80 * MIB;
/// What the target is full of before.
const BEFORE: u8 = 0xa5;

/// What a server does, beside what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Good,
    /// Knows no ranges.
    Whole,
    /// Ends each connection after so many bytes of a body.
    Drops(usize),
    /// The same, and knows no ranges.
    WholeDrops(usize),
    /// Has only so many bytes of the disk.
    Truncated(usize),
    /// Has the disk with one byte changed.
    Corrupt,
    /// Has no disk.
    Missing,
    /// Answers 503 three times.
    Busy,
    /// Leads to another path first.
    Elsewhere,
    /// Leads to TLS.
    ToTls,
    /// Sends what is no HTTP.
    Noise,
    /// Sends bodies without a length.
    Chunked,
}

/// A server until the test ends.
struct Server {
    port: u16,
    /// Connections so far.
    count: Arc<AtomicUsize>,
}

impl Server {
    fn new(root: &Path, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let (root, counted) = (root.to_owned(), Arc::clone(&count));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (root, number) = (root.clone(), counted.fetch_add(1, Ordering::Relaxed));
                // whoever is asked may go before the answer has ended
                std::thread::spawn(move || answer(stream.unwrap(), &root, manner, number).ok());
            }
        });
        Self { port, count }
    }
}

fn answer(mut stream: TcpStream, root: &Path, manner: Manner, number: usize) -> std::io::Result<()> {
    let (mut request, mut reader) = (String::new(), BufReader::new(stream.try_clone()?));
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
    }
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let line = request.lines().find_map(|line| line.strip_prefix("Range: bytes="));
    let from = line.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let is_disk = path.ends_with("disk.qcow2");
    let plain = |text: &str| format!("HTTP/1.1 {text}\r\nContent-Length: 0\r\n\r\n");
    let head = match manner {
        Manner::Missing if is_disk => plain("404 Not Found"),
        Manner::Busy if number < 3 => plain("503 Service Unavailable"),
        Manner::Elsewhere if path.starts_with("/os/") => {
            plain(&format!("302 Found\r\nLocation: /real{path}"))
        }
        Manner::ToTls => plain("301 Moved Permanently\r\nLocation: https://boot.example.com/os/payload.json"),
        Manner::Noise => "220 mail.example.com ESMTP\r\n\r\n".to_owned(),
        Manner::Chunked => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        _ => String::new(),
    };
    if !head.is_empty() {
        return stream.write_all(head.as_bytes());
    }
    let mut bytes = fs::read(root.join(path.rsplit('/').next().unwrap()))?;
    match manner {
        Manner::Truncated(len) if is_disk => bytes.truncate(len),
        Manner::Corrupt if is_disk => {
            let at = bytes.len() * 3 / 4;
            bytes[at] ^= 1;
        }
        _ => {}
    }
    let is_whole = from == 0 || matches!(manner, Manner::Whole | Manner::WholeDrops(_));
    let body = if is_whole { &bytes[..] } else { &bytes[from..] };
    let (status, range) = if is_whole {
        ("200 OK", String::new())
    } else {
        (
            "206 Partial Content",
            format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len()),
        )
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{range}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    let sent = match manner {
        Manner::Drops(len) => len.min(body.len()),
        // as if the line became better each time: otherwise it would never come whole
        Manner::WholeDrops(len) => (len * number.max(1)).min(body.len()),
        _ => body.len(),
    };
    stream.write_all(&body[..sent])
}

/// A machine that was started from a network, and its server's directory.
struct Machine {
    root: tempfile::TempDir,
    target: PathBuf,
}

impl Machine {
    /// `memory` in MiB is what the kernel says is free.
    fn new(memory: u64) -> Self {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let target = root.path().join("dev/vda");
        let machine = Self { root, target };
        for directory in ["sys/block/vda/queue", "dev", "proc", "served", "diskwright"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        let options = "version: 1\nunattended: yes\nwipe: yes\ngrow: no\n";
        fs::write(machine.path("diskwright/diskwright.yaml"), options).unwrap();
        let meminfo = format!("MemTotal: 9 kB\nMemAvailable:   {} kB\n", memory << 10);
        fs::write(machine.path("proc/meminfo"), meminfo).unwrap();
        fs::write(&machine.target, vec![BEFORE; TARGET as usize]).unwrap();
        fs::write(machine.path("sys/block/vda/size"), (TARGET / 512).to_string()).unwrap();
        fs::write(machine.path("sys/block/vda/queue/logical_block_size"), "512\n").unwrap();
        machine.make_payload();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn make_payload(&self) {
        let (raw, packed) = (self.path("payload.raw"), self.path("served/disk.qcow2"));
        let file = File::create(&raw).unwrap();
        file.set_len(SIZE).unwrap();
        judge("gdisk", "sgdisk", &["-n", "1:2048:+8M", "-n", "2:0:0", "-c", "2:root", text(&raw)]);
        let noise: Vec<u8> = Sha256::digest("noise").repeat(32 << 10);
        let noise: Vec<u8> =
            (0..).zip(noise).map(|(i, byte): (u32, u8)| byte ^ (i.wrapping_mul(i) >> 9) as u8).collect();
        file.write_all_at(&noise, 20 * MIB + 77).unwrap();
        judge("qemu-utils", "qemu-img", &["convert", "-O", "qcow2", text(&raw), text(&packed)]);
        let bytes = fs::read(packed).unwrap();
        let sums: Vec<_> = bytes.chunks(CHUNK).map(sum).collect();
        let description = serde_json::json!({
            "version": 1, "name": "Test system", "architecture": "amd64",
            "image": { "reference": "registry.example.com/os:1", "manifest_digest": "sha256:0", "target": "x" },
            "disk": { "file": "disk.qcow2", "format": "qcow2", "size": SIZE, "sector_size": 512, "root_partition": 2, "root_filesystem": "ext4" },
            "file_size": bytes.len(), "sha256": sum(&bytes), "chunk_size": CHUNK, "chunks": sums,
        });
        fs::write(self.path("served/payload.json"), description.to_string()).unwrap();
    }

    /// Exit code and what was shown, with the payload at `address`.
    fn install_from(&self, address: &str) -> (Option<i32>, String) {
        let digest = sum(&fs::read(self.path("served/payload.json")).unwrap());
        self.install_with(&format!(
            "quiet inst.diskwright.payload={address} inst.diskwright.payload-digest=sha256:{digest}\n"
        ))
    }

    fn install_with(&self, command_line: &str) -> (Option<i32>, String) {
        fs::write(self.path("proc/cmdline"), command_line).unwrap();
        let installer = Command::new(env!("CARGO_BIN_EXE_diskwright-install"))
            .arg("--root")
            .arg(self.root.path())
            .stdin(Stdio::null())
            .output();
        let output = installer.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn install(&self, manner: Manner) -> (Option<i32>, String) {
        let server = Server::new(&self.path("served"), manner);
        self.install_from(&format!("http://127.0.0.1:{}/os/boot.ipxe", server.port))
    }

    /// The payload is on the disk, and both tables are at its ends.
    fn assert_installed(&self) {
        let (disk, payload) = (fs::read(&self.target).unwrap(), fs::read(self.path("payload.raw")).unwrap());
        let (start, end) = (MIB as usize, (SIZE - MIB) as usize);
        assert!(disk[start..end] == payload[start..end], "other bytes between the tables");
        let report = judge("gdisk", "sgdisk", &["-v", text(&self.target)]);
        let report = String::from_utf8(report.stdout).unwrap();
        assert!(report.contains("No problems found"), "{report}");
    }

    fn assert_untouched(&self) {
        assert!(fs::read(&self.target).unwrap().iter().all(|&byte| byte == BEFORE), "the disk has changed");
    }

    /// Without a table, which sgdisk sees too.
    fn assert_without_table(&self) {
        let disk = fs::read(&self.target).unwrap();
        let is_clear = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        assert!(is_clear(&disk[..MIB as usize]) && is_clear(&disk[(TARGET - MIB) as usize..]));
        let report = judge("gdisk", "sgdisk", &["-p", text(&self.target)]);
        let report = String::from_utf8(report.stdout).unwrap();
        assert!(report.contains("Creating new GPT entries"), "{report}");
    }
}

/// Enough memory for the payload, and too little.
const PLENTY: u64 = 1024;
const LITTLE: u64 = 200;

#[test]
fn a_payload_is_installed_from_servers_of_every_manner() {
    let machine = Machine::new(PLENTY);
    for manner in [Manner::Good, Manner::Whole, Manner::Drops(200_000), Manner::Busy, Manner::Elsewhere] {
        fs::write(&machine.target, vec![BEFORE; TARGET as usize]).unwrap();
        let (code, shown) = machine.install(manner);
        assert_eq!(code, Some(0), "{manner:?}: {shown}");
        assert!(shown.contains("Fetching") && shown.contains("registry.example.com/os:1"), "{shown}");
        assert_eq!(shown.contains("503 Service Unavailable"), manner == Manner::Busy, "{shown}");
        machine.assert_installed();
    }
    let (code, shown) = machine.install(Manner::WholeDrops(300_000));
    assert_eq!(code, Some(0), "{shown}");
    machine.assert_installed();
}

#[test]
fn each_byte_is_fetched_on_one_connection_where_it_holds() {
    let machine = Machine::new(PLENTY);
    let server = Server::new(&machine.path("served"), Manner::Good);
    let (code, shown) = machine.install_from(&format!("http://localhost:{}/", server.port));
    assert_eq!(code, Some(0), "{shown}");
    // the description, and the disk: its tables are read first, and the rest behind each
    assert!(
        server.count.load(Ordering::Relaxed) <= 4,
        "{} connections",
        server.count.load(Ordering::Relaxed)
    );
}

#[test]
fn without_memory_for_the_payload_it_is_checked_as_it_is_written() {
    let machine = Machine::new(LITTLE);
    for manner in [Manner::Good, Manner::Whole, Manner::Drops(500_000)] {
        fs::write(&machine.target, vec![BEFORE; TARGET as usize]).unwrap();
        let (code, shown) = machine.install(manner);
        assert_eq!(code, Some(0), "{manner:?}: {shown}");
        assert!(shown.contains("more than there is memory"), "{shown}");
        machine.assert_installed();
    }
    let (code, shown) = machine.install(Manner::Corrupt);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("no partition table now") && shown.contains("corrupt"), "{shown}");
    machine.assert_without_table();
}

#[test]
fn what_does_not_come_whole_leaves_the_disk_as_it_was() {
    let machine = Machine::new(PLENTY);
    for (manner, why) in [
        (Manner::Corrupt, "their SHA-256 is wrong; put the file on the server anew"),
        (Manner::Missing, "the server answers 404 Not Found"),
        (Manner::Truncated(700_000), "disk.qcow2 has 700000 bytes, not"),
        (Manner::Drops(0), "bytes early"),
        (Manner::ToTls, "there is no TLS here"),
        (Manner::Noise, "no answer of HTTP"),
        (Manner::Chunked, "without their length (Transfer-Encoding)"),
    ] {
        let (code, shown) = machine.install(manner);
        assert_eq!(code, Some(1), "{manner:?}: {shown}");
        assert!(shown.contains("The installation failed") && shown.contains(why), "{manner:?}: {shown}");
        machine.assert_untouched();
    }
}

#[test]
fn what_is_not_pinned_or_is_another_is_refused() {
    let machine = Machine::new(PLENTY);
    let server = Server::new(&machine.path("served"), Manner::Good);
    let address = format!("http://127.0.0.1:{}/os/", server.port);
    let other = sum(b"another");
    for (arguments, why) in [
        (format!("inst.diskwright.payload={address}"), "has to be pinned"),
        (
            format!("inst.diskwright.payload={address} inst.diskwright.payload-digest=sha256:{other}"),
            "payload.json is not what was pinned",
        ),
        (
            format!("inst.diskwright.payload=https://a/ inst.diskwright.payload-digest=sha256:{other}"),
            "there is no TLS here",
        ),
    ] {
        let (code, shown) = machine.install_with(&arguments);
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.contains(why), "{shown}");
        machine.assert_untouched();
    }
    // nobody listens there
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, shown) = machine.install_from(&format!("http://127.0.0.1:{port}/"));
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("Waiting for the network") && shown.contains("refused"), "{shown}");
    machine.assert_untouched();
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn judge(package: &str, program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}
