//! Users as useradd(8), usermod(8) and chpasswd(8) of shadow-utils make them.
//!
//! A new user gets the id after the highest one in use (the lowest free one if
//! that is past the range), a group of the same name and if possible the same
//! id, ranges of subordinate ids if the image keeps them, and a home directory
//! from the skeleton. A user of the image is changed only in what the
//! blueprint says.

use std::{collections::BTreeSet, ops::RangeInclusive};

use anyhow::{Context as _, Result, bail, ensure};
use diskwright_formats::tree::Kind;

use super::{
    accounts::{Accounts, EXPIRE, LAST_CHANGE, PASSWORD, Table},
    home, password,
    place::Root,
    settings::{Settings, SubIds},
};
use crate::blueprint::{Day, SshKey, User};

/// Columns of passwd(5).
const UID: usize = 2;
const GECOS: usize = 4;
const HOME: usize = 5;
const SHELL: usize = 6;
const SECONDS_A_DAY: i64 = 24 * 60 * 60;
/// Any of the three execute bits.
const EXECUTE: u16 = 0o111;

/// What applying a user needs.
pub(super) struct Users<'a, 'tree> {
    pub(super) root: &'a mut Root<'tree>,
    pub(super) accounts: &'a mut Accounts,
    pub(super) settings: &'a Settings,
    pub(super) seed: &'a [u8; 32],
}

impl Users<'_, '_> {
    /// Creates the user, or changes the one that the image has.
    pub(super) fn apply(&mut self, user: &User) -> Result<()> {
        if let Some(shell) = &user.shell {
            self.check_shell(shell)?;
        }
        let line = match self.accounts.user(&user.name) {
            Some(line) => self.change(user, line)?,
            None => self.create(user)?,
        };
        for group in &user.groups {
            self.accounts.join(group, &user.name)?;
        }
        if let Some(password) = &user.password {
            self.set_password(user, password)?;
        }
        if let Some(Day(day)) = user.expiredate {
            self.set_shadow(&user.name, EXPIRE, &day.to_string());
        }
        if user.force_password_reset == Some(true) {
            self.set_shadow(&user.name, LAST_CHANGE, "0");
        }
        if let Some(keys) = &user.key {
            self.add_keys(line, keys)?;
        }
        Ok(())
    }

    fn create(&mut self, user: &User) -> Result<usize> {
        let name = user.name.as_str();
        let uid = self.new_uid(user)?;
        let gid = self.primary_group(user, uid)?;
        let home = user
            .home
            .clone()
            .unwrap_or_else(|| format!("{}/{name}", self.settings.home.trim_end_matches('/')));
        let shell = match &user.shell {
            Some(shell) => shell,
            None => {
                self.check_shell(&self.settings.shell)?;
                &self.settings.shell
            }
        };
        let comment = user.description.as_deref().unwrap_or_default();
        self.accounts.passwd.add(format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}"));
        let line = self.accounts.passwd.find(name).context("the line was just added")?;
        self.accounts.shadow_line(name, &self.day(), &self.settings.aging);
        if self.settings.uids.contains(&uid) {
            add_range(&mut self.accounts.subuid, name, self.settings.subuids)?;
            add_range(&mut self.accounts.subgid, name, self.settings.subgids)?;
        }
        home::create(self.root, self.settings, &home, (uid, gid))?;
        Ok(line)
    }

    fn change(&mut self, user: &User, line: usize) -> Result<usize> {
        let found = self.accounts.passwd.field(line, HOME);
        let home = match &user.home {
            // the same directory by another way, such as /root and /var/roothome
            Some(home) if self.root.place(home)? == self.root.place(found)? => None,
            home => home.clone(),
        };
        let passwd = &mut self.accounts.passwd;
        let fixed = [
            ("uid", UID, user.uid.map(|id| id.to_string())),
            ("gid", UID + 1, user.gid.map(|id| id.to_string())),
            ("home", HOME, home),
        ];
        for (key, column, wanted) in fixed {
            let found = passwd.field(line, column);
            if let Some(wanted) = wanted.filter(|wanted| wanted != found) {
                bail!("{key} {wanted}: the image already has this user with {key} {found}, which stays");
            }
        }
        if let Some(comment) = &user.description {
            passwd.set(line, GECOS, comment);
        }
        if let Some(shell) = &user.shell {
            passwd.set(line, SHELL, shell);
        }
        Ok(line)
    }

    fn new_uid(&self, user: &User) -> Result<u32> {
        match user.uid {
            None => next_id(&self.accounts.uids(), &self.settings.uids).context("no user id is free"),
            Some(uid) => match self.accounts.user_of(uid) {
                Some(other) => bail!("uid {uid} belongs to the user {other}"),
                None => Ok(uid),
            },
        }
    }

    fn primary_group(&mut self, user: &User, uid: u32) -> Result<u32> {
        if let Some(gid) = user.gid {
            let exists = self.accounts.group_of(gid).is_some();
            ensure!(exists, "gid {gid}: the image has no group with this id");
            return Ok(gid);
        }
        if !self.settings.user_groups {
            let group = &self.settings.group;
            let by_id = || group.parse().ok().filter(|&gid| self.accounts.group_of(gid).is_some());
            let gid = self.accounts.gid(group).or_else(by_id);
            return gid.with_context(|| format!("the image has no group {group} (/etc/default/useradd)"));
        }
        let name = &user.name;
        if let Some(gid) = self.accounts.gid(name) {
            bail!("the image already has a group {name}; to make it the user's group, give gid: {gid}");
        }
        let (taken, range) = (self.accounts.gids(), &self.settings.gids);
        let same = Some(uid).filter(|id| range.contains(id) && !taken.contains(id));
        let gid = same.or_else(|| next_id(&taken, range)).context("no group id is free")?;
        self.accounts.add_group(name, gid);
        Ok(gid)
    }

    fn check_shell(&self, shell: &str) -> Result<()> {
        if shell.is_empty() {
            return Ok(());
        }
        let Some(node) = self.root.find(shell)? else {
            bail!("the image has no shell {shell}; install it in the Containerfile");
        };
        let node = self.root.node(node);
        let runs = matches!(node.kind, Kind::File(_)) && node.meta.mode & EXECUTE != 0;
        ensure!(runs, "the shell {shell} is not an executable file");
        Ok(())
    }

    /// Keys given beside the users.
    pub(super) fn authorize(&mut self, key: &SshKey) -> Result<()> {
        let line = self.accounts.user(&key.user);
        let line = line.context("neither the image nor the blueprint has this user")?;
        self.add_keys(line, &key.key)
    }

    fn set_shadow(&mut self, name: &str, column: usize, value: &str) {
        let line = self.accounts.shadow_line(name, &self.day(), &self.settings.aging);
        self.accounts.shadow.set(line, column, value);
    }

    fn set_password(&mut self, user: &User, password: &str) -> Result<()> {
        let field = password::field(password, &user.name, self.seed)?;
        let day = self.day();
        let line = self.accounts.shadow_line(&user.name, &day, &self.settings.aging);
        self.accounts.shadow.set(line, PASSWORD, &field);
        self.accounts.shadow.set(line, LAST_CHANGE, &day);
        Ok(())
    }

    /// The day of the build; empty before 1970-01-02, since 0 would ask for a new password.
    fn day(&self) -> String {
        let day = self.root.time().seconds.div_euclid(SECONDS_A_DAY);
        if day > 0 { day.to_string() } else { String::new() }
    }

    fn add_keys(&mut self, line: usize, keys: &str) -> Result<()> {
        let owner = self.accounts.ids(line)?;
        let home = self.accounts.passwd.field(line, HOME);
        home::authorize(self.root, home, owner, keys).context("key")
    }
}

/// The id after the highest in use within `range`, or the lowest free one.
pub(super) fn next_id(taken: &BTreeSet<u32>, range: &RangeInclusive<u32>) -> Option<u32> {
    let next = taken.range(range.clone()).next_back().map_or(*range.start(), |highest| highest + 1);
    if range.contains(&next) { Some(next) } else { range.clone().find(|id| !taken.contains(id)) }
}

/// Gives the user the first gap that is large enough, if the image keeps such a file.
fn add_range(table: &mut Table, name: &str, ids: SubIds) -> Result<()> {
    if !table.exists() || ids.count == 0 {
        return Ok(());
    }
    let mut first = ids.first;
    for (start, count) in table.ranges() {
        if start < first.saturating_add(ids.count) {
            first = first.max(start.saturating_add(count));
        }
    }
    let fits = first.saturating_add(ids.count - 1) <= ids.last;
    ensure!(fits, "no {} subordinate ids are free up to {}", ids.count, ids.last);
    table.sort_by_range();
    table.add(format!("{name}:{first}:{}", ids.count));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_highest_and_then_fill_gaps() {
        let taken = BTreeSet::from([0, 1000, 1002, 70000]);
        assert_eq!(next_id(&taken, &(1000..=60000)), Some(1003));
        assert_eq!(next_id(&taken, &(1000..=1002)), Some(1001));
        assert_eq!(next_id(&taken, &(1000..=1000)), None);
        assert_eq!(next_id(&BTreeSet::new(), &(1000..=1000)), Some(1000));
    }
}
