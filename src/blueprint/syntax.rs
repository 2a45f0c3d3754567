//! The three ways to write a blueprint.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    error::Fault,
    json,
    node::{Kind, Node},
    toml, yaml,
};

/// How a blueprint is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// YAML 1.2.
    Yaml,
    /// TOML 1.0.
    Toml,
    /// JSON.
    Json,
}

impl Syntax {
    /// By the end of the file's name, else by the first line that is no comment.
    #[must_use]
    pub fn of(file_name: &str, text: &str) -> Self {
        match file_name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("yaml" | "yml") => Self::Yaml,
            Some("toml") => Self::Toml,
            Some("json") => Self::Json,
            _ => Self::of_text(text),
        }
    }

    fn of_text(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#'));
        let line = first.unwrap_or_default();
        let key = line.split([':', '"', '\'']).next().unwrap_or_default();
        match line.chars().next() {
            Some('{') => Self::Json,
            Some('[') => Self::Toml,
            _ if key.contains('=') => Self::Toml,
            _ => Self::Yaml,
        }
    }

    pub(super) fn parse(self, text: &str) -> Result<Node, Fault> {
        match self {
            Self::Yaml => yaml::parse(text),
            Self::Toml => toml::parse(text),
            Self::Json => json::parse(text),
        }
    }

    /// A value as text, ending in a line break.
    pub(super) fn write(self, node: &Node) -> Result<String, String> {
        let text = match self {
            Self::Yaml => yaml::write(node).map_err(|error| error.to_string())?,
            Self::Toml => ::toml::to_string(node).map_err(|error| error.to_string())?,
            Self::Json => serde_json::to_string_pretty(node).map_err(|error| error.to_string())?,
        };
        Ok(if text.ends_with('\n') || text.is_empty() { text } else { text + "\n" })
    }
}

/// Values without their places; what is null is left out of tables, since TOML has none.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            Kind::Null => out.serialize_none(),
            Kind::Bool(value) => out.serialize_bool(*value),
            Kind::Number(text) => number(text, out),
            Kind::Text(text) => out.serialize_str(text),
            Kind::List(items) => out.collect_seq(items),
            Kind::Table(entries) => {
                let entries: Vec<_> =
                    entries.iter().filter(|(_, node)| !matches!(node.kind, Kind::Null)).collect();
                let mut map = out.serialize_map(Some(entries.len()))?;
                for (key, node) in entries {
                    map.serialize_entry(&key.name, node)?;
                }
                map.end()
            }
        }
    }
}

fn number<S: Serializer>(text: &str, out: S) -> Result<S::Ok, S::Error> {
    match super::de::whole(text) {
        Some(value) => out.serialize_u64(value),
        None => match text.parse() {
            Ok(value) => out.serialize_i64(value),
            Err(_) => out.serialize_f64(text.parse().unwrap_or(f64::INFINITY)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_and_then_the_text() {
        assert_eq!(Syntax::of("a.yml", "{"), Syntax::Yaml);
        assert_eq!(Syntax::of("a.toml", "{"), Syntax::Toml);
        for (text, syntax) in [
            ("", Syntax::Yaml),
            ("# a = b\nname: a = b\n", Syntax::Yaml),
            ("customizations:\n", Syntax::Yaml),
            ("\n [customizations]\n", Syntax::Toml),
            ("name = \"a: b\"\n", Syntax::Toml),
            ("  {\"name\": 1}", Syntax::Json),
        ] {
            assert_eq!(Syntax::of("-", text), syntax, "{text}");
        }
    }
}
