//! The blueprint's names as types, independent of any syntax.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::storage;

/// A whole blueprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
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
}

/// Everything a blueprint can change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Customizations {
    /// Accounts, created or changed in this order.
    pub user: Vec<User>,
    /// The content of /etc/hostname.
    pub hostname: Option<String>,
    /// The kernel's command line.
    pub kernel: Kernel,
    /// Files to write.
    pub files: Vec<File>,
    /// Directories on filesystems of their own.
    pub filesystem: Vec<storage::Filesystem>,
    /// The whole partition table.
    pub disk: Option<storage::Disk>,
}

/// An account: created if the image does not have it, changed if it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name.
    pub name: String,
    /// The comment field of passwd (GECOS).
    pub description: Option<String>,
    /// Plain text, or a crypt(5) hash; `!` or `*` locks. Without it a new account is locked.
    pub password: Option<String>,
    /// SSH public keys, one a line.
    pub key: Option<String>,
    /// Home directory.
    pub home: Option<String>,
    /// Login shell; must exist in the image.
    pub shell: Option<String>,
    /// Supplementary groups; must exist in the image.
    #[serde(default)]
    pub groups: Vec<String>,
    /// User id; without it the next free one.
    pub uid: Option<u32>,
    /// Id of an existing group to be the primary one; without it what the image's defaults say.
    pub gid: Option<u32>,
}

/// The kernel's command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Arguments added after those of the image.
    pub append: Option<String>,
}

/// A file to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Owner; root for a new file, unchanged for one that exists.
    pub user: Option<Owner>,
    /// Group; root for a new file, unchanged for one that exists.
    pub group: Option<Owner>,
    /// Permissions; 0644 for a new file, unchanged for one that exists.
    pub mode: Option<Mode>,
    /// Content.
    #[serde(default)]
    pub data: String,
}

/// A user or group by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Looked up in the image and among the users of the blueprint.
    Name(String),
    /// Taken as it is.
    Id(u32),
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Owner;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or an id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Owner, E> {
                Ok(Owner::Name(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Owner, E> {
                let wrong = || E::invalid_value(de::Unexpected::Unsigned(number), &"an id of 32 bits");
                u32::try_from(number).ok().filter(|&id| id != u32::MAX).map(Owner::Id).ok_or_else(wrong)
            }
        }
        source.deserialize_any(Read)
    }
}

/// Permission bits, written as an octal string ("0644").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u16);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        const LARGEST: u16 = 0o7777;
        let text = String::deserialize(source)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = if digits { u16::from_str_radix(&text, 8).ok() } else { None };
        mode.filter(|&mode| mode <= LARGEST).map(Self).ok_or_else(|| {
            de::Error::custom("expected permissions in octal as a string, \"0000\" to \"7777\"")
        })
    }
}
