//! What a user asks of AWS, and whether it can be: names as EC2 allows them,
//! refused before a byte is sent.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;

use crate::error::{ErrorKind, Hint};

/// Lengths that EC2 allows of the name of an AMI, in characters.
const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=128;
/// What such a name may hold besides letters and digits.
const NAME_MARKS: &str = "()[] ./-'@_";
/// Digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;
/// Tags that a resource can have, less the one that names it.
const TAGS_MAX: usize = 49;
/// Characters of a tag's key and value.
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;

/// An AMI that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// The region; `None` means what the environment says.
    pub region: Option<String>,
    /// Profile of the AWS configuration files; `None` leaves it to the environment.
    pub profile: Option<String>,
    /// Regions that get a copy.
    pub copy_to: Vec<String>,
    /// Accounts that may start machines from it.
    pub share_with: Vec<String>,
    /// Tags of snapshots and images: key and value.
    pub tags: Vec<(String, String)>,
    /// How machines start; `None` means as the disk can.
    pub boot_mode: Option<BootMode>,
    /// OCI name of the architecture; `None` means what the disk is for.
    pub architecture: Option<String>,
}

/// How a machine starts from an AMI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    /// UEFI, on machines without it BIOS
    UefiPreferred,
    /// UEFI
    Uefi,
    /// BIOS
    LegacyBios,
}

impl BootMode {
    /// EC2's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UefiPreferred => "uefi-preferred",
            Self::Uefi => "uefi",
            Self::LegacyBios => "legacy-bios",
        }
    }
}

impl Wish {
    /// Whether everything that is named can be named so.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] with what is wrong and what would be right.
    pub fn check(&self) -> Result<()> {
        self.check_parts().context(ErrorKind::Usage)
    }

    fn check_parts(&self) -> Result<()> {
        check_name(&self.name)?;
        let mut regions = BTreeSet::from([self.home()?]);
        for region in &self.copy_to {
            check_region(region)?;
            ensure!(regions.insert(region.clone()), "region {region} is named twice");
        }
        self.share_with.iter().try_for_each(|account| check_account(account))?;
        self.check_tags()
    }

    /// The region of the snapshot and the first image.
    pub(super) fn home(&self) -> Result<String> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = self.region.clone();
        let region = region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = region.ok_or_else(|| {
            let hint = "name one with --aws-region or AWS_REGION, as in --aws-region eu-central-1";
            anyhow!("no AWS region").context(Hint(hint.to_owned()))
        })?;
        check_region(&region).map(|()| region)
    }

    fn check_tags(&self) -> Result<()> {
        ensure!(self.tags.len() <= TAGS_MAX, "{} tags, and AWS takes {TAGS_MAX}", self.tags.len());
        let mut keys = BTreeSet::new();
        for (key, value) in &self.tags {
            let fits = (1..=TAG_KEY_MAX).contains(&key.chars().count());
            ensure!(fits, "tag '{key}': a key has 1 to {TAG_KEY_MAX} characters");
            let fits = value.chars().count() <= TAG_VALUE_MAX;
            ensure!(fits, "tag '{key}': a value has at most {TAG_VALUE_MAX} characters");
            ensure!(!key.starts_with("aws:"), "tag '{key}': keys that begin with aws: are AWS's own");
            ensure!(keys.insert(key), "tag '{key}' is given twice");
        }
        Ok(())
    }

    /// Tags of everything that is made: the wished ones, and a name if none is among them.
    pub(super) fn all_tags(&self) -> Vec<(String, String)> {
        let mut tags = self.tags.clone();
        if !tags.iter().any(|(key, _)| key == "Name") {
            tags.push(("Name".to_owned(), self.name.clone()));
        }
        tags
    }
}

fn check_name(name: &str) -> Result<()> {
    let wrong = name.chars().find(|c| !c.is_ascii_alphanumeric() && !NAME_MARKS.contains(*c));
    if let Some(wrong) = wrong {
        let hint = format!("letters, digits and {NAME_MARKS} may be in it");
        return Err(anyhow!("AMI name '{name}': it cannot hold {wrong:?}").context(Hint(hint)));
    }
    let (least, most) = (NAME_CHARS.start(), NAME_CHARS.end());
    ensure!(NAME_CHARS.contains(&name.len()), "AMI name '{name}': a name has {least} to {most} characters");
    Ok(())
}

/// A region's name becomes part of a host name.
fn check_region(region: &str) -> Result<()> {
    let parts: Vec<&str> = region.split('-').collect();
    let is_word =
        |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let ends_in_digit = region.ends_with(|c: char| c.is_ascii_digit());
    let is_region = parts.len() >= 3 && parts.iter().all(is_word) && ends_in_digit;
    ensure!(is_region, "'{region}' is no AWS region: they look like eu-central-1");
    Ok(())
}

fn check_account(account: &str) -> Result<()> {
    let is_account = account.len() == ACCOUNT_DIGITS && account.chars().all(|c| c.is_ascii_digit());
    ensure!(is_account, "'{account}' is no AWS account: their numbers have {ACCOUNT_DIGITS} digits");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish { name: "os (1.0)".into(), region: Some("eu-central-1".into()), ..Wish::default() }
    }

    #[test]
    fn what_ec2_would_refuse_is_refused_here() {
        wish().check().unwrap();
        let regions = ["", "eu", "eu-central", "eu-central-1.example.com/", "EU-CENTRAL-1"];
        let wrong = [
            Wish { name: "os".into(), ..wish() },
            Wish { name: "a".repeat(129), ..wish() },
            Wish { name: "os:1".into(), ..wish() },
            Wish { copy_to: vec!["eu-central-1".into()], ..wish() },
            Wish { share_with: vec!["12345".into()], ..wish() },
            Wish { tags: vec![("aws:x".into(), String::new())], ..wish() },
            Wish { tags: vec![("a".into(), "1".into()), ("a".into(), "2".into())], ..wish() },
        ];
        let regions = regions.map(|region| Wish { region: Some(region.into()), ..wish() });
        for wish in wrong.into_iter().chain(regions) {
            let error = wish.check().expect_err(&format!("{wish:?}"));
            assert_eq!(ErrorKind::of(&error), ErrorKind::Usage);
        }
    }

    #[test]
    fn a_name_tag_is_added_unless_given() {
        assert_eq!(wish().all_tags(), [("Name".to_owned(), "os (1.0)".to_owned())]);
        let named = Wish { tags: vec![("Name".into(), "x".into())], ..wish() };
        assert_eq!(named.all_tags(), named.tags);
    }
}
