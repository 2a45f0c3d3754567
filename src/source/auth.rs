//! Registry credentials, found as containers-auth.json(5) says:
//!
//! ```text
//! $REGISTRY_AUTH_FILE                                   alone, if it is set
//! ${XDG_RUNTIME_DIR:-/run/containers/UID}/containers/auth.json
//! ${XDG_CONFIG_HOME:-~/.config}/containers/auth.json
//! ${DOCKER_CONFIG:-~/.docker}/config.json
//! ```
//!
//! The first file that has something for the image wins. In a file, a
//! credential helper for the host comes first, then `auths` from the longest
//! key (host/namespace/name) to the shortest (host), then the default store.
//! Helpers are the only programs this crate ever runs: `docker-credential-NAME
//! get`, with the host on standard input.
//!
//! Left out: identity tokens (a second protocol), which are refused with a hint.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{
    error::{Hinted, Kind},
    manifest::parse_json,
    reference::Name,
};

/// A helper's way to say that it knows nothing about a host.
const HELPER_NOT_FOUND: &str = "credentials not found";
/// The user name by which helpers mark identity tokens.
const TOKEN_USER: &str = "<token>";

/// What to show a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing was found.
    Anonymous,
    /// A user name and password.
    Basic { user: String, password: String },
}

/// Credentials and where they were looked for, for the error texts.
pub(crate) struct Search {
    pub(crate) credentials: Credentials,
    pub(crate) found_in: Option<PathBuf>,
    pub(crate) looked_in: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Looks for the credentials of an image. `auth_file` takes the place of all others.
pub(crate) fn find(name: &Name, auth_file: Option<&Path>) -> Result<Search> {
    find_with(name, auth_file, &|key| std::env::var_os(key))
}

fn find_with(
    name: &Name,
    auth_file: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Search> {
    let set = |key| env(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    let only = auth_file.map(Path::to_path_buf).or_else(|| set("REGISTRY_AUTH_FILE"));
    let must_exist = only.is_some();
    let looked_in = only.map_or_else(|| default_files(&set), |file| vec![file]);
    for file in &looked_in {
        let found = in_file(file, name, must_exist)
            .with_context(|| format!("reading registry credentials in {}", file.display()))?;
        if let Some(credentials) = found {
            return Ok(Search { credentials, found_in: Some(file.clone()), looked_in });
        }
    }
    Ok(Search { credentials: Credentials::Anonymous, found_in: None, looked_in })
}

fn default_files(set: &dyn Fn(&'static str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let home = set("HOME");
    let below_home = |dir: &str| home.as_ref().map(|home| home.join(dir));
    let runtime = set("XDG_RUNTIME_DIR").map_or_else(
        || format!("/run/containers/{uid}/auth.json").into(),
        |dir| dir.join("containers/auth.json"),
    );
    let config = set("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
    let docker = set("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    let config = config.map(|dir| dir.join("containers/auth.json"));
    let docker = docker.map(|dir| dir.join("config.json"));
    [Some(runtime), config, docker].into_iter().flatten().collect()
}

fn in_file(file: &Path, name: &Name, must_exist: bool) -> Result<Option<Credentials>> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if !must_exist && is_absence(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let parsed: AuthFile = parse_json(&text)?;
    if let Some(helper) = parsed.cred_helpers.get(&name.registry)
        && let Some(credentials) = ask(helper, &name.registry)?
    {
        return Ok(Some(credentials));
    }
    match parsed.entry(name) {
        Some(entry) if !entry.is_empty() => entry.credentials().map(Some),
        _ if !parsed.creds_store.is_empty() => ask(&parsed.creds_store, &name.registry),
        _ => Ok(None),
    }
}

/// A file of another user does not stop an anonymous pull.
fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as E;
    matches!(error.kind(), E::NotFound | E::NotADirectory | E::PermissionDenied)
}

impl AuthFile {
    fn entry(&self, name: &Name) -> Option<&Entry> {
        let full = format!("{}/{}", name.registry, name.repository);
        let ends = full.match_indices('/').map(|(at, _)| at).chain([full.len()]).collect::<Vec<_>>();
        let keys = ends.iter().rev().map(|end| &full[..*end]);
        let normal =
            || self.auths.iter().find(|(key, _)| host_of(key) == name.registry).map(|(_, entry)| entry);
        keys.into_iter().find_map(|key| self.auths.get(key)).or_else(normal)
    }
}

/// Docker's keys may be addresses: "https://HOST/v1/".
fn host_of(key: &str) -> &str {
    match key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")) {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => "",
    }
}

impl Entry {
    const fn is_empty(&self) -> bool {
        self.auth.is_empty() && self.username.is_empty() && self.identitytoken.is_empty()
    }

    fn credentials(&self) -> Result<Credentials> {
        if !self.identitytoken.is_empty() {
            return Err(identity_token());
        }
        if self.auth.is_empty() {
            return Ok(Credentials::Basic { user: self.username.clone(), password: self.password.clone() });
        }
        let decoded = STANDARD.decode(&self.auth).context("field auth is not base64")?;
        let decoded = String::from_utf8(decoded).ok().context("field auth is not UTF-8")?;
        let (user, password) = decoded.split_once(':').context("field auth has no colon")?;
        let password = password.trim_end_matches('\0');
        Ok(Credentials::Basic { user: user.into(), password: password.into() })
    }
}

fn identity_token() -> anyhow::Error {
    let hint = "log in with a user name and password or access token: podman login HOST";
    Hinted::new(Kind::Unauthorized, "identity tokens are not supported", hint).into()
}

/// Asks `docker-credential-NAME`. `None` if it knows nothing about the host.
fn ask(helper: &str, host: &str) -> Result<Option<Credentials>> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    ensure!(
        !helper.is_empty() && helper.bytes().all(safe),
        "{helper:?} is not the name of a credential helper"
    );
    let program = format!("docker-credential-{helper}");
    let output = run(&program, host).with_context(|| format!("running {program}"))?;
    if !output.status.success() {
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        if said.contains(HELPER_NOT_FOUND) {
            return Ok(None);
        }
        bail!("{program} failed ({}): {said}", output.status);
    }
    let answer: HelperAnswer = // the answer holds the secret: never quote it
        serde_json::from_slice(&output.stdout).ok().with_context(|| format!("{program}: answer is not understood"))?;
    if answer.username == TOKEN_USER {
        return Err(identity_token());
    }
    Ok(Some(Credentials::Basic { user: answer.username, password: answer.secret }))
}

fn run(program: &str, host: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input has said all it will say.
        let _ = input.write_all(host.as_bytes());
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(json: &str, name: &str) -> Result<Option<Credentials>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json).unwrap();
        in_file(file.path(), &name.parse().unwrap(), true)
    }

    fn user(json: &str, name: &str) -> Option<String> {
        match credentials(json, name).unwrap() {
            Some(Credentials::Basic { user, password }) => Some(format!("{user}:{password}")),
            _ => None,
        }
    }

    #[test]
    fn the_longest_key_wins() {
        let key = |text: &str| format!(r#"{{"auth":"{}"}}"#, STANDARD.encode(text));
        let json = format!(
            r#"{{"auths":{{"r.example.com":{},"r.example.com/a":{},"r.example.com/a/b":{},"https://s.example.com/v1/":{}}}}}"#,
            key("host:1"),
            key("a:2"),
            key("b:3:4"),
            key("legacy:5")
        );
        assert_eq!(user(&json, "r.example.com/x").unwrap(), "host:1");
        assert_eq!(user(&json, "r.example.com/ab").unwrap(), "host:1");
        assert_eq!(user(&json, "r.example.com/a").unwrap(), "a:2");
        assert_eq!(user(&json, "r.example.com/a/c/d").unwrap(), "a:2");
        assert_eq!(user(&json, "r.example.com/a/b").unwrap(), "b:3:4");
        assert_eq!(user(&json, "s.example.com/a").unwrap(), "legacy:5");
        assert_eq!(user(&json, "r.example.com:5000/a"), None);
        assert_eq!(user("{}", "r.example.com/a"), None);
    }

    #[test]
    fn broken_files_are_errors_that_keep_secrets() {
        let text = |json: &str| format!("{:#}", credentials(json, "r.example.com/a").unwrap_err());
        assert!(text("{").contains("line 1"));
        assert!(text(r#"{"auths":{"r.example.com":{"auth":"!secret"}}}"#).contains("not base64"));
        assert!(!text(r#"{"auths":{"r.example.com":{"auth":"!secret"}}}"#).contains("secret"));
        assert!(text(r#"{"auths":{"r.example.com":{"identitytoken":"x"}}}"#).contains("identity tokens"));
        assert!(text(r#"{"credHelpers":{"r.example.com":"../x"}}"#).contains("not the name"));
        assert!(
            text(r#"{"credHelpers":{"r.example.com":"none-such"}}"#).contains("docker-credential-none-such")
        );
    }

    #[test]
    fn files_are_looked_for_where_podman_and_docker_write_them() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_path_buf();
        let name = "r.example.com/a".parse().unwrap();
        let env = |key: &str| (key == "HOME").then(|| home.clone().into_os_string());
        let docker = home.join(".docker/config.json");
        std::fs::create_dir_all(docker.parent().unwrap()).unwrap();
        let entry = STANDARD.encode("u:p");
        std::fs::write(&docker, format!(r#"{{"auths":{{"r.example.com":{{"auth":"{entry}"}}}}}}"#)).unwrap();
        let search = find_with(&name, None, &env).unwrap();
        assert_eq!(search.found_in, Some(docker));
        let looked: Vec<_> = search.looked_in.iter().map(|file| file.to_str().unwrap()).collect();
        assert!(looked[0].starts_with("/run/containers/"), "{looked:?}");
        assert!(looked[1].ends_with("/.config/containers/auth.json"), "{looked:?}");
        let env = |key: &str| (key == "REGISTRY_AUTH_FILE").then(|| "/no/such/file".into());
        assert!(find_with(&name, None, &env).is_err());
    }
}
