//! What the image says of new accounts: login.defs(5) and useradd(8)'s
//! `/etc/default/useradd`. Absent keys have the values of shadow-utils.

use std::{collections::BTreeMap, ops::RangeInclusive};

use anyhow::{Context as _, Result, ensure};

use super::place::Root;

type Pairs = BTreeMap<String, String>;

/// Defaults for new accounts.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) uids: RangeInclusive<u32>,
    pub(super) gids: RangeInclusive<u32>,
    /// Whether a user gets a group of the same name.
    pub(super) user_groups: bool,
    /// Name or id of the primary group otherwise.
    pub(super) group: String,
    pub(super) home_mode: u16,
    /// The directory that homes are made in.
    pub(super) home: String,
    pub(super) shell: String,
    pub(super) skel: String,
    /// Fields 4 to 8 of shadow(5).
    pub(super) aging: String,
    pub(super) subuids: SubIds,
    pub(super) subgids: SubIds,
}

/// Where ranges of subordinate ids are taken from (subuid(5)).
#[derive(Clone, Copy, Debug)]
pub(super) struct SubIds {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
}

impl Settings {
    pub(super) fn read(root: &Root<'_>) -> Result<Self> {
        let login = match root.text("/etc/login.defs")? {
            Some(text) => text,
            None => root.text("/usr/etc/login.defs")?.unwrap_or_default(),
        };
        let login = pairs(&login, char::is_whitespace);
        let useradd = pairs(&root.text("/etc/default/useradd")?.unwrap_or_default(), |c| c == '=');
        Self::from_pairs(&login, &useradd)
    }

    fn from_pairs(login: &Pairs, useradd: &Pairs) -> Result<Self> {
        let umask = number(login, "UMASK")?.unwrap_or(0o022);
        let home_mode = number(login, "HOME_MODE")?.unwrap_or(0o777 & !umask);
        let text = |key, default: &str| useradd.get(key).map_or(default, String::as_str).to_owned();
        let expire = text("EXPIRE", "");
        ensure!(expire.is_empty(), "/etc/default/useradd: EXPIRE={expire} is not supported");
        Ok(Self {
            uids: range(login, "UID_MIN", "UID_MAX")?,
            gids: range(login, "GID_MIN", "GID_MAX")?,
            user_groups: login.get("USERGROUPS_ENAB").is_some_and(|value| value.eq_ignore_ascii_case("yes")),
            group: text("GROUP", "100"),
            home_mode: u16::try_from(home_mode & 0o7777).context("login.defs: HOME_MODE")?,
            home: text("HOME", "/home"),
            shell: text("SHELL", "/bin/sh"),
            skel: text("SKEL", "/etc/skel"),
            aging: aging(login, &text("INACTIVE", "-1"))?,
            subuids: sub_ids(login, "SUB_UID")?,
            subgids: sub_ids(login, "SUB_GID")?,
        })
    }
}

/// `minimum:maximum:warning:inactive:expire`, empty where nothing is set.
fn aging(login: &Pairs, inactive: &str) -> Result<String> {
    let mut fields = Vec::new();
    for key in ["PASS_MIN_DAYS", "PASS_MAX_DAYS", "PASS_WARN_AGE"] {
        fields.push(number(login, key)?.filter(|&days| days >= 0).map(|days| days.to_string()));
    }
    fields.push(Some(inactive.to_owned()).filter(|days| days.parse().is_ok_and(|days: i64| days >= 0)));
    fields.push(None);
    let fields: Vec<_> = fields.into_iter().map(Option::unwrap_or_default).collect();
    Ok(fields.join(":"))
}

fn range(login: &Pairs, first: &str, last: &str) -> Result<RangeInclusive<u32>> {
    let id = |key, default| -> Result<u32> {
        let value = number(login, key)?.unwrap_or(default);
        u32::try_from(value).with_context(|| format!("login.defs: {key} {value}"))
    };
    let (low, high) = (id(first, 1000)?, id(last, 60000)?);
    ensure!(low <= high && high < u32::MAX, "login.defs: {first} {low} and {last} {high} are no range");
    Ok(low..=high)
}

fn sub_ids(login: &Pairs, prefix: &str) -> Result<SubIds> {
    let value = |key: &str, default| -> Result<u64> {
        let key = format!("{prefix}_{key}");
        let value = number(login, &key)?.unwrap_or(default);
        u64::try_from(value)
            .ok()
            .filter(|&id| id <= u64::from(u32::MAX))
            .with_context(|| format!("login.defs: {key} {value}"))
    };
    let ids = SubIds {
        first: value("MIN", 100_000)?,
        last: value("MAX", 600_100_000)?,
        count: value("COUNT", 65_536)?,
    };
    Ok(ids)
}

/// A number as C writes it: decimal, `0` octal, `0x` hexadecimal.
fn number(login: &Pairs, key: &str) -> Result<Option<i64>> {
    let Some(text) = login.get(key) else { return Ok(None) };
    let parsed = match text.strip_prefix("0x") {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16),
        None if text.len() > 1 && text.starts_with('0') => i64::from_str_radix(text, 8),
        None => text.parse(),
    };
    parsed.map(Some).with_context(|| format!("login.defs: {key} {text} is no number"))
}

/// Key and value of each line that has both; the last one counts.
fn pairs(text: &[u8], separator: impl Fn(char) -> bool + Copy) -> Pairs {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (key, value) = line.split_once(separator)?;
        Some((key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
    };
    lines.filter_map(pair).collect()
}
