//! Registries: what arrives is what skopeo sees, whatever happens on the way.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use diskwright::{
    progress::Progress,
    source::{CacheChoice, Options, Reference},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    fixture::*,
    wire::{Damage, Proxy, Registry, Stub, auth_file},
};

/// base64 of "builder:correct:horse".
const RIGHT: &str = "YnVpbGRlcjpjb3JyZWN0OmhvcnNl";
/// base64 of "builder:wrong".
const WRONG: &str = "YnVpbGRlcjp3cm9uZw==";

fn insecure() -> Options {
    Options { tls_verify: false, ..options() }
}

fn cached(dir: &TempDir) -> Options {
    Options { cache: CacheChoice::Dir(dir.path().to_path_buf()), ..insecure() }
}

/// Three layers, one of 3 MB.
fn big() -> Layout {
    let layout = Layout::new();
    let layers = [
        gzip(tar_of(&[("a", b"a")])),
        gzip(tar_of(&[("b", &noise(3_000_000))])),
        zstd(tar_of(&[("c", b"c")])),
    ];
    layout.index(&[tagged(layout.image("amd64", &layers), "v1")]);
    layout
}

fn layer_digest(layout: &Layout, at: usize) -> String {
    layout.first_manifest()["layers"][at]["digest"].as_str().unwrap().to_owned()
}

fn cached_path(dir: &TempDir, digest: &str) -> std::path::PathBuf {
    dir.path().join("blobs").join(digest.replace(':', "/"))
}

#[test]
fn an_image_arrives_as_skopeo_sees_it() {
    let (registry, layout) = (Registry::open(), Layout::simple());
    registry.push(&layout.reference(), "team/image:v1", &[]);
    registry.push(&layout.reference(), "team/docker:v1", &["--format", "v2s2"]);
    let local = open(&layout.reference());
    for name in ["team/image:v1", "team/docker:v1"] {
        let image = open_with(&registry.name(name), &insecure()).unwrap();
        assert_eq!(image.manifest_digest, skopeo_digest_http(&registry.name(name)), "{name}");
        assert_eq!(tars(&image), tars(&local));
        let pinned = registry.name(&format!("{}@{}", name.trim_end_matches(":v1"), image.manifest_digest));
        let image = open_with(&pinned, &insecure()).unwrap();
        assert_eq!(image.reference, pinned);
    }
}

#[test]
fn a_platform_is_chosen_and_its_own_digest_reported() {
    let (registry, layout) = (Registry::open(), Layout::new());
    let amd64 = layout.image("amd64", &[gzip(tar_of(&[("amd64", b"")]))]);
    let arm64 = layout.image("arm64", &[gzip(tar_of(&[("arm64", b"")]))]);
    let manifests = [for_platform(amd64, "amd64"), for_platform(arm64.clone(), "arm64")];
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    layout.index(&[layout.typed(OCI_INDEX, index.to_string().as_bytes())]);
    registry.push(&layout.reference(), "multi:v1", &["--all"]);
    let image = open_with(&registry.name("multi:v1"), &Options { ..with_arch("aarch64") }).unwrap();
    assert_eq!(image.manifest_digest, arm64["digest"]);
    let text = error_with(&registry.name("multi:v1"), &with_arch("riscv64"));
    assert_says(&text, &["no manifest for linux/riscv64", "linux/amd64, linux/arm64"]);
}

fn with_arch(architecture: &str) -> Options {
    Options { target_arch: Some(architecture.into()), ..insecure() }
}

#[test]
fn passwords_and_certificates() {
    let (registry, layout) = (Registry::secure(), Layout::simple());
    registry.push(&layout.reference(), "team/image:v1", &[]);
    let name = registry.name("team/image:v1");
    let host = format!("127.0.0.1:{}", registry.port);
    let dir = tempfile::tempdir().unwrap();
    let auth = auth_file(dir.path(), &format!("{host}/team"), RIGHT).unwrap();
    let good = Options { auth_file: Some(auth), cert_dir: Some(registry.certs()), ..options() };
    let image = open_with(&name, &good).unwrap();
    assert_eq!(tars(&image), tars(&open(&layout.reference())));
    open_with(&name, &Options { cert_dir: None, tls_verify: false, ..good.clone() }).unwrap();

    let text = error_with(&name, &Options { cert_dir: None, ..good.clone() });
    assert_says(&text, &["the certificate of 127.0.0.1", "is not trusted", "--tls-verify=false", "certs.d"]);
    let empty = dir.path().join("empty.json");
    fs::write(&empty, "{}").unwrap();
    let text = error_with(&name, &Options { auth_file: Some(empty), ..good.clone() });
    assert_says(
        &text,
        &["refuses anonymous access", "HINT log in with podman login 127.0.0.1", "empty.json"],
    );
    let other = tempfile::tempdir().unwrap();
    let wrong = auth_file(other.path(), &host, WRONG).unwrap();
    let text = error_with(&name, &Options { auth_file: Some(wrong), ..good.clone() });
    assert_says(&text, &["refuses user \"builder\"", "auth.json"]);
    assert!(!text.contains("wrong"), "{text}");
    let text = error_with(&registry.name("team/none:v1"), &good);
    assert_says(&text, &["does not have this", "HINT see what is there: skopeo list-tags"]);
}

#[test]
fn http_is_used_only_without_verification() {
    let registry = Registry::open();
    let text = error_with(&registry.name("a:v1"), &options());
    assert_says(&text, &["does not speak TLS", "HINT", "--tls-verify=false"]);
}

#[test]
fn nobody_there() {
    let text = error_with("docker://127.0.0.1:1/a:v1", &options());
    assert_says(&text, &["giving up after 3 tries", "no answer from 127.0.0.1:1", "HINT"]);
}

#[test]
fn broken_connections_are_continued() {
    let (registry, layout) = (Registry::open(), big());
    registry.push(&layout.reference(), "a:v1", &[]);
    let damage = Damage { cut_after: Some(1_000_000), times: 3, ..Damage::default() };
    let proxy = Proxy::new(registry.port, damage);
    let image = open_with(&proxy.name("a:v1"), &insecure()).unwrap();
    assert_eq!(tars(&image), tars(&open(&layout.reference())));
    let said = proxy.said();
    let resumed =
        said.lines().filter(|line| line.starts_with("range: bytes=") && !line.contains("=0-")).count();
    assert!(resumed >= 2, "{said}");
}

#[test]
fn a_damaged_transfer_is_repeated_once() {
    let (registry, layout) = (Registry::open(), big());
    registry.push(&layout.reference(), "a:v1", &[]);
    let damage = |times| Damage { flip_every: Some(500_000), times, ..Damage::default() };
    let proxy = Proxy::new(registry.port, damage(1));
    let image = open_with(&proxy.name("a:v1"), &insecure()).unwrap();
    assert_eq!(tars(&image), tars(&open(&layout.reference())));
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::new(registry.port, damage(usize::MAX));
    let digest = layer_digest(&layout, 1);
    let text = error_with(&proxy.name("a:v1"), &cached(&dir));
    assert_says(&text, &["fetching layer 2 of 3", "the registry sent sha256:", &digest]);
    assert!(!cached_path(&dir, &digest).exists());
}

#[test]
fn the_cache_is_used_and_never_trusted() {
    let (registry, layout) = (Registry::open(), big());
    registry.push(&layout.reference(), "a:v1", &[]);
    let proxy = Proxy::new(registry.port, Damage::default());
    let dir = tempfile::tempdir().unwrap();
    let expected = tars(&open(&layout.reference()));
    let digest = layer_digest(&layout, 1);
    let fetched = || proxy.said().matches(&format!("/blobs/{digest}")).count();
    let pull = || assert_eq!(tars(&open_with(&proxy.name("a:v1"), &cached(&dir)).unwrap()), expected);
    pull();
    pull();
    assert_eq!(fetched(), 1);
    let path = cached_path(&dir, &digest);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[1_000_000] ^= 1;
    fs::write(&path, &bad).unwrap();
    pull();
    assert_eq!((fetched(), fs::read(&path).unwrap() == good), (2, true), "poisoned");
    fs::write(&path, &good[..99]).unwrap();
    pull();
    assert_eq!((fetched(), fs::read(&path).unwrap() == good), (3, true), "truncated");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    pull();
    assert_eq!((fetched(), fs::read(&path).unwrap() == good), (4, true), "a directory");
    let partial = dir.path().join("partial").join(digest.replace(':', "-"));
    fs::remove_file(&path).unwrap();
    fs::write(&partial, &bad[..2_000_000]).unwrap();
    pull();
    assert_eq!((fetched(), fs::read(&path).unwrap() == good), (6, true), "a damaged first part");
    assert_eq!(fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);
    for entry in fs::read_dir(dir.path().join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    pull();
    assert_eq!((fetched(), fs::read(&path).unwrap() == good), (7, true), "the first byte of every blob");
}

#[test]
fn a_layer_may_occur_twice() {
    let (registry, layout) = (Registry::open(), Layout::new());
    let tar = tar_of(&[("a", &noise(500_000))]);
    let layers = [0; 4].map(|_| gzip(tar.clone()));
    layout.index(&[layout.image("amd64", &layers)]);
    registry.push(&layout.reference(), "a:v1", &[]);
    let proxy = Proxy::new(registry.port, Damage::default());
    let dir = tempfile::tempdir().unwrap();
    let image = open_with(&proxy.name("a:v1"), &cached(&dir)).unwrap();
    assert_eq!(tars(&image), [0; 4].map(|_| tar.clone()));
    assert_eq!(proxy.said().matches(&format!("/blobs/{}", layer_digest(&layout, 0))).count(), 1);
}

#[test]
fn a_cache_that_cannot_be_written() {
    let (registry, layout) = (Registry::open(), Layout::simple());
    registry.push(&layout.reference(), "a:v1", &[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let explicit = Options { cache: CacheChoice::Dir(file.path().into()), ..insecure() };
    assert_says(&error_with(&registry.name("a:v1"), &explicit), &["preparing cache directory"]);
    let home = file.path().to_str().unwrap();
    let said = child(&registry.name("a:v1"), &[("XDG_CACHE_HOME", home), ("TEST_CACHE", "default")]).finish();
    assert_says(&said, &["NOTE layers are not cached", "DIGEST sha256:"]);
}

#[test]
fn two_runs_at_a_time_fetch_each_blob_once() {
    let (registry, layout) = (Registry::open(), big());
    registry.push(&layout.reference(), "a:v1", &[]);
    let proxy = Proxy::new(registry.port, Damage { delay: Duration::from_millis(1), ..Damage::default() });
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().to_str().unwrap();
    let runs = [0; 3].map(|_| child(&proxy.name("a:v1"), &[("TEST_CACHE", cache)]));
    for run in runs {
        assert_says(&run.finish(), &["DIGEST sha256:"]);
    }
    for at in 0..3 {
        let digest = layer_digest(&layout, at);
        assert_eq!(proxy.said().matches(&format!("/blobs/{digest}")).count(), 1);
    }
}

#[test]
fn a_killed_run_is_continued() {
    let (registry, layout) = (Registry::open(), big());
    registry.push(&layout.reference(), "a:v1", &[]);
    let slow = Proxy::new(registry.port, Damage { delay: Duration::from_millis(10), ..Damage::default() });
    let dir = tempfile::tempdir().unwrap();
    let mut run = child(&slow.name("a:v1"), &[("TEST_CACHE", dir.path().to_str().unwrap())]);
    let partial = dir.path().join("partial").join(layer_digest(&layout, 1).replace(':', "-"));
    let start = Instant::now();
    while fs::metadata(&partial).map_or(0, |metadata| metadata.len()) < 400_000 {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing arrives");
        thread::sleep(Duration::from_millis(5));
    }
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let len = fs::metadata(&partial).unwrap().len();
    let proxy = Proxy::new(registry.port, Damage::default());
    let image = open_with(&proxy.name("a:v1"), &cached(&dir)).unwrap();
    assert_eq!(tars(&image), tars(&open(&layout.reference())));
    assert_says(&proxy.said(), &[&format!("range: bytes={len}-")]);
}

#[test]
fn tokens_ranges_refused_and_busy_servers() {
    let layout = Layout::simple();
    let manifest = layout.read_index()["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let dir = tempfile::tempdir().unwrap();
    for (busy, status) in [(0, 200), (2, 429), (2, 503)] {
        let stub = Stub::new(layout.path(), &manifest, busy, status);
        let host = format!("127.0.0.1:{}", stub.port);
        let auth = auth_file(dir.path(), &host, RIGHT).unwrap();
        let with_auth = Options { auth_file: Some(auth), ..insecure() };
        let image = open_with(&format!("docker://{host}/team/image:v1"), &with_auth).unwrap();
        assert_eq!(tars(&image), tars(&open(&layout.reference())));
        let requests = stub.requests();
        let manifests = requests.iter().filter(|line| line.contains("/manifests/v1")).count();
        assert_eq!(manifests, 1 + busy, "{requests:?}");
        assert!(requests.iter().any(|line| line == "/v2/team/image/manifests/v1 Bearer opaque-token"));
        let auth = auth_file(dir.path(), &host, WRONG).unwrap();
        let with_auth = Options { auth_file: Some(auth), ..insecure() };
        let text = error_with(&format!("docker://{host}/team/image:v1"), &with_auth);
        assert_says(&text, &["refuses user \"builder\"", "wrong password", "HINT"]);
    }
    for status in [401, 403, 404] {
        let stub = Stub::new(layout.path(), &manifest, 1, status);
        let host = format!("127.0.0.1:{}", stub.port);
        let auth = auth_file(dir.path(), &host, RIGHT).unwrap();
        let with_auth = Options { auth_file: Some(auth), ..insecure() };
        error_with(&format!("docker://{host}/team/image:v1"), &with_auth);
        let requests = stub.requests();
        let manifests = requests.iter().filter(|line| line.contains("/manifests/v1")).count();
        assert_eq!(manifests, 1, "{status} must not be repeated: {requests:?}");
    }
}

#[test]
fn credential_helpers_and_the_environment() {
    let (registry, layout) = (Registry::secure(), Layout::simple());
    registry.push(&layout.reference(), "team/image:v1", &[]);
    let dir = tempfile::tempdir().unwrap();
    let host = format!("127.0.0.1:{}", registry.port);
    let helper = dir.path().join("docker-credential-fake");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = {host} ] || exit 1\n\
         echo '{{\"ServerURL\":\"x\",\"Username\":\"builder\",\"Secret\":\"correct:horse\"}}'\n"
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let auth = dir.path().join("auth.json");
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let ca = registry.certs().join("ca.crt");
    let env = [
        ("PATH", path.as_str()),
        ("REGISTRY_AUTH_FILE", auth.to_str().unwrap()),
        ("SSL_CERT_FILE", ca.to_str().unwrap()),
        ("TEST_VERIFY", "yes"),
    ];
    for json in [
        format!(r#"{{"credHelpers":{{"{host}":"fake"}}}}"#),
        r#"{"credsStore":"fake"}"#.to_owned(),
        format!(r#"{{"auths":{{"{host}":{{}}}},"credsStore":"fake"}}"#),
    ] {
        fs::write(&auth, &json).unwrap();
        let said = child(&registry.name("team/image:v1"), &env).finish();
        assert_says(&said, &["DIGEST sha256:"]);
    }
    fs::write(&helper, "#!/bin/sh\necho locked >&2; exit 3\n").unwrap();
    let said = child(&registry.name("team/image:v1"), &env).finish();
    assert_says(&said, &["ERROR", "docker-credential-fake failed", "locked"]);
}

/// A pull in a process of its own.
struct Run(std::process::Child);

impl Run {
    fn finish(self) -> String {
        let output = self.0.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
    }
}

fn child(reference: &str, env: &[(&str, &str)]) -> Run {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "registry::pull_in_a_child", "--ignored", "--nocapture"]);
    command.env("TEST_REFERENCE", reference).envs(env.iter().copied());
    Run(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

struct Notes(Mutex<Vec<String>>);

impl diskwright_formats::writer::Progress for Notes {
    fn advance(&self, _bytes: u64) {}
}

impl Progress for Notes {
    fn begin(&self, _stage: &str, _total: Option<u64>) {}
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
}

#[test]
#[ignore = "the body of the child processes of other tests"]
fn pull_in_a_child() {
    let Ok(reference) = std::env::var("TEST_REFERENCE") else { return };
    let cache = match std::env::var("TEST_CACHE") {
        Ok(default) if default == "default" => CacheChoice::Default,
        Ok(dir) => CacheChoice::Dir(Path::new(&dir).into()),
        Err(_) => CacheChoice::Off,
    };
    let options = Options { cache, tls_verify: std::env::var_os("TEST_VERIFY").is_some(), ..options() };
    let notes = Notes(Mutex::default());
    let reference: Reference = reference.parse().unwrap();
    match diskwright::source::open(&reference, &options, &notes) {
        Ok(image) => println!("DIGEST {}", image.manifest_digest),
        Err(error) => println!("ERROR {error:#}"),
    }
    notes.0.into_inner().unwrap().iter().for_each(|note| println!("NOTE {note}"));
}
