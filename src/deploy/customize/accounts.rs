//! The account files: passwd(5), group(5), shadow(5), gshadow(5), subuid(5)
//! and subgid(5), kept line by line so that what is not changed stays as it is.
//!
//! Images made for ostree may hold most accounts in /usr/lib/passwd and
//! /usr/lib/group (nss-altfiles). Their names and ids count as taken; an entry
//! that must change is copied to /etc first, as the tools there need it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use diskwright_formats::tree::Meta;

use super::place::Root;

/// Column of the id in passwd and group.
const ID: usize = 2;
/// Column of the primary group in passwd.
const PASSWD_GID: usize = 3;
/// Column of the members in group and gshadow.
const MEMBERS: usize = 3;
/// Column of the password in all four files.
pub(super) const PASSWORD: usize = 1;
/// Column of the day of the last change in shadow.
pub(super) const LAST_CHANGE: usize = 2;
/// Column of the day of expiry in shadow.
pub(super) const EXPIRE: usize = 7;
/// Mark of passwd and group for "see the shadow file".
const SHADOWED: &str = "x";

/// One file of lines with fields between colons.
#[derive(Debug)]
pub(super) struct Table {
    path: &'static str,
    lines: Vec<String>,
    exists: bool,
    changed: bool,
}

impl Table {
    fn read(root: &Root<'_>, path: &'static str) -> Result<Self> {
        let text = root.text(path)?;
        let exists = text.is_some();
        let text =
            String::from_utf8(text.unwrap_or_default()).with_context(|| format!("{path} is not UTF-8"))?;
        Ok(Self { path, lines: text.lines().map(str::to_owned).collect(), exists, changed: false })
    }

    pub(super) const fn exists(&self) -> bool {
        self.exists
    }

    /// The line of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.lines.iter().position(|line| field_of(line, 0) == Some(name))
    }

    pub(super) fn field(&self, line: usize, column: usize) -> &str {
        self.lines.get(line).and_then(|line| field_of(line, column)).unwrap_or_default()
    }

    /// Sets a field; fields missing before it become empty.
    pub(super) fn set(&mut self, line: usize, column: usize, value: &str) {
        let Some(text) = self.lines.get_mut(line) else { return };
        let mut fields: Vec<&str> = text.split(':').collect();
        fields.resize(fields.len().max(column + 1), "");
        if fields[column] != value {
            fields[column] = value;
            *text = fields.join(":");
            self.changed = true;
        }
    }

    /// Adds a line at the end, but before entries of NIS, which end the search.
    pub(super) fn add(&mut self, line: String) {
        let nis = self.lines.iter().position(|line| line.starts_with(['+', '-']));
        self.lines.insert(nis.unwrap_or(self.lines.len()), line);
        self.changed = true;
    }

    fn id(&self, line: usize) -> Option<u32> {
        self.field(line, ID).parse().ok()
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        (0..self.lines.len()).filter_map(|line| self.id(line))
    }

    fn name_of(&self, id: u32) -> Option<&str> {
        (0..self.lines.len()).find(|&line| self.id(line) == Some(id)).map(|line| self.field(line, 0))
    }

    fn add_member(&mut self, line: usize, user: &str) {
        let members = self.field(line, MEMBERS);
        if members.split(',').any(|member| member == user) {
            return;
        }
        let members = if members.is_empty() { user.to_owned() } else { format!("{members},{user}") };
        self.set(line, MEMBERS, &members);
    }

    /// First ids and lengths of the ranges of subuid and subgid, in order.
    pub(super) fn ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<_> = self.lines.iter().filter_map(|line| range_of(line)).collect();
        ranges.sort_unstable();
        ranges
    }

    /// Orders subuid or subgid by range, as useradd leaves it; what is no range goes last.
    pub(super) fn sort_by_range(&mut self) {
        self.lines.sort_by_cached_key(|line| {
            let range = range_of(line);
            (range.is_none(), range, field_of(line, 0).map(str::to_owned))
        });
    }

    fn write(&self, root: &mut Root<'_>, mode: u16) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        let (directory, name) = self.path.rsplit_once('/').context("a path with a directory")?;
        let directory = root.directory(directory)?;
        let text: String = self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        root.write(&directory, name, &Meta::root(mode), text.into_bytes())
    }
}

fn field_of(line: &str, column: usize) -> Option<&str> {
    line.split(':').nth(column)
}

fn range_of(line: &str) -> Option<(u64, u64)> {
    Some((field_of(line, 1)?.parse().ok()?, field_of(line, 2)?.parse().ok()?))
}

/// All account files of the system.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) passwd: Table,
    pub(super) group: Table,
    pub(super) shadow: Table,
    pub(super) gshadow: Table,
    pub(super) subuid: Table,
    pub(super) subgid: Table,
    image_passwd: Table,
    image_group: Table,
}

impl Accounts {
    pub(super) fn read(root: &Root<'_>) -> Result<Self> {
        Ok(Self {
            passwd: Table::read(root, "/etc/passwd")?,
            group: Table::read(root, "/etc/group")?,
            shadow: Table::read(root, "/etc/shadow")?,
            gshadow: Table::read(root, "/etc/gshadow")?,
            subuid: Table::read(root, "/etc/subuid")?,
            subgid: Table::read(root, "/etc/subgid")?,
            image_passwd: Table::read(root, "/usr/lib/passwd")?,
            image_group: Table::read(root, "/usr/lib/group")?,
        })
    }

    /// Puts every changed file in place, with the mode given if it is new.
    pub(super) fn write(&self, root: &mut Root<'_>) -> Result<()> {
        for table in [&self.passwd, &self.group, &self.subuid, &self.subgid] {
            table.write(root, 0o644)?;
        }
        self.shadow.write(root, 0o600)?;
        self.gshadow.write(root, 0o600)
    }

    /// The line of a user in /etc/passwd, brought there if only the image has it.
    pub(super) fn user(&mut self, name: &str) -> Option<usize> {
        self.passwd.find(name).or_else(|| {
            let line = self.image_passwd.find(name)?;
            self.passwd.add(self.image_passwd.lines[line].clone());
            self.passwd.find(name)
        })
    }

    pub(super) fn uid(&self, name: &str) -> Option<u32> {
        [&self.passwd, &self.image_passwd].into_iter().find_map(|table| table.id(table.find(name)?))
    }

    pub(super) fn gid(&self, name: &str) -> Option<u32> {
        [&self.group, &self.image_group].into_iter().find_map(|table| table.id(table.find(name)?))
    }

    /// Owner and group of a user's files.
    pub(super) fn ids(&self, line: usize) -> Result<(u32, u32)> {
        let id = |column| self.passwd.field(line, column).parse().ok();
        let ids = id(ID).zip(id(PASSWD_GID));
        ids.with_context(|| format!("/etc/passwd line {} has no valid ids", line + 1))
    }

    pub(super) fn user_of(&self, uid: u32) -> Option<&str> {
        self.passwd.name_of(uid).or_else(|| self.image_passwd.name_of(uid))
    }

    pub(super) fn group_of(&self, gid: u32) -> Option<&str> {
        self.group.name_of(gid).or_else(|| self.image_group.name_of(gid))
    }

    pub(super) fn uids(&self) -> BTreeSet<u32> {
        self.passwd.ids().chain(self.image_passwd.ids()).collect()
    }

    pub(super) fn gids(&self) -> BTreeSet<u32> {
        self.group.ids().chain(self.image_group.ids()).collect()
    }

    /// A new group without members, as groupadd(8) writes it.
    pub(super) fn add_group(&mut self, name: &str, gid: u32) {
        let mark = if self.gshadow.exists { SHADOWED } else { "!" };
        self.group.add(format!("{name}:{mark}:{gid}:"));
        if self.gshadow.exists {
            self.gshadow.add(format!("{name}:!::"));
        }
    }

    /// Adds a user to an existing group.
    pub(super) fn join(&mut self, group: &str, user: &str) -> Result<()> {
        let Some(line) = self.group_line(group) else {
            bail!("the image has no group {group}; {}", self.advice(group));
        };
        self.group.add_member(line, user);
        if let Some(line) = self.gshadow.find(group) {
            self.gshadow.add_member(line, user);
        }
        Ok(())
    }

    /// What to do about a missing group; distributions differ in whom they let use sudo.
    fn advice(&self, group: &str) -> String {
        let other = [("wheel", "sudo"), ("sudo", "wheel")].into_iter().find(|(name, _)| *name == group);
        match other.filter(|(_, other)| self.gid(other).is_some()) {
            Some((_, other)) => format!("its group for administrators is {other}"),
            None => "customizations.group makes it".to_owned(),
        }
    }

    fn group_line(&mut self, name: &str) -> Option<usize> {
        self.group.find(name).or_else(|| {
            let line = self.image_group.find(name)?;
            self.group.add(self.image_group.lines[line].clone());
            if self.gshadow.exists && self.gshadow.find(name).is_none() {
                let members = self.image_group.field(line, MEMBERS);
                self.gshadow.add(format!("{name}:!::{members}"));
            }
            self.group.find(name)
        })
    }

    /// The line of a user in shadow, made if missing; passwd then points to it.
    pub(super) fn shadow_line(&mut self, name: &str, day: &str, aging: &str) -> usize {
        if let Some(line) = self.passwd.find(name) {
            self.passwd.set(line, PASSWORD, SHADOWED);
        }
        self.shadow.find(name).unwrap_or_else(|| {
            self.shadow.add(format!("{name}:!:{day}:{aging}:"));
            self.shadow.find(name).expect("the line was just added")
        })
    }
}
