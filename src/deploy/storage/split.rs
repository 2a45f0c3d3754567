//! The content of volumes that are mounted below /var, taken out of the root.
//!
//! Labels go by paths of the root, hence directories that a volume needs are
//! made before labelling ([`Split::prepare`]), and everything is taken apart
//! after it ([`Split::take`]). The root keeps empty directories to mount on.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use diskwright_formats::tree::{Meta, NodeId, Time, Tree};

use crate::deploy::customize::{self, MountPoint, System};

/// Made by every ext4; here, so that it can be labelled.
const LOST_FOUND: &[u8] = b"lost+found";

/// Directories that become volumes, outer ones first.
#[derive(Debug, Default)]
pub struct Split {
    /// By mount point as it is written.
    places: Vec<(String, MountPoint)>,
}

impl Split {
    /// Finds the directories, and makes those that are not there.
    ///
    /// # Errors
    /// A mount point that is neither in /var nor an empty directory of the image, or that is one of the others.
    pub fn prepare(tree: &mut Tree, system: &System, mountpoints: &[&str], time: Time) -> Result<Self> {
        let mut places = Vec::new();
        for path in mountpoints {
            let place = customize::mount_point(tree, system, path, time)?;
            if let MountPoint { node: Some(node), .. } = place
                && tree.child(node, LOST_FOUND).is_none()
            {
                let made = tree.add_directory(Meta { mtime: time, ..Meta::root(0o700) });
                tree.link(node, LOST_FOUND, made);
            }
            places.push(((*path).to_owned(), place));
        }
        places.sort_by(|one, other| one.1.path.cmp(&other.1.path));
        if let Some(pair) = places.windows(2).find(|pair| pair[0].1.path == pair[1].1.path) {
            let [one, other] = [&pair[0], &pair[1]];
            bail!("customizations: the mount points {} and {} are both {}", one.0, other.0, one.1.path);
        }
        Ok(Self { places })
    }

    /// Mount points as they are written, and without symbolic links.
    pub fn resolved(&self) -> impl Iterator<Item = (&str, &str)> {
        self.places.iter().map(|(path, place)| (path.as_str(), place.path.as_str()))
    }

    /// The content of each volume, which the tree loses.
    #[must_use]
    pub fn take(&self, tree: &mut Tree) -> BTreeMap<String, Tree> {
        let mut trees = BTreeMap::new();
        // inner ones first: they leave empty directories in the outer ones
        for (path, place) in self.places.iter().rev() {
            let taken = match place.node {
                Some(node) => take(tree, node),
                None => Tree::new(place.meta.clone()),
            };
            trees.insert(path.clone(), taken);
        }
        trees
    }
}

fn take(tree: &mut Tree, node: NodeId) -> Tree {
    let taken = tree.extract(node);
    let names: Vec<_> = tree.children(node).into_iter().flatten().map(|(name, _)| name.clone()).collect();
    for name in names {
        tree.unlink(node, &name);
    }
    taken
}
