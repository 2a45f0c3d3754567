//! Trees for the judges: edges by hand, and random ones from a seed.

use std::sync::Arc;

use diskwright_formats::{
    data::Data,
    sparse::Sparse,
    tree::{Meta, NodeId, Time, Tree, Xattrs},
};

/// A capability as the kernel stores it: version 2, effective, CAP_NET_RAW.
pub(crate) const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Numbers that are the same in every run.
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

pub(crate) fn xattrs(pairs: &[(&str, &[u8])]) -> Arc<Xattrs> {
    Arc::new(pairs.iter().map(|&(name, value)| (name.as_bytes().into(), value.into())).collect())
}

pub(crate) fn meta(mode: u16, pairs: &[(&str, &[u8])]) -> Meta {
    let mtime = Time { seconds: 1_234_567_890, nanoseconds: 5 };
    Meta { mode, mtime, xattrs: xattrs(pairs), ..Meta::default() }
}

pub(crate) fn directory(tree: &mut Tree, parent: NodeId, name: &str) -> NodeId {
    let directory = tree.add_directory(meta(0o755, &[]));
    tree.link(parent, name.as_bytes(), directory);
    directory
}

pub(crate) fn file(tree: &mut Tree, parent: NodeId, name: &str, meta: Meta, content: Sparse) -> NodeId {
    let file = tree.add_file(meta, content);
    tree.link(parent, name.as_bytes(), file);
    file
}

pub(crate) fn link(tree: &mut Tree, parent: NodeId, name: &str, target: &str) -> NodeId {
    let link = tree.add_symlink(target.as_bytes());
    tree.link(parent, name.as_bytes(), link);
    link
}

pub(crate) fn text(tree: &mut Tree, parent: NodeId, name: &str, content: &str) -> NodeId {
    file(tree, parent, name, meta(0o644, &[]), Sparse::from_bytes(content.as_bytes()))
}

/// What the host's file system can hold and ostree can commit: every edge of the object formats.
pub(crate) fn edges() -> Tree {
    let mut tree = Tree::new(meta(0o755, &[("user.root", b"r")]));
    let root = tree.root();
    let usr = directory(&mut tree, root, "usr");
    let suid = file(&mut tree, usr, "suid", meta(0o4755, &[]), Sparse::from_bytes(*b"#!"));
    tree.node_mut(suid).meta.uid = 70_000;
    tree.node_mut(suid).meta.gid = 65_536;
    tree.link(usr, *b"suid-link", suid);
    file(&mut tree, usr, "no-permissions", meta(0, &[]), Sparse::from_bytes(*b"x"));
    let pairs: &[(&str, &[u8])] =
        &[("user.b", b"2"), ("user.a", b""), ("security.capability", CAPABILITY), ("user.a-b", &[0xff; 300])];
    file(&mut tree, usr, "attributes", meta(0o755, pairs), Sparse::from_bytes(*b"cap"));
    file(&mut tree, usr, "empty", meta(0o600, &[]), Sparse::default());
    file(&mut tree, usr, "empty-attribute", meta(0o600, &[("user.x", b"y")]), Sparse::default());
    let mut holes = Sparse::new(3 << 20);
    holes.insert(1 << 20, Data::from_bytes(vec![7; 4096])).unwrap();
    file(&mut tree, usr, "holes", meta(0o644, &[]), holes);
    let sticky = tree.add_directory(meta(0o1777, &[("user.dir", b"d")]));
    tree.link(root, "tmp-\u{e9}\u{1f980}".as_bytes(), sticky);
    text(&mut tree, sticky, "na\u{ef}ve \\ \"name\"", "unicode");
    text(&mut tree, sticky, &"n".repeat(255), "long");
    text(&mut tree, sticky, "a", "one byte");
    link(&mut tree, root, "bin", "usr/bin");
    let owned = link(&mut tree, usr, "link-\u{e9}", &"t/".repeat(2000));
    tree.node_mut(owned).meta.uid = 12;
    let labelled = link(&mut tree, usr, "labelled", "x");
    tree.node_mut(labelled).meta.xattrs = xattrs(&[("security.label", b"l\0")]);
    for count in [1, 2, 3, 300, 3000] {
        let parent = directory(&mut tree, root, &format!("files-{count}"));
        (0..count).for_each(|i| _ = text(&mut tree, parent, &format!("f{i}"), &format!("{}", i % 7)));
        let parent = directory(&mut tree, root, &format!("dirs-{count}"));
        (0..count).for_each(|i| _ = directory(&mut tree, parent, &format!("d{i}")));
    }
    let mut deep = root;
    (0..60).for_each(|_| deep = directory(&mut tree, deep, "deep"));
    tree
}

/// A random tree of about `count` nodes.
pub(crate) fn random(seed: u64, count: usize) -> Tree {
    let mut lcg = Lcg(seed);
    let mut tree = Tree::new(meta(0o755, &[]));
    let mut directories = vec![tree.root()];
    while tree.node_count() < count {
        let parent = directories[lcg.below(directories.len() as u64) as usize];
        let len = lcg.below(40) as usize + 1;
        let name: String =
            (0..len).map(|_| lcg.pick(&["a", "B", "-", ".", "7", "_", "+", "\u{e9}"])).collect();
        if matches!(&*name, "." | "..") || tree.child(parent, name.as_bytes()).is_some() {
            continue;
        }
        let node = random_node(&mut tree, &mut lcg);
        if tree.children(node).is_some() {
            directories.push(node);
        }
        tree.link(parent, name.as_bytes(), node);
    }
    tree
}

fn random_node(tree: &mut Tree, lcg: &mut Lcg) -> NodeId {
    let bits = lcg.below(16);
    let size = lcg.below(1 << bits) as usize;
    let byte = lcg.below(256) as u8;
    let node = match lcg.below(10) {
        0..=1 => tree.add_directory(meta(0o700 + lcg.below(64) as u16, &[])),
        2..=3 => tree.add_symlink(vec![b'a' + byte % 26; size % 4094 + 1]),
        _ => tree.add_file(meta(lcg.below(0o10_000) as u16, &[]), Sparse::from_bytes(vec![byte; size])),
    };
    let meta = &mut tree.node_mut(node).meta;
    meta.uid = *lcg.pick(&[&0, &1000, &65_535, &65_536, &1_000_000]);
    meta.gid = *lcg.pick(&[&0, &1000, &65_535, &65_536]);
    let value = vec![byte; size % 300];
    meta.xattrs = match lcg.below(6) {
        0 => xattrs(&[("security.common", b"same"), ("security.own", &value)]),
        1 => xattrs(&[("security.common", b"same")]),
        2 => xattrs(&[("security.own", &value)]),
        _ => xattrs(&[]),
    };
    node
}
