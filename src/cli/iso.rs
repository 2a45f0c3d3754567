//! `diskwright iso`: arguments, and what is shown.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::Format;
use crate::iso::{IsoEditRequest, IsoInspectRequest, IsoInspection};

/// What to do with an installer medium.
#[derive(Debug, Subcommand)]
pub enum IsoVerb {
    /// Show what a medium installs, and how
    Inspect {
        /// The medium
        #[arg(value_name = "ISO", value_hint = ValueHint::FilePath)]
        iso: PathBuf,
        /// How to write it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Change how a medium installs, without building it anew
    #[command(after_long_help = "Examples:\n  \
        Install on the largest disk without a question, whatever is on it:\n    \
        diskwright iso edit --unattended yes --wipe yes --to largest install.iso\n  \
        Add a key for root, and an argument of the installed system's kernel:\n    \
        diskwright iso edit --ssh-key \"$(cat id_ed25519.pub)\" --karg mitigations=off install.iso\n")]
    Edit(Box<IsoEditArgs>),
}

/// `yes` or `no`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    /// On
    Yes,
    /// Off
    No,
}

/// What to do when the disk is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum After {
    /// Start the machine anew
    Reboot,
    /// Switch it off
    Poweroff,
    /// Stay, with a shell
    Shell,
}

/// How much the installer tells.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Log {
    /// What a person wants to know
    Normal,
    /// Every step
    Verbose,
}

/// What to change. Everything else stays as it is.
#[derive(Args, Debug)]
pub struct IsoEditArgs {
    /// The medium; it is changed at its place
    #[arg(value_name = "ISO", value_hint = ValueHint::FilePath)]
    iso: PathBuf,
    /// Write the changed medium here instead
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// The disk to install on: a path below /dev, serial=S, wwn=W, model=M, size=N, largest, smallest,
    /// first-empty, or ask
    #[arg(long, value_name = "RULE")]
    to: Option<String>,
    /// Ask nothing; what would be asked is an error
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "yes")]
    unattended: Option<Switch>,
    /// A disk that holds data may be overwritten without a question
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "yes")]
    wipe: Option<Switch>,
    /// The last partition and its filesystem take the whole disk
    #[arg(long, value_name = "BOOL")]
    grow: Option<Switch>,
    /// New UUIDs of the disk and its partitions
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "yes")]
    fresh_ids: Option<Switch>,
    /// What follows
    #[arg(long, value_name = "WHAT")]
    after: Option<After>,
    /// How much the installer tells
    #[arg(long, value_name = "LEVEL")]
    log: Option<Log>,
    /// Append a kernel argument on the installed system; repeat it for several
    #[arg(long = "karg", value_name = "ARG")]
    kargs: Vec<String>,
    /// Add an SSH key for root on the installed system; repeat it for several
    #[arg(long = "ssh-key", value_name = "KEY")]
    ssh_keys: Vec<String>,
    /// Append a kernel argument of the installer itself; repeat it for several
    #[arg(long = "boot-karg", value_name = "ARG")]
    boot_kargs: Vec<String>,
    /// How to write what the medium holds then
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

impl IsoVerb {
    /// The request that [`Self::Inspect`] is.
    #[must_use]
    pub fn inspect_request(iso: PathBuf) -> IsoInspectRequest {
        IsoInspectRequest { iso }
    }
}

impl IsoEditArgs {
    /// What is asked for.
    #[must_use]
    pub fn request(&self) -> IsoEditRequest {
        use diskwright_install::options;
        let is_on = |switch: Option<Switch>| switch.map(|switch| switch == Switch::Yes);
        IsoEditRequest {
            iso: self.iso.clone(),
            output: self.output.clone(),
            disk: self.to.clone(),
            unattended: is_on(self.unattended),
            wipe: is_on(self.wipe),
            grow: is_on(self.grow),
            fresh_ids: is_on(self.fresh_ids),
            after: self.after.map(|after| match after {
                After::Reboot => options::After::Reboot,
                After::Poweroff => options::After::Poweroff,
                After::Shell => options::After::Shell,
            }),
            log: self.log.map(|log| match log {
                Log::Normal => options::Log::Normal,
                Log::Verbose => options::Log::Verbose,
            }),
            kargs: self.kargs.clone(),
            ssh_keys: self.ssh_keys.clone(),
            boot_kargs: self.boot_kargs.clone(),
        }
    }
}

/// A medium, for people.
#[must_use]
pub fn medium(found: &IsoInspection) -> String {
    let mut text = String::new();
    let payload = |pointer: &str| found.payload.pointer(pointer).map(ToString::to_string).unwrap_or_default();
    let options = &found.options;
    let word = |is_on: bool| if is_on { "yes" } else { "no" }.to_owned();
    let rows = [
        ("system", payload("/name").trim_matches('"').to_owned()),
        ("image", payload("/image/reference").trim_matches('"').to_owned()),
        ("architecture", payload("/architecture").trim_matches('"').to_owned()),
        ("volume id", found.volume_id.clone()),
        ("needs a disk of", super::size(payload("/disk/size").parse().unwrap_or_default())),
        ("target", options.disk.clone().unwrap_or_else(|| "asks".into())),
        ("unattended", word(options.unattended)),
        ("wipe", word(options.wipe)),
        ("grow", word(options.grow)),
        ("fresh ids", word(options.fresh_ids)),
        ("after", options.after.clone()),
        ("log", options.log.clone()),
        ("kernel arguments", options.kargs.join(" ")),
        ("ssh keys", options.ssh_keys.join("\n                  ")),
        ("of the installer", found.boot_kargs.clone()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{name:<17} {value}");
    }
    text
}
