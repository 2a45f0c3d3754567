//! Arguments of `blueprint` and `describe`, and their results as text.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::{Format, values};
use crate::{blueprint::Syntax, describe::Description};

/// What to do with a blueprint.
#[derive(Debug, Subcommand)]
pub enum BlueprintVerb {
    /// Say whether blueprints are right, as far as that shows without the image
    Check {
        /// The blueprints: YAML, TOML or JSON; `-` is standard input
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// A disk format that must honour all of it
        #[arg(short = 't', long = "type", value_name = "TYPE", value_delimiter = ',',
              value_parser = values::types(), hide_possible_values = true)]
        types: Vec<String>,
    },
    /// Write a blueprint in another syntax to standard output; comments are not kept
    Convert {
        /// The blueprint: YAML, TOML or JSON; `-` is standard input
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The syntax
        #[arg(long, value_enum, value_name = "SYNTAX")]
        to: SyntaxName,
    },
    /// Write the JSON Schema of blueprints, for editors, to standard output
    Schema,
}

/// A syntax by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyntaxName {
    /// YAML 1.2
    Yaml,
    /// TOML
    Toml,
    /// JSON
    Json,
}

impl SyntaxName {
    /// The syntax meant.
    #[must_use]
    pub const fn syntax(self) -> Syntax {
        match self {
            Self::Yaml => Syntax::Yaml,
            Self::Toml => Syntax::Toml,
            Self::Json => Syntax::Json,
        }
    }
}

/// Arguments of `describe`.
#[derive(Args, Debug)]
pub struct DescribeArgs {
    /// The disk format
    #[arg(value_name = "TYPE", value_parser = values::types(), hide_possible_values = true)]
    pub type_name: String,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A type as text: facts, then a field of the blueprint a line.
#[must_use]
pub fn description(found: &Description) -> String {
    let mut text = format!("{}: {}\n", found.name, found.about);
    if !found.aliases.is_empty() {
        let _ = writeln!(text, "also called {}", found.aliases.join(", "));
    }
    let _ = writeln!(text, "written to {}, in multiples of {} bytes\n", found.path, found.size_multiple);
    for field in &found.fields {
        let sign = if field.refused.is_some() { '-' } else { '+' };
        let about = field.refused.map_or_else(|| field.about.clone(), |why| format!("refused: {why}"));
        let _ = writeln!(text, "{sign} {:<58} {about}", field.field);
    }
    text
}
