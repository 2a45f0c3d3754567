//! Errors of the source stage that come with advice. They travel inside
//! anyhow chains; `main` finds them by downcasting and prints [`Hinted::hint`]
//! below the chain.

use std::fmt;

/// What kind of thing went wrong: enough to choose an exit code by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The reference itself cannot be read or names a transport that is not supported.
    Reference,
    /// What the reference names is not there.
    NotFound,
    /// The registry wants other credentials, or any.
    Unauthorized,
    /// The registry could not be reached or its certificate is not trusted.
    Network,
    /// Bytes are not what their digest, size or format says.
    Corrupt,
    /// The image uses something that is refused on purpose.
    Unsupported,
    /// There is no manifest for the architecture asked for.
    Platform,
    /// The spool directory is full.
    Space,
}

/// An error with advice.
#[derive(Debug)]
pub struct Hinted {
    kind: Kind,
    message: String,
    hint: String,
    source: Option<anyhow::Error>,
}

impl Hinted {
    /// An error that says `message` and advises `hint`.
    pub fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into(), source: None }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What the user can do about it: one sentence, no full stop.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The outermost hint in a chain of errors.
    #[must_use]
    pub fn find(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_hint_is_found_below_contexts() {
        let inner = Hinted::new(Kind::Space, "spool full", "set TMPDIR");
        let chain = Err::<(), _>(inner).context("fetching layer 3 of 7").unwrap_err();
        assert_eq!(Hinted::find(&chain).unwrap().hint(), "set TMPDIR");
        assert_eq!(format!("{chain:#}"), "fetching layer 3 of 7: spool full");
    }
}
