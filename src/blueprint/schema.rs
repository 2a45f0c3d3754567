//! What is known of keys beyond the types: those of the osbuild schema that
//! are refused with a reason, and guesses at what was meant.

use super::node::Step;

const CONTAINERFILE: &str = "belongs in the Containerfile";
const NOT_YET: &str = "not supported yet";
const FROM_IMAGE: &str = "is taken from the image";

/// Keys of the osbuild blueprint that are no fields here, and why. Lists have no index.
const KNOWN: &[(&str, &str)] = &[
    ("architecture", FROM_IMAGE),
    ("arch", FROM_IMAGE),
    ("distro", FROM_IMAGE),
    ("containers", CONTAINERFILE),
    ("enabled_modules", CONTAINERFILE),
    ("groups", CONTAINERFILE),
    ("modules", CONTAINERFILE),
    ("packages", CONTAINERFILE),
    ("customizations.bootloader", NOT_YET),
    ("customizations.cacerts", NOT_YET),
    ("customizations.containers-storage", NOT_YET),
    ("customizations.directories", NOT_YET),
    ("customizations.fdo", NOT_YET),
    ("customizations.files.uri", NOT_YET),
    ("customizations.fips", NOT_YET),
    ("customizations.firewall", NOT_YET),
    ("customizations.firstboot", NOT_YET),
    ("customizations.group", NOT_YET),
    ("customizations.ignition", NOT_YET),
    ("customizations.installation_device", NOT_YET),
    ("customizations.installer", NOT_YET),
    ("customizations.iso", NOT_YET),
    ("customizations.kernel.name", CONTAINERFILE),
    ("customizations.locale", NOT_YET),
    ("customizations.openscap", CONTAINERFILE),
    ("customizations.packages", CONTAINERFILE),
    ("customizations.partitioning_mode", NOT_YET),
    ("customizations.repositories", CONTAINERFILE),
    ("customizations.rhsm", NOT_YET),
    ("customizations.rpm", CONTAINERFILE),
    ("customizations.services", NOT_YET),
    ("customizations.sshd", NOT_YET),
    ("customizations.sshkey", NOT_YET),
    ("customizations.timezone", NOT_YET),
    ("customizations.user.expiredate", NOT_YET),
    ("customizations.user.force_password_reset", NOT_YET),
];

/// Why a key that the osbuild blueprint has is refused.
pub(super) fn unsupported(path: &[Step]) -> Option<&'static str> {
    let name = without_indices(path);
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, reason)| *reason)
}

fn without_indices(path: &[Step]) -> String {
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
