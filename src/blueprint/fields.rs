//! The fields of the schema, by name and description.

use serde_json::{Map, Value};

use super::document::json_schema;

/// A field that holds a value, or a list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Names joined by dots, without indices of lists.
    pub name: String,
    /// One sentence.
    pub about: String,
}

/// Every field, in the order of the names.
#[must_use]
pub fn fields() -> Vec<Field> {
    let schema = json_schema();
    let none = Map::new();
    let definitions = schema["$defs"].as_object().unwrap_or(&none);
    let mut found = Vec::new();
    walk(&schema, definitions, "", "", &mut found);
    found
}

fn walk(schema: &Value, definitions: &Map<String, Value>, name: &str, about: &str, found: &mut Vec<Field>) {
    let target = schema["$ref"].as_str().and_then(|to| definitions.get(to.trim_start_matches("#/$defs/")));
    if let Some(target) = target {
        return walk(target, definitions, name, about, found);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let real = choices.iter().find(|choice| choice["type"] != "null");
        return real.map_or((), |choice| walk(choice, definitions, name, about, found));
    }
    let items = &schema["items"];
    if !items.is_null() && (items["$ref"].is_string() || items["properties"].is_object()) {
        return walk(items, definitions, name, about, found);
    }
    let Some(properties) = schema["properties"].as_object() else {
        found.push(Field {
            name: name.to_owned(),
            about: about.split_whitespace().collect::<Vec<_>>().join(" "),
        });
        return;
    };
    for (key, value) in properties {
        let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        walk(value, definitions, &inner, value["description"].as_str().unwrap_or_default(), found);
    }
}
