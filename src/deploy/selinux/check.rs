//! Whether something on a disk carries the label that the policy gives to what it is in the running
//! system. The rules are those of [`super::disk`] and [`super::Relabel`], read the other way.
//!
//! Left out: objects of the repository as such. Each is a name of the deployment too, and is judged there.

use std::borrow::Cow;

use diskwright_formats::tree::Node;

use super::{
    ATTRIBUTE, Label, Policy,
    disk::{Place, below},
};

/// A path that counts as another.
type Path<'a> = Cow<'a, [u8]>;

impl Policy {
    /// What is wrong with the label of a path of a physical root (no slash before it).
    #[must_use]
    pub fn fault_in_root(&self, path: &[u8], node: &Node) -> Option<String> {
        let places = places(path);
        // What has no label as what it is got that of its path on the disk, or kept what it had.
        let labels = places.iter().filter_map(|path| self.contexts.lookup(path, node.st_mode()));
        fault(&labels.collect::<Vec<_>>(), node)
    }

    /// What is wrong with the label of a path of the filesystem that is mounted at /boot.
    #[must_use]
    pub fn fault_in_boot(&self, path: &[u8], node: &Node) -> Option<String> {
        let label = self.contexts.lookup(&below(b"/boot", path), node.st_mode());
        label.and_then(|label| fault(&[label], node))
    }
}

/// Paths of the running system whose label it may have; none where any will do.
fn places(path: &[u8]) -> Vec<Path<'_>> {
    let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    match parts.as_slice() {
        [b"ostree", b"repo", b"objects", _, name] if name.ends_with(b".file") => Vec::new(),
        [b"ostree", b"deploy", _, b"deploy", name, rest @ ..] if !name.ends_with(b".origin") => match rest {
            [b"etc", ..] | [b".ostree.cfs"] => vec![Place::of(path).counts_as],
            [b"proc"] => vec![b"/mnt".into()],
            // A commit's /etc is in /usr; some builders label it as what it becomes.
            [b"usr", rest @ ..] if rest.first() == Some(&&b"etc"[..]) => {
                let rest = rest.join(&b'/');
                vec![below(b"/usr", &rest).into(), below(b"", &rest).into()]
            }
            rest => vec![[b"/", &rest.join(&b'/')[..]].concat().into()],
        },
        _ => vec![Place::of(path).counts_as],
    }
}

fn fault(allowed: &[&Label], node: &Node) -> Option<String> {
    let wanted = shown(allowed.first()?);
    let Some(found) = node.meta.xattrs.get(ATTRIBUTE) else {
        return Some(format!("no label, the policy says {wanted}"));
    };
    let same = allowed.iter().any(|label| ***label == **found);
    (!same).then(|| format!("labelled {}, the policy says {wanted}", shown(found)))
}

fn shown(label: &[u8]) -> String {
    label.strip_suffix(b"\0").unwrap_or(label).escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_running_system() {
        let deployment = "ostree/deploy/os/deploy/x.0";
        for (path, expected) in [
            ("", &["/"][..]),
            ("boot", &["/boot"]),
            ("ostree", &["/usr"]),
            ("ostree/repo/objects/aa/bb.file", &[]),
            ("ostree/repo/objects/aa/bb.commit", &["/ostree/repo/objects/aa/bb.commit"]),
            ("ostree/deploy/os/var/log", &["/var/log"]),
            (deployment, &["/"]),
            (&format!("{deployment}.origin"), &["/etc/ostree/remotes.d/dummy.conf"]),
            (&format!("{deployment}/etc/shadow"), &["/etc/shadow"]),
            (&format!("{deployment}/.ostree.cfs"), &["/usr/.ostree.cfs"]),
            (&format!("{deployment}/proc"), &["/mnt"]),
            (&format!("{deployment}/usr/bin/sudo"), &["/usr/bin/sudo"]),
            (&format!("{deployment}/usr/etc"), &["/usr/etc", "/etc"]),
            (&format!("{deployment}/usr/etc/shadow"), &["/usr/etc/shadow", "/etc/shadow"]),
        ] {
            let found: Vec<_> =
                places(path.as_bytes()).iter().map(|path| path.escape_ascii().to_string()).collect();
            assert_eq!(found, expected, "{path}");
        }
    }
}
