//! Time zone, time servers, language and keyboard: localtime(5), locale.conf(5), vconsole.conf(5),
//! timesyncd.conf(5), chrony.conf(5).
//!
//! What is asked for must be in the image, since a name that leads nowhere falls back in silence.

use anyhow::{Context as _, Result, bail, ensure};
use diskwright_formats::tree::Kind;

use super::place::Root;
use crate::blueprint::{Locale, Timezone};

const ZONES: &str = "/usr/share/zoneinfo";
const CHRONY: [&str; 2] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"];
const TIMESYNCD: [&str; 2] = ["/usr/lib/systemd/systemd-timesyncd", "/lib/systemd/systemd-timesyncd"];
const TIMESYNCD_DROP_IN: &str = "/etc/systemd/timesyncd.conf.d/50-blueprint.conf";
const LOCALES: &str = "/usr/lib/locale";
/// Always there in glibc.
const BUILT_IN: [&str; 4] = ["C", "POSIX", "C.UTF-8", "C.utf8"];
const KEYMAPS: [&str; 4] =
    ["/usr/share/kbd/keymaps", "/usr/lib/kbd/keymaps", "/usr/share/keymaps", "/usr/share/consoletrans"];
const XKB: &str = "/usr/share/X11/xkb/symbols";
/// Debian's, for console-setup.
const DEBIAN_KEYBOARD: &str = "/etc/default/keyboard";
/// Keymaps lie no deeper.
const DEEPEST: usize = 6;

pub(super) fn timezone(root: &mut Root<'_>, wanted: &Timezone) -> Result<()> {
    if let Some(name) = &wanted.timezone {
        zone(root, name).context("timezone")?;
    }
    if wanted.ntpservers.is_empty() {
        Ok(())
    } else {
        time_servers(root, &wanted.ntpservers).context("ntpservers")
    }
}

fn zone(root: &mut Root<'_>, name: &str) -> Result<()> {
    let file = root.find(&format!("{ZONES}/{name}"))?;
    // /etc/localtime without a file behind it is UTC
    let known = file.is_some_and(|node| matches!(root.node(node).kind, Kind::File(_)));
    ensure!(known || name == "UTC", "the image has no {ZONES}/{name}; install tzdata in the Containerfile");
    root.symlink_over("/etc", "localtime", &format!("../usr/share/zoneinfo/{name}"))?;
    match root.entry_at("/etc", "timezone")? {
        Some(_) => root.write_text("/etc/timezone", 0o644, format!("{name}\n")),
        None => Ok(()),
    }
}

/// In place of the servers that the image has.
fn time_servers(root: &mut Root<'_>, servers: &[String]) -> Result<()> {
    for path in CHRONY {
        if let Some(text) = root.config(path)? {
            return root.write_text(path, 0o644, chrony(&text, servers));
        }
    }
    for path in TIMESYNCD {
        if root.find(path)?.is_some() {
            let text = format!("[Time]\nNTP=\nNTP={}\n", servers.join(" "));
            return root.write_text(TIMESYNCD_DROP_IN, 0o644, text);
        }
    }
    bail!("the image has neither chrony nor systemd-timesyncd; install one in the Containerfile")
}

fn chrony(text: &str, servers: &[String]) -> String {
    let is_source = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        ["server", "pool", "peer", "sourcedir"].contains(&word.to_ascii_lowercase().as_str())
    };
    let kept = text.lines().filter(|line| !is_source(line)).map(str::to_owned);
    let lines = servers.iter().map(|server| format!("server {server} iburst")).chain(kept);
    lines.map(|line| line + "\n").collect()
}

pub(super) fn locale(root: &mut Root<'_>, wanted: &Locale) -> Result<()> {
    if let Some(first) = wanted.languages.first() {
        for name in &wanted.languages {
            ensure_locale(root, name).context("languages")?;
        }
        let mut text = format!("LANG={first}\n");
        if wanted.languages.len() > 1 {
            let short = |name: &String| name.split(['.', '@']).next().unwrap_or_default().to_owned();
            text +=
                &format!("LANGUAGE={}\n", wanted.languages.iter().map(short).collect::<Vec<_>>().join(":"));
        }
        root.write_text("/etc/locale.conf", 0o644, text.clone())?;
        if let Some(Kind::File(_)) = root.entry_at("/etc/default", "locale")?.map(|node| &node.kind) {
            root.write_text("/etc/default/locale", 0o644, text)?;
        }
    }
    wanted.keyboard.as_deref().map_or(Ok(()), |name| keyboard(root, name).context("keyboard"))
}

fn ensure_locale(root: &Root<'_>, name: &str) -> Result<()> {
    let normal = normalized(name);
    let is_directory = root.names(LOCALES)?.iter().any(|found| normalized(found) == normal);
    let known = BUILT_IN.contains(&name) || is_directory || in_archive(root, &normal)?;
    ensure!(
        known,
        "the image has no locale {name}; install it in the Containerfile (glibc-langpack-*, or locales-all)"
    );
    Ok(())
}

/// `de_AT.UTF-8` as glibc files it: `de_AT.utf8`.
fn normalized(name: &str) -> String {
    let Some((language, charset)) = name.split_once('.') else { return name.to_owned() };
    let (charset, modifier) = charset.split_once('@').map_or((charset, None), |(c, m)| (c, Some(m)));
    let charset: String = charset.chars().filter(char::is_ascii_alphanumeric).collect();
    let modifier = modifier.map(|modifier| format!("@{modifier}")).unwrap_or_default();
    format!("{language}.{}{modifier}", charset.to_ascii_lowercase())
}

/// The archive holds names as C strings; it is read in pieces, since it may be large.
fn in_archive(root: &Root<'_>, name: &str) -> Result<bool> {
    const PIECE: u64 = 1 << 20;
    let Some(node) = root.find(&format!("{LOCALES}/locale-archive"))? else { return Ok(false) };
    let Kind::File(content) = &root.node(node).kind else { return Ok(false) };
    let wanted = [b"\0", name.as_bytes(), b"\0"].concat();
    let mut at = 0;
    while at < content.len() {
        let mut piece = vec![0; usize::try_from((PIECE + 256).min(content.len() - at))?];
        content.read_exact_at(&mut piece, at).context("reading the locale archive")?;
        if piece.windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
        at += PIECE;
    }
    Ok(false)
}

fn keyboard(root: &mut Root<'_>, name: &str) -> Result<()> {
    let mut is_map = root.find(&format!("{XKB}/{name}"))?.is_some() && root.find(DEBIAN_KEYBOARD)?.is_some();
    for directory in KEYMAPS {
        is_map = is_map || has_keymap(root, directory, name, 0)?;
    }
    ensure!(
        is_map,
        "the image has no keymap {name}; install it in the Containerfile (kbd, or console-setup)"
    );
    let keymap = ("KEYMAP=", name.to_owned());
    // Debian's vconsole.conf may be a link to its own file
    let linked = root.link_at("/etc", "vconsole.conf")?.is_some();
    if let Some(text) = root.config(DEBIAN_KEYBOARD)? {
        let layout = ("XKBLAYOUT=", format!("\"{}\"", name.split('-').next().unwrap_or(name)));
        let text = assigned(&text, &layout);
        let text = if linked { assigned(&text, &keymap) } else { text };
        root.write_text(DEBIAN_KEYBOARD, 0o644, text)?;
        if linked {
            return Ok(());
        }
    }
    let old = root.config("/etc/vconsole.conf")?.unwrap_or_default();
    root.write_text("/etc/vconsole.conf", 0o644, assigned(&old, &keymap))
}

/// A file of assignments with this one, in place of others to the same name.
fn assigned(text: &str, (name, value): &(&str, String)) -> String {
    let kept = text.lines().filter(|line| !line.starts_with(name)).map(str::to_owned);
    kept.chain([format!("{name}{value}")]).map(|line| line + "\n").collect()
}

fn has_keymap(root: &Root<'_>, directory: &str, name: &str, depth: usize) -> Result<bool> {
    for found in root.names(directory)? {
        let is = |ending: &str| found.strip_suffix(ending) == Some(name);
        if is(".map") || is(".map.gz") || is(".map.xz") || is(".kmap.gz") {
            return Ok(true);
        }
        let path = format!("{directory}/{found}");
        if depth < DEEPEST && !found.contains('.') && has_keymap(root, &path, name, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_servers_take_the_place_of_the_others() {
        let text = "# x\npool 2.pool.example iburst\nsourcedir /etc/chrony/sources.d\ndriftfile /var/lib/d\n";
        let servers = ["a.example".to_owned(), "192.0.2.1".to_owned()];
        let made = "server a.example iburst\nserver 192.0.2.1 iburst\n# x\ndriftfile /var/lib/d\n";
        assert_eq!(chrony(text, &servers), made);
    }

    #[test]
    fn locales_have_one_form() {
        for (name, form) in
            [("de_AT.UTF-8", "de_AT.utf8"), ("de_DE.ISO-8859-15@euro", "de_DE.iso885915@euro"), ("C", "C")]
        {
            assert_eq!(normalized(name), form);
        }
    }
}
