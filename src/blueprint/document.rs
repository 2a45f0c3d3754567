//! A blueprint together with its text, so that whatever is wrong with it can be shown.

use diskwright_formats::writer::FormatWriter;
use serde::Deserialize as _;

use super::{
    Blueprint, Error, Syntax, check, de,
    error::Fault,
    node::{Kind, Node},
    schema, support,
};

/// A blueprint that has been read and checked.
#[derive(Clone, Debug, Default)]
pub struct Document {
    blueprint: Blueprint,
    node: Node,
    text: String,
    file_name: String,
}

impl Document {
    /// Reads a blueprint in the syntax that its name or its text shows, and checks all that can be
    /// checked without the image. `file_name` decides the syntax and appears in errors.
    ///
    /// # Errors
    /// Syntax, unknown keys, wrong types and values that cannot work. The
    /// error displays the whole explanation: file, line, column, field, the
    /// offending line and a hint.
    pub fn read(text: &str, file_name: &str) -> Result<Self, Error> {
        Self::read_as(Syntax::of(file_name, text), text, file_name)
    }

    /// [`Self::read`] with the syntax given.
    ///
    /// # Errors
    /// The same.
    pub fn read_as(syntax: Syntax, text: &str, file_name: &str) -> Result<Self, Error> {
        let read = syntax.parse(text).and_then(|node| {
            let node = prepared(node);
            let blueprint = Blueprint::deserialize(de::Input(&node)).map_err(Fault::with_key_advice)?;
            match check::check(&blueprint) {
                Some(fault) => Err(fault.located_in(&node)),
                None => Ok((blueprint, node)),
            }
        });
        let (blueprint, node) = read.map_err(|fault| fault.explain(text, file_name))?;
        Ok(Self { blueprint, node, text: text.to_owned(), file_name: file_name.to_owned() })
    }

    /// What it asks for.
    #[must_use]
    pub const fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// What it asks for.
    #[must_use]
    pub fn into_blueprint(self) -> Blueprint {
        self.blueprint
    }

    /// As it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Refuses what a type of output cannot honour.
    ///
    /// # Errors
    /// The first such key, with the type and an alternative.
    pub fn check_outputs(&self, writers: &[&dyn FormatWriter]) -> Result<(), Error> {
        for (steps, span) in self.node.leaves() {
            if let Some((writer, why)) = support::refusal(&schema::without_indices(&steps), writers) {
                let message = format!("has no meaning for the type {}", writer.spec().name);
                let fault = Fault::of_value(steps, message).hint(why).at(span);
                return Err(fault.explain(&self.text, &self.file_name));
            }
        }
        Ok(())
    }

    /// The same blueprint in another syntax; comments are not kept.
    ///
    /// # Errors
    /// A value that the syntax does not have.
    pub fn write(&self, syntax: Syntax) -> Result<String, String> {
        syntax.write(&self.node)
    }
}

/// What `{blueprint: ...}` holds, or the node itself, without wishes for nothing.
fn prepared(mut node: Node) -> Node {
    if let Kind::Table(entries) = &mut node.kind
        && entries.len() == 1
        && entries[0].0.name == "blueprint"
        && let Some((_, inner)) = entries.pop()
    {
        node = inner;
    }
    schema::without_empty_wishes(&mut node);
    node
}

/// The JSON Schema of blueprints, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Blueprint).to_value()
}
