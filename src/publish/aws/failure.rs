//! What a service of AWS answers when it does not do what was asked: its code,
//! whether that may pass, and what helps.

use std::{error::Error, fmt};

use serde::Deserialize;

use crate::error::{ErrorKind, Hint};

/// Longest part of an answer that is repeated in a message.
const SHOWN: usize = 600;

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// "RegisterImage in eu-central-1".
    pub(super) action: String,
    /// AWS's code ("UnauthorizedOperation"); empty if nothing was answered.
    pub(super) code: String,
    message: String,
    pub(super) kind: Kind,
}

/// What may be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No answer; the same request may succeed later.
    Broken,
    /// An answer that may be another one later.
    Passing,
    /// New credentials are needed.
    Expired,
    /// What is named is not there, or not visible yet.
    Missing,
    /// These credentials may not.
    Denied,
    /// These are no credentials.
    Unknown,
    /// Nothing.
    Last,
}

impl Failure {
    /// No answer, or half of one.
    pub(super) fn connection(action: &str, error: reqwest::Error) -> Self {
        let message = chain(&error.without_url());
        Self { kind: Kind::Broken, ..Self::last(action, message) }
    }

    /// Something that will not pass, told by ourselves.
    pub(super) fn last(action: &str, message: impl Into<String>) -> Self {
        let (action, code) = (action.to_owned(), String::new());
        Self { action, code, message: message.into(), kind: Kind::Last }
    }

    /// Whether a later run can take up what this one has made.
    pub(super) fn can_go_on(error: &anyhow::Error) -> bool {
        let failure = error.chain().find_map(|cause| cause.downcast_ref::<Self>());
        failure.is_some_and(|failure| matches!(failure.kind, Kind::Broken | Kind::Expired))
    }

    /// An answer with an error's status.
    pub(super) fn answer(action: &str, status: u16, code_header: Option<&str>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let told = xml(&text).or_else(|| json(&text)).unwrap_or_default();
        // "UnrecognizedClientException:http://internal..." in headers.
        let code = code_header.and_then(|code| code.split(':').next()).filter(|code| !code.is_empty());
        let code = code.unwrap_or(told.code.as_str()).to_owned();
        let message = if told.message.is_empty() { format!("HTTP status {status}") } else { told.message };
        let kind = kind(status, &code);
        Self { action: action.to_owned(), code, message: message.chars().take(SHOWN).collect(), kind }
    }

    fn hint(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Denied => Some("diskwright publish aws --dry-run prints the policy that is needed"),
            Kind::Unknown => {
                Some("check which credentials are used, and whether the account has opened this region")
            }
            Kind::Expired => {
                Some("renew the credentials (or set the clock) and run the same command: the upload goes on")
            }
            Kind::Broken => Some(
                "check the network and the proxy variables, and run the same command: the upload goes on",
            ),
            _ => None,
        }
    }

    /// In the form that the rest of the crate knows.
    pub(super) fn into_error(self) -> anyhow::Error {
        let hint = self.hint();
        let error = anyhow::Error::new(self);
        let error = match hint {
            Some(hint) => error.context(Hint(hint.to_owned())),
            None => error,
        };
        error.context(ErrorKind::Network)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, code, message, .. } = self;
        if code.is_empty() {
            return write!(f, "{action}: {message}");
        }
        write!(f, "{action}: {code}: {message}")
    }
}

impl Error for Failure {}

fn kind(status: u16, code: &str) -> Kind {
    match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "InvalidClientTokenId.Expired" => {
            Kind::Expired
        }
        "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "InternalError"
        | "InternalFailure"
        | "InternalServerException"
        | "ServiceUnavailable"
        | "Unavailable"
        | "RequestTimeout"
        | "RequestTimeoutException" => Kind::Passing,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Kind::Denied,
        "AuthFailure"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "OptInRequired" => Kind::Unknown,
        "ResourceNotFoundException" => Kind::Missing,
        code if code.ends_with(".NotFound") || code == "InvalidAMIID.Unavailable" => Kind::Missing,
        _ if status == 408 || status == 429 || status >= 500 => Kind::Passing,
        _ => Kind::Last,
    }
}

#[derive(Default, Deserialize)]
struct Told {
    #[serde(alias = "Code", alias = "__type", default)]
    code: String,
    #[serde(alias = "Message", default)]
    message: String,
}

/// EC2: `<Response><Errors><Error><Code>..</Code><Message>..</Message></Error></Errors></Response>`.
fn xml(text: &str) -> Option<Told> {
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "Errors")]
        errors: Errors,
    }
    #[derive(Deserialize)]
    struct Errors {
        #[serde(rename = "Error")]
        error: Told,
    }
    quick_xml::de::from_str::<Response>(text).ok().map(|response| response.errors.error)
}

/// EBS: `{"Message":..,"Reason":..}`, the code in a header.
fn json(text: &str) -> Option<Told> {
    serde_json::from_str(text).ok()
}

/// An error with its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_both_kinds_of_answers() {
        let xml = b"<?xml version=\"1.0\"?><Response><Errors><Error><Code>RequestLimitExceeded</Code>\
            <Message>slow down</Message></Error></Errors><RequestID>x</RequestID></Response>";
        let failure = Failure::answer("CopyImage", 503, None, xml);
        assert_eq!(failure.to_string(), "CopyImage: RequestLimitExceeded: slow down");
        assert_eq!(failure.kind, Kind::Passing);
        let json = br#"{"Message":"no such snapshot","Reason":"SNAPSHOT_NOT_FOUND"}"#;
        let header = Some("ResourceNotFoundException:http://internal.amazon.com/coral/");
        let failure = Failure::answer("PutSnapshotBlock", 404, header, json);
        assert_eq!(failure.to_string(), "PutSnapshotBlock: ResourceNotFoundException: no such snapshot");
        assert_eq!(failure.kind, Kind::Missing);
    }

    #[test]
    fn an_answer_of_no_form_is_judged_by_its_status() {
        assert_eq!(Failure::answer("x", 502, None, b"<html>bad gateway").kind, Kind::Passing);
        assert_eq!(Failure::answer("x", 400, None, b"").to_string(), "x: HTTP status 400");
        assert_eq!(Failure::answer("x", 400, None, b"").kind, Kind::Last);
    }
}
