//! The same bytes whenever, wherever and by whomever a disk is built.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/tiny.rs"]
mod tiny;

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
};

use diskwright_formats::writer::{Medium, WRITERS, by_name};
use rustix::fs::SeekFrom;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tiny::{Layout, Member, Tiny};

/// An image with something of everything, where every user can read it.
static IMAGE: LazyLock<Layout> = LazyLock::new(write_image);

/// What a plain build gives.
static PLAIN: LazyLock<Vec<(String, String)>> = LazyLock::new(|| build(&[], |_| ()));

fn write_image() -> Layout {
    let mut image = Tiny::default()
        .with_file("usr/lib/noise", tiny::noise(3 << 20))
        .with_file("usr/lib/zeros", vec![0; 3 << 20])
        .with(Member::hardlink("usr/lib/same", "usr/lib/noise"))
        .with(Member::file("usr/lib/x", "x").pax("SCHILY.xattr.user.a", "b").pax("SCHILY.xattr.user.b", "c"))
        .with(
            Member::file("usr/lib/y", [7; 20])
                .pax("GNU.sparse.size", "9000")
                .pax("GNU.sparse.map", "0,10,5000,10"),
        );
    for index in 0..300 {
        image = image.with_file(&format!("usr/share/many/{index}"), format!("{index}"));
    }
    let upper = [Member::file("etc/.wh.login.defs", ""), Member::file("usr/share/many/.wh.7", "")];
    let layout = image.with_layer(tiny::archive(&upper)).write();
    let blueprint = "customizations:\n  hostname: h\n  user:\n    - {name: anna, password: secret, groups: [wheel]}\n  \
                     files:\n    - {path: /etc/a/b, data: x}\n";
    fs::write(layout.path().join("b.yaml"), blueprint).unwrap();
    fs::write(layout.path().join("installer"), tiny::installer()).unwrap();
    fs::set_permissions(layout.path(), fs::Permissions::from_mode(0o755)).unwrap();
    layout
}

/// A build with the command in front of it that `wrapper` is, and what `change` does to its environment.
/// Name and digest of every output.
fn build(wrapper: &[&str], change: impl Fn(&mut Command)) -> Vec<(String, String)> {
    build_of(&IMAGE, wrapper, change)
}

fn build_of(image: &Layout, wrapper: &[&str], change: impl Fn(&mut Command)) -> Vec<(String, String)> {
    let mut digests = Vec::new();
    for (types, compression) in [("raw,qcow2", "zlib"), ("qcow2", "zstd"), ("qcow2", "none")] {
        digests.extend(digests_of(image, wrapper, &change, types, compression));
    }
    digests
}

/// Digest of the file of each of the types.
fn digests_of(
    image: &Layout,
    wrapper: &[&str],
    change: &impl Fn(&mut Command),
    types: &str,
    compression: &str,
) -> Vec<(String, String)> {
    let dir = shared_dir();
    run(image, wrapper, change, dir.path(), &["--type", types, "--compress", compression]);
    let specs = types.split(',').map(|name| by_name(name).unwrap().spec());
    let out = dir.path().join("out");
    specs.map(|spec| (format!("{} {compression}", spec.name), digest(&out.join(spec.path)))).collect()
}

/// A directory in which every user can make things.
fn shared_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "out", "tmp"] {
        let path = dir.path().join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    dir
}

fn run(image: &Layout, wrapper: &[&str], change: &impl Fn(&mut Command), dir: &Path, arguments: &[&str]) {
    let line = [wrapper, &["sh", "-c", "exec /proc/self/fd/0 \"$@\"", "diskwright"]].concat();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).args(["build", "--size", "fit", "--target-imgref", "registry.example.com/os:1"]);
    command.arg("--installer").arg(image.path().join("installer"));
    command.arg("--blueprint").arg(image.path().join("b.yaml")).arg("--output").arg(dir.join("out"));
    command.args(arguments).arg(image.reference()).env_remove("SOURCE_DATE_EPOCH");
    // An open descriptor reaches the program for users who may not look where it lies.
    command.stdin(fs::File::open(env!("CARGO_BIN_EXE_diskwright")).unwrap());
    command.env("TMPDIR", dir.join("tmp")).env("HOME", dir).current_dir(dir).stderr(Stdio::piped());
    change(&mut command);
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", line[0]));
    assert!(output.status.success(), "{wrapper:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Digest of length and content. Blocks of zeros are skipped, so that holes cost nothing and whether
/// a block of zeros is a hole does not count.
fn digest(path: &Path) -> String {
    const BLOCK: u64 = 1 << 16;
    let file = fs::File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let mut hash = Sha256::new_with_prefix(len.to_be_bytes());
    let mut at = 0;
    while let Ok(data) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        at = data / BLOCK * BLOCK;
        let mut block = vec![0; BLOCK.min(len - at) as usize];
        file.read_exact_at(&mut block, at).unwrap();
        if block.iter().any(|byte| *byte != 0) {
            hash.update(at.to_be_bytes());
            hash.update(&block);
        }
        at += block.len() as u64;
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn assert_same(wrapper: &[&str], change: impl Fn(&mut Command)) {
    assert_eq!(build(wrapper, change), *PLAIN);
}

#[test]
fn same_twice() {
    assert_same(&[], |_| ());
}

/// Every format once, with all that could matter changed at the same time.
#[test]
fn same_in_every_format() {
    // a medium of Anaconda is built alone, of an image that has it
    let specs = WRITERS.iter().map(|writer| writer.spec()).filter(|spec| spec.medium != Medium::Anaconda);
    let types = specs.map(|spec| spec.name).collect::<Vec<_>>().join(",");
    let all = |wrapper: &[&str], threads: &str| {
        let change = |command: &mut Command| {
            command.env("RAYON_NUM_THREADS", threads).env("TZ", "Pacific/Kiritimati").env("HOME", "/");
        };
        digests_of(&IMAGE, wrapper, &change, &types, "zlib")
    };
    let other = ["faketime", "2031-02-03 04:05:06", "taskset", "--cpu-list", "0"];
    assert_eq!(all(&[], "2"), all(&other, "1"));
}

#[test]
fn same_in_another_year() {
    let faked = Command::new("faketime").args(["2031-02-03 04:05:06", "date", "+%Y"]).output();
    assert_eq!(faked.expect("faketime (package faketime) is missing").stdout, b"2031\n");
    assert_same(&["faketime", "2031-02-03 04:05:06"], |_| ());
}

#[test]
fn same_in_another_year_for_a_given_time() {
    let given = |command: &mut Command| {
        command.env("SOURCE_DATE_EPOCH", "1700000000");
    };
    let plain = build(&[], given);
    assert_eq!(build(&["faketime", "2031-02-03 04:05:06"], given), plain);
    assert_ne!(plain, *PLAIN, "the time given means nothing");
}

#[test]
fn same_for_another_user() {
    assert_same(&["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"], |_| ());
}

#[test]
fn same_under_another_umask() {
    assert_same(&["sh", "-c", "umask 077; exec \"$@\"", "sh"], |_| ());
}

#[test]
fn same_with_another_environment() {
    let elsewhere = shared_dir();
    assert_same(&[], |command| {
        command.env("TMPDIR", elsewhere.path().join("tmp")).env("HOME", "/nonexistent").env("USER", "x");
        command.env("LANG", "tr_TR.UTF-8").env("LC_ALL", "tr_TR.UTF-8").env("TZ", "Pacific/Kiritimati");
        command.env("COLUMNS", "20").env("NO_COLOR", "1").env("DISKWRIGHT", "x");
    });
    assert_same(&["env", "-i", "PATH=/usr/bin:/bin"], |_| ());
}

#[test]
fn same_on_any_number_of_cores() {
    for threads in ["1", "2"] {
        assert_same(&[], |command| {
            command.env("RAYON_NUM_THREADS", threads);
        });
    }
    assert_same(&["taskset", "--cpu-list", "0"], |_| ());
}

#[test]
fn same_in_another_directory() {
    let elsewhere = shared_dir();
    assert_same(&[], |command| {
        command.current_dir(elsewhere.path());
    });
    assert_eq!(build_of(&write_image(), &[], |_| ()), *PLAIN, "an image at another path");
}

/// The judge says no: one byte of one file, and one of the image's time, are seen.
#[test]
fn another_image_is_another_disk() {
    let other = Tiny::default().with_file("usr/lib/x", "y").write();
    fs::copy(IMAGE.path().join("b.yaml"), other.path().join("b.yaml")).unwrap();
    let built = build_of(&other, &[], |_| ());
    assert!(built.iter().zip(&*PLAIN).all(|(a, b)| a.0 == b.0 && a.1 != b.1), "{built:?}");
}

/// The judge says no: a byte anywhere in a sparse file is seen, and another length.
#[test]
fn digests_differ_where_files_do() {
    let dir = shared_dir();
    let path = dir.path().join("file");
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    let empty = digest(&path);
    file.write_all_at(b"x", 1 << 29).unwrap();
    let one = digest(&path);
    file.write_all_at(b"y", 1 << 29).unwrap();
    let other = digest(&path);
    file.write_all_at(b"\0", 1 << 29).unwrap();
    assert!(empty != one && one != other && digest(&path) == empty);
    file.set_len((1 << 30) - 1).unwrap();
    assert_ne!(digest(&path), empty);
}
