//! What the installer is to do: `diskwright.yaml` of the medium, and above it
//! the kernel's command line (`docs/installer-medium.md`).

use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use crate::{address::Address, choose::Rule, file::File};

/// Beginning of the arguments that are ours.
const PREFIX: &str = "inst.diskwright.";
/// Arguments that say where the payload is.
const VOLUME: &str = "medium";
const ADDRESS: &str = "payload";
const DIGEST: &str = "payload-digest";

/// What to do when the disk is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// Start the machine anew.
    #[default]
    Reboot,
    /// Switch it off.
    Poweroff,
    /// Stay, with a shell.
    Shell,
}

impl After {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Poweroff => "poweroff",
            Self::Shell => "shell",
        }
    }
}

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// What a person wants to know.
    #[default]
    Normal,
    /// Every step.
    Verbose,
}

impl Log {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Verbose => "verbose",
        }
    }
}

/// Where the payload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the medium with this volume id.
    Medium(String),
    /// On a web server.
    Network {
        /// The directory with the payload and its description, or a file in it.
        address: Address,
        /// SHA-256 of the description, in hexadecimal.
        digest: String,
    },
}

impl Place {
    /// What the `command_line` names, which is needed before there are options.
    ///
    /// # Errors
    /// It names nothing, or no address.
    pub fn of(command_line: &str) -> Result<Self> {
        let last = |key: &str| {
            let arguments = command_line.split_whitespace().rev();
            let mut values = arguments.filter_map(|argument| argument.strip_prefix(PREFIX)?.split_once('='));
            values.find(|(found, _)| *found == key).map(|(_, value)| unquoted(value))
        };
        let Some(address) = last(ADDRESS) else {
            let volume = last(VOLUME).context("the kernel's command line names neither inst.diskwright.medium= nor inst.diskwright.payload=")?;
            return Ok(Self::Medium(volume.to_owned()));
        };
        let address = address.parse().context("inst.diskwright.payload of the kernel's command line")?;
        let digest = last(DIGEST).and_then(|text| text.strip_prefix("sha256:")).unwrap_or_default();
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(
            is_digest,
            "inst.diskwright.payload-digest=sha256:... of the kernel's command line is missing or no SHA-256: what comes from a network has to be pinned"
        );
        Ok(Self::Network { address, digest: digest.to_ascii_lowercase() })
    }
}

fn unquoted(value: &str) -> &str {
    value.trim_matches('"')
}

/// The options, from wherever they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which disk; none: ask.
    pub disk: Option<Rule>,
    /// Everything else, as if the medium's file had said it.
    pub file: File,
}

impl Options {
    /// The options of `file` with those of the `command_line` over them.
    ///
    /// # Errors
    /// A key or argument that is unknown or has a bad value, by name.
    pub fn new(file: &str, command_line: &str) -> Result<Self> {
        let file = File::parse(file).context("diskwright.yaml")?;
        let disk = file.disk.as_deref().map(rule).transpose().context("diskwright.yaml")?;
        let mut options = Self { disk, file };
        options.apply(command_line).context("kernel command line")?;
        Ok(options)
    }

    fn apply(&mut self, command_line: &str) -> Result<()> {
        for argument in command_line.split_whitespace() {
            let Some(argument) = argument.strip_prefix(PREFIX) else { continue };
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            self.set(key, unquoted(value)).with_context(|| format!("{PREFIX}{argument}"))?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            // read before there was a file
            VOLUME | ADDRESS | DIGEST => {}
            "disk" => self.disk = if value == "ask" { None } else { Some(rule(value)?) },
            "unattended" => self.file.unattended = switch(value)?,
            "wipe" => self.file.wipe = switch(value)?,
            "grow" => self.file.grow = switch(value)?,
            "fresh-ids" => self.file.fresh_ids = switch(value)?,
            "after" => {
                self.file.after = word(
                    value,
                    &[("reboot", After::Reboot), ("poweroff", After::Poweroff), ("shell", After::Shell)],
                )?;
            }
            "log" => self.file.log = word(value, &[("normal", Log::Normal), ("verbose", Log::Verbose)])?,
            _ => bail!("unknown argument"),
        }
        Ok(())
    }
}

/// The rule that `text` is.
///
/// # Errors
/// It is none; the text says which forms there are.
pub fn rule(text: &str) -> Result<Rule> {
    Rule::from_str(text).map_err(|why| anyhow!("disk: {why}"))
}

fn switch(value: &str) -> Result<bool> {
    word(
        value,
        &[
            ("yes", true),
            ("", true),
            ("true", true),
            ("1", true),
            ("no", false),
            ("false", false),
            ("0", false),
        ],
    )
}

fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T> {
    if let Some((_, meant)) = words.iter().find(|(word, _)| *word == value) {
        return Ok(*meant);
    }
    let allowed: Vec<_> = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
    bail!("'{value}' is none of {}", allowed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_without_options_asks() {
        let options = Options::new("# only comments\n\n", "quiet root=none").unwrap();
        assert_eq!(options, Options::default());
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = "version: 1\ndisk: serial=A1\nunattended: yes\nwipe: true\ngrow: no\nafter: poweroff\nkargs:\n  - a=b\n";
        let line = "inst.diskwright.medium=DISKWRIGHT_00 inst.diskwright.disk=largest inst.diskwright.wipe=no inst.diskwright.after=shell";
        let options = Options::new(file, line).unwrap();
        assert_eq!(options.disk, Some(Rule::Largest));
        assert!(options.file.unattended && !options.file.wipe && !options.file.grow);
        assert_eq!((options.file.after, options.file.kargs), (After::Shell, vec!["a=b".to_owned()]));
        assert_eq!(Place::of(line).unwrap(), Place::Medium("DISKWRIGHT_00".to_owned()));
    }

    #[test]
    fn what_comes_from_a_network_is_pinned() {
        let pin = format!("inst.diskwright.payload-digest=sha256:{}", "0A".repeat(32));
        let line =
            format!("inst.diskwright.medium=X inst.diskwright.payload=http://a/b/boot.ipxe {pin} quiet");
        let Place::Network { address, digest } = Place::of(&line).unwrap() else { panic!("{line}") };
        assert_eq!((address.to_string().as_str(), digest), ("http://a/b/boot.ipxe", "0a".repeat(32)));
        assert!(Options::new("", &line).is_ok());
        for (line, why) in [
            ("quiet".to_owned(), "neither"),
            ("inst.diskwright.payload=http://a/".to_owned(), "has to be pinned"),
            (
                "inst.diskwright.payload=http://a/ inst.diskwright.payload-digest=sha256:12".to_owned(),
                "no SHA-256",
            ),
            (format!("inst.diskwright.payload=https://a/ {pin}"), "there is no TLS"),
            (format!("inst.diskwright.payload= {pin}"), "is no address"),
        ] {
            let text = format!("{:#}", Place::of(&line).unwrap_err());
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn a_switch_without_a_value_is_on() {
        assert!(Options::new("", "inst.diskwright.unattended").unwrap().file.unattended);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_named() {
        for (file, line, named) in [
            ("disc: sda\n", "", "disc"),
            ("after: sleep\n", "", "sleep"),
            ("disk: serial=\n", "", "serial="),
            ("version: 2\n", "", "version: 2"),
            ("", "inst.diskwright.wipe=maybe", "inst.diskwright.wipe=maybe"),
            ("", "inst.diskwright.disc=sda", "inst.diskwright.disc=sda"),
        ] {
            let text = format!("{:#}", Options::new(file, line).unwrap_err());
            assert!(text.contains(named), "{text}");
        }
    }
}
