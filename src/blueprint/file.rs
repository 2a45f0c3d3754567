//! `customizations.files` and `directories`.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// A file to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

/// A directory to make; one that exists gets owner and mode if they are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Owner; root for a new directory.
    pub user: Option<Owner>,
    /// Group; root for a new directory.
    pub group: Option<Owner>,
    /// Permissions; 0755 for a new directory.
    pub mode: Option<Mode>,
    /// Whether missing parents are made too (root, 0755).
    #[serde(default)]
    pub ensure_parents: bool,
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

impl JsonSchema for Owner {
    fn schema_name() -> Cow<'static, str> {
        "Owner".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["string", "integer"], "minimum": 0})
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^0*[0-7]{1,4}$"})
    }
}
