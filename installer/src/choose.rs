//! Which disk to install on: by rule, without asking.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};

use crate::{contents::Contents, disks::Disk};

/// The forms of a rule.
const ALLOWED: &str =
    "a path below /dev, serial=S, wwn=W, model=M, size=N, largest, smallest and first-empty";

/// How the target is told from the other disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The largest disk.
    Largest,
    /// The smallest disk that is large enough.
    Smallest,
    /// The first disk, by name, without partitions and filesystems.
    FirstEmpty,
    /// By a path below `/dev`, or the kernel's name.
    Path(String),
    /// By World Wide Name or NVMe identifier.
    Wwn(String),
    /// By serial number.
    Serial(String),
    /// By what the maker calls it.
    Model(String),
    /// By exact length in bytes.
    Size(u64),
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("largest", "") => Ok(Self::Largest),
            ("smallest", "") => Ok(Self::Smallest),
            ("first-empty", "") => Ok(Self::FirstEmpty),
            ("wwn", wwn) if !wwn.is_empty() => Ok(Self::Wwn(wwn.into())),
            ("serial", serial) if !serial.is_empty() => Ok(Self::Serial(serial.into())),
            ("model", model) if !model.is_empty() => Ok(Self::Model(model.into())),
            ("size", size) => bytes(size)
                .map(Self::Size)
                .ok_or_else(|| format!("size={size}: not a size; use 20GiB or bytes")),
            (path, "") if !path.is_empty() && path == text => Ok(Self::Path(path.into())),
            _ => Err(format!("'{text}' names no disk; allowed are {ALLOWED}")),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Largest => f.write_str("largest"),
            Self::Smallest => f.write_str("smallest"),
            Self::FirstEmpty => f.write_str("first-empty"),
            Self::Path(path) => f.write_str(path),
            Self::Wwn(wwn) => write!(f, "wwn={wwn}"),
            Self::Serial(serial) => write!(f, "serial={serial}"),
            Self::Model(model) => write!(f, "model={model}"),
            Self::Size(size) => write!(f, "size={size}"),
        }
    }
}

/// A disk that could be installed on, and what is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) disk: Disk,
    pub(crate) contents: Contents,
}

impl Rule {
    /// The disk that the rule means among `candidates` (ordered by name) that hold `needed` bytes.
    ///
    /// # Errors
    /// None or several match, or the one that does is too small; the text lists what there is.
    pub(crate) fn choose<'a>(&self, candidates: &'a [Candidate], needed: u64) -> Result<&'a Candidate> {
        let fits = |found: &&Candidate| found.disk.size >= needed;
        let found: Vec<&Candidate> = match self {
            Self::Largest => extreme(candidates.iter().filter(fits), |size| u64::MAX - size),
            Self::Smallest => extreme(candidates.iter().filter(fits), |size| size),
            Self::FirstEmpty => {
                candidates.iter().filter(fits).find(|found| !found.contents.is_data()).into_iter().collect()
            }
            _ => candidates.iter().filter(|found| self.names(&found.disk)).collect(),
        };
        match found[..] {
            [one] if one.disk.size < needed => {
                bail!("{} has {} bytes, {needed} are needed", one.disk.path().display(), one.disk.size)
            }
            [one] => Ok(one),
            [] => bail!(
                "no disk is '{self}' and large enough ({needed} bytes); there are: {}",
                listed(candidates)
            ),
            _ => bail!("several disks are '{self}': {}; name one of them", listed(found.into_iter())),
        }
    }

    fn names(&self, disk: &Disk) -> bool {
        match self {
            Self::Path(path) => disk.is_named(path),
            Self::Wwn(wwn) => disk.wwid == *wwn,
            Self::Serial(serial) => disk.serial == *serial,
            Self::Model(model) => disk.model == *model,
            Self::Size(size) => disk.size == *size,
            Self::Largest | Self::Smallest | Self::FirstEmpty => false,
        }
    }
}

/// A whole number of bytes, or of KiB to TiB, or of kB to TB.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

/// The disks with the smallest `key`: several if they are equal.
fn extreme<'a>(disks: impl Iterator<Item = &'a Candidate>, key: impl Fn(u64) -> u64) -> Vec<&'a Candidate> {
    let disks: Vec<_> = disks.collect();
    let best = disks.iter().map(|found| key(found.disk.size)).min();
    disks.into_iter().filter(|found| Some(key(found.disk.size)) == best).collect()
}

fn listed<'a>(disks: impl IntoIterator<Item = &'a Candidate>) -> String {
    let words = disks.into_iter().map(|found| {
        let Disk { size, serial, .. } = &found.disk;
        format!("{} ({size} bytes, serial '{serial}', {})", found.disk.path().display(), found.contents)
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() { "none".into() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, gib: u64, contents: Contents) -> Candidate {
        let disk = Disk {
            name: name.into(),
            size: gib << 30,
            sector_size: 512,
            model: String::new(),
            serial: format!("serial-{name}"),
            wwid: format!("id-{name}"),
            is_read_only: false,
            paths: vec![format!("/dev/{name}").into()],
        };
        Candidate { disk, contents }
    }

    fn machine() -> Vec<Candidate> {
        vec![
            candidate("sda", 20, Contents::Partitions(vec!["root".into()])),
            candidate("sdb", 10, Contents::Empty),
            candidate("sdc", 1, Contents::Empty),
        ]
    }

    fn choose(rule: &str, needed_gib: u64) -> Result<String, String> {
        let machine = machine();
        let rule: Rule = rule.parse()?;
        rule.choose(&machine, needed_gib << 30)
            .map(|found| found.disk.name.clone())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn every_rule_finds_its_disk() {
        for (rule, expected) in [
            ("largest", "sda"),
            ("smallest", "sdb"),
            ("first-empty", "sdb"),
            ("/dev/sdb", "sdb"),
            ("sda", "sda"),
            ("wwn=id-sdb", "sdb"),
            ("serial=serial-sda", "sda"),
            ("size=10GiB", "sdb"),
        ] {
            assert_eq!(choose(rule, 2).as_deref(), Ok(expected), "{rule}");
        }
    }

    #[test]
    fn none_several_and_too_small_are_said_with_the_disks_there_are() {
        assert!(choose("/dev/sdz", 1).unwrap_err().contains("/dev/sda (21474836480 bytes"));
        assert!(choose("model=", 1).unwrap_err().contains("allowed are"));
        assert!(choose("sdc", 2).unwrap_err().contains("1073741824 bytes, 2147483648 are needed"));
        assert!(choose("largest", 50).unwrap_err().contains("large enough"));
        assert!(choose("size=ten", 1).unwrap_err().contains("size=ten"));
    }

    #[test]
    fn two_equal_disks_are_not_chosen_between() {
        let twins = [candidate("sda", 10, Contents::Empty), candidate("sdb", 10, Contents::Empty)];
        assert!(Rule::Largest.choose(&twins, 1).unwrap_err().to_string().contains("several disks"));
    }
}
