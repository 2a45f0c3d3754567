//! Registries to pull from: Debian's, a proxy that does damage on the way,
//! and a stub with token authentication. All listen on 127.0.0.1 only.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::fixture::{OCI_MANIFEST, judge, skopeo};

pub(crate) const USER: &str = "builder";
pub(crate) const PASSWORD: &str = "correct:horse";

/// Debian's registry.
pub(crate) struct Registry {
    child: Child,
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
    secure: bool,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Registry {
    pub(crate) fn open() -> Self {
        Self::start(false)
    }

    /// With TLS (authority in `dir/certs/ca.crt`) and a password.
    pub(crate) fn secure() -> Self {
        Self::start(true)
    }

    fn start(secure: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = dir.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {path}/store}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n"
        );
        if secure {
            certificates(dir.path());
            passwords(dir.path());
            config += &format!("  tls: {{certificate: {path}/leaf.crt, key: {path}/leaf.key}}\n");
            config += &format!("auth: {{htpasswd: {{realm: test, path: {path}/htpasswd}}}}\n");
        }
        fs::write(dir.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry: {error} (apt-get install docker-registry)"));
        wait_for(port);
        Self { child, port, dir, secure }
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("docker://127.0.0.1:{}/{name}", self.port)
    }

    pub(crate) fn certs(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    /// Copies an image in; arguments go to skopeo.
    pub(crate) fn push(&self, from: &str, name: &str, arguments: &[&str]) {
        let credentials = format!("{USER}:{PASSWORD}");
        let mut all = vec!["copy", "-q", "--dest-tls-verify=false"];
        if self.secure {
            all.extend(["--dest-creds", &credentials]);
        }
        all.extend(arguments);
        let to = self.name(name);
        all.extend([from, to.as_str()]);
        skopeo(&all);
    }
}

fn wait_for(port: u16) {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "the registry does not answer");
        thread::sleep(Duration::from_millis(20));
    }
}

fn certificates(dir: &Path) {
    let openssl = |arguments: &str| {
        let output =
            judge("openssl", Command::new("openssl").current_dir(dir).args(arguments.split_whitespace()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    fs::create_dir(dir.join("certs")).unwrap();
    fs::write(dir.join("leaf.ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out certs/ca.crt -subj /CN=authority -days 2"));
    openssl(&format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=registry"));
    openssl(
        "x509 -req -in leaf.csr -CA certs/ca.crt -CAkey ca.key -CAcreateserial -out leaf.crt -days 2 -extfile leaf.ext",
    );
}

fn passwords(dir: &Path) {
    let output = judge("apache2-utils", Command::new("htpasswd").args(["-Bbn", "-C", "5", USER, PASSWORD]));
    assert!(output.status.success());
    fs::write(dir.join("htpasswd"), output.stdout).unwrap();
}

/// What a proxy does to what the server sends.
#[derive(Clone, Copy, Default)]
pub(crate) struct Damage {
    /// Close after this many bytes of a connection ...
    pub(crate) cut_after: Option<usize>,
    /// ... or flip a bit each so many bytes ...
    pub(crate) flip_every: Option<usize>,
    /// ... and do so this many times.
    pub(crate) times: usize,
    /// Wait so long before each part that is passed on.
    pub(crate) delay: Duration,
}

/// Passes bytes on to a port, with damage.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    pub(crate) fn new(to: u16, damage: Damage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, left) = (Arc::clone(&requests), Arc::new(AtomicUsize::new(damage.times)));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (from, into, log) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap(), log.clone());
                thread::spawn(move || pass_requests(from, into, &log));
                let left = Arc::clone(&left);
                thread::spawn(move || pass_answers(server, client, damage, &left));
            }
        });
        Self { port, requests }
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("docker://127.0.0.1:{}/{name}", self.port)
    }

    /// Everything clients have said.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.requests.lock().unwrap()).to_lowercase()
    }
}

fn pass_requests(mut from: TcpStream, mut to: TcpStream, log: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        log.lock().unwrap().extend(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn pass_answers(mut from: TcpStream, mut to: TcpStream, damage: Damage, left: &AtomicUsize) {
    let once = || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
    let mut buffer = [0; 16 << 10];
    let mut done = 0;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        thread::sleep(damage.delay);
        let here = |at: Option<usize>| at.filter(|at| (done..done + count).contains(at)).map(|at| at - done);
        if here(damage.cut_after).is_some_and(|_| once()) {
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
        if let Some(at) =
            here(damage.flip_every.map(|every| (done + 1).next_multiple_of(every))).filter(|_| once())
        {
            buffer[at] ^= 1;
        }
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
        done += count;
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A registry that wants a token, knows one image, and does not do ranges.
pub(crate) struct Stub {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// Answers `busy` requests for content with `status` before it gives any.
    pub(crate) fn new(layout: &Path, manifest: &str, busy: usize, status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let content = Arc::new(Content {
            layout: layout.to_path_buf(),
            manifest: manifest.to_owned(),
            port,
            status,
            busy: AtomicUsize::new(busy),
        });
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (content, log) = (Arc::clone(&content), Arc::clone(&log));
                thread::spawn(move || serve(&stream, &content, &log));
            }
        });
        Self { port, requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

struct Content {
    layout: PathBuf,
    manifest: String,
    port: u16,
    status: u16,
    busy: AtomicUsize,
}

fn serve(stream: &TcpStream, content: &Content, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let headers: HashMap<_, _> = lines
        .map_while(|line| line.ok().filter(|line| !line.is_empty()))
        .filter_map(|line| line.split_once(": ").map(|(key, value)| (key.to_lowercase(), value.to_owned())))
        .collect();
    let path = first.split(' ').nth(1)?.to_owned();
    let authorization = headers.get("authorization").map(String::as_str).unwrap_or_default();
    log.lock().unwrap().push(format!("{path} {authorization}"));
    let (status, extra, body) = content.answer(&path, authorization);
    let head =
        format!("HTTP/1.1 {status} X\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let mut out = stream;
    out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body)).ok()
}

impl Content {
    fn answer(&self, path: &str, authorization: &str) -> (u16, String, Vec<u8>) {
        let port = self.port;
        if path.starts_with("/token") {
            // "builder:correct:horse"
            let right = authorization == "Basic YnVpbGRlcjpjb3JyZWN0OmhvcnNl";
            let scope =
                path.contains("scope=repository%3Ateam%2Fimage%3Apull") && path.contains("service=stub");
            return if right && scope {
                (200, String::new(), br#"{"token":"opaque-token"}"#.to_vec())
            } else {
                (401, String::new(), b"wrong password".to_vec())
            };
        }
        if authorization != "Bearer opaque-token" {
            let realm = format!(
                "Www-Authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"stub\"\r\n"
            );
            return (401, realm, Vec::new());
        }
        let busy = self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if busy && path != "/v2/" {
            return (self.status, String::new(), b"later".to_vec());
        }
        let last = path.rsplit('/').next().unwrap_or_default();
        let digest = if path.contains("/manifests/") { &self.manifest } else { last };
        match fs::read(self.layout.join("blobs").join(digest.replace(':', "/"))) {
            Ok(body) => (200, format!("Content-Type: {OCI_MANIFEST}\r\n"), body),
            Err(_) => (404, String::new(), Vec::new()),
        }
    }
}

pub(crate) fn auth_file(dir: &Path, key: &str, entry: &str) -> io::Result<PathBuf> {
    let file = dir.join("auth.json");
    fs::write(&file, format!(r#"{{"auths":{{"{key}":{{"auth":"{entry}"}}}}}}"#))?;
    Ok(file)
}
