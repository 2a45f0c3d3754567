//! What the installer is to do: `diskwright.yaml` of the medium, and above it
//! the kernel's command line (`docs/installer-medium.md`).

use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use crate::choose::Rule;

/// Beginning of the arguments that are ours.
const PREFIX: &str = "inst.diskwright.";
/// Version of the options that this installer knows.
const VERSION: u32 = 1;

/// What to do when the disk is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum After {
    /// Start the machine anew.
    #[default]
    Reboot,
    /// Switch it off.
    Poweroff,
    /// Stay, with a shell.
    Shell,
}

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Log {
    /// What a person wants to know.
    #[default]
    Normal,
    /// Every step.
    Verbose,
}

/// The options, from wherever they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Volume id of the medium.
    pub(crate) medium: Option<String>,
    /// Which disk; none: ask.
    pub(crate) disk: Option<Rule>,
    /// Whether nothing is asked.
    pub(crate) unattended: bool,
    /// Whether a disk with data may be overwritten without a question.
    pub(crate) wipe: bool,
    /// Whether the last partition takes all the disk.
    pub(crate) grow: bool,
    /// Whether disk and partitions get new UUIDs.
    pub(crate) fresh_ids: bool,
    /// What follows.
    pub(crate) after: After,
    /// How much is told.
    pub(crate) log: Log,
    /// Kernel arguments to append on the installed system.
    pub(crate) kargs: Vec<String>,
    /// Keys for root on the installed system.
    pub(crate) ssh_keys: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            medium: None,
            disk: None,
            unattended: false,
            wipe: false,
            grow: true,
            fresh_ids: false,
            after: After::default(),
            log: Log::default(),
            kargs: Vec::new(),
            ssh_keys: Vec::new(),
        }
    }
}

/// `diskwright.yaml` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    version: Option<u32>,
    disk: Option<String>,
    unattended: Option<Switch>,
    wipe: Option<Switch>,
    grow: Option<Switch>,
    fresh_ids: Option<Switch>,
    after: Option<After>,
    log: Option<Log>,
    kargs: Vec<String>,
    ssh_keys: Vec<String>,
}

/// `yes` or `no`, also as YAML 1.2 and people write it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Switch {
    Bool(bool),
    Word(Word),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Yes,
    No,
}

impl Switch {
    const fn is_on(self) -> bool {
        matches!(self, Self::Bool(true) | Self::Word(Word::Yes))
    }
}

impl Options {
    /// The options of the medium's `file` with those of the `command_line` over them.
    ///
    /// # Errors
    /// A key or argument that is unknown or has a bad value, by name.
    pub(crate) fn new(file: &str, command_line: &str) -> Result<Self> {
        let mut options = Self::default();
        options.read(file).context("diskwright.yaml on the medium")?;
        options.apply(command_line).context("kernel command line")?;
        Ok(options)
    }

    /// The volume id that the `command_line` names, which is needed before the medium is there.
    pub(crate) fn medium(command_line: &str) -> Option<&str> {
        let is_ours = |argument: &&str| argument.starts_with("inst.diskwright.medium=");
        command_line.split_whitespace().rfind(is_ours)?.split_once('=').map(|(_, id)| id)
    }

    fn read(&mut self, text: &str) -> Result<()> {
        let has_keys =
            text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        if !has_keys {
            return Ok(());
        }
        let file: File = serde_saphyr::from_str(text).map_err(|error| anyhow!("{error}"))?;
        if file.version.is_some_and(|version| version != VERSION) {
            bail!("version: {} is not known, only {VERSION}", file.version.unwrap_or_default());
        }
        self.disk = file.disk.as_deref().filter(|rule| *rule != "ask").map(rule).transpose()?;
        let set = |option: &mut bool, value: Option<Switch>| *option = value.map_or(*option, Switch::is_on);
        set(&mut self.unattended, file.unattended);
        set(&mut self.wipe, file.wipe);
        set(&mut self.grow, file.grow);
        set(&mut self.fresh_ids, file.fresh_ids);
        self.after = file.after.unwrap_or_default();
        self.log = file.log.unwrap_or_default();
        (self.kargs, self.ssh_keys) = (file.kargs, file.ssh_keys);
        Ok(())
    }

    fn apply(&mut self, command_line: &str) -> Result<()> {
        for argument in command_line.split_whitespace() {
            let Some(argument) = argument.strip_prefix(PREFIX) else { continue };
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            self.set(key, value.trim_matches('"')).with_context(|| format!("{PREFIX}{argument}"))?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "medium" => self.medium = Some(value.into()),
            "disk" => self.disk = if value == "ask" { None } else { Some(rule(value)?) },
            "unattended" => self.unattended = switch(value)?,
            "wipe" => self.wipe = switch(value)?,
            "grow" => self.grow = switch(value)?,
            "fresh-ids" => self.fresh_ids = switch(value)?,
            "after" => {
                self.after = word(
                    value,
                    &[("reboot", After::Reboot), ("poweroff", After::Poweroff), ("shell", After::Shell)],
                )?;
            }
            "log" => self.log = word(value, &[("normal", Log::Normal), ("verbose", Log::Verbose)])?,
            _ => bail!("unknown argument"),
        }
        Ok(())
    }
}

fn rule(text: &str) -> Result<Rule> {
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
        assert!(options.unattended && !options.wipe && !options.grow);
        assert_eq!((options.after, options.kargs), (After::Shell, vec!["a=b".to_owned()]));
        assert_eq!(Options::medium(line), Some("DISKWRIGHT_00"));
    }

    #[test]
    fn a_switch_without_a_value_is_on() {
        assert!(Options::new("", "inst.diskwright.unattended").unwrap().unattended);
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
