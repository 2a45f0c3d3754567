//! What went wrong with a request, whether it may pass, and what to do about it.

use std::{error::Error, io};

use anyhow::anyhow;
use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};

use crate::source::{
    auth::{Credentials, Search},
    error::{Hinted, Kind},
    reference::Name,
};

/// A request that failed.
pub(super) struct Failure {
    /// Whether the same request may succeed later.
    pub(super) may_pass: bool,
    pub(super) error: anyhow::Error,
}

impl Failure {
    pub(super) fn retry(error: anyhow::Error) -> Self {
        Self { may_pass: true, error }
    }

    pub(super) fn last(error: anyhow::Error) -> Self {
        Self { may_pass: false, error }
    }
}

/// What is asked of whom, as whom: the words for errors.
pub(super) struct Place {
    name: Name,
    search: Search,
}

/// What kind of answer an error is.
enum Answer {
    Refused,
    Missing,
    Busy,
    Other,
}

impl Place {
    pub(super) fn new(name: &Name, search: Search) -> Self {
        Self { name: name.clone(), search }
    }

    /// Sorts an error of `oci-client`.
    pub(super) fn failure(&self, error: OciDistributionError) -> Failure {
        match error {
            OciDistributionError::RequestError(error) => self.connection(error.without_url()),
            OciDistributionError::UnauthorizedError { .. } => Failure::last(self.refused("")),
            OciDistributionError::AuthenticationFailure(said) => Failure::last(self.refused(&shorten(&said))),
            OciDistributionError::ServerError { code, message, .. } => {
                let said = format!("HTTP status {code}: {}", shorten(&message));
                self.answered(&answer_of_status(code), said.trim_end_matches(": "))
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                self.answered(&answer_of_codes(&envelope), &texts(&envelope))
            }
            OciDistributionError::IoError(error) => Failure::retry(error.into()),
            OciDistributionError::DigestError(error) => Failure::retry(error.into()),
            other => Failure::last(other.into()),
        }
    }

    fn answered(&self, answer: &Answer, said: &str) -> Failure {
        let host = &self.name.registry;
        match answer {
            Answer::Refused => Failure::last(self.refused(said)),
            Answer::Missing => {
                let message = format!("{host} does not have this ({said})");
                let repository = &self.name.repository;
                let hint = format!("see what is there: skopeo list-tags docker://{host}/{repository}");
                Failure::last(Hinted::new(Kind::NotFound, message, hint).into())
            }
            Answer::Busy => Failure::retry(anyhow!("{host} cannot answer now ({said})")),
            Answer::Other => Failure::last(anyhow!("{host} answered: {said}")),
        }
    }

    fn refused(&self, said: &str) -> anyhow::Error {
        let host = &self.name.registry;
        let whom = match (&self.search.credentials, &self.search.found_in) {
            (Credentials::Basic { user, .. }, Some(file)) => {
                format!("user {user:?} (credentials of {})", file.display())
            }
            _ => "anonymous access".into(),
        };
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let looked: Vec<_> = self.search.looked_in.iter().map(|file| file.display().to_string()).collect();
        let hint =
            format!("log in with podman login {host}; credentials are looked for in {}", looked.join(", "));
        Hinted::new(Kind::Unauthorized, format!("{host} refuses {whom}{said}"), hint).into()
    }

    /// The connection failed before there was an answer, or within it.
    fn connection(&self, error: impl Error + Send + Sync + 'static) -> Failure {
        let host = &self.name.registry;
        match tls_error(&error) {
            Some(rustls::Error::InvalidCertificate(_)) => {
                let message = format!("the certificate of {host} is not trusted");
                let hint = format!(
                    "put the certificate of its authority into /etc/containers/certs.d/{host}/ca.crt or \
                     SSL_CERT_FILE, or switch verification off with --tls-verify=false"
                );
                Failure::last(Hinted::new(Kind::Network, message, hint).caused_by(error).into())
            }
            Some(_) => {
                let message = format!("{host} does not speak TLS as expected");
                let hint = "if it is a plain HTTP registry use --tls-verify=false";
                Failure::last(Hinted::new(Kind::Network, message, hint).caused_by(error).into())
            }
            None => {
                let message = format!("no answer from {host}");
                let hint = "check the host name, the network, and the proxy variables of the environment";
                Failure::retry(Hinted::new(Kind::Network, message, hint).caused_by(error).into())
            }
        }
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut at = Some(error);
    while let Some(cause) = at {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        // The error inside an I/O error is not among its sources.
        let inside = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        at = inside.map(|inner| -> &(dyn Error + 'static) { inner }).or_else(|| cause.source());
    }
    None
}

const fn answer_of_status(code: u16) -> Answer {
    match code {
        401 | 403 => Answer::Refused,
        404 => Answer::Missing,
        408 | 429 | 500.. => Answer::Busy,
        _ => Answer::Other,
    }
}

fn answer_of_codes(envelope: &OciEnvelope) -> Answer {
    use OciErrorCode as C;
    match envelope.errors.first().map(|error| &error.code) {
        Some(C::Unauthorized | C::Denied) => Answer::Refused,
        Some(C::BlobUnknown | C::ManifestBlobUnknown | C::ManifestUnknown | C::NameUnknown | C::NotFound) => {
            Answer::Missing
        }
        Some(C::Toomanyrequests) => Answer::Busy,
        _ => Answer::Other,
    }
}

fn texts(envelope: &OciEnvelope) -> String {
    let text = |error: &oci_client::errors::OciError| shorten(&error.message).to_lowercase();
    envelope.errors.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// One line of what a server says, which may be a page of HTML.
fn shorten(text: &str) -> String {
    const LEN: usize = 120;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printable: String = line.chars().filter(|c| !c.is_control()).take(LEN).collect();
    if printable.starts_with('<') { String::new() } else { printable }
}
