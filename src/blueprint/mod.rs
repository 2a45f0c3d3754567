//! The typed blueprint: what users ask of the system on the disk.
//!
//! ```text
//! text --yaml|toml|json--> Node (values with positions) --de--> Blueprint (plain types) --check--> Document
//! ```
//!
//! The names are those of the osbuild blueprint
//! (<https://osbuild.org/docs/user-guide/blueprint-reference>), so a file for
//! other tools keeps its meaning here; `vm` alone is our own. The types know nothing of a syntax: each
//! is one function from text to a `node::Node`. Every error names the field and
//! shows its line, whichever stage finds it. No I/O happens here.
//!
//! A table more is a type in a file of its own and a line in `types`. The JSON Schema comes from
//! the same types; `support` says which outputs take which field.

mod account;
mod boot;
mod check;
mod de;
mod document;
mod error;
mod fields;
mod file;
mod json;
mod kernel;
mod media;
mod named;
mod network;
mod node;
mod places;
mod region;
mod schema;
mod service;
pub mod size;
pub mod storage;
pub mod support;
mod syntax;
#[cfg(test)]
mod tests;
mod toml;
mod types;
mod vm;
mod yaml;

pub use account::{Day, Group, SshKey, User};
pub use boot::{Bootloader, Embedded, FirstBoot, Grub2, Ignition, Kernel};
pub(crate) use check::{Certificate, each_certificate, etc_fault, port, unit_name};
pub use document::{Document, json_schema};
pub use error::Error;
pub use fields::{Field, fields};
pub use file::{Directory, File, Mode, Owner};
pub use media::{
    Flatpak, FlatpakRegistry, Flatpaks, Installer, InstallerBootloader, InstallerGrub2, Iso, Kickstart,
    Modules, Payload,
};
pub use network::{Firewall, FirewallServices, RootLogin, Sshd, Zone};
pub use region::{Locale, Timezone};
pub use service::{CaCerts, CloudInit, Services};
pub use syntax::Syntax;
pub use types::{Blueprint, Customizations};
pub use vm::{Firmware, Vm};
pub(crate) use yaml::write as to_yaml;

impl Blueprint {
    /// Reads a blueprint in YAML and checks all that can be checked without
    /// the image. `file_name` only appears in errors. An empty text is an
    /// empty blueprint; `blueprint:` around everything else is accepted.
    ///
    /// # Errors
    /// Those of [`Document::read`].
    pub fn from_yaml(text: &str, file_name: &str) -> Result<Self, Error> {
        Document::read_as(Syntax::Yaml, text, file_name).map(Document::into_blueprint)
    }

    /// The arguments of `customizations.kernel.append`, in order, and what `fips` asks of the kernel.
    /// Spaces separate them unless inside double quotes, as the kernel itself
    /// splits; the quotes stay, since the kernel removes them.
    #[must_use]
    pub fn kernel_arguments(&self) -> Vec<String> {
        let append = self.customizations.kernel.append.as_deref().unwrap_or_default();
        let fips = self.customizations.fips.unwrap_or(false).then_some("fips=1");
        kernel::split(append).into_iter().chain(fips).map(str::to_owned).collect()
    }
}
