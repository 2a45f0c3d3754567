//! Trees with everything that is at an edge of ext4.

use std::sync::Arc;

use diskwright_formats::{
    data::Data,
    sparse::Sparse,
    tree::{Kind, Meta, Node, NodeId, Time, Tree, Xattrs},
};

pub(crate) fn empty() -> Tree {
    Tree::new(Meta { mtime: Time { seconds: 1_600_000_000, nanoseconds: 1 }, ..Meta::root(0o755) })
}

/// Attributes: names and values.
type List<'a> = &'a [(&'a str, &'a [u8])];

pub(crate) fn xattrs(list: List<'_>) -> Arc<Xattrs> {
    Arc::new(list.iter().map(|&(name, value)| (name.as_bytes().into(), value.into())).collect())
}

pub(crate) fn add(
    tree: &mut Tree,
    directory: NodeId,
    name: impl AsRef<[u8]>,
    kind: Kind,
    meta: Meta,
) -> NodeId {
    let node = tree.add(Node { meta, kind });
    tree.link(directory, name.as_ref(), node);
    node
}

pub(crate) fn directory(tree: &mut Tree, parent: NodeId, name: &str) -> NodeId {
    add(tree, parent, name, Kind::Directory(Default::default()), Meta::root(0o755))
}

pub(crate) fn file(tree: &mut Tree, directory: NodeId, name: impl AsRef<[u8]>, content: Sparse) -> NodeId {
    add(tree, directory, name, Kind::File(content), Meta::root(0o644))
}

/// Bytes that differ from block to block.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8 | 1).collect()
}

/// A file with `count` pieces of one block, each followed by a hole of one block.
pub(crate) fn holes(count: u64) -> Sparse {
    let data = Data::from_bytes(noise(4096));
    let mut content = Sparse::new(count * 8192 + 100);
    (0..count).for_each(|index| content.insert(index * 8192, data.clone()).unwrap());
    content
}

/// Everything at once, small enough for 64 MiB.
pub(crate) fn edges() -> Tree {
    let mut tree = empty();
    let root = tree.root();
    names(&mut tree, root);
    symlinks(&mut tree, root);
    devices(&mut tree, root);
    times(&mut tree, root);
    owners(&mut tree, root);
    attributes(&mut tree, root);
    contents(&mut tree, root);
    links(&mut tree, root);
    tree
}

fn names(tree: &mut Tree, root: NodeId) {
    let at = directory(tree, root, "names");
    for name in
        [&b"a"[..], &[b'n'; 255], b"caf\xe9 \xff\xfe", "größe ☃".as_bytes(), b"new\nline", b" ", b"..."]
    {
        file(tree, at, name, Sparse::from_bytes(name));
    }
}

fn symlinks(tree: &mut Tree, root: NodeId) {
    let at = directory(tree, root, "symlinks");
    for len in [1, 59, 60, 61, 4095] {
        add(tree, at, format!("l{len}"), Kind::Symlink(vec![b't'; len].into()), Meta::root(0o777));
    }
}

fn devices(tree: &mut Tree, root: NodeId) {
    let at = directory(tree, root, "devices");
    for (major, minor) in [(0, 0), (8, 1), (255, 255), (256, 0), (0, 256), (300, 70_000), (4095, 0xF_FFFF)] {
        add(tree, at, format!("c{major}-{minor}"), Kind::CharDevice(major, minor), Meta::root(0o600));
        add(tree, at, format!("b{major}-{minor}"), Kind::BlockDevice(major, minor), Meta::root(0o660));
    }
    add(tree, at, "fifo", Kind::Fifo, Meta::root(0o644));
    add(tree, at, "socket", Kind::Socket, Meta::root(0o777));
}

fn times(tree: &mut Tree, root: NodeId) {
    let at = directory(tree, root, "times");
    let edge = [-(1 << 31), -1, 0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 15_032_385_535];
    for seconds in edge {
        for nanoseconds in [0, 1, 999_999_999] {
            let meta = Meta { mtime: Time { seconds, nanoseconds }, ..Meta::root(0o644) };
            add(tree, at, format!("t{seconds}.{nanoseconds}"), Kind::File(Sparse::new(0)), meta);
        }
    }
}

fn owners(tree: &mut Tree, root: NodeId) {
    let at = directory(tree, root, "owners");
    for id in [1, 65_535, 65_536, 0x1234_5678, u32::MAX - 1] {
        let meta = Meta { uid: id, gid: id / 2, ..Meta::root(0o7755) };
        add(tree, at, format!("u{id}"), Kind::File(Sparse::new(0)), meta);
    }
    let meta = Meta { immutable: true, ..Meta::root(0o444) };
    add(tree, at, "immutable", Kind::File(Sparse::from_bytes(*b"x")), meta.clone());
    add(tree, at, "immutable.d", Kind::Directory(Default::default()), Meta { mode: 0o555, ..meta });
}

/// An ACL as getxattr(2) gives it: owner, a user, owning group, a group, mask, others.
fn acl() -> Vec<u8> {
    let none = u32::MAX;
    let entries =
        [(1_u16, 6_u16, none), (2, 7, 1000), (4, 4, none), (8, 5, 70_000), (0x10, 7, none), (0x20, 4, none)];
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend([&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat());
    }
    value
}

const LABEL: &[u8] = b"system_u:object_r:usr_t:s0\0";

fn attributes(tree: &mut Tree, root: NodeId) {
    let at = directory(tree, root, "xattrs");
    let (long, acl) = (noise(2000), acl());
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let sets: [(&str, List<'_>); 12] = [
        ("label", &[("security.selinux", LABEL)]),
        ("empty value", &[("user.empty", b"")]),
        ("empty values in a block", &[("user.a", b""), ("user.b", &long), ("user.c", b"")]),
        ("label and capability", &[("security.selinux", LABEL), ("security.capability", &capability)]),
        (
            "capability in a block",
            &[
                ("security.ima", &long[..50]),
                ("security.selinux", &long[..200]),
                ("security.capability", &capability),
            ],
        ),
        (
            "equal lengths",
            &[("user.b", &long[..99]), ("user.a", &long[..99]), ("user.aa", b"1"), ("user.c", b"2")],
        ),
        ("long", &[("user.long", &long)]),
        ("as much as fits", &[("user.fill", &[9; 4096 - 32 - 4 - 16 - 4])]),
        ("acl", &[("system.posix_acl_access", &acl), ("security.selinux", LABEL)]),
        (
            "trusted",
            &[("trusted.overlay.opaque", b"y"), ("user.trusted", b"n"), ("security.ima", &long[..300])],
        ),
        ("odd name", &[("user.n\u{e4}me \u{2603}", &long[..120]), ("user.\u{7f}", b"\0\0\0")]),
        ("name of 250 bytes", &[(&format!("user.{}", "n".repeat(250)), &long[..7])]),
    ];
    for (name, set) in sets {
        let meta = Meta { xattrs: xattrs(set), ..Meta::root(0o644) };
        add(tree, at, name, Kind::File(Sparse::from_bytes(*b"x")), meta);
    }
    let mut meta = Meta {
        xattrs: xattrs(&[("system.posix_acl_default", &acl), ("user.d", &long)]),
        ..Meta::root(0o755)
    };
    add(tree, at, "directory", Kind::Directory(Default::default()), meta.clone());
    meta.xattrs = xattrs(&[("security.selinux", LABEL), ("trusted.long", &long)]);
    add(tree, at, "fast link", Kind::Symlink(vec![b'f'; 59].into()), meta.clone());
    add(tree, at, "slow link", Kind::Symlink(vec![b's'; 60].into()), meta.clone());
    add(tree, at, "device", Kind::CharDevice(1, 3), meta.clone());
    add(tree, at, "fifo", Kind::Fifo, meta);
    let many = directory(tree, at, "many");
    for index in 0..1500 {
        let meta = Meta { xattrs: xattrs(&[("user.same", &long)]), ..Meta::root(0o644) };
        add(tree, many, format!("f{index}"), Kind::File(Sparse::new(0)), meta);
    }
}

fn contents(tree: &mut Tree, root: NodeId) {
    let at = directory(tree, root, "contents");
    for len in [0, 1, 4095, 4096, 4097, 1_000_000] {
        file(tree, at, format!("data{len}"), Sparse::from_bytes(noise(len)));
        file(tree, at, format!("hole{len}"), Sparse::new(len as u64));
        file(tree, at, format!("zero{len}"), Sparse::from_bytes(vec![0; len]));
    }
    for pieces in [1, 4, 5, 340, 341, 1360, 1361] {
        file(tree, at, format!("pieces{pieces}"), holes(pieces));
    }
    let mut parts = Sparse::new(100_000);
    for (offset, len) in [(10, 5), (15, 1), (4000, 200), (8191, 2), (40_000, 96), (40_950, 20), (99_999, 1)] {
        parts.insert(offset, Data::from_bytes(noise(len))).unwrap();
    }
    file(tree, at, "parts of blocks", parts);
    let mut end = Sparse::new((u64::from(u32::MAX)) * 4096);
    end.insert(end.len() - 3, Data::from_bytes(*b"end")).unwrap();
    file(tree, at, "16 TiB", end);
}

fn links(tree: &mut Tree, root: NodeId) {
    let at = directory(tree, root, "links");
    let node = file(tree, at, "first", Sparse::from_bytes(*b"linked"));
    let deep = (0..60).fold(at, |parent, depth| directory(tree, parent, &format!("d{depth}")));
    tree.link(deep, *b"second", node);
    tree.link(root, *b"third", node);
    let fifo = add(tree, at, "fifo", Kind::Fifo, Meta::root(0o600));
    tree.link(deep, *b"fifo", fifo);
}

/// A directory of `count` names of `len` bytes.
pub(crate) fn crowd(count: usize, len: usize) -> Tree {
    let mut tree = empty();
    let root = tree.root();
    let at = directory(&mut tree, root, "crowd");
    let one = file(&mut tree, root, "one", Sparse::from_bytes(*b"1"));
    for index in 0..count {
        let name = format!("{index:0len$}");
        if index < 60_000 {
            tree.link(at, name.as_bytes(), one);
        } else {
            file(&mut tree, at, name, Sparse::new(0));
        }
    }
    tree
}

/// `count` labelled files, 30 to a directory; one in `every` has up to `size` bytes, the others none.
pub(crate) fn forest(count: usize, every: usize, size: usize) -> Tree {
    let mut tree = empty();
    let root = tree.root();
    let labels: Vec<_> = (0..20)
        .map(|i| xattrs(&[("security.selinux", format!("system_u:object_r:t{i}_t:s0\0").as_bytes())]))
        .collect();
    let data = Data::from_bytes(noise(size));
    let mut at = root;
    for index in 0..count {
        if index % 900 == 0 {
            at = directory(&mut tree, root, &format!("top-{index}"));
        }
        let parent =
            if index % 30 == 0 { None } else { tree.lookup_from(at, format!("sub-{}", index % 900 / 30)) };
        let parent = parent.unwrap_or_else(|| directory(&mut tree, at, &format!("sub-{}", index % 900 / 30)));
        let meta = Meta {
            xattrs: Arc::clone(&labels[index % labels.len()]),
            mtime: Time { seconds: index as i64, nanoseconds: 0 },
            ..Meta::root(0o644)
        };
        let len = if index % every == 0 { 1 + index * 7919 % size } else { 0 };
        let content = Sparse::from_data(data.slice(0, len as u64));
        add(&mut tree, parent, format!("file-{index}.txt"), Kind::File(content), meta);
    }
    tree
}

/// Numbers without an order, the same ones for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Below `end`.
    pub(crate) fn roll(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn content(&mut self) -> Sparse {
        let mut content = Sparse::new(1 + self.roll(1 << 22));
        let (mut at, step) = (0, 1 + self.roll(1 << 18));
        loop {
            at += if self.roll(2) == 0 { 0 } else { self.roll(step) };
            let len = (1 + self.roll(step)).min(content.len().saturating_sub(at));
            if len == 0 {
                return content;
            }
            content.insert(at, Data::from_bytes(noise(len as usize))).unwrap();
            at += len;
        }
    }

    fn meta(&mut self) -> Meta {
        let (label, other) = (noise(1 + self.roll(90) as usize), noise(self.roll(1200) as usize));
        let sets: [List<'_>; 4] = [
            &[],
            &[("security.selinux", &label)],
            &[("trusted.a", &other), ("security.selinux", &label)],
            &[("trusted.b", &label), ("trusted.ab", &label), ("trusted.a", &label), ("trusted.long", &other)],
        ];
        let mtime = Time {
            seconds: self.roll(1 << 31) as i64 * 3 - (1 << 31),
            nanoseconds: self.roll(1 << 29) as u32,
        };
        let xattrs = xattrs(sets[self.roll(4) as usize]);
        Meta {
            mode: self.roll(0o10000) as u16,
            uid: self.roll(99_999) as u32,
            gid: 7,
            mtime,
            xattrs,
            immutable: false,
            verity: false,
        }
    }

    /// A tree of about `count` nodes.
    pub(crate) fn tree(&mut self, count: u64) -> Tree {
        let mut tree = empty();
        let (mut directories, mut others) = (vec![tree.root()], Vec::new());
        for index in 0..count {
            let at = directories[self.roll(directories.len() as u64) as usize];
            let name = [format!("{index}").into_bytes(), vec![b'-'; self.roll(240) as usize]].concat();
            let kind = match self.roll(12) {
                0 => Kind::Directory(Default::default()),
                1 => Kind::Symlink(vec![b's'; 1 + self.roll(120) as usize].into()),
                2 => Kind::CharDevice(self.roll(4096) as u32, self.roll(1 << 20) as u32),
                3 => Kind::File(self.content()),
                4 if !others.is_empty() => {
                    let node = others[self.roll(others.len() as u64) as usize];
                    tree.link(at, name, node);
                    continue;
                }
                _ => Kind::File(Sparse::from_bytes(noise(self.roll(9000) as usize))),
            };
            let is_directory = matches!(kind, Kind::Directory(_));
            let node = add(&mut tree, at, name, kind, self.meta());
            if is_directory { directories.push(node) } else { others.push(node) }
        }
        tree
    }
}
