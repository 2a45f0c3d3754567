//! The blueprint's names as types, independent of any syntax.
//!
//! A further table is a type in a file of its own, deriving what these derive, and one line in
//! [`Customizations`]; its row in `support` says which outputs take it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    account::{Group, SshKey, User},
    boot::{Bootloader, Ignition, Kernel},
    file::{Directory, File},
    media::{Installer, Iso},
    network::{Firewall, Sshd},
    region::{Locale, Timezone},
    service::{CaCerts, CloudInit, Services},
    vm::Vm,
};

use super::storage;

/// A whole blueprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blueprint {
    /// What to call it; informative.
    pub name: Option<String>,
    /// What it is for; informative.
    pub description: Option<String>,
    /// Its version; informative.
    pub version: Option<String>,
    /// What it asks for.
    pub customizations: Customizations,
    /// The virtual machine that some types describe.
    pub vm: Vm,
}

/// Everything a blueprint can change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Customizations {
    /// Accounts, created or changed in this order.
    pub user: Vec<User>,
    /// Groups, created before the users.
    pub group: Vec<Group>,
    /// SSH keys of accounts, as an addition to those of `user`.
    pub sshkey: Vec<SshKey>,
    /// The content of /etc/hostname.
    pub hostname: Option<String>,
    /// The kernel's command line.
    pub kernel: Kernel,
    /// Directories to make.
    pub directories: Vec<Directory>,
    /// Files to write.
    pub files: Vec<File>,
    /// Directories on filesystems of their own.
    pub filesystem: Vec<storage::Filesystem>,
    /// The whole partition table.
    pub disk: Option<storage::Disk>,
    /// What `filesystem` becomes: `raw` (partitions), `lvm`, or `auto-lvm` (that if there are others than / and /boot).
    pub partitioning_mode: Option<storage::Mode>,
    /// Time zone and time servers.
    pub timezone: Timezone,
    /// Language and keyboard.
    pub locale: Locale,
    /// Units of systemd.
    pub services: Services,
    /// Rules of firewalld.
    pub firewall: Firewall,
    /// Settings of the SSH server.
    pub sshd: Sshd,
    /// Federal Information Processing Standards mode.
    pub fips: Option<bool>,
    /// Certificate authorities to trust.
    pub cacerts: CaCerts,
    /// Configuration by Ignition at the first boot.
    pub ignition: Ignition,
    /// Configuration by cloud-init at the first boot.
    pub cloud_init: CloudInit,
    /// The bootloader.
    pub bootloader: Bootloader,
    /// The installer of an ISO, and sudo.
    pub installer: Installer,
    /// Texts in the ISO's volume descriptor.
    pub iso: Iso,
}
