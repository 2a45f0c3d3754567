//! The syntax of LVM's metadata: sections in braces, `key = value`, lists in
//! brackets, comments after `#`.

use std::collections::BTreeMap;

/// Sections in sections.
const DEEPEST: usize = 8;

/// A value, or a section of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Text(String),
    List(Vec<Self>),
    Section(BTreeMap<String, Self>),
}

impl Value {
    /// The whole text as a section; `None` for text that is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_end_matches('\0');
        let value = section(&mut rest, 0)?;
        rest.is_empty().then_some(value)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Section(entries) => entries.get(key),
            _ => None,
        }
    }

    pub(super) const fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// Sections in it, by name.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&String, &Self)> {
        let entries = if let Self::Section(entries) = self { Some(entries) } else { None };
        entries.into_iter().flatten().filter(|(_, value)| matches!(value, Self::Section(_)))
    }
}

/// Takes the next word, string or mark.
fn token<'a>(rest: &mut &'a str) -> Option<&'a str> {
    *rest = rest.trim_start();
    while rest.starts_with('#') {
        *rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
    }
    let end = match rest.chars().next()? {
        '"' => rest[1..].find('"')? + 2,
        '{' | '}' | '[' | ']' | '=' | ',' => 1,
        _ => rest.find(|c: char| c.is_whitespace() || "{}[]=,\"#".contains(c)).unwrap_or(rest.len()),
    };
    let (token, after) = rest.split_at(end);
    *rest = after;
    Some(token)
}

/// Entries up to the brace that ends them, or the end of the text.
fn section(rest: &mut &str, depth: usize) -> Option<Value> {
    let mut entries = BTreeMap::new();
    loop {
        let Some(name) = token(rest) else { return (depth == 0).then_some(Value::Section(entries)) };
        if name == "}" {
            return (depth > 0).then_some(Value::Section(entries));
        }
        let value = match token(rest)? {
            "{" if depth < DEEPEST => section(rest, depth + 1)?,
            "=" => value(rest)?,
            _ => return None,
        };
        entries.insert(name.to_owned(), value);
    }
}

fn value(rest: &mut &str) -> Option<Value> {
    let first = token(rest)?;
    if first != "[" {
        return scalar(first);
    }
    let mut items = Vec::new();
    loop {
        match token(rest)? {
            "]" => return Some(Value::List(items)),
            "," => {}
            item => items.push(scalar(item)?),
        }
    }
}

fn scalar(token: &str) -> Option<Value> {
    let text = token.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    text.map(|text| Value::Text(text.to_owned())).or_else(|| token.parse().ok().map(Value::Number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_lists_and_comments() {
        let text = "vg {\n# a } comment\nid = \"a b\"\nstatus = [\"READ\", 5]\nlv { n = 7 }\n}\n# end\nversion = 1\n\0";
        let value = Value::parse(text).unwrap();
        let group = value.get("vg").unwrap();
        assert_eq!(group.get("id").unwrap().text(), Some("a b"));
        assert_eq!(group.get("status").unwrap().list().unwrap()[1], Value::Number(5));
        assert_eq!(group.get("lv").unwrap().get("n").unwrap().number(), Some(7));
        for text in ["vg {", "}", "a", "a = ", "a = \"", "a [", "a = [1", &"a {".repeat(99)] {
            assert_eq!(Value::parse(text), None, "{text}");
        }
    }
}
