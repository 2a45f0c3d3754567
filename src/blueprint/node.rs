//! A value with its place in the text: what every syntax is read into.

use std::fmt;

/// A stretch of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Line, from 1.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
    /// Width in characters, at least 1.
    pub(super) width: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// A key of a table and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) span: Span,
}

/// The values that YAML, TOML and JSON have in common.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// A number as it is written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Table(Vec<(Key, Node)>),
}

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Displays steps as people write them: `customizations.user[0].name`.
pub(super) struct Path<'a>(pub(super) &'a [Step]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(&printable(key))?,
                Step::Key(key) => write!(f, ".{}", printable(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// `text` with control characters escaped, cut at a length that fits a line.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).flat_map(escaped).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}

fn escaped(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}

impl Node {
    /// The place of the value at `path`, or of the last value on the way that exists.
    pub(super) fn locate(&self, path: &[Step]) -> Span {
        let below = path.split_first().and_then(|(step, rest)| Some((self.step(step)?, rest)));
        below.map_or(self.span, |(node, rest)| node.locate(rest))
    }

    fn step(&self, step: &Step) -> Option<&Self> {
        match (&self.kind, step) {
            (Kind::List(items), Step::Index(index)) => items.get(*index),
            (Kind::Table(entries), Step::Key(name)) => {
                entries.iter().find(|(key, _)| key.name == *name).map(|(_, node)| node)
            }
            _ => None,
        }
    }
}
