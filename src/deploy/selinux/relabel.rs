//! Commits with the labels of a policy. Trees share nodes, and one node can
//! have names with different labels: what changes is copied, once for each
//! node and label.

use std::{collections::HashMap, sync::Arc};

use diskwright_formats::tree::{Node, NodeId, Tree, Xattrs};

use super::{ATTRIBUTE, Label, Policy, with_label};

/// Labels trees of one arena by one policy.
pub(in crate::deploy) struct Relabel<'a> {
    policy: &'a Policy,
    tree: &'a mut Tree,
    files: HashMap<(NodeId, Label), NodeId>,
    xattrs: HashMap<(Arc<Xattrs>, Label), Arc<Xattrs>>,
}

impl<'a> Relabel<'a> {
    pub(in crate::deploy) fn new(policy: &'a Policy, tree: &'a mut Tree) -> Self {
        Self { policy, tree, files: HashMap::new(), xattrs: HashMap::new() }
    }

    /// The tree below `root` with labels. Directories are new, files only where their label is.
    pub(in crate::deploy) fn commit(&mut self, root: NodeId) -> NodeId {
        self.directory(root, &mut Vec::new())
    }

    fn directory(&mut self, directory: NodeId, path: &mut Vec<u8>) -> NodeId {
        let mut meta = self.tree.node(directory).meta.clone();
        if let Some(label) = self.label(directory, path) {
            meta.xattrs = self.labelled(&meta.xattrs, label);
        }
        let copy = self.tree.add_directory(meta);
        for (name, node) in self.tree.children(directory).cloned().unwrap_or_default() {
            let end = path.len();
            path.push(b'/');
            path.extend_from_slice(&name);
            let is_directory = self.tree.children(node).is_some();
            let node = if is_directory { self.directory(node, path) } else { self.file(node, path) };
            path.truncate(end);
            self.tree.link(copy, name, node);
        }
        copy
    }

    fn file(&mut self, file: NodeId, path: &[u8]) -> NodeId {
        let Some(label) = self.label(file, path) else { return file };
        let key = (file, label);
        if let Some(&copy) = self.files.get(&key) {
            return copy;
        }
        let Node { mut meta, kind } = self.tree.node(file).clone();
        let same = meta.xattrs.get(ATTRIBUTE).is_some_and(|old| **old == *key.1);
        let copy = if same {
            file
        } else {
            meta.xattrs = self.labelled(&meta.xattrs, key.1.clone());
            self.tree.add(Node { meta, kind })
        };
        self.files.insert(key, copy);
        copy
    }

    /// The label of a commit's path. `/proc` has none of its own: it counts as a mount point.
    fn label(&self, node: NodeId, path: &[u8]) -> Option<Label> {
        let path: &[u8] = match path {
            b"" => b"/",
            b"/proc" => b"/mnt",
            path => path,
        };
        self.policy.contexts.lookup(path, self.tree.node(node).st_mode()).cloned()
    }

    /// Few distinct sets are shared by many nodes.
    fn labelled(&mut self, xattrs: &Arc<Xattrs>, label: Label) -> Arc<Xattrs> {
        let key = (xattrs.clone(), label);
        let found = self.xattrs.get(&key).cloned();
        found.unwrap_or_else(|| {
            let made = with_label(xattrs, &key.1);
            self.xattrs.insert(key, made.clone());
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FileContexts, Texts};
    use super::*;
    use diskwright_formats::{sparse::Sparse, tree::Meta};

    #[test]
    fn names_of_one_node_get_their_own_labels() {
        let text = b"/.* u:any\n/a u:a\n/proc <<none>>\n/mnt -d u:mnt\n/none <<none>>\n".to_vec();
        let texts = Texts { contexts: vec![("f".into(), text)], ..Texts::default() };
        let policy = Policy { contexts: FileContexts::parse(&texts).unwrap() };
        let mut tree = Tree::new(Meta::root(0o755));
        let root = tree.root();
        let old = Arc::new(Xattrs::from([(ATTRIBUTE.into(), b"old\0"[..].into())]));
        let file = tree.add_file(Meta { xattrs: old, ..Meta::root(0o644) }, Sparse::from_bytes(*b"x"));
        for name in [&b"a"[..], b"b", b"c", b"none"] {
            tree.link(root, name, file);
        }
        let proc = tree.add_directory(Meta::root(0o555));
        tree.link(root, *b"proc", proc);
        let mut relabel = Relabel::new(&policy, &mut tree);
        let (one, two) = (relabel.commit(root), relabel.commit(root));
        let label = |path: &str| {
            let node = tree.node(tree.lookup_from(one, path).unwrap());
            String::from_utf8_lossy(&node.meta.xattrs[ATTRIBUTE]).into_owned()
        };
        assert_eq!(["a", "b", "none", "proc"].map(label), ["u:a\0", "u:any\0", "old\0", "u:mnt\0"]);
        let found = |root, path: &str| tree.lookup_from(root, path);
        assert_eq!(found(one, "b"), found(one, "c"));
        assert_eq!(found(one, "b"), found(two, "b"));
        assert_eq!(found(one, "none"), Some(file));
        assert_eq!(*tree.node(file).meta.xattrs[ATTRIBUTE], *b"old\0");
    }
}
