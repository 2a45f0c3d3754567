//! A value with its place in the text: what every syntax is read into.

use std::fmt;

/// A stretch of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// Line, from 1.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
    /// Width in characters, at least 1.
    pub(super) width: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug, Default)]
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
#[derive(Clone, Debug, Default)]
pub(super) enum Kind {
    #[default]
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
    /// The value of a key of a table.
    pub(super) fn value_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Kind::Table(entries) = &mut self.kind else { return None };
        entries.iter_mut().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    /// Whether it asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Null => true,
            Kind::Text(text) => text.is_empty(),
            Kind::List(items) => items.is_empty(),
            Kind::Table(entries) => entries.iter().all(|(_, node)| node.is_empty()),
            Kind::Bool(_) | Kind::Number(_) => false,
        }
    }

    /// Every value that is neither list nor table and says something, with the way to it.
    pub(super) fn leaves(&self) -> Vec<(Vec<Step>, Span)> {
        let inside = |step: Step, node: &Self| {
            let with = move |(steps, span): (Vec<Step>, Span)| ([vec![step.clone()], steps].concat(), span);
            node.leaves().into_iter().map(with).collect::<Vec<_>>()
        };
        match &self.kind {
            _ if self.is_empty() => Vec::new(),
            Kind::List(items) => {
                items.iter().enumerate().flat_map(|(index, node)| inside(index.into(), node)).collect()
            }
            Kind::Table(entries) => {
                let place = |key: &Key, (steps, _)| (steps, key.span);
                let below = |(key, node): &(Key, Self)| -> Vec<_> {
                    let leaves = inside(key.name.as_str().into(), node).into_iter();
                    leaves.map(|leaf| if leaf.0.len() == 1 { place(key, leaf) } else { leaf }).collect()
                };
                entries.iter().flat_map(below).collect()
            }
            _ => vec![(Vec::new(), self.span)],
        }
    }

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
