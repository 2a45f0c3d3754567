//! Users, groups, keys and sudo.
//!
//! Sources: useradd(8) for names, sshd(8) "AUTHORIZED_KEYS FILE FORMAT" for keys, crypt(5) for
//! passwords.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{field, files::place_fault};
use crate::blueprint::{
    account::{Group, SshKey, User},
    error::{Fault, quoted},
    kernel,
};

/// Longest user and group name (utmp's field).
const NAME_MAX: usize = 32;
/// Longest password that crypt(3) takes (`CRYPT_MAX_PASSPHRASE_SIZE` less the final zero).
const PASSWORD_MAX: usize = 511;

const KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

pub(super) fn users(users: &[User]) -> Option<Fault> {
    let mut names = BTreeSet::new();
    for (index, user) in users.iter().enumerate() {
        let again = || {
            (!names.insert(&user.name))
                .then(|| field("name", format!("the user {} is given twice", quoted(&user.name))))
        };
        if let Some(fault) = user_fault(user).or_else(again) {
            return Some(fault.inside(index).inside("user"));
        }
    }
    None
}

fn user_fault(user: &User) -> Option<Fault> {
    let name = || name_fault(&user.name).map(|why| field("name", why));
    let description = || colon_fault(user.description.as_deref()?).map(|why| field("description", why));
    let password = || password_fault(user.password.as_deref()?);
    let key = || key_fault(user.key.as_deref()?).map(|why| field("key", why));
    let home = || place_fault(user.home.as_deref()?).map(|why| field("home", why));
    let shell = || place_fault(user.shell.as_deref()?).map(|why| field("shell", why));
    let groups = || {
        let fault =
            |(i, group): (usize, &String)| Some(Fault::new(name_fault(group)?).inside(i).inside("groups"));
        user.groups.iter().enumerate().find_map(fault)
    };
    let fault = name().or_else(description).or_else(password).or_else(key).or_else(home);
    fault.or_else(shell).or_else(groups).or_else(|| ids_fault(user))
}

fn ids_fault(user: &User) -> Option<Fault> {
    let ids = [("uid", user.uid), ("gid", user.gid)];
    let (name, _) = ids.into_iter().find(|(_, id)| *id == Some(u32::MAX))?;
    Some(field(name, no_id()))
}

/// useradd's rule, less names that begin with a digit or a dot: chown(1) and
/// systemd take those for something else.
pub(super) fn name_fault(name: &str) -> Option<String> {
    let body = name.strip_suffix('$').unwrap_or(name);
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if body.is_empty() {
        return Some("the name is empty".to_owned());
    }
    if name.len() > NAME_MAX {
        return Some(format!("{} is longer than {NAME_MAX} characters", quoted(name)));
    }
    let ok = body.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && body.chars().all(good);
    (!ok).then(|| {
        format!("{} is no valid name: a letter or _, then letters, digits, _, - and .", quoted(name))
    })
}

/// What a field of passwd(5) cannot hold.
pub(super) fn colon_fault(text: &str) -> Option<String> {
    let bad = text.chars().find(|c| c.is_control() || *c == ':')?;
    Some(format!("the character {bad:?} cannot stand in /etc/passwd"))
}

fn password_fault(password: &str) -> Option<Fault> {
    if password.is_empty() {
        let fault = field("password", "the password is empty");
        return Some(fault.hint("leave the key out for an account without a password login"));
    }
    if password.len() > PASSWORD_MAX {
        return Some(field("password", format!("longer than {PASSWORD_MAX} bytes")));
    }
    if password.contains(['\n', '\r', '\0']) {
        return Some(field("password", "a password is one line"));
    }
    let broken = password.starts_with('$') && User::is_hash(password) && !is_whole_hash(password);
    broken.then(|| field("password", "starts like a crypt hash but is none").hint("see crypt(5)"))
}

/// Prefix, salt and hash, without what would end the field or the line.
fn is_whole_hash(hash: &str) -> bool {
    let parts: Vec<_> = hash.split('$').skip(1).collect();
    let clean = hash.bytes().all(|byte| byte.is_ascii_graphic() && !b":;*!\\".contains(&byte));
    clean && parts.len() >= 3 && parts.last().is_some_and(|hash| hash.len() >= 22)
}

impl User {
    /// Whether a password is to be stored as it is: a crypt(5) hash, or a mark that locks.
    #[must_use]
    pub fn is_hash(password: &str) -> bool {
        const PREFIXES: &[&str] =
            &["$1$", "$2a$", "$2b$", "$2x$", "$2y$", "$5$", "$6$", "$7$", "$y$", "$gy$", "$sha1$"];
        matches!(password, "!" | "!!" | "*") || PREFIXES.iter().any(|prefix| password.starts_with(prefix))
    }
}

fn key_fault(keys: &str) -> Option<String> {
    let mut lines = keys.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.clone().next().is_none() {
        return Some("no SSH public key".to_owned());
    }
    lines.find_map(|line| one_key_fault(line).map(|why| format!("no SSH public key: {why}")))
}

fn one_key_fault(line: &str) -> Option<String> {
    if line.contains("PRIVATE KEY") {
        return Some("this is a private key".to_owned());
    }
    if line.contains(char::is_control) {
        return Some("it holds a control character".to_owned());
    }
    let mut words = kernel::split(line).into_iter().skip_while(|word| !KEY_TYPES.contains(word));
    let Some(kind) = words.next() else {
        return Some(format!("it has none of the types {}", KEY_TYPES.join(", ")));
    };
    let Some(body) = words.next() else { return Some(format!("nothing follows {kind}")) };
    let Ok(bytes) = STANDARD.decode(body) else {
        return Some(format!("what follows {kind} is not base64, or is cut short"));
    };
    // RFC 4253 section 6.6: the blob starts with its type as a string.
    let mut start = u32::try_from(kind.len()).unwrap_or_default().to_be_bytes().to_vec();
    start.extend_from_slice(kind.as_bytes());
    let whole = bytes.starts_with(&start) && bytes.len() > start.len();
    (!whole).then(|| format!("its data is not of the type {kind}"))
}

pub(super) fn groups(groups: &[Group]) -> Option<Fault> {
    let mut names = BTreeSet::new();
    groups.iter().enumerate().find_map(|(index, group)| {
        let again = !names.insert(&group.name);
        let again = again.then(|| format!("the group {} is given twice", quoted(&group.name)));
        let name = name_fault(&group.name).or(again).map(|why| field("name", why));
        let gid = || (group.gid == Some(u32::MAX)).then(|| field("gid", no_id()));
        name.or_else(gid).map(|fault| fault.inside(index).inside("group"))
    })
}

fn no_id() -> String {
    format!("{} means \"no id\" to the kernel", u32::MAX)
}

pub(super) fn ssh_keys(keys: &[SshKey]) -> Option<Fault> {
    keys.iter().enumerate().find_map(|(index, key)| {
        let user = name_fault(&key.user).map(|why| field("user", why));
        let fault = user.or_else(|| key_fault(&key.key).map(|why| field("key", why)));
        fault.map(|fault| fault.inside(index).inside("sshkey"))
    })
}

/// Names of users, and of groups after a `%`.
pub(super) fn sudoers(names: &[String]) -> Option<Fault> {
    names.iter().enumerate().find_map(|(index, name)| {
        let fault = name_fault(name.strip_prefix('%').unwrap_or(name))?;
        Some(Fault::new(fault).inside(index).inside("sudo-nopasswd").inside("installer"))
    })
}
