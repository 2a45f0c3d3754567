//! Settings of the SSH server: sshd_config(5), where the first value of a keyword counts.

use anyhow::{Context as _, Result};

use super::place::Root;
use crate::blueprint::{RootLogin, Sshd};

const CONFIG: &str = "/etc/ssh/sshd_config";
/// What OpenSSH of a newer image is configured by, if nothing is in /etc.
const IMAGE_CONFIG: &str = "/usr/etc/ssh/sshd_config";
const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-blueprint.conf";

pub(super) fn apply(root: &mut Root<'_>, sshd: &Sshd) -> Result<()> {
    let text = text(sshd);
    if text.is_empty() {
        return Ok(());
    }
    let config = root.config(CONFIG)?.map_or_else(|| root.config(IMAGE_CONFIG), |text| Ok(Some(text)))?;
    let config = config
        .context("the image has no SSH server (/etc/ssh/sshd_config); install it in the Containerfile")?;
    if includes_drop_ins(&config) {
        root.write_text(DROP_IN, 0o600, text)
    } else {
        root.write_text(CONFIG, 0o600, format!("{text}{config}"))
    }
}

/// Whether drop-ins are read, and before any value is set.
fn includes_drop_ins(config: &str) -> bool {
    let words = config.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut words = words.filter(|words| words.first().is_some_and(|first| !first.starts_with('#')));
    words.next().is_some_and(|words| {
        words[0].eq_ignore_ascii_case("include") && words[1..].contains(&"/etc/ssh/sshd_config.d/*.conf")
    })
}

fn text(sshd: &Sshd) -> String {
    let word = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let settings = [
        ("PasswordAuthentication", sshd.password_authentication.map(word)),
        ("KbdInteractiveAuthentication", sshd.kbd_interactive_authentication.map(word)),
        ("PermitRootLogin", sshd.permit_root_login.map(|RootLogin(value)| value.to_owned())),
        ("ClientAliveInterval", sshd.client_alive_interval.map(|seconds| seconds.to_string())),
    ];
    settings.iter().filter_map(|(key, value)| Some(format!("{key} {}\n", value.as_ref()?))).collect()
}
