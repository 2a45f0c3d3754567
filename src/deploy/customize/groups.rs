//! Groups as groupadd(8) of shadow-utils makes them. One that the image has stays as it is.

use anyhow::{Context as _, Result, bail};

use super::{accounts::Accounts, settings::Settings, users::next_id};
use crate::blueprint::Group;

pub(super) fn apply(accounts: &mut Accounts, settings: &Settings, group: &Group) -> Result<()> {
    let name = &group.name;
    if let Some(found) = accounts.gid(name) {
        return match group.gid.filter(|gid| *gid != found) {
            Some(gid) => bail!("gid {gid}: the image already has this group with gid {found}, which stays"),
            None => Ok(()),
        };
    }
    let gid = match group.gid {
        None => next_id(&accounts.gids(), &settings.gids).context("no group id is free")?,
        Some(gid) => match accounts.group_of(gid) {
            Some(other) => bail!("gid {gid} belongs to the group {other}"),
            None => gid,
        },
    };
    accounts.add_group(name, gid);
    Ok(())
}
