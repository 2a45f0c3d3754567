//! `customizations.kernel`, `bootloader` and `ignition`.

use schemars::JsonSchema;
use serde::Deserialize;

/// The kernel's command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Arguments added after those of the image.
    pub append: Option<String>,
}

/// The bootloader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bootloader {
    /// GRUB's console.
    pub grub2: Grub2,
}

/// GRUB's console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grub2 {
    /// Terminals that are read (`terminal_input`).
    pub terminal_input: Vec<String>,
    /// Terminals that are written (`terminal_output`).
    pub terminal_output: Vec<String>,
    /// The whole command that sets up the serial port: `serial --unit=0 --speed=115200`.
    pub serial: Option<String>,
}

/// Configuration by Ignition at the first boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ignition {
    /// A configuration on the disk.
    pub embedded: Embedded,
    /// A configuration from the network.
    pub firstboot: FirstBoot,
}

/// An Ignition configuration on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Embedded {
    /// The configuration, as JSON or as base64 of it.
    pub config: Option<String>,
}

/// An Ignition configuration from the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FirstBoot {
    /// Where it is.
    pub url: Option<String>,
    /// Whether Ignition runs without one, to take what the platform gives.
    pub empty: Option<bool>,
}
