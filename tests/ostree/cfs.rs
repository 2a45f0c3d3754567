//! Composefs images: byte for byte equal to those of libcomposefs, which
//! `mkcomposefs` makes of a dump and `ostree checkout --composefs` of a commit.

use std::{collections::HashMap, fmt::Write as _};

use diskwright::deploy::ostree::{
    cfs::{self, Digests},
    checksum::Checksum,
    repo::{Repo, RepoConfig},
    verity,
};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, NodeId, Tree},
};

use super::{
    corpus::{self, directory, file, link, meta, random, text, xattrs},
    judge::{agrees, inside, materialise, mkcomposefs, newer, newer_directory},
};

const MOUNT_POINTS: [&str; 5] = ["usr", "etc", "boot", "var", "sysroot"];

/// Text in a dump: everything but plain characters as `\xHH`, nothing as `-`.
fn escaped(bytes: &[u8]) -> String {
    if bytes.is_empty() || bytes == b"-" {
        return if bytes.is_empty() { "-".to_owned() } else { "\\x2d".to_owned() };
    }
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\\' | b'=' => _ = write!(text, "\\x{byte:02x}"),
            b'!'..=b'~' => text.push(char::from(byte)),
            _ => _ = write!(text, "\\x{byte:02x}"),
        }
    }
    text
}

struct Dump<'a> {
    tree: &'a Tree,
    repo: &'a Repo,
    digests: Option<&'a Digests>,
    text: String,
}

impl Dump<'_> {
    /// A line for every name, parents first: path size mode links uid gid rdev mtime payload content digest attributes.
    fn of(tree: &Tree, repo: &Repo, digests: Option<&Digests>) -> String {
        let mut dump = Dump { tree, repo, digests, text: String::new() };
        dump.line(b"/", tree.root());
        for (path, id) in tree.walk().skip(1) {
            dump.line(&[b"/", &path[..]].concat(), id);
        }
        for name in MOUNT_POINTS.into_iter().filter(|name| tree.lookup(name).is_none()) {
            writeln!(dump.text, "/{name} 0 40755 2 0 0 0 0.0 - - -").unwrap();
        }
        dump.text
    }

    fn line(&mut self, path: &[u8], id: NodeId) {
        let node = self.tree.node(id);
        let Meta { uid, gid, xattrs, .. } = &node.meta;
        let is_directory = |id: &&NodeId| self.tree.children(**id).is_some();
        let subdirectories =
            self.tree.children(id).map_or(0, |children| children.values().filter(is_directory).count());
        let missing = MOUNT_POINTS.iter().filter(|name| self.tree.lookup(name).is_none()).count();
        let (size, links, payload) = match &node.kind {
            Kind::Directory(_) if path == b"/" => (0, 2 + subdirectories + missing, Vec::new()),
            Kind::Directory(_) => (0, 2 + subdirectories, Vec::new()),
            Kind::File(content) => (content.len(), 1, self.payload(id, content)),
            Kind::Symlink(target) => (target.len() as u64, 1, target.to_vec()),
            _ => panic!("a device"),
        };
        let (path, payload, mode) = (escaped(path), escaped(&payload), node.st_mode());
        let digest = self.repo.checksum(id).and_then(|id| self.digests?.get(&id));
        let digest = digest.filter(|_| size > 0 && matches!(node.kind, Kind::File(_)));
        let digest = digest.map_or_else(|| "-".to_owned(), Checksum::to_string);
        write!(self.text, "{path} {size} {mode:o} {links} {uid} {gid} 0 0.0 {payload} - {digest}").unwrap();
        for (name, value) in xattrs.iter().filter(|(_, value)| !value.is_empty()) {
            write!(self.text, " {}={}", escaped(name), escaped(value)).unwrap();
        }
        self.text.push('\n');
    }

    fn payload(&self, id: NodeId, content: &Sparse) -> Vec<u8> {
        if content.is_empty() {
            return Vec::new();
        }
        let checksum = self.repo.checksum(id).unwrap().to_string();
        format!("{}/{}.file", &checksum[..2], &checksum[2..]).into_bytes()
    }
}

fn digests(tree: &Tree, repo: &Repo) -> Digests {
    let mut digests = HashMap::new();
    for (_, id) in tree.walk() {
        if let (Kind::File(content), Some(checksum)) = (&tree.node(id).kind, repo.checksum(id)) {
            digests.entry(checksum).or_insert_with(|| verity::digest(content).unwrap());
        }
    }
    digests
}

fn hashed(tree: &Tree) -> Repo {
    let mut repo = Repo::new(RepoConfig::default());
    repo.hash_files(tree, tree.root(), &()).unwrap();
    repo
}

fn assert_same(ours: &[u8], theirs: &[u8], what: &str) {
    let differs = ours.iter().zip(theirs).position(|(a, b)| a != b);
    let lengths = (ours.len(), theirs.len());
    assert!(ours == theirs, "{what}: lengths {lengths:?}, first difference at {differs:?}");
}

fn same_as_mkcomposefs(tree: &Tree, what: &str) {
    let repo = hashed(tree);
    let ours = cfs::image(tree, tree.root(), &repo, None).unwrap();
    assert_same(&ours, &mkcomposefs(&Dump::of(tree, &repo, None)), what);
}

fn tree() -> Tree {
    Tree::new(Meta::root(0o755))
}

#[test]
fn an_empty_tree() {
    same_as_mkcomposefs(&tree(), "empty");
    let mut rooted = tree();
    rooted.node_mut(rooted.root()).meta =
        meta(0o700, &[("security.selinux", b"system_u:object_r:root_t:s0\0")]);
    rooted.node_mut(rooted.root()).meta.uid = 100_000;
    same_as_mkcomposefs(&rooted, "labelled root");
}

#[test]
fn edges_of_the_repository() {
    same_as_mkcomposefs(&corpus::edges(), "edges");
}

#[test]
fn random_trees() {
    for (seed, count) in [(1, 5000), (2, 5000), (3, 700), (4, 150), (5, 20)] {
        same_as_mkcomposefs(&random(seed, count), &format!("seed {seed}"));
    }
}

/// Names of every total length around a block and around the inline limit.
#[test]
fn directories_around_a_block_and_the_inline_limit() {
    let mut tree = tree();
    let root = tree.root();
    for total in (1900..2120).chain(3950..4200).chain(6000..6200).step_by(3) {
        let parent = directory(&mut tree, root, &format!("total-{total}"));
        // "." and ".." take 27 bytes; entries of 112 bytes fill most, the last takes the rest.
        let mut left = total - 27;
        let mut number = 0;
        while left > 12 {
            let len = if left > 230 { 112 } else { left.min(12 + 200) };
            let name = format!("{number:03}{}", "n".repeat((len - 12_usize).saturating_sub(3)));
            directory(&mut tree, parent, &name);
            left -= len;
            number += 1;
        }
    }
    same_as_mkcomposefs(&tree, "directories");
}

#[test]
fn names_that_sort_around_the_dots() {
    let mut tree = tree();
    let root = tree.root();
    let usr = directory(&mut tree, root, "usr");
    for name in ["!", "-", ".!", ".-", "..!", "...", ".a", "/".replace('/', "0").as_str(), "00", "ff", "~"] {
        text(&mut tree, root, name, "x");
        text(&mut tree, usr, name, "x");
    }
    same_as_mkcomposefs(&tree, "dots");
}

#[test]
fn symbolic_links_of_every_length() {
    let mut tree = tree();
    let root = tree.root();
    let usr = directory(&mut tree, root, "usr");
    for len in (1..4096).step_by(31).chain([4030, 4031, 4032, 4033, 4063, 4064, 4065, 4094, 4095]) {
        link(&mut tree, usr, &format!("link-{len}"), &"t".repeat(len));
        let node = link(&mut tree, usr, &format!("wide-{len}"), &"w".repeat(len));
        tree.node_mut(node).meta.uid = 65_536;
        if len % 2 == 0 {
            tree.node_mut(node).meta.xattrs = xattrs(&[("security.x", &[1; 21])]);
        }
    }
    link(&mut tree, root, "dash", "-");
    same_as_mkcomposefs(&tree, "links");
}

#[test]
fn attributes_shared_escaped_and_large() {
    let mut tree = tree();
    let root = tree.root();
    let acl: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff";
    let sets: [&[(&str, &[u8])]; 10] = [
        &[("system.posix_acl_access", acl), ("user.a", b"1")],
        &[("system.posix_acl_default", acl), ("system.posix_acl_access", acl)],
        &[("trusted.overlay.opaque", b"y"), ("trusted.overlay.redirect", b"/x"), ("trusted.x", b"")],
        &[("trusted.overlay.overlay.opaque", b"y"), ("trusted.overlay.", b"e"), ("trusted.overlayfs", b"")],
        &[("user.", b"empty suffix"), ("odd.prefix", b"v"), ("system.posix_acl_accessory", b"v")],
        &[("user.a", b"1"), ("user.a-b", b"1"), ("user.aa", b"1"), ("user.b", b"22")],
        &[("user.b", b"1"), ("user.b0", b"10"), ("user.b1", b"2")],
        &[("user.large", &[7; 5000]), ("user.seven", &[1; 4000])],
        &[("security.capability", corpus::CAPABILITY), ("user.b", b"3")],
        &[("user.b", b"33"), ("user.b0", b"\xff\xfe")],
    ];
    for round in 0..40 {
        let parent = directory(&mut tree, root, &format!("dir-{round}"));
        tree.node_mut(parent).meta.xattrs = xattrs(sets[round % 10]);
        for (number, set) in sets.iter().enumerate().skip(round % 7) {
            let only = format!("{round}");
            let mut set = set.to_vec();
            if number % 3 == 0 {
                set.push(("security.unshared", only.as_bytes()));
            }
            let content = "c".repeat(number * round % 4);
            file(
                &mut tree,
                parent,
                &format!("f{number}"),
                meta(0o644, &set),
                Sparse::from_bytes(content.into_bytes()),
            );
            let node = link(&mut tree, parent, &format!("l{number}"), &"t".repeat(100 * number + 1));
            tree.node_mut(node).meta.xattrs = xattrs(&set);
        }
    }
    same_as_mkcomposefs(&tree, "attributes");
}

#[test]
fn one_attribute_that_is_an_acl_sets_the_flag() {
    let mut tree = tree();
    let root = tree.root();
    let acl: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff";
    file(&mut tree, root, "f", meta(0o644, &[("system.posix_acl_access", acl)]), Sparse::from_bytes(*b"x"));
    same_as_mkcomposefs(&tree, "acl");
}

#[test]
fn file_sizes_around_chunk_bits() {
    let mut tree = tree();
    let root = tree.root();
    let sizes = [1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1];
    for size in sizes {
        let node = file(&mut tree, root, &format!("f{size}"), meta(0o644, &[]), Sparse::new(size));
        tree.node_mut(node).meta.gid = (size % 2) as u32 * 65_536;
    }
    same_as_mkcomposefs(&tree, "sizes");
}

#[test]
fn files_at_and_past_four_gibibytes() {
    let mut tree = tree();
    let root = tree.root();
    for size in [u64::from(u32::MAX), 1 << 32] {
        file(&mut tree, root, &format!("f{size}"), meta(0o644, &[]), Sparse::new(size));
    }
    same_as_mkcomposefs(&tree, "large files");
}

#[test]
fn more_subdirectories_than_a_short_link_count() {
    let mut tree = tree();
    let root = tree.root();
    for count in [65_533, 65_534] {
        let parent = directory(&mut tree, root, &format!("dirs-{count}"));
        (0..count).for_each(|i| _ = directory(&mut tree, parent, &format!("{i}")));
    }
    same_as_mkcomposefs(&tree, "link counts");
}

#[test]
fn digests_of_fs_verity() {
    let mut tree = random(7, 800);
    let root = tree.root();
    for size in [0, 1, 4096, 4097, 128 * 4096, 128 * 4096 + 1, 128 * 128 * 4096 + 1] {
        file(&mut tree, root, &format!("f{size}"), meta(0o644, &[]), Sparse::new(size));
    }
    let repo = hashed(&tree);
    let digests = digests(&tree, &repo);
    let ours = cfs::image(&tree, root, &repo, Some(&digests)).unwrap();
    assert_same(&ours, &mkcomposefs(&Dump::of(&tree, &repo, Some(&digests))), "digests");
}

/// The judge computes paths, mount points and digests itself.
#[test]
fn ostree_makes_the_same_image_of_the_same_commit() {
    for mut tree in [corpus::edges(), random(8, 1500)] {
        let root = tree.root();
        for size in [4096, 4097, 128 * 4096 + 1, 128 * 128 * 4096 + 1] {
            file(&mut tree, root, &format!("f{size}"), meta(0o644, &[]), Sparse::new(size));
        }
        let work = newer_directory();
        let mut repo = hashed(&tree);
        let digests = digests(&tree, &repo);
        let plain = cfs::image(&tree, root, &repo, None).unwrap();
        let sealed = cfs::image(&tree, root, &repo, Some(&digests)).unwrap();
        let ids = repo.write_tree(&tree, root).unwrap();
        let commit = repo.commit(ids, &[], None, 0).to_string();
        let directory = repo.into_directory(&mut tree).unwrap();
        materialise(&tree, directory, &work.path().join("repo"));
        let checkout = |option: &str| {
            let (repo, out) = (inside(&work.path().join("repo")), work.path().join(option));
            let mut command = newer("ostree");
            command.arg(format!("--repo={repo}")).args(["checkout", option, &commit, &inside(&out)]);
            agrees("mmdebstrap", &mut command);
            std::fs::read(out).unwrap()
        };
        assert_same(&plain, &checkout("--composefs-noverity"), "ostree without digests");
        assert_same(&sealed, &checkout("--composefs"), "ostree with digests");
    }
}

#[test]
fn what_an_image_cannot_hold_is_refused_with_its_path() {
    let refused = |name: &str, kind: Kind| {
        let mut tree = tree();
        let root = tree.root();
        let usr = directory(&mut tree, root, "usr");
        let node = text(&mut tree, usr, name, "");
        tree.node_mut(node).kind = kind;
        let error = cfs::image(&tree, root, &Repo::new(RepoConfig::default()), None).unwrap_err();
        format!("{error:#}")
    };
    let file = |len| Kind::File(Sparse::new(len));
    assert_eq!(refused("f", file(1)), "/usr/f: a file that was not hashed");
    assert_eq!(refused("f", file((1 << 43) + 1)), "/usr/f: file of over 8 TiB");
    assert!(refused("null", Kind::CharDevice(1, 3)).starts_with("/usr/null: "));
    assert!(refused("link", Kind::Symlink(vec![b'x'; 4096].into())).starts_with("/usr/link: "));
    assert!(refused(&"n".repeat(256), file(0)).ends_with("name of over 255 bytes"));
}

#[test]
fn the_judge_says_no_to_a_changed_image() {
    let tree = random(9, 50);
    let repo = hashed(&tree);
    let image = cfs::image(&tree, tree.root(), &repo, None).unwrap();
    let work = newer_directory();
    let listing = |image: &[u8]| {
        std::fs::write(work.path().join("image"), image).unwrap();
        let mut command = newer("composefs-info");
        command.args(["dump", &inside(&work.path().join("image"))]);
        super::judge::run("mmdebstrap", &mut command)
    };
    let good = listing(&image);
    assert!(good.status.success());
    let mut flipped = image.clone();
    flipped[0] ^= 1;
    assert!(!listing(&flipped).status.success(), "a header with another magic number");
    let mut flipped = image;
    flipped[1152 + 4] ^= 1;
    assert_ne!(listing(&flipped).stdout, good.stdout, "another mode of the root");
}
