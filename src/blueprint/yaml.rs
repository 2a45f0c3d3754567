//! YAML 1.2 to nodes, and values to YAML.
//!
//! This uses the event parser of `serde-saphyr` and not its deserializer: the
//! deserializer knows line and column of an error but not the field's path,
//! and validation after it has neither.
//!
//! Plain scalars follow the core schema, with one exception: digits after a
//! leading zero are text. `mode: 0644` is decimal 644 to YAML 1.2 and octal to
//! YAML 1.1; as text it means what its author meant.
//!
//! Left out on purpose: aliases (an anchor alone is harmless), merge keys and tags, which TOML and
//! JSON cannot express, and more than one document.

use std::collections::HashMap;

use serde::Serialize;
use serde_saphyr::{
    SerializerOptions,
    granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as Marks},
};

use super::{
    error::Fault,
    node::{Key, Kind, Node, Span},
};

/// Deeper than any blueprint, shallow enough for every stack.
const DEEPEST: usize = 32;

/// Reads the only document of `text`.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { events: Parser::new_from_str(text) };
    loop {
        match reader.next()? {
            (Event::DocumentStart(..), _) => break,
            (Event::StreamEnd, marks) => return Ok(Node { kind: Kind::Null, span: span(&marks) }),
            _ => {}
        }
    }
    let first = reader.next()?;
    let node = reader.node(first, 0)?;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(node),
            (Event::DocumentStart(..), marks) => {
                return Err(Fault::new("a second document; a blueprint is one").at(span(&marks)));
            }
            _ => {}
        }
    }
}

/// A value as YAML, with long lines left whole.
pub(crate) fn write<T: Serialize>(value: &T) -> Result<String, serde_saphyr::SerializeError> {
    let mut options = SerializerOptions::default();
    options.min_fold_chars = usize::MAX;
    options.folded_wrap_chars = usize::MAX;
    serde_saphyr::to_string_with_options(value, options)
}

struct Reader<P> {
    events: P,
}

impl<'a, P: Iterator<Item = Result<(Event<'a>, Marks), ScanError>>> Reader<P> {
    fn next(&mut self) -> Result<(Event<'a>, Marks), Fault> {
        loop {
            match self.events.next() {
                Some(Ok((event, _))) if is_comment(&event) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(syntax(&error)),
                None => return Err(Fault::new("the text ends early")),
            }
        }
    }

    fn node(&mut self, (event, marks): (Event<'a>, Marks), depth: usize) -> Result<Node, Fault> {
        let span = span(&marks);
        if depth > DEEPEST {
            return Err(Fault::new(format!("nested deeper than {DEEPEST} levels")).at(span));
        }
        let kind = match event {
            Event::Scalar(.., Some(_))
            | Event::SequenceStart(.., Some(_))
            | Event::MappingStart(.., Some(_)) => {
                return Err(Fault::new("tags are not supported").at(span));
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
            Event::Scalar(text, ..) => Kind::Text(text.into_owned()),
            Event::SequenceStart(..) => Kind::List(self.list(depth)?),
            Event::MappingStart(..) => Kind::Table(self.table(depth)?),
            Event::Alias(_) => {
                let fault = Fault::new("aliases are not supported").at(span);
                return Err(fault.hint("write the value out where it is used"));
            }
            _ => return Err(Fault::new("expected a value").at(span)),
        };
        Ok(Node { kind, span })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                event => items.push(self.node(event, depth + 1).map_err(|fault| fault.inside(items.len()))?),
            }
        }
    }

    fn table(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Fault> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines = HashMap::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (event, marks) => key(event, span(&marks))?,
            };
            if let Some(first) = lines.insert(key.name.clone(), key.span.line) {
                let message = format!("given twice; first on line {first}");
                return Err(Fault::of_key(&key.name, message).at(key.span));
            }
            let event = self.next()?;
            let value = self.node(event, depth + 1).map_err(|fault| fault.inside(key.name.as_str()))?;
            entries.push((key, value));
        }
    }
}

fn key(event: Event<'_>, span: Span) -> Result<Key, Fault> {
    match event {
        Event::Scalar(text, _, _, None) => Ok(Key { name: text.into_owned(), span }),
        _ => Err(Fault::new("a key must be plain text").at(span)),
    }
}

const fn is_comment(event: &Event<'_>) -> bool {
    matches!(event, Event::Comment(..) | Event::StreamStart)
}

fn span(marks: &Marks) -> Span {
    let (start, end) = (&marks.start, &marks.end);
    let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { usize::MAX };
    Span { line: start.line().max(1), column: start.col() + 1, width: width.max(1) }
}

fn syntax(error: &ScanError) -> Fault {
    let mark = error.marker();
    let span = Span { line: mark.line().max(1), column: mark.col() + 1, width: 1 };
    let info = error.info().replace('\n', "; ");
    let fault = Fault::syntax(format!("not valid YAML: {info}")).at(span);
    if info.contains("tabs") { fault.hint("YAML is indented with spaces") } else { fault }
}

/// A scalar without quotes, by the core schema of YAML 1.2 (section 10.3.2).
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ if is_number(text) => Kind::Number(text.to_owned()),
        _ => Kind::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |radix| move |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
    if let Some(rest) = text.strip_prefix("0x") {
        return digits(16)(rest);
    }
    if let Some(rest) = text.strip_prefix("0o") {
        return digits(8)(rest);
    }
    let octal_looking = unsigned.len() > 1 && unsigned.starts_with('0') && digits(10)(unsigned);
    let special = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    let starts = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    special || (starts && !octal_looking && unsigned.parse::<f64>().is_ok())
}
