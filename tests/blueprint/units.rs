//! The links of units, compared with those that `systemctl --root` makes and removes (package systemd).

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path, process::Command};

use diskwright::blueprint::Blueprint;

use crate::{
    image::{deployed, short},
    tiny::{Member, Tiny},
};

const SYSTEM: &str = "etc/systemd/system";
const UNITS: &[(&str, &str)] = &[
    ("usr/lib/systemd/system/plain.service", "[Install]\nWantedBy=multi-user.target graphical.target\n"),
    (
        "usr/lib/systemd/system/known.service",
        "[Install]\nWantedBy=multi-user.target\nAlias=other.service more.service\n",
    ),
    ("usr/lib/systemd/system/need.socket", "[Install]\nRequiredBy=sockets.target\nAlso=need.service\n"),
    ("usr/lib/systemd/system/need.service", "[Install]\nWantedBy=multi-user.target\n"),
    ("usr/lib/systemd/system/each@.service", "[Install]\nWantedBy=multi-user.target\nDefaultInstance=one\n"),
    ("usr/lib/systemd/system/bare@.service", "[Install]\nWantedBy=%i.target\n"),
    ("usr/lib/systemd/system/day.timer", "[Install]\nWantedBy=timers.target\n"),
    ("etc/systemd/system/own.service", "[Install]\nWantedBy=multi-user.target\n"),
    ("usr/lib/systemd/system/was.service", "[Install]\nWantedBy=multi-user.target\nAlias=before.service\n"),
    ("usr/lib/systemd/system/off.service", "[Install]\nWantedBy=multi-user.target\n"),
];
const LINKS: &[(&str, &str)] = &[
    ("etc/systemd/system/multi-user.target.wants/was.service", "/usr/lib/systemd/system/was.service"),
    ("etc/systemd/system/before.service", "/usr/lib/systemd/system/was.service"),
    ("etc/systemd/system/some.target.wants/off.service", "/usr/lib/systemd/system/off.service"),
];
const ENABLED: [&str; 8] = [
    "plain.service",
    "known",
    "need.socket",
    "each@.service",
    "each@two",
    "bare@x.service",
    "day.timer",
    "own",
];
const DISABLED: [&str; 2] = ["was", "off.service"];
const MASKED: [&str; 2] = ["need.service", "absent.service"];

/// Links below [`SYSTEM`] by their path there.
fn links(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Ok(target) = fs::read_link(&path) {
            found.insert(name, target.to_str().unwrap().to_owned());
        } else if path.is_dir() {
            found.extend(links(&path).into_iter().map(|(inner, target)| (format!("{name}/{inner}"), target)));
        }
    }
    found
}

fn systemctl(root: &Path, verb: &str, units: &[&str]) {
    let output = Command::new("systemctl").arg("--root").arg(root).arg(verb).args(units).output();
    let output = output.unwrap_or_else(|error| panic!("systemctl (package systemd): {error}"));
    assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What systemctl leaves.
fn theirs() -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in UNITS {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for (path, target) in LINKS {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }
    systemctl(directory.path(), "enable", &ENABLED);
    systemctl(directory.path(), "disable", &DISABLED);
    systemctl(directory.path(), "mask", &MASKED);
    links(&directory.path().join(SYSTEM))
}

fn ours(services: &str) -> BTreeMap<String, String> {
    let image = UNITS.iter().fold(Tiny::default(), |tiny, (path, text)| tiny.with_file(path, text));
    let image = LINKS.iter().fold(image, |tiny, (path, target)| tiny.with(Member::symlink(path, target)));
    let text = format!("customizations: {{services: {{{services}}}}}");
    let made = deployed(&image, &Blueprint::from_yaml(&text, "b.yaml").unwrap()).unwrap();
    let link = |(path, what): (&String, &String)| {
        let name = short(path)?.strip_prefix(&format!("{SYSTEM}/"))?.to_owned();
        let target = what.strip_prefix("777 0:0 ")?;
        Some((name, target.to_owned()))
    };
    made.iter().filter_map(link).collect()
}

#[test]
fn links_are_those_that_systemctl_makes() {
    let made = ours(&format!("enabled: {ENABLED:?}, disabled: {DISABLED:?}, masked: {MASKED:?}"));
    let theirs = theirs();
    assert!(theirs.len() > 12, "{theirs:#?}");
    assert_eq!(made, theirs);
    assert_ne!(ours(&format!("enabled: {ENABLED:?}")), theirs, "the judge says yes to anything");
}
