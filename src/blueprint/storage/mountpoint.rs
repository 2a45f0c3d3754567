//! Where a volume may be mounted on a system whose /usr is an image.

use crate::blueprint::error::quoted;

/// Links of every such system out of the volumes.
const FLEETING: [&str; 2] = ["/var/run", "/var/lock"];
/// Directories that are the image's, and those that are no disk's.
const TAKEN: [&str; 13] = [
    "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/ostree", "/sysroot", "/proc", "/sys",
    "/dev", "/run",
];

/// Why this can be no mount point.
pub(super) fn fault(path: &str) -> Option<String> {
    let shown = quoted(path);
    if !path.starts_with('/') {
        return Some(format!("{shown} is not an absolute path"));
    }
    let parts = path[1..].split('/');
    if path != "/" && parts.clone().any(|part| matches!(part, "" | "." | "..")) {
        return Some(format!("{shown} is not written in its shortest form"));
    }
    if path.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Some(format!("{shown} has a character that no table of mounts takes"));
    }
    if path == "/tmp" {
        return Some("/tmp is in memory on such a system; use /var/tmp".to_owned());
    }
    if FLEETING.iter().any(|top| is_at_or_below(path, top)) {
        return Some(format!("{shown} is a link into /run, which is no disk's"));
    }
    let below_boot = path.starts_with("/boot/") && path != "/boot/efi";
    if below_boot || TAKEN.iter().any(|top| is_at_or_below(path, top)) && path != "/usr/local" {
        return Some(format!("{shown} is laid out by the deployment; mount below /var instead"));
    }
    None
}

/// Whether `path` is `top` or something in it.
pub(super) fn is_at_or_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
