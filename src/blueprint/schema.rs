//! What is known of keys beyond the types: those of the osbuild schema that
//! are refused with a reason, and guesses at what was meant.

use super::node::{Kind, Node, Step};

const CONTAINERFILE: &str = "belongs in the Containerfile";
const FROM_IMAGE: &str = "is taken from the image";
const BOUND: &str =
    "belongs in the Containerfile: a quadlet, or an image bound by /usr/lib/bootc/bound-images.d";
const REGISTER: &str = "belongs in the Containerfile, or in customizations.cloud_init: a disk that is registered cannot be copied";
const UNIT: &str = "is asked for by customizations.files (a unit) and customizations.services.enabled";
const DEVICE: &str = "is chosen by the installer, on the machine";

/// Keys of the osbuild blueprint that are no fields here, and why. Lists have no index.
const KNOWN: &[(&str, &str)] = &[
    ("architecture", FROM_IMAGE),
    ("arch", FROM_IMAGE),
    ("containers", BOUND),
    ("distro", FROM_IMAGE),
    ("enabled_modules", CONTAINERFILE),
    ("groups", CONTAINERFILE),
    ("modules", CONTAINERFILE),
    ("packages", CONTAINERFILE),
    ("customizations.containers-storage", BOUND),
    ("customizations.dnf", CONTAINERFILE),
    ("customizations.fdo", REGISTER),
    (
        "customizations.files.uri",
        "is not fetched: a build reads the image and nothing else; write it as `data`",
    ),
    ("customizations.firstboot", UNIT),
    ("customizations.installation_device", DEVICE),
    ("customizations.kernel.name", CONTAINERFILE),
    ("customizations.openscap", CONTAINERFILE),
    ("customizations.packages", CONTAINERFILE),
    ("customizations.repositories", CONTAINERFILE),
    ("customizations.rhsm", REGISTER),
    ("customizations.rpm", CONTAINERFILE),
];

/// The node without keys that would be refused if they asked for anything: other tools write `packages: []`.
pub(super) fn without_empty_wishes(node: &mut Node) {
    for parent in ["", "customizations"] {
        let table = if parent.is_empty() { Some(&mut *node) } else { node.value_mut(parent) };
        let Some(Node { kind: Kind::Table(entries), .. }) = table else { continue };
        entries.retain(|(key, value)| {
            let name = if parent.is_empty() { key.name.clone() } else { format!("{parent}.{}", key.name) };
            !(value.is_empty() && KNOWN.iter().any(|(known, _)| *known == name))
        });
    }
}

/// Why a key that the osbuild blueprint has is refused.
pub(super) fn unsupported(path: &[Step]) -> Option<&'static str> {
    let name = without_indices(path);
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, reason)| *reason)
}

pub(super) fn without_indices(path: &[Step]) -> String {
    let keys: Vec<_> = path.iter().filter_map(key).collect();
    keys.join(".")
}

const fn key(step: &Step) -> Option<&str> {
    match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    }
}

/// What to write instead of the unknown key that ends `path`.
pub(super) fn suggestion(path: &[Step], allowed: &[&str]) -> String {
    let name = path.last().and_then(key).unwrap_or_default().to_lowercase().replace('-', "_");
    let farthest = if name.len() < 5 { 1 } else { 2 };
    let near = |candidate: &&&str| {
        let plural = name.strip_suffix('s') == Some(**candidate);
        plural || strsim::osa_distance(&name, candidate) <= farthest
    };
    match allowed.iter().filter(near).min_by_key(|candidate| strsim::osa_distance(&name, candidate)) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("allowed here: {}", allowed.join(", ")),
    }
}
