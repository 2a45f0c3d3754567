//! What a type of output is and which fields of a blueprint it takes.

use anyhow::{Context as _, Result};
use diskwright_formats::writer::{FormatWriter, by_name};
use serde::Serialize;

use crate::{
    blueprint::{
        Field, fields,
        support::{self, Support},
    },
    error::ErrorKind,
};

/// A type of output.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// Other names that are accepted.
    pub aliases: &'static [&'static str],
    /// The file, below the output directory.
    pub path: &'static str,
    /// One line.
    pub about: &'static str,
    /// The size of the disk is a multiple of this many bytes.
    pub size_multiple: u64,
    /// Every field of a blueprint.
    pub fields: Vec<FieldSupport>,
}

/// A field of a blueprint, and what is done with it.
#[derive(Clone, Debug, Serialize)]
pub struct FieldSupport {
    /// Names joined by dots, without indices of lists.
    pub field: String,
    /// What it is for.
    pub about: String,
    /// What to do instead, if it is refused.
    pub refused: Option<&'static str>,
}

/// Describes the type of this name or alias.
///
/// # Errors
/// There is none.
pub fn describe(name: &str) -> Result<Description> {
    let writer =
        by_name(name).with_context(|| format!("there is no type '{name}'")).context(ErrorKind::Usage)?;
    let spec = writer.spec();
    Ok(Description {
        name: spec.name,
        aliases: spec.aliases,
        path: spec.path,
        about: spec.about,
        size_multiple: spec.size_multiple,
        fields: field_support(writer),
    })
}

/// What a type does with each field.
#[must_use]
pub fn field_support(writer: &dyn FormatWriter) -> Vec<FieldSupport> {
    let support = |field: Field| {
        let refused = match support::row(&field.name).map(|row| row.on(writer)) {
            Some(Support::Refused(why)) => Some(why),
            _ => None,
        };
        FieldSupport { field: field.name, about: field.about, refused }
    };
    fields().into_iter().map(support).collect()
}
