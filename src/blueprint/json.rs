//! JSON (RFC 8259) to nodes with positions. The structure is read here; strings and numbers are
//! `serde_json`'s.

use std::collections::HashMap;

use super::{
    error::Fault,
    node::{Key, Kind, Node, Span},
    places::Places,
};

/// Deeper than any blueprint, shallow enough for every stack.
const DEEPEST: usize = 32;

/// Reads the only value of `text`.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { text, places: Places::new(text), at: 0 };
    let node = reader.value(0)?;
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(reader.fault("something follows the value")),
    }
}

struct Reader<'a> {
    text: &'a str,
    places: Places<'a>,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn fault(&self, why: &str) -> Fault {
        let why = if self.at == self.text.len() { "the text ends early" } else { why };
        Fault::syntax(format!("not valid JSON: {why}")).at(self.places.span(self.at..self.at + 1))
    }

    fn span(&self, start: usize) -> Span {
        self.places.span(start..self.at)
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        let first = self.peek();
        let start = self.at;
        if depth > DEEPEST {
            return Err(Fault::new(format!("nested deeper than {DEEPEST} levels")).at(self.span(start)));
        }
        let kind = match first {
            Some(b'{') => Kind::Table(self.table(depth)?),
            Some(b'[') => Kind::List(self.list(depth)?),
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Node { kind, span: self.span(start) })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        self.at += 1;
        if self.take(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1).map_err(|fault| fault.inside(items.len()))?);
            if self.take(b']') {
                return Ok(items);
            }
            if !self.take(b',') {
                return Err(self.fault("expected a comma or `]`"));
            }
        }
    }

    fn table(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Fault> {
        let (mut entries, mut lines) = (Vec::new(), HashMap::new());
        self.at += 1;
        if self.take(b'}') {
            return Ok(entries);
        }
        loop {
            let key = self.key()?;
            if let Some(first) = lines.insert(key.name.clone(), key.span.line) {
                let message = format!("given twice; first on line {first}");
                return Err(Fault::of_key(&key.name, message).at(key.span));
            }
            let value = self.value(depth + 1).map_err(|fault| fault.inside(key.name.as_str()))?;
            entries.push((key, value));
            if self.take(b'}') {
                return Ok(entries);
            }
            if !self.take(b',') {
                return Err(self.fault("expected a comma or `}`"));
            }
        }
    }

    /// A name and its colon.
    fn key(&mut self) -> Result<Key, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a key in double quotes"));
        }
        let start = self.at;
        let key = Key { name: self.string()?, span: self.span(start) };
        if self.take(b':') { Ok(key) } else { Err(self.fault("expected a colon")) }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let mut end = start + 1;
        while bytes.get(end).is_some_and(|byte| *byte != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let Some(literal) = self.text.get(start..=end) else {
            return Err(Fault::syntax("not valid JSON: a string is not closed").at(self.span(start)));
        };
        self.at = end + 1;
        self.read(start, literal)
    }

    fn number(&mut self) -> Result<String, Fault> {
        let (start, rest) = (self.at, &self.text[self.at..]);
        let len =
            rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        self.at += len;
        self.read::<serde_json::Number>(start, &rest[..len]).map(|_| rest[..len].to_owned())
    }

    /// A literal by `serde_json`, without the place in its errors, which is the literal's own.
    fn read<T: serde::de::DeserializeOwned>(&self, start: usize, literal: &str) -> Result<T, Fault> {
        serde_json::from_str(literal).map_err(|error| {
            let text = error.to_string();
            let why = text.split(" at line ").next().unwrap_or_default();
            Fault::syntax(format!("not valid JSON: {why}")).at(self.span(start))
        })
    }

    fn word(&mut self) -> Result<Kind, Fault> {
        let words = [("null", Kind::Null), ("true", Kind::Bool(true)), ("false", Kind::Bool(false))];
        let rest = &self.text[self.at..];
        let found = words.into_iter().find(|(word, _)| rest.starts_with(word));
        let (word, kind) = found.ok_or_else(|| self.fault("expected a value"))?;
        self.at += word.len();
        Ok(kind)
    }
}
