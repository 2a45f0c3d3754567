//! `diskwright.yaml` of a medium: read by the installer, written by who makes or edits the medium.

use std::fmt::Write as _;

use anyhow::{Result, anyhow, ensure};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::options::{After, Log};

/// Where it is on the medium.
pub const PATH: &str = "diskwright/diskwright.yaml";
/// Its length on the medium in bytes: room to be edited in place.
pub const LEN: usize = 64 << 10;
/// Version of the options that this installer knows.
const VERSION: u32 = 1;

/// The options that the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct File {
    version: u32,
    /// The target, as a rule; none: ask.
    pub disk: Option<String>,
    /// Whether nothing is asked.
    #[serde(deserialize_with = "switch")]
    pub unattended: bool,
    /// Whether a disk with data may be overwritten without a question.
    #[serde(deserialize_with = "switch")]
    pub wipe: bool,
    /// Whether the last partition takes all the disk.
    #[serde(deserialize_with = "switch")]
    pub grow: bool,
    /// Whether disk and partitions get new UUIDs.
    #[serde(deserialize_with = "switch")]
    pub fresh_ids: bool,
    /// What follows.
    pub after: After,
    /// How much is told.
    pub log: Log,
    /// Kernel arguments to append on the installed system.
    pub kargs: Vec<String>,
    /// Keys for root on the installed system.
    pub ssh_keys: Vec<String>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            version: VERSION,
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

impl File {
    /// Reads the file's text.
    ///
    /// # Errors
    /// A key that is unknown or has a bad value, with its line.
    pub fn parse(text: &str) -> Result<Self> {
        let has_keys =
            text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        if !has_keys {
            return Ok(Self::default());
        }
        let file: Self = serde_saphyr::from_str(text).map_err(|error| anyhow!("{error}"))?;
        ensure!(file.version == VERSION, "version: {} is not known, only {VERSION}", file.version);
        Ok(Self { disk: file.disk.filter(|rule| rule != "ask"), ..file })
    }

    /// The file's text, filled up with comments to [`LEN`] bytes.
    ///
    /// # Errors
    /// The options fill more than that.
    pub fn text(&self) -> Result<String> {
        let mut text = self.options();
        ensure!(text.len() < LEN, "the options fill {} bytes, the medium has room for {LEN}", text.len());
        const LINE: &str = "#                                                               \n";
        while text.len() + LINE.len() <= LEN {
            text.push_str(LINE);
        }
        let rest = LEN - text.len();
        if rest > 0 {
            text.push_str(&format!("{:<width$}\n", "#", width = rest - 1)[..rest]);
        }
        Ok(text)
    }

    fn options(&self) -> String {
        let word = |is_on: bool| if is_on { "yes" } else { "no" };
        let disk = self
            .disk
            .as_ref()
            .map_or_else(|| "#disk: largest".into(), |disk| format!("disk: {}", quoted(disk)));
        format!(
            "\
# Options of the installer. Kernel arguments inst.diskwright.* win over them.
version: {VERSION}
# The target: a path below /dev, serial=S, wwn=W, model=M, size=N, largest, smallest or first-empty.
# Without it, it asks.
{disk}
# Nothing is asked; what would be asked is an error.
unattended: {}
# A disk that holds data may be the target without a question.
wipe: {}
# The last partition and its filesystem take the whole disk.
grow: {}
# New UUIDs of the disk and its partitions.
fresh-ids: {}
# reboot, poweroff or shell.
after: {}
# normal or verbose.
log: {}
# Kernel arguments to append on the installed system, and SSH keys for root there.
kargs: {}
ssh-keys: {}
",
            word(self.unattended),
            word(self.wipe),
            word(self.grow),
            word(self.fresh_ids),
            self.after.name(),
            self.log.name(),
            list(&self.kargs),
            list(&self.ssh_keys),
        )
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        return "[]".into();
    }
    items.iter().fold(String::new(), |mut text, item| {
        let _ = write!(text, "\n  - {}", quoted(item));
        text
    })
}

/// As a YAML string in double quotes, which JSON's are.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `yes` and `no`, as people write them, beside YAML's `true` and `false`.
fn switch<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match String::deserialize(from)?.as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        other => Err(D::Error::custom(format!("'{other}' is neither yes nor no"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_has_its_length() {
        let file = File {
            disk: Some("serial=A \"1\"".into()),
            unattended: true,
            grow: false,
            after: After::Shell,
            log: Log::Verbose,
            kargs: vec!["a=\"b c\"".into(), "#x".into()],
            ssh_keys: vec!["ssh-ed25519 AAAA me: too".into()],
            ..File::default()
        };
        for file in [File::default(), file] {
            let text = file.text().unwrap();
            assert_eq!(text.len(), LEN);
            assert!(text.ends_with('\n'));
            assert_eq!(File::parse(&text).unwrap(), file);
        }
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        let file = File { kargs: vec!["x".repeat(LEN)], ..File::default() };
        assert!(file.text().unwrap_err().to_string().contains("has room for 65536"));
    }
}
