//! Calling the judges, and trees on the host's file system for them to look at.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use diskwright_formats::tree::{Kind, Meta, NodeId, Tree};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, lsetxattr, utimensat};

/// Runs a judge; a program that is not there fails the test with its package.
pub(crate) fn run(package: &str, command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}; install the package {package}"))
}

/// The standard output of a judge that must agree.
pub(crate) fn agrees(package: &str, command: &mut Command) -> String {
    let output = run(package, command);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?} says no: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn ostree(repo: &Path) -> Command {
    let mut command = Command::new("ostree");
    command.arg(format!("--repo={}", repo.display()));
    command
}

/// The private root of the newer judges.
pub(crate) fn newer_root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/judge-root");
        PathBuf::from(agrees("mmdebstrap", &mut Command::new(script)).trim_end())
    })
}

/// What `mkcomposefs --from-file` makes of a dump.
pub(crate) fn mkcomposefs(dump: &str) -> Vec<u8> {
    let mut command = Command::new("chroot");
    command.arg(newer_root()).args(["mkcomposefs", "--from-file", "-", "-"]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("chroot runs");
    let mut input = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(dump.as_bytes()));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "mkcomposefs: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A fresh directory that the newer judges see as `/judge/NAME`.
pub(crate) fn newer_directory() -> tempfile::TempDir {
    tempfile::tempdir_in(newer_root().join("judge")).unwrap()
}

/// Writes what is below `node` to `path`, which must not exist; needs root.
pub(crate) fn materialise(tree: &Tree, node: NodeId, path: &Path) {
    materialise_node(tree, node, path, &mut HashMap::new());
}

fn materialise_node(tree: &Tree, id: NodeId, path: &Path, done: &mut HashMap<NodeId, PathBuf>) {
    if let Some(first) = done.get(&id) {
        return fs::hard_link(first, path).unwrap();
    }
    let node = tree.node(id);
    match &node.kind {
        Kind::Directory(children) => {
            fs::create_dir(path).unwrap();
            for (name, &child) in children {
                materialise_node(tree, child, &path.join(std::str::from_utf8(name).unwrap()), done);
            }
        }
        Kind::File(content) => {
            let file = fs::File::create_new(path).unwrap();
            file.set_len(content.len()).unwrap();
            for piece in content.pieces() {
                file.write_all_at(&piece.data.to_vec().unwrap(), piece.offset).unwrap();
            }
            done.insert(id, path.to_owned());
        }
        Kind::Symlink(target) => {
            symlink(std::str::from_utf8(target).unwrap(), path).unwrap();
            done.insert(id, path.to_owned());
        }
        _ => panic!("a device"),
    }
    set_meta(path, &node.meta, matches!(node.kind, Kind::Symlink(_)));
}

fn set_meta(path: &Path, meta: &Meta, is_symlink: bool) {
    let (uid, gid) = (Some(meta.uid), Some(meta.gid));
    if is_symlink { lchown(path, uid, gid) } else { chown(path, uid, gid) }.expect("run this test as root");
    for (name, value) in meta.xattrs.iter() {
        let name = std::str::from_utf8(name).unwrap();
        lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
    }
    if !is_symlink {
        fs::set_permissions(path, fs::Permissions::from_mode(meta.mode.into())).unwrap();
    }
    let time = Timespec { tv_sec: meta.mtime.seconds, tv_nsec: meta.mtime.nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A program of the newer root, with a /proc of its own: libostree links files through it.
pub(crate) fn newer(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--fork", "--pid", "--mount", "--mount-proc", "--root"]);
    command.arg(newer_root()).arg(program);
    command
}

/// A path below the newer root, as its programs see it.
pub(crate) fn inside(path: &Path) -> String {
    format!("/{}", path.strip_prefix(newer_root()).unwrap().display())
}
