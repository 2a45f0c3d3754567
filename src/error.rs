//! What an error means to whoever started the tool: whose fault it is
//! ([`ErrorKind`], which becomes the exit code) and what may help ([`Hint`]).
//!
//! Both are attached with anyhow's `context` at the place that knows. They are
//! marks, not messages: [`chain`] leaves them out of the text.

use std::{fmt, io};

use diskwright_formats::Error as FormatError;

use crate::source::{Hinted, Kind};

/// Whose fault a failure is. Of several in one chain the innermost counts: it was closest to the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request contradicts itself or names something that does not exist.
    Usage,
    /// The image or the blueprint is corrupt, incomplete or asks for what cannot be done.
    Input,
    /// A registry or the network on the way to it.
    Network,
    /// The place where outputs or temporary content go: full, read-only, not permitted.
    Output,
    /// Anything else.
    Other,
}

impl ErrorKind {
    const ALL: [Self; 5] = [Self::Usage, Self::Input, Self::Network, Self::Output, Self::Other];

    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Network => 4,
            Self::Output => 5,
        }
    }

    /// The name in JSON events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Usage => "usage",
            Self::Input => "input",
            Self::Network => "network",
            Self::Output => "output",
        }
    }

    /// The kind of a whole chain: a full or read-only place first, then the innermost mark, then
    /// what the type of a cause tells.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        if error.chain().any(is_place) {
            return Self::Output;
        }
        let marked = error.chain().filter_map(|cause| Self::from_mark(&cause.to_string())).last();
        marked.or_else(|| error.chain().find_map(from_type)).unwrap_or(Self::Other)
    }

    fn from_mark(text: &str) -> Option<Self> {
        let name = text.strip_prefix(KIND_PREFIX)?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

const KIND_PREFIX: &str = "error kind: ";
const HINT_PREFIX: &str = "hint: ";

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND_PREFIX}{}", self.name())
    }
}

/// What a user may do about an error: one sentence, no full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint(
    /// The sentence.
    pub String,
);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HINT_PREFIX}{}", self.0)
    }
}

/// The messages of an error on one line, outermost first, without marks and without a message that
/// the one before it already ends with.
#[must_use]
pub fn chain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for text in
        error.chain().map(ToString::to_string).filter(|text| !is_mark(text)).map(|text| printable(&text))
    {
        if !parts.last().is_some_and(|before| before.ends_with(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// `text` with control characters escaped, but for line breaks and tabs: names of an image may hold
/// what a terminal obeys.
fn printable(text: &str) -> String {
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    let escape = |c: char| if obeyed(c) { c.escape_default().collect() } else { String::from(c) };
    let cut = cut(text);
    if cut.contains(obeyed) { cut.chars().map(escape).collect() } else { cut }
}

/// What fits a message; messages of parsers may hold all of what they could not parse.
fn cut(text: &str) -> String {
    const LONGEST: usize = 1500;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The hints of an error, outermost first.
#[must_use]
pub fn hints(error: &anyhow::Error) -> Vec<String> {
    let texts = error.chain().map(ToString::to_string);
    texts.filter_map(|text| text.strip_prefix(HINT_PREFIX).map(ToOwned::to_owned)).collect()
}

/// What the source stage says of an error, as marks. What is not in a directory or a file (`is_remote`
/// is false) is no fault of a network.
pub(crate) fn with_source_marks(error: anyhow::Error, is_remote: bool) -> anyhow::Error {
    let kind = match Hinted::find(&error).map(Hinted::kind) {
        Some(Kind::Reference) => ErrorKind::Usage,
        Some(Kind::NotFound) if !is_remote => ErrorKind::Input,
        Some(Kind::NotFound | Kind::Unauthorized | Kind::Network) => ErrorKind::Network,
        Some(Kind::Space) => ErrorKind::Output,
        _ => ErrorKind::Input,
    };
    with_hint(error).context(kind)
}

/// The source stage's advice as a mark.
pub(crate) fn with_hint(error: anyhow::Error) -> anyhow::Error {
    match Hinted::find(&error).map(|hinted| Hint(hinted.hint().to_owned())) {
        Some(hint) => error.context(hint),
        None => error,
    }
}

fn is_mark(text: &str) -> bool {
    text.starts_with(HINT_PREFIX) || ErrorKind::from_mark(text).is_some()
}

/// Whether the place that was written to refused.
fn is_place(cause: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(StorageFull | QuotaExceeded | ReadOnlyFilesystem | FileTooLarge))
}

fn from_type(cause: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    match cause.downcast_ref::<FormatError>()? {
        FormatError::Limit { .. } | FormatError::TooSmall { .. } | FormatError::Unsupported { .. } => {
            Some(ErrorKind::Input)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn marks_tell_and_do_not_show() {
        let error = anyhow!("connection refused")
            .context(Hint("is the registry up".into()))
            .context(ErrorKind::Network)
            .context("fetching the manifest");
        assert_eq!(chain(&error), "fetching the manifest: connection refused");
        assert_eq!(hints(&error), ["is the registry up"]);
        assert_eq!(ErrorKind::of(&error), ErrorKind::Network);
    }

    #[test]
    fn the_innermost_kind_counts() {
        let error = anyhow!("digest differs").context(ErrorKind::Input).context(ErrorKind::Network);
        assert_eq!(ErrorKind::of(&error), ErrorKind::Input);
    }

    #[test]
    fn a_full_disk_is_an_output_error_wherever_it_shows() {
        let full = Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull));
        let error = full.context("spooling a layer").context(ErrorKind::Network).unwrap_err();
        assert_eq!(ErrorKind::of(&error), ErrorKind::Output);
        let inner = FormatError::io("writing")(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(ErrorKind::of(&anyhow!(inner)), ErrorKind::Output);
    }

    #[test]
    fn what_a_format_cannot_hold_is_the_inputs_fault() {
        let error = FormatError::Limit { what: "x".into(), found: 2, allowed: 1 };
        assert_eq!(ErrorKind::of(&anyhow!(error).context("laying out")), ErrorKind::Input);
        assert_eq!(ErrorKind::of(&anyhow!("x")), ErrorKind::Other);
    }

    #[test]
    fn a_repeated_message_shows_once() {
        let error = anyhow!("no such file").context("opening a: no such file");
        assert_eq!(chain(&error), "opening a: no such file");
    }
}
