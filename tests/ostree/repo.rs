//! Repositories: object by object equal to what `ostree commit` writes, and
//! accepted by `ostree fsck`, `ls`, `show` and `checkout`.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use diskwright::deploy::ostree::{
    checksum::Checksum,
    object::{Commit, ObjectKind, TreeIds, Variant},
    refs::escape_ref,
    repo::{Repo, RepoConfig},
};
use diskwright_formats::tree::{Kind, Meta, NodeId, Tree};

use super::{
    corpus,
    judge::{agrees, inside, materialise, newer, newer_directory, ostree, run},
};

const TIMESTAMP: u64 = 1_700_000_000;
const METADATA: [(&str, &str); 2] = [("ostree.importer.version", "0.15.3"), ("ostree.manifest", "{\"a\":1}")];

struct Committed {
    repo: Repo,
    root: TreeIds,
    commit: Checksum,
}

fn commit(tree: &Tree) -> Committed {
    let mut repo = Repo::new(RepoConfig::default());
    repo.hash_files(tree, tree.root(), &()).unwrap();
    let root = repo.write_tree(tree, tree.root()).unwrap();
    let commit = repo.commit(root, &METADATA, None, TIMESTAMP);
    repo.set_ref("test/main", commit).unwrap();
    Committed { repo, root, commit }
}

/// Our repository of `tree`, written to `path`.
fn write_repo(mut tree: Tree, path: &Path) -> Checksum {
    let Committed { repo, commit, .. } = commit(&tree);
    let directory = repo.into_directory(&mut tree).unwrap();
    materialise(&tree, directory, path);
    commit
}

/// The judge's repository of `tree`, and the commit's checksum.
fn judges_repo(tree: &Tree, work: &Path) -> (PathBuf, String) {
    let (repo, source) = (work.join("theirs"), work.join("source"));
    materialise(tree, tree.root(), &source);
    agrees("ostree", ostree(&repo).args(["init", "--mode=bare"]));
    let mut command = ostree(&repo);
    command.args(["commit", "--orphan", "--no-bindings"]).arg(format!("--timestamp=@{TIMESTAMP}"));
    command.args(METADATA.map(|(key, value)| format!("--add-metadata-string={key}={value}")));
    command.arg(format!("--tree=dir={}", source.display()));
    let checksum = agrees("ostree", &mut command).trim().to_owned();
    (repo, checksum)
}

/// Every object by name, with the bytes of those that are no files.
fn objects(repo: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for part in fs::read_dir(repo.join("objects")).unwrap().map(Result::unwrap) {
        for object in fs::read_dir(part.path()).unwrap().map(Result::unwrap) {
            let name = object.file_name().into_string().unwrap();
            let is_file = name.ends_with(".file");
            let bytes = if is_file { Vec::new() } else { fs::read(object.path()).unwrap() };
            objects.insert(format!("{}{name}", part.file_name().display()), bytes);
        }
    }
    objects
}

fn same_as_ostree(tree: Tree) {
    let work = tempfile::tempdir().unwrap();
    let (theirs, checksum) = judges_repo(&tree, work.path());
    let ours = work.path().join("ours");
    assert_eq!(write_repo(tree, &ours).to_string(), checksum);
    let (theirs, found) = (objects(&theirs), objects(&ours));
    let names = |objects: &BTreeMap<String, Vec<u8>>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&theirs));
    assert!(found == theirs, "metadata objects differ");
    agrees("ostree", ostree(&ours).arg("fsck"));
}

#[test]
fn objects_of_edges_equal_those_of_ostree() {
    same_as_ostree(corpus::edges());
}

#[test]
fn objects_of_random_trees_equal_those_of_ostree() {
    for seed in 1..=3 {
        same_as_ostree(corpus::random(seed, 1500));
    }
}

#[test]
fn ostree_reads_the_repository() {
    let work = tempfile::tempdir().unwrap();
    let ours = work.path().join("ours");
    let tree = corpus::edges();
    let Committed { root, .. } = commit(&tree);
    let names = tree.walk().filter(|(_, id)| *id != tree.root()).count();
    let checksum = write_repo(tree, &ours);
    let listing = agrees("ostree", ostree(&ours).args(["ls", "-R", "test/main"]));
    assert_eq!(listing.lines().count(), names + 1);
    assert!(listing.contains("-04755 70000 65536      2 /usr/suid"), "{listing}");
    let shown = agrees("ostree", ostree(&ours).args(["show", "test/main"]));
    assert!(shown.contains(&format!("commit {checksum}")), "{shown}");
    assert!(shown.contains(&format!("ContentChecksum:  {}", root.content_checksum())), "{shown}");
    let value =
        agrees("ostree", ostree(&ours).args(["show", "--print-metadata-key=ostree.manifest", "test/main"]));
    assert_eq!(value.trim(), "'{\"a\":1}'");
    let out = work.path().join("out");
    agrees("ostree", ostree(&ours).args(["checkout", "-H", "test/main"]).arg(&out));
    assert_eq!(fs::metadata(out.join("usr/suid")).unwrap().permissions().mode() & 0o7777, 0o4755);
}

#[test]
fn fsck_says_no_to_a_flipped_byte_and_a_changed_mode() {
    let work = tempfile::tempdir().unwrap();
    for (number, kind) in ["file", "dirtree", "dirmeta", "commit", "mode"].into_iter().enumerate() {
        let ours = work.path().join(format!("ours-{number}"));
        write_repo(corpus::random(5, 60), &ours);
        agrees("ostree", ostree(&ours).arg("fsck"));
        let extension = if kind == "mode" { ".file" } else { kind };
        let path =
            objects(&ours).into_keys().map(|name| ours.join("objects").join(&name[..2]).join(&name[2..]));
        let regular = |path: &PathBuf| {
            let meta = fs::symlink_metadata(path).unwrap();
            path.to_str().unwrap().ends_with(extension) && meta.is_file() && meta.len() > 0
        };
        let path = path.into_iter().find(regular).unwrap();
        if kind == "mode" {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o123)).unwrap();
        } else {
            let mut bytes = fs::read(&path).unwrap();
            bytes[0] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        assert!(!run("ostree", ostree(&ours).arg("fsck")).status.success(), "fsck accepts a broken {kind}");
    }
}

#[test]
fn a_repository_has_its_documented_files() {
    let mut tree = corpus::random(6, 20);
    let Committed { repo, commit, .. } = commit(&tree);
    let directory = repo.into_directory(&mut tree).unwrap();
    tree.set_root(directory);
    let content = |path: &str| match &tree.node(tree.lookup(path).expect(path)).kind {
        Kind::File(content) => String::from_utf8(content.to_vec().unwrap()).unwrap(),
        _ => panic!("{path} is no file"),
    };
    let config =
        "[core]\nrepo_version=1\nmode=bare\n\n[sysroot]\nbootloader=none\nbootprefix=true\nreadonly=true\n";
    assert_eq!(content("config"), config);
    assert_eq!(content("refs/heads/test/main"), format!("{commit}\n"));
    assert_eq!(content(".lock"), "");
    assert_eq!(tree.node(tree.lookup(".lock").unwrap()).meta.mode, 0o640);
    for path in
        ["extensions", "state", "tmp/cache", "refs/mirrors", "refs/remotes", "objects/00", "objects/ff"]
    {
        assert!(tree.lookup(path).is_some_and(|id| tree.children(id).is_some()), "{path}");
    }
    let full =
        RepoConfig { bls_append_except_default: Some("x=y".into()), fsverity: true, ..RepoConfig::default() };
    let tail = "readonly=true\nbls-append-except-default=x=y\n\n[ex-integrity]\nfsverity=true\n";
    assert!(full.text().ends_with(tail));
}

#[test]
fn equal_files_share_one_object_with_every_name() {
    let mut tree = Tree::new(Meta::root(0o755));
    let root = tree.root();
    let (a, b) = (corpus::text(&mut tree, root, "a", "same"), corpus::text(&mut tree, root, "b", "same"));
    tree.node_mut(b).meta.mtime.seconds = 7;
    let Committed { mut repo, .. } = commit(&tree);
    let object = repo.object(&mut tree, a);
    assert_eq!(repo.object(&mut tree, b), object);
    assert_eq!(repo.object(&mut tree, object), object);
    assert_eq!(tree.node(object).meta.mtime.seconds, 0);
    let checksum = repo.checksum(a).unwrap().to_string();
    let directory = repo.into_directory(&mut tree).unwrap();
    let path = format!("objects/{}/{}.file", &checksum[..2], &checksum[2..]);
    assert_eq!(tree.lookup_from(directory, path), Some(object));
}

#[test]
fn what_ostree_cannot_store_is_refused_with_its_path() {
    let refused = |name: &[u8], kind: Kind| {
        let mut tree = Tree::new(Meta::root(0o755));
        let root = tree.root();
        let usr = corpus::directory(&mut tree, root, "usr");
        let node = tree.add_directory(Meta::root(0o755));
        tree.node_mut(node).kind = kind;
        tree.link(usr, name, node);
        let mut repo = Repo::new(RepoConfig::default());
        repo.hash_files(&tree, root, &()).unwrap();
        repo.write_tree(&tree, root).unwrap_err().to_string()
    };
    assert!(refused(b"null", Kind::CharDevice(1, 3)).starts_with("/usr/null: "));
    assert!(refused(b"pipe", Kind::Fifo).starts_with("/usr/pipe: "));
    assert!(refused(b"\xff", Kind::Symlink((*b"x").into())).starts_with("/usr/\\xff: "));
}

#[test]
fn trees_deeper_than_any_path_are_refused() {
    let nested = |depth: usize| {
        let mut tree = Tree::new(Meta::root(0o755));
        (0..depth).fold(tree.root(), |at, _| corpus::directory(&mut tree, at, "d"));
        let mut repo = Repo::new(RepoConfig::default());
        let root = repo.write_tree(&tree, tree.root())?;
        repo.checkout(&mut tree, root)
    };
    nested(2048).unwrap();
    assert!(nested(2049).unwrap_err().to_string().ends_with("over 2048 directories deep"));
}

/// Imports every object of a judge's repository, then takes the tree out again.
#[test]
fn the_readers_understand_ostree_and_refuse_a_flipped_byte() {
    let work = tempfile::tempdir().unwrap();
    let mut tree = corpus::edges();
    let (theirs, checksum) = judges_repo(&tree, work.path());
    let mut repo = Repo::new(RepoConfig::default());
    repo.hash_files(&tree, tree.root(), &()).unwrap();
    for (_, id) in tree.walk().filter(|(_, id)| tree.children(*id).is_none()) {
        repo.add_file(id).unwrap();
    }
    for (name, bytes) in objects(&theirs).into_iter().filter(|(name, _)| !name.ends_with(".file")) {
        let (checksum, extension) = name.split_once('.').unwrap();
        let kind = ObjectKind::from_extension(extension).unwrap();
        let checksum = checksum.parse().unwrap();
        let mut flipped = bytes.clone();
        flipped[0] ^= 1;
        repo.import_object(kind, checksum, flipped).unwrap_err();
        repo.import_object(kind, checksum, bytes).unwrap();
    }
    let bytes = repo.metadata_object(ObjectKind::Commit, checksum.parse().unwrap()).unwrap();
    let read = Commit::parse(bytes).unwrap();
    assert_eq!((read.timestamp, read.parent), (TIMESTAMP, None));
    assert_eq!(read.get("ostree.manifest").and_then(Variant::as_text), Some("{\"a\":1}"));
    let root = read.root;
    let out = repo.checkout(&mut tree, root).unwrap();
    let mut again = Repo::new(RepoConfig::default());
    again.hash_files(&tree, out, &()).unwrap();
    assert_eq!(again.write_tree(&tree, out).unwrap(), root);
    let suid = tree.lookup_from(out, "usr/suid").unwrap();
    assert_eq!(tree.lookup_from(out, "usr/suid-link"), Some(suid));
    assert_eq!(repo.object(&mut tree, suid), suid);
    assert!(again.checkout(&mut tree, TreeIds { dirtree: root.dirmeta, ..root }).is_err());
}

/// What the newer libostree says of refs, parents and large metadata.
#[test]
fn a_newer_ostree_accepts_refs_parents_and_long_metadata() {
    let work = newer_directory();
    let mut tree = corpus::edges();
    let Committed { mut repo, root, commit: parent } = commit(&tree);
    let long = "x".repeat(100_000);
    let child = repo.commit(root, &[("long", &long), ("a", "b")], Some(parent), TIMESTAMP + 1);
    let name = format!(
        "ostree/container/image/{}",
        escape_ref("docker://registry.example.com/a/b_c:latest@sha256:0")
    );
    repo.set_ref(&name, child).unwrap();
    let directory: NodeId = repo.into_directory(&mut tree).unwrap();
    materialise(&tree, directory, &work.path().join("repo"));
    let path = format!("--repo={}", inside(&work.path().join("repo")));
    let newer = |arguments: &[&str]| agrees("mmdebstrap", newer("ostree").arg(&path).args(arguments));
    newer(&["fsck"]);
    assert_eq!(newer(&["rev-parse", &name]).trim(), child.to_string());
    assert!(newer(&["log", &name]).contains(&parent.to_string()));
}
