//! TOML to nodes, by the `toml` crate's tables with positions.

use std::ops::Range;

use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::Fault,
    node::{Key, Kind, Node},
    places::Places,
};

/// Reads `text`.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let places = Places::new(text);
    let document = DeTable::parse(text).map_err(|error| {
        let message = format!("not valid TOML: {}", error.message().trim_end().replace('\n', "; "));
        Fault::syntax(message).at(places.span(error.span().unwrap_or(0..0)))
    })?;
    Ok(Node { kind: table(document.get_ref(), &places), span: places.span(0..0) })
}

fn node(value: &Spanned<DeValue<'_>>, places: &Places<'_>) -> Node {
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.clone().into_owned()),
        DeValue::Integer(number) => Kind::Number(number.to_string()),
        DeValue::Float(number) => Kind::Number(number.to_string()),
        DeValue::Boolean(value) => Kind::Bool(*value),
        DeValue::Datetime(time) => Kind::Text(time.to_string()),
        DeValue::Array(items) => Kind::List(items.iter().map(|item| node(item, places)).collect()),
        DeValue::Table(entries) => table(entries, places),
    };
    Node { kind, span: places.span(value.span()) }
}

/// The entries in the order of the text.
fn table(entries: &DeTable<'_>, places: &Places<'_>) -> Kind {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|(key, _)| start(key.span()));
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (Key { name: name.clone().into_owned(), span: places.span(key.span()) }, node(value, places))
    };
    Kind::Table(sorted.into_iter().map(entry).collect())
}

const fn start(range: Range<usize>) -> usize {
    range.start
}
