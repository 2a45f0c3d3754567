//! `vm`: the virtual machine that some types describe beside the disk. osbuild has no such table; the
//! names are those of the flags without `--vm-`, and the flags win.

use diskwright_formats::writer::Firmware as Meant;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{named::by_name, size::Size};

/// A virtual machine that shall have the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vm {
    /// Name of the machine.
    pub name: Option<String>,
    /// Virtual processors.
    pub cpus: Option<u32>,
    /// Memory, whole MiB.
    pub memory: Option<Size>,
    /// Firmware that boots it: `efi` or `bios`.
    pub firmware: Option<Firmware>,
    /// Whether UEFI verifies what it boots.
    pub secure_boot: Option<bool>,
    /// Name of the network its card is on.
    pub network: Option<String>,
    /// VMware's name of the operating system.
    pub guest_type: Option<String>,
}

/// Firmware by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware(pub Meant);

impl Firmware {
    const NAMES: &[(&str, Self)] =
        &[("efi", Self(Meant::Efi)), ("uefi", Self(Meant::Efi)), ("bios", Self(Meant::Bios))];
}

by_name!(Firmware is "Firmware");
