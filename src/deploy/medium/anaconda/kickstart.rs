//! The kickstart: a base that installs the image, and a file that includes it and says the rest: the user's own, or
//! what it takes to install without a question.
//!
//! Source: pykickstart's reference of commands. Words with blanks are in double quotes, as shlex reads them.

use anyhow::{Result, anyhow, ensure};

use super::CONTAINER;
use crate::{
    blueprint::{Blueprint, Customizations, User},
    deploy::{Wishes, customize::hashed_password, ostree::Target},
    error::{ErrorKind, Hint},
};

/// Where the medium is mounted while Anaconda runs.
const MEDIUM: &str = "/run/install/repo";

/// Two files.
pub(super) struct Kickstart {
    /// What is included.
    pub(super) base: String,
    /// What includes it.
    pub(super) own: String,
}

/// The system that is installed.
pub(super) struct Root<'a> {
    /// What its partitions are formatted with.
    pub(super) filesystem: &'a str,
    /// The reference that it updates from.
    pub(super) target: &'a str,
}

/// That a kickstart of the user's own comes without what would have to be in it.
///
/// # Errors
/// The key that it replaces.
pub fn check(blueprint: &Blueprint) -> Result<()> {
    let all = &blueprint.customizations;
    if all.installer.kickstart.contents.is_none() {
        return Ok(());
    }
    let beside = [
        ("user", !all.user.is_empty()),
        ("group", !all.group.is_empty()),
        ("sshkey", !all.sshkey.is_empty()),
        ("hostname", all.hostname.is_some()),
        ("timezone", all.timezone.timezone.is_some()),
        ("locale", !all.locale.languages.is_empty() || all.locale.keyboard.is_some()),
        ("kernel.append", !blueprint.kernel_arguments().is_empty()),
        ("installer.sudo-nopasswd", !all.installer.sudo_nopasswd.is_empty()),
        ("installer.unattended", all.installer.unattended.is_some()),
    ];
    let found: Vec<_> =
        beside.iter().filter(|(_, is)| *is).map(|(key, _)| format!("customizations.{key}")).collect();
    let error = || {
        let error = anyhow!("customizations.installer.kickstart replaces {}", found.join(", "));
        error.context(Hint("say it in the kickstart".into())).context(ErrorKind::Input)
    };
    ensure!(found.is_empty(), error());
    Ok(())
}

impl Kickstart {
    /// Of the user's wishes.
    pub(super) fn new(wishes: &Wishes<'_>, root: &Root<'_>, seed: &[u8; 32]) -> Result<Self> {
        let all = &wishes.blueprint.customizations;
        let mut base = format!("ostreecontainer --url={MEDIUM}/{CONTAINER} --transport=oci\n");
        let include = format!("%include {MEDIUM}/osbuild-base.ks\n");
        let mut post = switch(root.target)?;
        let own = match &all.installer.kickstart.contents {
            Some(own) => own.clone(),
            None => {
                base += &settings(wishes);
                base += &accounts(wishes, seed)?;
                post += &more(all);
                if all.installer.unattended == Some(false) { String::new() } else { unattended(root) }
            }
        };
        base += &format!("%post --erroronfail\nset -e\n{post}%end\n");
        Ok(Self { base, own: include + &own })
    }
}

/// The installed system's image is the one in the registry, not the one on the medium.
fn switch(target: &str) -> Result<String> {
    let target = Target::parse(target, false)?;
    let error = || {
        let error = anyhow!("no machine finds its updates at {}", target.image_reference());
        error.context(Hint("name a registry's image with --target-imgref".into())).context(ErrorKind::Usage)
    };
    ensure!(target.is_registry(), error());
    Ok(format!("bootc switch --mutate-in-place --transport registry {}\n", target.name()))
}

fn settings(wishes: &Wishes<'_>) -> String {
    let all = &wishes.blueprint.customizations;
    let language = all.locale.languages.first().map_or("en_US.UTF-8", String::as_str);
    let keyboard = all.locale.keyboard.as_deref().unwrap_or("us");
    let timezone = all.timezone.timezone.as_deref().unwrap_or("UTC");
    let hostname = all.hostname.as_ref().map_or_else(String::new, |name| format!(" --hostname={name}"));
    let mut text = format!(
        "lang {language}\nkeyboard {keyboard}\ntimezone {timezone} --utc\n\
         network --device=link --bootproto=dhcp --onboot=on --activate{hostname}\n"
    );
    let arguments = [wishes.blueprint.kernel_arguments(), wishes.kargs.to_vec()].concat();
    if !arguments.is_empty() {
        text += &format!("bootloader --append={}\n", quoted(arguments.join(" ")));
    }
    text
}

/// Partitions as Anaconda makes them, on all disks.
fn unattended(root: &Root<'_>) -> String {
    let autopart = match root.filesystem {
        "btrfs" => "autopart --nohome --type=btrfs".to_owned(),
        filesystem => format!("autopart --nohome --type=plain --fstype={filesystem}"),
    };
    format!("zerombr\nclearpart --all --initlabel\n{autopart}\nreboot --eject\n")
}

fn accounts(wishes: &Wishes<'_>, seed: &[u8; 32]) -> Result<String> {
    let all = &wishes.blueprint.customizations;
    let mut text = String::new();
    for group in &all.group {
        let gid = group.gid.map_or_else(String::new, |gid| format!(" --gid={gid}"));
        text += &format!("group --name={}{gid}\n", group.name);
    }
    let root = all.user.iter().find(|user| user.name == "root");
    let password = root.and_then(|user| user.password.as_deref());
    text += &match password {
        Some(password) => {
            format!("rootpw --iscrypted {}\n", quoted(&hashed_password(password, "root", seed)?))
        }
        None => "rootpw --lock\n".to_owned(),
    };
    for user in &all.user {
        if user.name != "root" {
            text += &account(user, seed)?;
        }
        text += &keys(&user.name, user.key.as_deref().unwrap_or_default());
    }
    text += &all.sshkey.iter().map(|key| keys(&key.user, &key.key)).collect::<String>();
    text += &keys("root", wishes.root_ssh_keys.unwrap_or_default());
    Ok(text)
}

fn account(user: &User, seed: &[u8; 32]) -> Result<String> {
    let mut line = format!("user --name={}", user.name);
    let mut add = |option: &str, value: Option<String>| {
        line += &value.map_or_else(String::new, |value| format!(" --{option}={value}"));
    };
    add("gecos", user.description.as_deref().map(quoted));
    add("homedir", user.home.as_deref().map(quoted));
    add("shell", user.shell.as_deref().map(quoted));
    add("uid", user.uid.map(|uid| uid.to_string()));
    add("gid", user.gid.map(|gid| gid.to_string()));
    add("groups", Some(user.groups.join(",")).filter(|groups| !groups.is_empty()));
    let hash =
        user.password.as_ref().map(|password| hashed_password(password, &user.name, seed)).transpose()?;
    line += &match hash {
        Some(hash) => format!(" --iscrypted --password={}", quoted(&hash)),
        None => " --lock".to_owned(),
    };
    Ok(line + "\n")
}

fn keys(user: &str, keys: &str) -> String {
    let is_key = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let lines = keys.lines().map(str::trim).filter(is_key);
    lines.map(|key| format!("sshkey --username={user} {}\n", quoted(key))).collect()
}

/// What no command says, as lines of a shell.
fn more(all: &Customizations) -> String {
    let mut text = String::new();
    for user in &all.user {
        if let Some(day) = user.expiredate {
            text += &format!("chage --expiredate {} {}\n", day.0, user.name);
        }
        if user.force_password_reset == Some(true) {
            text += &format!("chage --lastday 0 {}\n", user.name);
        }
    }
    for who in &all.installer.sudo_nopasswd {
        let file = format!("/etc/sudoers.d/90-nopasswd-{}", who.replace('%', "group-").replace('.', "_"));
        text += &format!("echo '{who} ALL=(ALL) NOPASSWD: ALL' > {file}\nchmod 0440 {file}\n");
    }
    text
}

/// One word, as a shell would read it.
fn quoted(text: impl AsRef<str>) -> String {
    format!("\"{}\"", text.as_ref().replace('\\', "\\\\").replace('"', "\\\""))
}
