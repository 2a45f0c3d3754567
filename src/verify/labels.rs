//! SELinux labels: those of the physical root, of every deployment, of the stateroots' /var and of
//! /boot are the ones that the deployment's own policy gives. A disk without an enabled policy needs none.
//!
//! A wrong label in a stateroot's /var is a warning: programs label their own files there.

use diskwright_formats::{filesystem::Contents, tree::Node};

use super::{
    deployments::Deployed,
    filesystems::{Volume, Volumes},
    ostree::REPO,
    report::Findings,
};
use crate::deploy::{rootfs::Rootfs, selinux::Policy};

const CHECK: &str = "selinux";
/// Wrong labels that are shown; the rest is counted.
const SHOWN: usize = 50;
/// What only a filesystem that is /boot has at its top.
const BOOT_ENTRIES: &str = "loader/entries";

/// Compares every label.
pub(super) fn check(volumes: &Volumes, deployments: &[Deployed], findings: &mut Findings) {
    let root = volumes.readable().find(|(_, contents)| contents.tree.lookup(REPO).is_some());
    let Some((volume, contents)) = root else { return };
    let policies = policies(volume, contents, deployments, findings);
    let Some((_, default)) = policies.first() else { return };
    let mut wrong = Wrong { findings, count: 0 };
    for (path, node) in contents.tree.walk() {
        let of_deployment = policies.iter().find(|(root, _)| is_below(&path, root));
        let policy = of_deployment.map_or(default, |(_, policy)| policy);
        let node = contents.tree.node(node);
        wrong.add(volume, &path, policy.fault_in_root(&path, node));
    }
    for (volume, contents) in volumes.readable().filter(|(_, contents)| is_boot(contents)) {
        for (path, node) in contents.tree.walk() {
            let node: &Node = contents.tree.node(node);
            wrong.add(volume, &path, default.fault_in_boot(&path, node));
        }
    }
    wrong.sum(volume);
}

/// The enabled policies, each with the path of its deployment.
fn policies(
    volume: &Volume,
    contents: &Contents,
    deployments: &[Deployed],
    findings: &mut Findings,
) -> Vec<(String, Policy)> {
    let mut policies = Vec::new();
    for Deployed { described, root } in deployments {
        let path = described.path.trim_start_matches('/').to_owned();
        match Policy::read(&Rootfs { tree: &contents.tree, root: *root }) {
            Ok(policy) => policies.extend(policy.map(|policy| (path, policy))),
            Err(error) => {
                let what = format!("labels cannot be compared: {error:#}");
                findings.warning(CHECK, volume.at(&path), what);
            }
        }
    }
    policies
}

/// A deployment's policy counts for its origin too.
fn is_below(path: &[u8], deployment: &str) -> bool {
    let rest = path.strip_prefix(deployment.as_bytes());
    rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..] | b".origin"))
}

fn is_boot(contents: &Contents) -> bool {
    let root = Rootfs { tree: &contents.tree, root: contents.tree.root() };
    contents.filesystem != "vfat" && root.is_directory(BOOT_ENTRIES)
}

/// Wrong labels being gathered.
struct Wrong<'a> {
    findings: &'a mut Findings,
    count: usize,
}

impl Wrong<'_> {
    fn add(&mut self, volume: &Volume, path: &[u8], fault: Option<String>) {
        let Some(what) = fault else { return };
        self.count += 1;
        if self.count > SHOWN {
            return;
        }
        let place = volume.at(&path.escape_ascii().to_string());
        if is_var(path) {
            self.findings.warning(CHECK, place, what);
        } else {
            self.findings.error(CHECK, place, what);
        }
    }

    fn sum(self, volume: &Volume) {
        if self.count > SHOWN {
            let what = format!("{} more wrong labels are not shown", self.count - SHOWN);
            self.findings.error(CHECK, volume.place(), what);
        }
    }
}

/// In a stateroot's /var.
fn is_var(path: &[u8]) -> bool {
    let mut parts = path.split(|&byte| byte == b'/');
    parts.next() == Some(b"ostree") && parts.next() == Some(b"deploy") && parts.nth(1) == Some(b"var")
}
