//! Every place where a kernel may be, and what comes with it: /boot holds what libostree puts there
//! when it deploys the same commit itself.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    TARGET,
    disk::{Disk, agrees, run},
    tiny::{Member, Tiny},
};

const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const MODULES: &str = "usr/lib/modules/6.1.0";

/// Everything in /boot/ostree, and what the boot entry says but for arguments of this disk.
type Seen = (BTreeMap<String, Vec<u8>>, Vec<String>);

/// Images by the name of what is unusual in them.
fn images() -> Vec<(&'static str, Tiny)> {
    let old = |place: &str, name: &str| format!("{place}/{name}-{SUM}");
    let bare = || Tiny::default().without("usr/lib/modules/");
    let both = Tiny::default().without(&format!("{MODULES}/initramfs.img"));
    vec![
        (
            "one device tree, and an hmac",
            Tiny::default()
                .with_file(&format!("{MODULES}/devicetree"), "one tree")
                .with_file(&format!("{MODULES}/dtb/unused.dtb"), "not this")
                .with_file(&format!("{MODULES}/.vmlinuz.hmac"), "hmac"),
        ),
        (
            "a directory of device trees, an initramfs without suffix",
            Tiny::default()
                .without(&format!("{MODULES}/initramfs.img"))
                .with_file(&format!("{MODULES}/initramfs"), "other name")
                .with_file(&format!("{MODULES}/dtb/b.dtb"), "b")
                .with_file(&format!("{MODULES}/dtb/vendor/a.dtb"), "a")
                .with_file(&format!("{MODULES}/dtb/vendor/empty.dtb"), ""),
        ),
        (
            "usr/lib/ostree-boot",
            bare()
                .with_file(&old("usr/lib/ostree-boot", "vmlinuz-5.0-1"), "old kernel")
                .with_file(&old("usr/lib/ostree-boot", "initramfs-5.0-1.img"), "old initramfs")
                .with_file(&old("usr/lib/ostree-boot", "devicetree-5.0-1"), "old tree"),
        ),
        ("boot, no initramfs", bare().with_file(&old("boot", "vmlinuz-5.0"), "old kernel")),
        (
            "an older layout that alone has an initramfs",
            both.clone()
                .with_file(&old("usr/lib/ostree-boot", "vmlinuz-5.0"), "old kernel")
                .with_file(&old("usr/lib/ostree-boot", "initramfs-5.0"), "old initramfs"),
        ),
        ("an older layout that has none either", both.with_file(&old("boot", "vmlinuz-5.0"), "old kernel")),
        (
            "an older layout that nobody needs",
            Tiny::default()
                .with(Member::directory("usr/lib/ostree-boot/"))
                .with_file(&old("usr/lib/ostree-boot", "vmlinuz-5.0"), "old kernel")
                .with_file(&old("usr/lib/ostree-boot", "initramfs-5.0"), "old initramfs"),
        ),
    ]
}

#[test]
fn a_kernel_is_found_where_libostree_finds_it() {
    let mut before: Option<Seen> = None;
    for (name, image) in images() {
        let work = tempfile::tempdir().unwrap();
        let layout = image.write();
        let disk = Disk::build(&layout.reference(), TARGET, work.path(), &["--type", "raw", "--size", "fit"]);
        let mounted = disk.mount(work.path());
        let ours = seen(mounted.path());
        let theirs = deployed_by_libostree(mounted.path(), work.path());
        assert_eq!(ours, seen(&theirs), "{name}");
        // The judge says no: another image's /boot is another.
        assert_ne!(before.as_ref(), Some(&ours), "{name}");
        before = Some(ours);
        verify(&disk, name);
        // Tries where there is nothing immutable fail, which is as good.
        run("e2fsprogs", Command::new("chattr").args(["-R", "-i"]).arg(&theirs));
    }
}

/// A file of the commit that stands for a whiteout is one in the deployment, libostree's and ours, but
/// not in /etc.
#[test]
fn quoted_whiteouts_are_unpacked() {
    let work = tempfile::tempdir().unwrap();
    let image = Tiny::default()
        .with_file("usr/share/storage/.ostree-wh.gone", "")
        .with_file("etc/storage/.ostree-wh.gone", "");
    let layout = image.write();
    let disk = Disk::build(&layout.reference(), TARGET, work.path(), &["--type", "raw", "--size", "fit"]);
    let mounted = disk.mount(work.path());
    let theirs = deployed_by_libostree(mounted.path(), work.path());
    let described = |sysroot: &Path, path: &str, name: &str| {
        let link = fs::read_link(sysroot.join("ostree/boot.1")).unwrap();
        let [stateroot] = &names(&sysroot.join("ostree").join(&link))[..] else { panic!("{link:?}") };
        let [sum] = &names(stateroot)[..] else { panic!("{stateroot:?}") };
        let directory = fs::canonicalize(sum.join("0")).unwrap().join(path);
        let names = names(&directory);
        let meta = fs::symlink_metadata(directory.join(name)).unwrap_or_else(|_| panic!("{names:?}"));
        (names.len(), meta.mode(), meta.rdev(), meta.uid())
    };
    for (path, name, mode) in [
        ("usr/share/storage", "gone", 0o020_644),
        ("usr/etc/storage", "gone", 0o020_644),
        ("etc/storage", ".ostree-wh.gone", 0o100_644),
    ] {
        let ours = described(mounted.path(), path, name);
        assert_eq!(ours, (1, mode, 0, 0), "{path}");
        assert_eq!(ours, described(&theirs, path, name), "{path}");
    }
    verify(&disk, "whiteouts");
    run("e2fsprogs", Command::new("chattr").args(["-R", "-i"]).arg(&theirs));
}

fn names(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Our own reader agrees, but for a bootloader that is a text.
fn verify(disk: &Disk, name: &str) {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    let output = run("", verify.arg("verify").arg(&disk.raw));
    let text = String::from_utf8_lossy(&output.stdout);
    let faults: Vec<_> =
        text.lines().filter(|line| line.starts_with("error") || line.starts_with("warn")).collect();
    assert!(matches!(faults[..], [fault] if fault.contains("no EFI binary")), "{name}: {text}");
}

/// A sysroot into which libostree deployed the commit of the disk.
fn deployed_by_libostree(disk: &Path, work: &Path) -> PathBuf {
    let sysroot = work.join("theirs");
    let repo = sysroot.join("ostree/repo");
    let commit = fs::read_to_string(disk.join("ostree/repo/refs/heads/ostree/1/1/0")).unwrap();
    let shown = |path: &Path| path.display().to_string();
    fs::create_dir(&sysroot).unwrap();
    let at = format!("--sysroot={}", shown(&sysroot));
    let from = shown(&disk.join("ostree/repo"));
    for arguments in [
        &["admin", "init-fs", "--modern", &shown(&sysroot)][..],
        &["admin", "os-init", &at, "default"],
        &[&format!("--repo={}", shown(&repo)), "pull-local", &from, commit.trim()],
        &["admin", "deploy", &at, "--os=default", commit.trim()],
    ] {
        agrees("ostree", Command::new("ostree").args(arguments));
    }
    sysroot
}

fn seen(sysroot: &Path) -> Seen {
    let mut files = BTreeMap::new();
    let top = sysroot.join("boot/ostree");
    let mut stack = vec![top.clone()];
    while let Some(directory) = stack.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else {
                let name = path.strip_prefix(&top).unwrap().display().to_string();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    let entries = fs::read_dir(sysroot.join("boot/loader/entries")).unwrap();
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let [path] = &paths[..] else { panic!("{paths:?}") };
    let mut lines: Vec<_> = fs::read_to_string(path).unwrap().lines().map(line).collect();
    lines.sort();
    (files, lines)
}

/// Paths count from /boot; of the arguments only those by which the deployment is found.
fn line(text: &str) -> String {
    let (key, value) = text.split_once(' ').unwrap();
    if key != "options" {
        return format!("{key} {}", value.trim_start_matches("/boot"));
    }
    let own = |word: &&str| word.starts_with("ostree=") || word.starts_with("init=");
    let mut words: Vec<_> = value.split(' ').filter(own).collect();
    words.sort_unstable();
    format!("options {}", words.join(" "))
}
