//! Labels of what lies on a disk beside the commit, as bootc leaves them.
//!
//! ```text
//! /ostree                                      as /usr
//! /ostree/deploy/OS/deploy/ID/etc/...          as /etc/...
//! /ostree/deploy/OS/deploy/ID/.ostree.cfs      as a file in /usr
//! /ostree/deploy/OS/deploy/ID.origin           as a file in /etc/ostree
//! /ostree/deploy/OS/backing/ID/.../upper       as /
//! /ostree/deploy/OS/var/...                    as /var/...
//! everything else without a label              as its own path
//! ```
//!
//! Objects of the repository are never touched, whatever they carry: their
//! labels are part of their checksums.

use std::{borrow::Cow, collections::HashSet};

use diskwright_formats::tree::{Meta, NodeId, Time, Tree};

use super::{ATTRIBUTE, Label, Policy, with_label};

/// Made by every ext4; here, so that it can be labelled.
const LOST_FOUND: &[u8] = b"lost+found";

impl Policy {
    /// Labels a physical root.
    pub fn label_root(&self, tree: &mut Tree, time: Time) {
        add_lost_found(tree, time);
        let objects = objects(tree);
        let mut labels = Vec::new();
        for (path, node) in tree.walk() {
            let place = Place::of(&path);
            let labelled = tree.node(node).meta.xattrs.contains_key(ATTRIBUTE);
            if objects.contains(&node) || labelled && !place.replaces {
                continue;
            }
            labels.extend(self.label(tree, node, &place.counts_as).map(|label| (node, label)));
        }
        set_labels(tree, labels);
    }

    /// Labels a filesystem that is mounted at /boot.
    pub fn label_boot(&self, tree: &mut Tree, time: Time) {
        add_lost_found(tree, time);
        let label = |(path, node): (Vec<u8>, NodeId)| {
            let label = self.label(tree, node, &below(b"/boot", &path));
            label.map(|label| (node, label))
        };
        let labels: Vec<_> = tree.walk().filter_map(label).collect();
        set_labels(tree, labels);
    }

    fn label(&self, tree: &Tree, node: NodeId, path: &[u8]) -> Option<Label> {
        self.contexts.lookup(path, tree.node(node).st_mode()).cloned()
    }
}

/// How a path of the physical root is labelled.
pub(super) struct Place<'a> {
    /// The path looked up in the policy.
    pub(super) counts_as: Cow<'a, [u8]>,
    /// Whether a label that is there already is replaced.
    replaces: bool,
}

impl Place<'_> {
    pub(super) fn of(path: &[u8]) -> Self {
        let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let (counts_as, replaces): (Cow<'static, [u8]>, bool) = match parts.as_slice() {
            [b"ostree"] => (b"/usr".into(), false),
            [b"ostree", b"deploy", _, b"var", rest @ ..] => (below(b"/var", &rest.join(&b'/')).into(), true),
            [b"ostree", b"deploy", _, b"deploy", _, b"etc", rest @ ..] => {
                (below(b"/etc", &rest.join(&b'/')).into(), true)
            }
            [b"ostree", b"deploy", _, b"deploy", _, b".ostree.cfs"] => (b"/usr/.ostree.cfs".into(), true),
            [b"ostree", b"deploy", _, b"deploy", name] if name.ends_with(b".origin") => {
                (b"/etc/ostree/remotes.d/dummy.conf".into(), true)
            }
            [b"ostree", b"deploy", _, b"backing", .., b"upper"] => (b"/".into(), false),
            _ => ([b"/", path].concat().into(), false),
        };
        Place { counts_as, replaces }
    }
}

pub(super) fn below(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
    [directory, slash, path].concat()
}

fn add_lost_found(tree: &mut Tree, time: Time) {
    let root = tree.root();
    if tree.child(root, LOST_FOUND).is_none() {
        let directory = tree.add_directory(Meta { mtime: time, ..Meta::root(0o700) });
        tree.link(root, LOST_FOUND, directory);
    }
}

/// The file objects of the repository.
fn objects(tree: &Tree) -> HashSet<NodeId> {
    let fan_out = tree.lookup("ostree/repo/objects").and_then(|id| tree.children(id));
    let parts = fan_out.into_iter().flat_map(|parts| parts.values());
    let named = parts.filter_map(|&part| tree.children(part)).flatten();
    named.filter(|(name, _)| name.ends_with(b".file")).map(|(_, &node)| node).collect()
}

fn set_labels(tree: &mut Tree, labels: Vec<(NodeId, Label)>) {
    for (node, label) in labels {
        let xattrs = with_label(&tree.node(node).meta.xattrs, &label);
        tree.node_mut(node).meta.xattrs = xattrs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_as_what_they_are_in_a_running_system() {
        for (path, counts_as) in [
            ("", "/"),
            ("boot", "/boot"),
            ("ostree", "/usr"),
            ("ostree/repo/config", "/ostree/repo/config"),
            ("ostree/deploy/os/var", "/var"),
            ("ostree/deploy/os/var/a/b", "/var/a/b"),
            ("ostree/deploy/os/deploy/x.0/etc", "/etc"),
            ("ostree/deploy/os/deploy/x.0/etc/shadow", "/etc/shadow"),
            ("ostree/deploy/os/deploy/x.0/usr/etc", "/ostree/deploy/os/deploy/x.0/usr/etc"),
            ("ostree/deploy/os/deploy/x.0/.ostree.cfs", "/usr/.ostree.cfs"),
            ("ostree/deploy/os/deploy/x.0.origin", "/etc/ostree/remotes.d/dummy.conf"),
            ("ostree/deploy/os/backing/x.0/root-transient/upper", "/"),
            (
                "ostree/deploy/os/backing/x.0/root-transient/work",
                "/ostree/deploy/os/backing/x.0/root-transient/work",
            ),
        ] {
            assert_eq!(Place::of(path.as_bytes()).counts_as.escape_ascii().to_string(), counts_as);
        }
    }
}
