//! `customizations.installer` and `iso`: what installation media take.

use schemars::JsonSchema;
use serde::Deserialize;

/// The installer of an ISO, and sudo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Installer {
    /// Whether it installs without a question.
    pub unattended: Option<bool>,
    /// Users, and groups after a `%`, for whom sudo asks no password.
    #[serde(rename = "sudo-nopasswd")]
    pub sudo_nopasswd: Vec<String>,
    /// A kickstart file.
    pub kickstart: Kickstart,
    /// The installer's modules.
    pub modules: Modules,
    /// Its bootloader.
    pub bootloader: InstallerBootloader,
    /// What it installs besides.
    pub payload: Payload,
}

/// A kickstart file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kickstart {
    /// Its content.
    pub contents: Option<String>,
}

/// The installer's modules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Modules {
    /// Modules to use.
    pub enable: Vec<String>,
    /// Modules not to use.
    pub disable: Vec<String>,
}

/// The installer's bootloader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InstallerBootloader {
    /// Its menu.
    pub grub2: InstallerGrub2,
}

/// The menu of the installer's GRUB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InstallerGrub2 {
    /// Seconds until the first entry starts.
    #[serde(rename = "menu-timeout")]
    pub menu_timeout: Option<u32>,
}

/// What the installer installs besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Payload {
    /// Flatpaks.
    pub flatpaks: Flatpaks,
}

/// Flatpaks that are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flatpaks {
    /// Installed whatever the system is.
    pub force: Vec<Flatpak>,
}

/// Flatpaks of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flatpak {
    /// Where they come from.
    pub registry: FlatpakRegistry,
    /// Their references.
    pub references: Vec<String>,
}

/// A registry of flatpaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlatpakRegistry {
    /// What the system calls it.
    pub remote_name: Option<String>,
    /// Where it is.
    pub url: Option<String>,
}

/// Texts in the ISO's volume descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Iso {
    /// Volume identifier, which installers look for as a label.
    pub volume_id: Option<String>,
    /// Application identifier.
    pub application_id: Option<String>,
    /// Publisher.
    pub publisher: Option<String>,
}
