//! The mounts themselves, as lines of /etc/fstab or as units of systemd.
//! Sources: fstab(5), systemd.mount(5), systemd.swap(5), systemd-escape(1).

use std::collections::BTreeMap;

use super::{UNITS, swap};
use crate::{
    blueprint::storage::Mounts,
    deploy::storage::{Filesystem, Scheme, Split},
};

/// A line of fstab.
struct Line {
    what: String,
    path: String,
    kind: &'static str,
    options: String,
    freq: u32,
    passno: u32,
}

/// Files below /etc with their modes.
pub(super) fn files(scheme: &Scheme, split: &Split, boot_spec: &str) -> Vec<(String, u16, Vec<u8>)> {
    let lines = lines(scheme, split, boot_spec);
    match scheme.mounts {
        Mounts::Fstab => {
            let text: String = lines.iter().map(Line::fstab).collect();
            if text.is_empty() {
                return Vec::new();
            }
            vec![("fstab".to_owned(), 0o644, text.into_bytes())]
        }
        Mounts::Units => {
            lines.iter().map(|line| (line.unit_path(), 0o644, line.unit().into_bytes())).collect()
        }
        Mounts::None => Vec::new(),
    }
}

/// /boot as bootc writes it, the ESP where bootloader tools look for it, then what was asked for.
fn lines(scheme: &Scheme, split: &Split, boot_spec: &str) -> Vec<Line> {
    let filesystems = scheme.filesystems();
    let at = |path: &str| filesystems.iter().find(|found| found.is_at(path)).copied();
    let mut lines = Vec::new();
    for (path, kind, options, passno) in
        [("/boot", "auto", "ro", 0), ("/boot/efi", "vfat", "umask=0077,shortname=winnt,nofail", 2)]
    {
        lines.extend(at(path).map(|found| Line::new(found, path, kind, options, passno)));
    }
    // the image may ask for another way to find /boot, or for none
    if let Some(boot) = lines.first_mut().filter(|line| line.path == "/boot") {
        boot.what = boot_spec.to_owned();
    }
    lines.retain(|line| !line.what.is_empty());
    let by_path: BTreeMap<_, _> = split.resolved().map(|(written, resolved)| (resolved, written)).collect();
    for (resolved, written) in by_path {
        let Some(found) = at(written) else { continue };
        let options = if found.kind == "vfat" { "umask=0077,shortname=winnt" } else { "defaults" };
        lines.push(Line::new(found, resolved, found.kind, options, 2));
    }
    lines.extend(swap(scheme).iter().map(|uuid| Line {
        what: format!("UUID={uuid}"),
        path: "none".to_owned(),
        kind: "swap",
        options: "defaults".to_owned(),
        freq: 0,
        passno: 0,
    }));
    lines
}

impl Line {
    fn new(filesystem: &Filesystem, path: &str, kind: &'static str, options: &str, passno: u32) -> Self {
        let mount = &filesystem.mount;
        Self {
            what: format!("UUID={}", filesystem.volume_id()),
            path: path.to_owned(),
            kind,
            options: mount.options.clone().unwrap_or_else(|| options.to_owned()),
            freq: mount.freq.unwrap_or(0),
            passno: mount.passno.unwrap_or(passno),
        }
    }

    fn fstab(&self) -> String {
        let Self { what, path, kind, options, freq, passno } = self;
        format!("{what} {path} {kind} {options} {freq} {passno}\n")
    }

    fn unit_path(&self) -> String {
        let name = match self.kind {
            "swap" => format!("{}.swap", escaped(&self.device())),
            _ => format!("{}.mount", escaped(&self.path)),
        };
        format!("{UNITS}/{name}")
    }

    fn device(&self) -> String {
        let uuid = self.what.strip_prefix("UUID=");
        uuid.map_or_else(|| self.what.clone(), |uuid| format!("/dev/disk/by-uuid/{uuid}"))
    }

    fn unit(&self) -> String {
        let (device, Self { path, kind, options, passno, .. }) = (self.device(), self);
        if *kind == "swap" {
            return format!(
                "[Unit]\nBefore=swap.target\n\n[Swap]\nWhat={device}\n\n[Install]\nWantedBy=swap.target\n"
            );
        }
        let fsck = format!("systemd-fsck@{}.service", escaped(&device));
        let check = if *passno == 0 { String::new() } else { format!("Requires={fsck}\nAfter={fsck}\n") };
        format!(
            "[Unit]\nBefore=local-fs.target\n{check}\n[Mount]\nWhat={device}\nWhere={path}\nType={kind}\n\
             Options={options}\n\n[Install]\nWantedBy=local-fs.target\n"
        )
    }
}

/// A path in the name of a unit.
fn escaped(path: &str) -> String {
    let path = path.trim_matches('/');
    let plain = |index: usize, byte: u8| {
        byte.is_ascii_alphanumeric() || b":_".contains(&byte) || byte == b'.' && index > 0
    };
    let escape = |(index, byte): (usize, u8)| match byte {
        b'/' => "-".to_owned(),
        byte if plain(index, byte) => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    path.bytes().enumerate().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_units_are_those_of_systemd_escape() {
        for path in ["/var", "/var/lib/con-tainers", "/.x/a.b", "/dev/disk/by-uuid/12-34", "/var/\u{fc}"] {
            let output = std::process::Command::new("systemd-escape").args(["--path", path]).output();
            let output = output.unwrap_or_else(|error| panic!("systemd-escape (package systemd): {error}"));
            assert_eq!(escaped(path), String::from_utf8(output.stdout).unwrap().trim());
        }
    }
}
