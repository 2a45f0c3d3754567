//! `customizations.user`, `group` and `sshkey`.

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// An account: created if the image does not have it, changed if it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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
    /// Supplementary groups, of the image or of this blueprint.
    #[serde(default)]
    pub groups: Vec<String>,
    /// User id; without it the next free one.
    pub uid: Option<u32>,
    /// Id of an existing group to be the primary one; without it what the image's defaults say.
    pub gid: Option<u32>,
    /// The day the account expires: a date ("2030-12-31"), or days since 1970-01-01.
    pub expiredate: Option<Day>,
    /// Whether the password must be changed at the first login.
    pub force_password_reset: Option<bool>,
}

/// A group: created if the image does not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id; without it the next free one.
    pub gid: Option<u32>,
}

/// SSH keys of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshKey {
    /// The account, of the image or of this blueprint.
    pub user: String,
    /// SSH public keys, one a line.
    pub key: String,
}

/// A day, in days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub u32);

impl Day {
    /// A date as `YYYY-MM-DD`, which must exist and not be before 1970.
    fn from_date(text: &str) -> Option<Self> {
        let parts: Vec<u32> = text.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let &[year, month, day] = &parts[..] else { return None };
        let leap =
            |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let length = *lengths.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
        let good = text.len() == 10 && (1970..=9999).contains(&year) && (1..=length).contains(&day);
        let years: u32 = (1970..year.min(9999)).map(|year| if leap(year) { 366 } else { 365 }).sum();
        let months: u32 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum();
        good.then(|| Self(years + months + day - 1))
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Day;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date as \"YYYY-MM-DD\", or days since 1970-01-01")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Day, E> {
                Day::from_date(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, days: u64) -> Result<Day, E> {
                const LATEST: u64 = 2_932_896; // 9999-12-31
                let day = u32::try_from(days).ok().filter(|_| days <= LATEST).map(Day);
                day.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(days), &self))
            }
        }
        source.deserialize_any(Read)
    }
}

impl JsonSchema for Day {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["integer", "string"], "minimum": 0, "pattern": "^\\d{4}-\\d{2}-\\d{2}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        // date -d 2030-12-31 +%s, divided by 86400
        for (text, days) in [
            ("1970-01-01", 0),
            ("1970-12-31", 364),
            ("2000-03-01", 11017),
            ("2024-02-29", 19782),
            ("2030-12-31", 22279),
        ] {
            assert_eq!(Day::from_date(text), Some(Day(days)), "{text}");
        }
        for text in
            ["", "1969-12-31", "2023-02-29", "2023-13-01", "2023-00-01", "2023-1-1", "2023-01-32", "a-b-c"]
        {
            assert_eq!(Day::from_date(text), None, "{text}");
        }
    }
}
