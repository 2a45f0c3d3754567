//! fs-verity: what is stored after a sealed file's content is the tree and
//! the descriptor of that content, else the kernel would refuse to read it;
//! and in a repository that says so, every object is sealed.

use std::collections::HashSet;

use diskwright_formats::{
    filesystem::{Contents, ext4},
    sparse::Sparse,
    tree::{Kind, NodeId},
};
use rayon::prelude::*;

use super::{filesystems::Volumes, report::Findings};
use crate::progress::Progress;

const CHECK: &str = "verity";

/// Hashes every sealed file.
pub(super) fn check(volumes: &Volumes, progress: &dyn Progress, findings: &mut Findings) {
    for (volume, contents) in volumes.readable().filter(|(_, contents)| !contents.sealed.is_empty()) {
        let holes: u64 = contents.sealed.values().map(|stored| stored.len() - stored.data_len()).sum();
        if holes > volume.entry.size {
            let what = format!("{holes} bytes of holes in files with fs-verity, which are not hashed");
            findings.error(CHECK, volume.place(), what);
            continue;
        }
        progress.begin("checking fs-verity", Some(contents.sealed.values().map(Sparse::len).sum()));
        let wrong: HashSet<NodeId> = contents
            .sealed
            .par_iter()
            .filter(|&(&node, stored)| {
                progress.advance(stored.len());
                !is_sealed(contents, node, stored)
            })
            .map(|(&node, _)| node)
            .collect();
        // The first name of each; the others are the same file.
        let mut named = HashSet::new();
        let names = contents.tree.walk().filter(|(_, node)| wrong.contains(node));
        for (path, _) in names.filter(|&(_, node)| named.insert(node)) {
            let place = volume.at(&path.escape_ascii().to_string());
            findings.error(CHECK, place, "its fs-verity tree or descriptor is not that of its content");
        }
    }
}

fn is_sealed(contents: &Contents, node: NodeId, stored: &Sparse) -> bool {
    match &contents.tree.node(node).kind {
        Kind::File(content) => ext4::is_sealed(content, stored).unwrap_or(false),
        _ => false,
    }
}
