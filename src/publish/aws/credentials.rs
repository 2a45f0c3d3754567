//! Credentials, found where the AWS tools find them: environment, web
//! identity, profiles (roles, keys and `credential_process`), the container's
//! role, the machine's role.
//!
//! The sources are those of `reqsign`; the order, the HTTP client and what is
//! said when nothing is found are ours. Nothing in here is ever printed but
//! the names of sources. Left out: single sign-on (a `credential_process` can do that).

use std::{fmt, io, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use reqsign_aws_v4::{
    AssumeRoleWithWebIdentityCredentialProvider as WebIdentity, Credential, ECSCredentialProvider,
    EnvCredentialProvider, IMDSv2CredentialProvider, ProcessCredentialProvider, ProfileCredentialProvider,
};
use reqsign_core::{
    CommandExecute, CommandOutput, Context, Error, FileRead, HttpSend, OsEnv, ProvideCredentialDyn,
    SigningCredential,
};
use reqwest::Url;
use tokio::sync::Mutex;

use super::{endpoint, role::Role};
use crate::error::{ErrorKind, Hint};

/// A machine's own services answer at once or are not there.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(30);

type Source = Box<dyn ProvideCredentialDyn<Credential = Credential>>;

/// Finds credentials and keeps them until they run out.
pub(super) struct Keys {
    context: Context,
    sources: Vec<(&'static str, Source)>,
    found: Mutex<Option<Credential>>,
}

impl Keys {
    /// A profile that is named is the only source.
    pub(super) fn new(profile: Option<&str>) -> Result<Self> {
        let context = Context::new()
            .with_env(OsEnv)
            .with_file_read(Files)
            .with_command_execute(Commands)
            .with_http_send(Web::new().context("setting up TLS")?);
        let sources = profile.map_or_else(sources, of_profile);
        Ok(Self { context, sources, found: Mutex::new(None) })
    }

    /// What libraries of signing want besides a credential.
    pub(super) const fn context(&self) -> &Context {
        &self.context
    }

    /// Credentials that are valid for a while yet.
    pub(super) async fn get(&self) -> Result<Credential> {
        let mut found = self.found.lock().await;
        if let Some(credential) = found.as_ref().filter(|credential| credential.is_valid()) {
            return Ok(credential.clone());
        }
        let credential = self.find().await?;
        *found = Some(credential.clone());
        Ok(credential)
    }

    /// Looks anew for credentials that AWS calls expired; whether there are others.
    pub(super) async fn renew(&self, expired: &Credential) -> bool {
        let mut found = self.found.lock().await;
        if found.as_ref().is_some_and(|credential| same(credential, expired)) {
            *found = self.find().await.ok();
        }
        found.as_ref().is_some_and(|credential| !same(credential, expired))
    }

    async fn find(&self) -> Result<Credential> {
        let mut tried = Vec::new();
        for (name, source) in &self.sources {
            match source.provide_credential_dyn(&self.context).await {
                Ok(Some(credential)) => return Ok(credential),
                Ok(None) => tried.push((*name).to_owned()),
                Err(error) => tried.push(format!("{name} ({error})")),
            }
        }
        let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; docs/publish-aws.md \
                    lists what is looked at";
        let error = anyhow!("no AWS credentials found; looked at: {}", tried.join(", "));
        Err(error.context(Hint(hint.to_owned())).context(ErrorKind::Network))
    }
}

fn same(one: &Credential, other: &Credential) -> bool {
    (&one.access_key_id, &one.session_token) == (&other.access_key_id, &other.session_token)
}

fn sources() -> Vec<(&'static str, Source)> {
    vec![
        ("environment", Box::new(EnvCredentialProvider::new())),
        ("web identity", Box::new(WebIdentity::new().with_role_session_name("diskwright".to_owned()))),
        ("role of the profile", Box::new(Role { profile: None, depth: 0 })),
        ("profile", Box::new(ProfileCredentialProvider::new())),
        ("credential process", Box::new(ProcessCredentialProvider::new())),
        ("container role", Box::new(ECSCredentialProvider::new())),
        ("machine role", Box::new(IMDSv2CredentialProvider::new())),
    ]
}

fn of_profile(name: &str) -> Vec<(&'static str, Source)> {
    vec![
        ("role of the profile", Box::new(Role { profile: Some(name.to_owned()), depth: 0 })),
        ("profile", Box::new(ProfileCredentialProvider::new().with_profile(name))),
        ("credential process", Box::new(ProcessCredentialProvider::new().with_profile(name))),
    ]
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        std::fs::read(path).map_err(|error| Error::unexpected(format!("reading {path}")).with_source(error))
    }
}

/// Runs the `credential_process` of a profile.
#[derive(Debug)]
struct Commands;

impl CommandExecute for Commands {
    async fn command_execute<'a>(
        &'a self,
        program: &'a str,
        args: &'a [&'a str],
    ) -> reqsign_core::Result<CommandOutput> {
        let done = std::process::Command::new(program).args(args).output();
        let failed = |error: io::Error| Error::unexpected(format!("running {program}")).with_source(error);
        let output = done.map_err(failed)?;
        let status = output.status.code().unwrap_or(-1);
        Ok(CommandOutput { status, stdout: output.stdout, stderr: output.stderr })
    }
}

/// HTTP for credentials: through proxies, but not to the machine's own services.
struct Web {
    far: reqwest::Client,
    near: reqwest::Client,
}

impl Web {
    fn new() -> reqwest::Result<Self> {
        let builder = || reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let near = builder().no_proxy().connect_timeout(LOCAL_TIMEOUT).timeout(LOCAL_TIMEOUT * 5);
        Ok(Self { far: builder().timeout(TIMEOUT).build()?, near: near.build()? })
    }

    /// Link-local and loopback addresses are this machine's.
    fn client(&self, url: &Url) -> &reqwest::Client {
        let host = url.host_str().unwrap_or_default();
        let near = ["169.254.", "127.", "localhost", "[fd00:ec2", "[::1]"];
        if near.iter().any(|start| host.starts_with(start)) { &self.near } else { &self.far }
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Web")
    }
}

impl HttpSend for Web {
    async fn http_send(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> reqsign_core::Result<http::Response<bytes::Bytes>> {
        let failed = |error: reqwest::Error| {
            Error::unexpected("asking for credentials").with_source(error.without_url())
        };
        let (parts, body) = request.into_parts();
        let url = endpoint::of_token_service(&parts.uri.to_string());
        let url =
            Url::parse(&url).map_err(|error| Error::request_invalid("its address").with_source(error))?;
        let client = self.client(&url);
        let sent = client.request(parts.method, url).headers(parts.headers).body(body).send().await;
        let answer = sent.map_err(failed)?;
        let mut response = http::Response::new(bytes::Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = answer.bytes().await.map_err(failed)?;
        Ok(response)
    }
}
