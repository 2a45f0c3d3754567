//! The typed blueprint: what users ask of the system on the disk.
//!
//! ```text
//! text --yaml--> Node (values with positions) --de--> Blueprint (plain types) --check--> Blueprint
//! ```
//!
//! The names are those of the osbuild blueprint
//! (<https://osbuild.org/docs/user-guide/blueprint-reference>), so a file for
//! other tools keeps its meaning here. The types know nothing of YAML: another
//! syntax is one more function from text to a `node::Node`. Every error names
//! the field and shows its line, whichever stage finds it. No I/O happens here.
//!
//! Left out so far: all keys that `schema` lists as not supported yet.

mod check;
mod de;
mod error;
mod kernel;
mod node;
mod schema;
pub mod size;
pub mod storage;
#[cfg(test)]
mod tests;
mod types;
mod yaml;

use serde::Deserialize as _;

pub(crate) use check::etc_fault;
pub use error::Error;
pub use types::{Blueprint, Customizations, File, Kernel, Mode, Owner, User};

use error::Fault;
use node::{Kind, Node};

impl Blueprint {
    /// Reads a blueprint in YAML and checks all that can be checked without
    /// the image. `file_name` only appears in errors. An empty text is an
    /// empty blueprint; `blueprint:` around everything else is accepted.
    ///
    /// # Errors
    /// Syntax, unknown keys, wrong types and values that cannot work. The
    /// error displays the whole explanation: file, line, column, field, the
    /// offending line and a hint.
    pub fn from_yaml(text: &str, file_name: &str) -> Result<Self, Error> {
        yaml::parse(text)
            .and_then(|node| Self::from_node(&node))
            .map_err(|fault| fault.explain(text, file_name))
    }

    /// The arguments of `customizations.kernel.append`, in order. Spaces
    /// separate them unless inside double quotes, as the kernel itself
    /// splits; the quotes stay, since the kernel removes them.
    #[must_use]
    pub fn kernel_arguments(&self) -> Vec<String> {
        let append = self.customizations.kernel.append.as_deref().unwrap_or_default();
        kernel::split(append).into_iter().map(str::to_owned).collect()
    }

    fn from_node(node: &Node) -> Result<Self, Fault> {
        let node = unwrapped(node);
        let blueprint = Self::deserialize(de::Input(node)).map_err(Fault::with_key_advice)?;
        match check::check(&blueprint) {
            Some(fault) => Err(fault.located_in(node)),
            None => Ok(blueprint),
        }
    }
}

/// What `{blueprint: ...}` holds, or the node itself.
fn unwrapped(node: &Node) -> &Node {
    match &node.kind {
        Kind::Table(entries) if entries.len() == 1 && entries[0].0.name == "blueprint" => &entries[0].1,
        _ => node,
    }
}
