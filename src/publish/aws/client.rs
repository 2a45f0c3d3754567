//! Requests to AWS: signed, sent, and repeated while that may help.
//!
//! Waits between tries double; what spreads them is the number of the block,
//! not chance. `AWS_MAX_ATTEMPTS` bounds the tries, as for the AWS tools.

use std::time::Duration;

use anyhow::{Context as _, Result};
use http::{HeaderName, HeaderValue, Method, Request, header::CONTENT_TYPE};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::SignRequest;
use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};

use super::{
    credentials::Keys,
    endpoint::{self, Service},
    failure::{Failure, Kind},
};
use crate::error::chain;

const USER_AGENT: &str = concat!("diskwright/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A request with its answer takes no longer, or the connection is broken.
const TIMEOUT: Duration = Duration::from_secs(120);
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(20);
/// Together a minute and a half: a snapshot that was just started is not visible everywhere for a while.
const TRIES: u32 = 10;

/// A way to AWS, as someone.
pub(super) struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    keys: Keys,
    tries: u32,
}

/// One request.
pub(super) struct Call<'a> {
    /// For messages ("PutSnapshotBlock").
    pub(super) action: &'a str,
    pub(super) service: Service,
    pub(super) region: &'a str,
    pub(super) method: Method,
    /// From the slash on.
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: bytes::Bytes,
    /// Whether the body is part of the signature. Blocks have checksums that are.
    pub(super) signs_body: bool,
    /// Whether what is missing may be there soon.
    pub(super) may_appear: bool,
    /// Tells apart requests that would else be repeated in step.
    pub(super) spread: u64,
}

/// What was answered.
pub(super) struct Answer {
    headers: http::HeaderMap,
    pub(super) body: bytes::Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Client {
    pub(super) fn new(profile: Option<&str>) -> Result<Self> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        let wished = std::env::var("AWS_MAX_ATTEMPTS").ok().and_then(|tries| tries.parse().ok());
        Ok(Self {
            runtime: Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
            http: http.build().context("setting up TLS")?,
            keys: Keys::new(profile)?,
            tries: wished.filter(|tries| *tries > 0).unwrap_or(TRIES),
        })
    }

    /// Whether there are credentials at all.
    pub(super) fn check_credentials(&self) -> Result<()> {
        self.runtime.block_on(self.keys.get()).map(drop)
    }

    /// Sends a request until it succeeds or will not. May be called from several threads.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        self.runtime.block_on(self.attempts(call))
    }

    async fn attempts(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let mut tried = 0;
        loop {
            let credential = self.keys.get().await.map_err(|error| call.failed(&error))?;
            let failure = match self.attempt(call, &credential).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            tried += 1;
            let may_pass = match failure.kind {
                Kind::Broken | Kind::Passing => true,
                Kind::Missing => call.may_appear,
                Kind::Expired => self.keys.renew(&credential).await,
                Kind::Denied | Kind::Unknown | Kind::Last => false,
            };
            if !may_pass || tried >= self.tries {
                return Err(failure);
            }
            tokio::time::sleep(delay(tried, call.spread)).await;
        }
    }

    async fn attempt(&self, call: &Call<'_>, credential: &Credential) -> Result<Answer, Failure> {
        let (mut parts, body) = call.request().map_err(|error| call.failed(&error))?.into_parts();
        let signer = RequestSigner::new(call.service.name(), call.region);
        let signed = signer.sign_request(self.keys.context(), &mut parts, Some(credential), None).await;
        signed.map_err(|error| call.failed(&error.into()))?;
        let request = reqwest::Request::try_from(Request::from_parts(parts, body));
        let request = request.map_err(|error| call.failed(&error.into()))?;
        call.outcome(self.http.execute(request).await).await
    }
}

impl Call<'_> {
    /// "RegisterImage in eu-central-1".
    fn name(&self) -> String {
        format!("{} in {}", self.action, self.region)
    }

    /// Something that failed on this side.
    fn failed(&self, error: &anyhow::Error) -> Failure {
        Failure::last(&self.name(), chain(error))
    }

    fn request(&self) -> Result<Request<bytes::Bytes>> {
        let url = format!("{}{}", endpoint::of(self.service, self.region)?, self.path);
        let mut request = Request::builder().method(self.method.clone()).uri(url);
        if !self.content_type.is_empty() {
            request = request.header(CONTENT_TYPE, self.content_type);
        }
        for (name, value) in &self.headers {
            request = request.header(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        let payload =
            if self.signs_body { hex(&Sha256::digest(&self.body)) } else { "UNSIGNED-PAYLOAD".to_owned() };
        Ok(request.header("x-amz-content-sha256", payload).body(self.body.clone())?)
    }

    async fn outcome(&self, sent: reqwest::Result<reqwest::Response>) -> Result<Answer, Failure> {
        let broken = |error| Failure::connection(&self.name(), error);
        let response = sent.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { headers, body: response.bytes().await.map_err(broken)? };
        if status.is_success() {
            return Ok(answer);
        }
        let code = answer.header("x-amzn-errortype");
        Err(Failure::answer(&self.name(), status.as_u16(), code, &answer.body))
    }
}

/// The wait after so many tries, by up to a half longer for the sake of the others.
fn delay(tried: u32, spread: u64) -> Duration {
    let whole = FIRST_DELAY * 2_u32.saturating_pow(tried.saturating_sub(1).min(16));
    let whole = whole.min(LONGEST_DELAY);
    // Knuth's multiplicative hash, by its upper bits
    let part = (spread.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u32;
    whole + whole * part / 512
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        assert_eq!(delay(1, 0), FIRST_DELAY);
        assert_eq!(delay(3, 0), FIRST_DELAY * 4);
        assert_eq!(delay(40, 0), LONGEST_DELAY);
        assert_ne!(delay(2, 1), delay(2, 2));
        assert!(delay(2, 77) < FIRST_DELAY * 3);
    }
}
