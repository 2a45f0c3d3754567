//! From a fault found anywhere to the text that people see.
//!
//! ```text
//! server.yaml:7:5: customizations.user[0].shel: unknown key
//!   |
//! 7 |     shel: /bin/bash
//!   |     ^^^^
//!   = did you mean `shell`?
//! ```

use std::fmt;

use super::{
    node::{Node, Path, Span, Step, printable},
    schema,
};

/// Characters of the line that are shown, half of them at most before the fault.
const SHOWN: usize = 160;

/// Why a blueprint was refused. Displays the complete explanation, over several lines.
#[derive(Debug)]
pub struct Error(Box<Explained>);

#[derive(Debug)]
struct Explained {
    file_name: String,
    field: String,
    message: String,
    span: Option<Span>,
    line: String,
    /// Characters of the line that are not shown.
    skipped: usize,
    hint: Option<String>,
}

impl Error {
    /// The field, as `customizations.user[0].name`; empty if the text is no blueprint at all.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.0.field
    }

    /// Line and column, both from 1.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        self.0.span.map(|span| (span.line, span.column))
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explained { file_name, field, message, span, line, skipped, hint } = &*self.0;
        write!(f, "{file_name}:")?;
        if let Some(span) = span {
            write!(f, "{}:{}:", span.line, span.column)?;
        }
        if !field.is_empty() {
            write!(f, " {field}:")?;
        }
        write!(f, " {message}")?;
        let margin = span.map_or(1, |span| span.line.to_string().len());
        if let Some(span) = span {
            write!(
                f,
                "\n{:margin$} |\n{} | {line}\n{:margin$} | {}",
                "",
                span.line,
                "",
                carets(line, *span, *skipped)
            )?;
        }
        match hint {
            Some(hint) => write!(f, "\n{:margin$} = {hint}", ""),
            None => Ok(()),
        }
    }
}

/// The marks below `line`; tabs stay tabs so that the marks stand where the text does.
fn carets(line: &str, span: Span, skipped: usize) -> String {
    let start = (span.column - 1).saturating_sub(skipped);
    let before = line.chars().take(start).map(|c| if c == '\t' { '\t' } else { ' ' });
    let left = line.chars().count().saturating_sub(start).max(1);
    before.chain(std::iter::repeat_n('^', span.width.min(left))).collect()
}

/// What the span of a fault holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Key,
    Value,
    /// Some character at or after the beginning of the value.
    Syntax,
}

/// What is wrong and where, before the text is at hand.
#[derive(Debug)]
pub(super) struct Fault {
    /// From the innermost step outwards while it travels up.
    steps: Vec<Step>,
    span: Option<Span>,
    message: Box<str>,
    hint: Option<Box<str>>,
    /// The keys allowed beside the one that is unknown.
    allowed: Option<&'static [&'static str]>,
    mark: Mark,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            steps: Vec::new(),
            span: None,
            message: message.into().into(),
            hint: None,
            allowed: None,
            mark: Mark::Value,
        }
    }

    /// A fault of the value at `path`.
    pub(super) fn of(path: Vec<Step>, message: impl Into<String>) -> Self {
        Self { steps: path.into_iter().rev().collect(), ..Self::new(message) }
    }

    /// A fault of asking for the value at `path` at all; its key is shown.
    pub(super) fn of_value(path: Vec<Step>, message: impl Into<String>) -> Self {
        Self { mark: Mark::Key, ..Self::of(path, message) }
    }

    /// A fault of the key itself.
    pub(super) fn of_key(key: &str, message: impl Into<String>) -> Self {
        Self { mark: Mark::Key, ..Self::of(vec![key.into()], message) }
    }

    /// Text that cannot be read.
    pub(super) fn syntax(message: impl Into<String>) -> Self {
        Self { mark: Mark::Syntax, ..Self::new(message) }
    }

    pub(super) fn unknown_key(key: &str, allowed: &'static [&'static str]) -> Self {
        Self { allowed: Some(allowed), ..Self::of_key(key, "unknown key") }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// Sets the place unless a deeper one is known.
    pub(super) fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// Tells that the fault lies inside `step`.
    pub(super) fn inside(mut self, step: impl Into<Step>) -> Self {
        self.steps.push(step.into());
        self
    }

    pub(super) fn located_in(self, node: &Node) -> Self {
        let path = self.path();
        self.at(node.locate(&path))
    }

    fn path(&self) -> Vec<Step> {
        self.steps.iter().rev().cloned().collect()
    }

    /// Says of an unknown key what it was meant to be, if that can be told.
    pub(super) fn with_key_advice(mut self) -> Self {
        let Some(allowed) = self.allowed else { return self };
        let path = self.path();
        match schema::unsupported(&path) {
            Some(reason) => self.message = reason.into(),
            None => self.hint = Some(schema::suggestion(&path, allowed).into()),
        }
        self
    }

    pub(super) fn explain(self, text: &str, file_name: &str) -> Error {
        let path = self.path();
        let line = self.span.and_then(|span| text.lines().nth(span.line - 1)).unwrap_or_default();
        let line =
            self.span.map_or_else(String::new, |span| discreet(line, span, self.mark, is_secret(&path)));
        let skipped = self.span.map_or(0, |span| span.column.saturating_sub(SHOWN / 2));
        let line = line.chars().skip(skipped).take(SHOWN);
        let line = line.map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        Error(Box::new(Explained {
            file_name: file_name.to_owned(),
            field: Path(&path).to_string(),
            message: self.message.into(),
            span: self.span,
            line,
            skipped,
            hint: self.hint.map(Into::into),
        }))
    }
}

/// Whether the value must not reach a terminal or a log: a password, or a key misspelt for it.
fn is_secret(path: &[Step]) -> bool {
    const DISTANCE: usize = 3;
    let is_like = |key: &str, secret| strsim::osa_distance(&key.to_lowercase(), secret) <= DISTANCE;
    matches!(path.last(), Some(Step::Key(key)) if is_like(key, "password") || is_like(key, "passphrase"))
}

/// The line without passwords: what follows the colon or `=` of a key like `password` is dots,
/// except the span where that is not the password itself.
fn discreet(line: &str, span: Span, mark: Mark, secret: bool) -> String {
    let chars: Vec<char> = line.chars().collect();
    let start = span.column - 1;
    let end = start.saturating_add(span.width).min(chars.len());
    let hidden_from = match mark {
        Mark::Key if secret => Some(end + 1),
        _ => value_of_password(&chars).or(secret.then_some(0)),
    };
    let Some(from) = hidden_from.filter(|&from| from < chars.len()) else { return line.to_owned() };
    // a fault of syntax may lie in the password, whose key nobody has read
    let hides = mark == Mark::Syntax || (secret && mark == Mark::Value);
    let shown = if hides { from } else { from.max(end) };
    let dotted = |(at, &c): (usize, &char)| if at >= from && at < start { '.' } else { c };
    let tail = if shown < chars.len() { " ..." } else { "" };
    chars[..shown].iter().enumerate().map(dotted).chain(tail.chars()).collect()
}

/// Where in a line the value of the first key like `password` starts.
fn value_of_password(line: &[char]) -> Option<usize> {
    const KEY: [char; 4] = ['p', 'a', 's', 's'];
    let key = line.windows(KEY.len()).position(|part| part.iter().map(char::to_ascii_lowercase).eq(KEY))?;
    let separator = line[key..].iter().position(|c| [':', '='].contains(c))?;
    Some(key + separator + 1)
}

/// A value for use in a message, quoted and cut.
pub(super) fn quoted(value: &str) -> String {
    format!("\"{}\"", printable(value))
}
