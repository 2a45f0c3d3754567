//! What can be told wrong of a blueprint without looking at the image.
//!
//! Sources: useradd(8) for names, hostname(7) and RFC 1123 section 2.1 for the
//! host name, sshd(8) "AUTHORIZED_KEYS FILE FORMAT" for keys, crypt(5) for
//! passwords.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    account::User,
    error::{Fault, quoted},
    file::{File, Owner},
    kernel,
    node::Step,
    types::Blueprint,
};

/// Longest user and group name (utmp's field).
const NAME_MAX: usize = 32;
/// Longest host name: the kernel's `__NEW_UTS_LEN`.
const HOSTNAME_MAX: usize = 64;
/// Longest label of a host name.
const LABEL_MAX: usize = 63;
/// Longest password that crypt(3) takes (`CRYPT_MAX_PASSPHRASE_SIZE` less the final zero).
const PASSWORD_MAX: usize = 511;
/// Longest name of one file.
const FILE_NAME_MAX: usize = 255;
/// Longest path (`PATH_MAX` less the final zero).
const PATH_MAX: usize = 4095;

const KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The first fault, if any.
pub(super) fn check(blueprint: &Blueprint) -> Option<Fault> {
    let customizations = &blueprint.customizations;
    let hostname = || customizations.hostname.as_deref().and_then(hostname);
    let append = || {
        let line = customizations.kernel.append.as_deref()?;
        kernel::fault(line).map(|why| Fault::new(why).inside("append").inside("kernel"))
    };
    let fault = users(&customizations.user).or_else(hostname).or_else(append);
    fault.or_else(|| files(&customizations.files)).map(|fault| fault.inside("customizations"))
}

fn field(name: &str, message: impl Into<String>) -> Fault {
    Fault::of(vec![Step::from(name)], message)
}

fn users(users: &[User]) -> Option<Fault> {
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
    Some(field(name, format!("{} means \"no id\" to the kernel", u32::MAX)))
}

/// useradd's rule, less names that begin with a digit or a dot: chown(1) and
/// systemd take those for something else.
fn name_fault(name: &str) -> Option<String> {
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
fn colon_fault(text: &str) -> Option<String> {
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

fn hostname(name: &str) -> Option<Fault> {
    let label_ok = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && (1..=LABEL_MAX).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > HOSTNAME_MAX {
        return Some(field("hostname", format!("longer than {HOSTNAME_MAX} characters")));
    }
    (!name.split('.').all(label_ok)).then(|| {
        let rule = "labels of letters, digits and inner hyphens, joined by dots (RFC 1123)";
        field("hostname", format!("{} is no valid host name", quoted(name))).hint(rule)
    })
}

fn files(files: &[File]) -> Option<Fault> {
    let mut paths = BTreeSet::new();
    for (index, file) in files.iter().enumerate() {
        let again = || (!paths.insert(&file.path)).then(|| "this path is given twice".to_owned());
        let fault = || path_fault(&file.path).or_else(|| policy_fault(&file.path)).or_else(again);
        let below = || files.iter().find(|other| is_below(&file.path, &other.path)).map(directory_and_file);
        let fault = fault().or_else(below).map(|why| field("path", why)).or_else(|| owner_fault(file));
        if let Some(fault) = fault {
            return Some(fault.inside(index).inside("files"));
        }
    }
    None
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

fn directory_and_file(parent: &File) -> String {
    format!("{} is a file of this blueprint, so nothing can be below it", quoted(&parent.path))
}

fn owner_fault(file: &File) -> Option<Fault> {
    [("user", &file.user), ("group", &file.group)].into_iter().find_map(|(name, owner)| match owner {
        Some(Owner::Name(owner)) => name_fault(owner).map(|why| field(name, why)),
        _ => None,
    })
}

/// A path that stands in a field of passwd(5).
fn place_fault(path: &str) -> Option<String> {
    path_fault(path).or_else(|| colon_fault(path))
}

/// Why this is no absolute path in its shortest form.
fn path_fault(path: &str) -> Option<String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Some(format!("{} is not an absolute path", quoted(path)));
    };
    if path.contains('\0') || path.contains('\n') {
        return Some("a path cannot hold a zero byte or a line break".to_owned());
    }
    if path.len() > PATH_MAX {
        return Some(format!("longer than {PATH_MAX} bytes"));
    }
    rest.split('/').find_map(|part| match part {
        "" if rest.is_empty() => Some("the root directory cannot be meant".to_owned()),
        "" => Some(format!("{} has a slash too many", quoted(path))),
        "." | ".." => {
            Some(format!("{} has a part {}; write the path without it", quoted(path), quoted(part)))
        }
        _ if part.len() > FILE_NAME_MAX => Some(format!("a name of it is longer than {FILE_NAME_MAX} bytes")),
        _ => None,
    })
}

/// Accounts are `customizations.user`'s business; a file would undo them.
const ACCOUNT_FILES: &[&str] = &["passwd", "group", "shadow", "gshadow", "subuid", "subgid"];

/// Why a file in `/etc` (given by its path below that) is not a blueprint's to write.
pub(crate) fn etc_fault(name: &str) -> Option<String> {
    if ACCOUNT_FILES.contains(&name.trim_end_matches('-')) {
        return Some(format!("/etc/{name} cannot be written as a file; use customizations.user"));
    }
    match name {
        "fstab" => Some("/etc/fstab is written from the partition table".to_owned()),
        _ => None,
    }
}

/// The policy as far as the path alone tells; where symbolic links of the
/// image lead is seen when the file is written.
fn policy_fault(path: &str) -> Option<String> {
    if let Some(fault) = path.strip_prefix("/etc/").and_then(etc_fault) {
        return Some(fault);
    }
    let mut parts = path.split('/').skip(1);
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("usr", Some("local")) => None,
        ("usr" | "bin" | "sbin" | "lib" | "lib32" | "lib64" | "libx32", _) => {
            Some(format!("{} is part of the image and belongs in the Containerfile", quoted(path)))
        }
        (top @ ("boot" | "efi" | "ostree" | "sysroot"), _) => {
            Some(format!("/{top} is laid out by the deployment and takes no files"))
        }
        (top @ ("dev" | "proc" | "run" | "sys" | "tmp"), _) => {
            Some(format!("/{top} is empty on a disk; files live in /etc or /var"))
        }
        (top @ ("etc" | "var" | "home" | "root"), None) => Some(format!("/{top} is a directory")),
        _ => None,
    }
}
