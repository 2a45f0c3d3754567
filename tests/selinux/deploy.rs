//! A whole deployment: the label of every inode of root and /boot is the one
//! libselinux gives to what the inode is in the running system, in the tree,
//! and as the kernel and ostree see it.

use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt as _, path::Path, process::Command};

use diskwright::deploy::{Volume, selinux::Texts};
use diskwright_formats::{
    filesystem::{Identity, by_name},
    tree::{Kind, Time, Tree},
};

use crate::{
    fixture::{Change, DIGESTS, volumes},
    judge,
};

const ATTRIBUTE: &[u8] = b"security.selinux";
const MIB: u64 = 1 << 20;

/// Label by path; nodes without one are absent.
pub(crate) type Labels = BTreeMap<String, String>;

fn labels(tree: &Tree) -> Labels {
    let label = |(path, id): (Vec<u8>, _)| {
        let value = tree.node(id).meta.xattrs.get(ATTRIBUTE)?;
        let value = String::from_utf8(value.to_vec()).unwrap();
        Some((
            String::from_utf8(path).unwrap(),
            value.strip_suffix('\0').expect("a NUL at the end").to_owned(),
        ))
    };
    tree.walk().filter_map(label).collect()
}

/// What a path of the root volume is in a running system; `None` for objects of the repository.
pub(crate) fn role(path: &str) -> Option<String> {
    if path.ends_with(".file") && path.starts_with("ostree/repo/objects/") {
        return None;
    }
    if path == "ostree" {
        return Some("/usr".into());
    }
    let Some(stateroot) = path.strip_prefix("ostree/deploy/default/") else {
        return Some(format!("/{path}"));
    };
    if stateroot == "var" || stateroot.starts_with("var/") {
        return Some(format!("/{stateroot}"));
    }
    if stateroot.ends_with(".origin") {
        return Some("/etc/ostree/remotes.d/dummy.conf".into());
    }
    if stateroot.ends_with("/upper") {
        return Some("/".into());
    }
    match stateroot.strip_prefix("deploy/").map(|rest| rest.split_once('/')) {
        Some(Some((_, ".ostree.cfs"))) => Some("/usr/.ostree.cfs".into()),
        Some(Some((_, "proc"))) => Some("/mnt".into()),
        Some(Some((_, below))) => Some(format!("/{below}")),
        Some(None) => Some("/".into()),
        None => Some(format!("/{path}")),
    }
}

/// What libselinux says of every path of a tree.
fn expected(texts: &Texts, tree: &Tree, role: impl Fn(&str) -> Option<String>) -> Labels {
    let paths = tree.walk().map(|(path, id)| (String::from_utf8(path).unwrap(), tree.node(id).st_mode()));
    judged(texts, paths, role)
}

/// What libselinux says of paths, each with its `st_mode`.
pub(crate) fn judged(
    texts: &Texts,
    paths: impl Iterator<Item = (String, u32)>,
    role: impl Fn(&str) -> Option<String>,
) -> Labels {
    let asked: Vec<_> = paths.filter_map(|(path, mode)| Some((role(&path)?, path, mode))).collect();
    let questions: Vec<_> = asked.iter().map(|(role, _, mode)| (role.clone().into_bytes(), *mode)).collect();
    let answers = judge::labels(texts, &questions);
    let pairs = asked.into_iter().zip(answers);
    pairs.filter(|(_, label)| label != "-").map(|((_, path, _), label)| (path, label)).collect()
}

fn tree<'a>(volumes: &'a [Volume], name: &str) -> &'a Tree {
    let volume = volumes.iter().find(|volume| volume.name == name).unwrap();
    &volume.content.as_ref().unwrap().tree
}

/// The names of a deployment, which carry a checksum, made readable.
fn deployment(tree: &Tree) -> String {
    let deploys = tree.lookup("ostree/deploy/default/deploy").unwrap();
    let name = tree.children(deploys).unwrap().keys().next().unwrap();
    format!("ostree/deploy/default/deploy/{}", String::from_utf8_lossy(name))
}

#[test]
fn every_inode_has_the_label_of_what_it_is() {
    let texts = judge::debian_texts();
    let volumes = volumes(Change::default()).unwrap();
    let root = tree(&volumes, "root");
    let found = labels(root);
    let mut wanted = expected(&texts, root, role);
    // bootc gives what the policy leaves without a label (<<none>>) the label of the physical path.
    let physical = expected(&texts, root, |path| role(path).map(|_| format!("/{path}")));
    for (path, label) in physical {
        let shared = path.contains("/deploy/default/deploy/")
            && root
                .lookup(&path)
                .is_some_and(|id| matches!(root.node(id).kind, Kind::File(_) | Kind::Symlink(_)));
        if !shared {
            wanted.entry(path).or_insert(label);
        }
    }
    let objects: Labels = found
        .iter()
        .filter(|(path, _)| role(path).is_none())
        .map(|(path, label)| (path.clone(), label.clone()))
        .collect();
    wanted.extend(objects);
    assert_eq!(found, wanted);
    let boot = tree(&volumes, "boot");
    assert_eq!(labels(boot), expected(&texts, boot, |path| Some(format!("/boot/{path}"))));
}

#[test]
fn labels_of_the_places_that_matter() {
    let volumes = volumes(Change::default()).unwrap();
    let root = tree(&volumes, "root");
    let (found, deployment) = (labels(root), deployment(root));
    let kind = |path: &str| {
        let path = path.replace("ID", &deployment);
        found.get(&path).map_or("none", |label| label.split(':').nth(2).unwrap()).to_owned()
    };
    for (path, expected) in [
        ("", "root_t"),
        ("boot", "boot_t"),
        ("ostree", "usr_t"),
        ("lost+found", "lost_found_t"),
        ("ID/etc", "etc_t"),
        ("ID/etc/shadow", "shadow_t"),
        ("ID/etc/passwd", "etc_t"),
        ("ID/usr/bin/sudo", "sudo_exec_t"),
        ("ID/usr/bin/passwd", "passwd_exec_t"),
        ("ID/usr/bin/mount", "mount_exec_t"),
        ("ID/usr/lib/also-mount", "lib_t"),
        ("ID/usr/bin/link", "bin_t"),
        ("ID/.ostree.cfs", "usr_t"),
        ("ID.origin", "etc_t"),
        ("ostree/deploy/default/var", "var_t"),
        ("ostree/deploy/default/var/log/lastlog", "lastlog_t"),
        ("ostree/deploy/default/var/.ostree-selabeled", "var_t"),
        (".bootc-aleph.json", "default_t"),
    ] {
        assert_eq!(kind(path), expected, "{path}");
    }
    let aleph = root.lookup(".bootc-aleph.json").unwrap();
    let Kind::File(text) = &root.node(aleph).kind else { panic!("no file") };
    assert!(String::from_utf8(text.to_vec().unwrap()).unwrap().contains(r#""selinux":"enabled""#));
}

#[test]
fn without_an_enabled_policy_there_is_no_label() {
    for config in ["SELINUX=disabled\nSELINUXTYPE=default\n", "SELINUX=enforcing\nSELINUXTYPE=other\n", ""] {
        let volumes = volumes(Change { config: Some(config), ..Change::default() }).unwrap();
        assert!(labels(tree(&volumes, "root")).is_empty() && labels(tree(&volumes, "boot")).is_empty());
        assert!(tree(&volumes, "root").lookup("lost+found").is_none());
    }
}

#[test]
fn compiled_contexts_alone_are_refused() {
    let change = Change { without: "file_contexts", ..Change::default() };
    let error = format!("{:#}", volumes(change).unwrap_err());
    assert!(
        error.contains("only the compiled /etc/selinux/default/contexts/files/file_contexts.bin"),
        "{error}"
    );
}

/// A filesystem of the tree, mounted until dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(volume: &Volume) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let content = volume.content.as_ref().unwrap();
        let time = Time { seconds: 1_700_000_000, nanoseconds: 0 };
        let id =
            Identity { uuid: content.uuid, label: volume.name.into(), time, sector_size: 512, offset: 0 };
        let ext4 = by_name("ext4").unwrap();
        let size = ext4.min_size(&content.tree, &id).unwrap().next_multiple_of(MIB) + 64 * MIB;
        let bytes = ext4.mkfs(&content.tree, &id, size).unwrap();
        let image = File::create(directory.path().join("image")).unwrap();
        image.set_len(size).unwrap();
        for piece in bytes.pieces() {
            image.write_all_at(&piece.data.to_vec().unwrap(), piece.offset).unwrap();
        }
        std::fs::create_dir(directory.path().join("mnt")).unwrap();
        run("e2fsprogs", Command::new("e2fsck").arg("-fn").arg(directory.path().join("image")));
        let mut mount = Command::new("mount");
        run(
            "mount",
            mount.args(["-o", "loop"]).arg(directory.path().join("image")).arg(directory.path().join("mnt")),
        );
        Self(directory)
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("mnt")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

pub(crate) fn run(package: &str, command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; install {package}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A path as getfattr prints it, where some bytes are octal numbers behind a backslash.
fn unquoted(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..3], 8).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[3..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// Labels as getfattr reads them.
pub(crate) fn kernel_labels(root: &Path) -> Labels {
    let mut getfattr = Command::new("getfattr");
    let text = run(
        "attr",
        getfattr.current_dir(root).args(["-R", "-P", "-h", "-n", "security.selinux", "-e", "hex", "."]),
    );
    let entries = text.split("# file: ").skip(1);
    let labels = entries.map(|entry| {
        let (path, rest) = entry.split_once('\n').unwrap();
        let hex = rest.trim().strip_prefix("security.selinux=0x").unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let value: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let label = String::from_utf8(value).unwrap().strip_suffix('\0').expect("a NUL").to_owned();
        let path = if path == "." { "" } else { path };
        (unquoted(path), label)
    });
    labels.collect()
}

#[test]
fn the_kernel_and_ostree_see_the_same() {
    let volumes = volumes(Change::default()).unwrap();
    for name in ["root", "boot"] {
        let volume = volumes.iter().find(|volume| volume.name == name).unwrap();
        let mounted = Mounted::new(volume);
        assert_eq!(kernel_labels(&mounted.path()), labels(&volume.content.as_ref().unwrap().tree), "{name}");
        if name == "root" {
            judge_repository(&mounted.path());
        }
    }
}

fn judge_repository(root: &Path) {
    let repo = root.join("ostree/repo");
    let ostree = |arguments: &[&str]| {
        let mut command = Command::new("ostree");
        command.arg(format!("--repo={}", repo.display())).args(arguments);
        command
    };
    run("ostree", &mut ostree(&["fsck"]));
    let blob = |digest: &str| format!("ostree/container/blob/{}", digest.replace(':', "_3A_"));
    let list = |commit: &str, path: &str| run("ostree", &mut ostree(&["ls", "-C", "-X", commit, path]));
    let line = |commit: &str, path: &str| list(commit, path).split_whitespace().collect::<Vec<_>>().join(" ");
    for (layer, path) in
        [(0, "/usr/bin/mount"), (1, "/usr/bin/passwd"), (1, "/usr/etc/sudoers"), (1, "/usr/bin/link")]
    {
        assert_eq!(line(&blob(DIGESTS[layer]), path), line("ostree/1/1/0", path), "shared object of {path}");
        assert!(line("ostree/1/1/0", path).contains("security.selinux"), "{path}");
    }
    let label = |path: &str| run("ostree", &mut ostree(&["ls", "-X", "ostree/1/1/0", path]));
    assert_ne!(label("/usr/bin/mount"), label("/usr/lib/also-mount"));
    // The judge says no: another label on an object.
    let object = run(
        "findutils",
        Command::new("find")
            .arg(repo.join("objects"))
            .args(["-name", "*.file", "-type", "f", "-size", "+0", "-print", "-quit"]),
    );
    run(
        "attr",
        Command::new("setfattr").args(["-n", "security.selinux", "-v", "u:o:other_t:s0", object.trim()]),
    );
    assert!(!ostree(&["fsck"]).output().unwrap().status.success(), "fsck passes a changed label");
}
