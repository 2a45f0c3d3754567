//! What machines load from a network, judged without starting it: by tar, xz, unsquashfs, cpio and GRUB's own check
//! of its language.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/tiny.rs"]
mod tiny;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use diskwright_formats::{
    cpio,
    sparse::Sparse,
    tree::{Meta, NodeId, Tree},
};
use tempfile::TempDir;
use tiny::{Member, Tiny};

/// What dracut says of an initramfs that starts a deployment from a network.
const MODULES: &str = "bash\nsystemd\nostree\ndmsquash-live\nlivenet\nbase\n";

fn run(package: &str, program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").output();
    output.unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"))
}

fn pass(package: &str, program: &str, args: &[&str]) -> String {
    let output = run(package, program, args);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An initramfs that holds these texts.
fn initramfs(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tree = Tree::new(Meta::root(0o755));
    for (path, text) in files {
        let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(text.as_bytes()));
        let (directory, name) = path.rsplit_once('/').unwrap();
        let at = directory.split('/').fold(tree.root(), |at, part| below(&mut tree, at, part));
        tree.link(at, name.as_bytes(), file);
    }
    cpio::archive(&tree).unwrap().to_vec().unwrap()
}

fn below(tree: &mut Tree, at: NodeId, name: &str) -> NodeId {
    tree.child(at, name.as_bytes()).unwrap_or_else(|| {
        let made = tree.add_directory(Meta::root(0o755));
        tree.link(at, name.as_bytes(), made);
        made
    })
}

const CONFIG: &str = "usr/lib/ostree/prepare-root.conf";

fn image(initramfs: &[u8]) -> Tiny {
    let capability = Member::file("usr/bin/ping", "ping");
    Tiny::default()
        .with_file("usr/lib/modules/6.1.0/initramfs.img", initramfs)
        .with(capability.pax("SCHILY.xattr.security.selinux", "system_u:object_r:ping_t:s0"))
}

/// A build in a directory of its own.
struct Built {
    scratch: TempDir,
    output: Output,
}

impl Built {
    fn new(image: &Tiny, arguments: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let layout = image.write();
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.args(["build", "--target-imgref", "registry.example.com/os:1", "--no-cache", "--output"]);
        command.arg(scratch.path()).args(["-t", "pxe-tar-xz"]).args(arguments).arg(layout.reference());
        let output = command.env("HOME", scratch.path()).env_remove("SOURCE_DATE_EPOCH").output().unwrap();
        Self { scratch, output }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn archive(&self) -> PathBuf {
        assert!(self.output.status.success(), "{}", self.said());
        self.scratch.path().join("xz/pxe.tar.xz")
    }

    /// Where tar unpacked it.
    fn unpacked(&self) -> PathBuf {
        let to = self.scratch.path().join("unpacked");
        fs::create_dir(&to).unwrap();
        pass("tar", "tar", &["-xJf", text(&self.archive()), "-C", text(&to)]);
        to
    }

    fn refused(&self, words: &[&str]) {
        let said = self.said();
        assert_eq!(self.output.status.code(), Some(3), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "'{word}' is not in: {said}"));
        assert!(!self.scratch.path().join("xz").exists(), "something is left");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_archive_holds_what_starts_a_system() {
    let plain =
        initramfs(&[("usr/lib/dracut/modules.txt", MODULES), (CONFIG, "[composefs]\nenabled = no\n")]);
    let blueprint = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let wanted = "customizations: {hostname: live.example, kernel: {append: demo.live=1},\n\
                  files: [{path: /etc/demo, data: from the blueprint}], user: [{name: ada}]}\n";
    fs::write(&blueprint, wanted).unwrap();
    let arguments = ["--blueprint", text(blueprint.path()), "--karg", "demo.second=2"];
    let built = Built::new(&image(&plain), &arguments);
    let list = pass("tar and xz-utils", "tar", &["--numeric-owner", "-tvJf", text(&built.archive())]);
    let names: Vec<&str> = list.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    let efi = ["EFI/", "EFI/BOOT/", "EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi"];
    assert!(efi.iter().all(|name| names.contains(name)), "{list}");
    assert_eq!(names[names.len() - 5..], ["README", "grub.cfg", "initrd.img", "rootfs.img", "vmlinuz"]);
    assert!(list.lines().all(|line| line.contains(" 0/0 ") && line.contains(" 2026-01-01 00:00 ")), "{list}");
    let at = built.unpacked();
    assert_eq!(fs::read(at.join("vmlinuz")).unwrap(), b"kernel");
    assert_eq!(fs::read(at.join("initrd.img")).unwrap(), plain, "nothing is to be added");
    pass("grub-common", "grub-script-check", &[text(&at.join("grub.cfg"))]);
    let menu = fs::read_to_string(at.join("grub.cfg")).unwrap();
    let line = menu.lines().find(|line| line.contains("linux /vmlinuz")).unwrap();
    let head =
        "root=live:http://HTTP-SERVER/rootfs.img rd.live.image rw console=tty0 console=ttyS0 demo.live=1 ";
    assert!(line.contains(head) && line.contains(" demo.second=2 "), "{line}");
    let deployment = line.rsplit_once(" ostree=/").unwrap().1;
    check_root(&at.join("rootfs.img"), deployment);
}

/// What unsquashfs shows of the root filesystem.
fn check_root(rootfs: &Path, deployment: &str) {
    let list = pass("squashfs-tools", "unsquashfs", &["-lln", text(rootfs)]);
    let has = |end: &str| list.lines().any(|line| line.ends_with(end));
    for sign in [
        "squashfs-root/usr",
        "squashfs-root/proc",
        "/ostree/repo/config",
        "/boot/loader/entries/ostree-1.conf",
    ] {
        assert!(has(sign), "no {sign}: {list}");
    }
    assert!(!has("lost+found"), "{list}");
    let link = list.lines().find(|line| line.contains(&format!("{deployment} -> "))).unwrap();
    assert!(link.contains("../../../deploy/default/deploy/"), "{link}");
    let real = link.rsplit_once("../deploy/").unwrap().1;
    let real = format!("ostree/deploy/default/deploy/{}", real.rsplit_once("deploy/").unwrap().1);
    let show =
        |path: &str| pass("squashfs-tools", "unsquashfs", &["-cat", text(rootfs), &format!("{real}/{path}")]);
    assert_eq!(show("etc/demo"), "from the blueprint");
    assert_eq!(show("etc/hostname"), "live.example\n");
    assert!(show("etc/passwd").contains("\nada:"));
    assert_eq!(
        run("squashfs-tools", "unsquashfs", &["-cat", text(rootfs), &format!("{real}/etc/fstab")]).stdout,
        b""
    );
    let scratch = tempfile::tempdir().unwrap();
    let to = scratch.path().join("root");
    pass("squashfs-tools", "unsquashfs", &["-no-progress", "-d", text(&to), text(rootfs), &real]);
    let ping = to.join(real).join("usr/bin/ping");
    let label = pass(
        "attr",
        "getfattr",
        &["--only-values", "--absolute-names", "-n", "security.selinux", text(&ping)],
    );
    assert_eq!(label, "system_u:object_r:ping_t:s0");
}

#[test]
fn composefs_is_off_even_where_the_image_has_it() {
    let config = "[composefs]\nenabled = verity\n[sysroot]\nreadonly = true\n";
    let with = initramfs(&[("usr/lib/dracut/modules.txt", MODULES), (CONFIG, config)]);
    let built = Built::new(&image(&with), &[]);
    let combined = fs::read(built.unpacked().join("initrd.img")).unwrap();
    let start = with.len().next_multiple_of(512);
    assert_eq!(combined[..with.len()], with);
    let second = built.scratch.path().join("second");
    fs::write(&second, &combined[start..]).unwrap();
    let shown = pass(
        "cpio",
        "cpio",
        &["-i", "--quiet", "--to-stdout", "-F", text(&second), "etc/ostree/prepare-root.conf"],
    );
    assert_eq!(shown, "[composefs]\nenabled = no\n[sysroot]\nreadonly = true\n");
    let old = initramfs(&[("lib/dracut/modules.txt", MODULES), (CONFIG, "[composefs]\nenabled = no\n")]);
    Built::new(&image(&old), &[]).archive();
}

#[test]
fn two_builds_are_the_same_and_disks_can_be_made_beside() {
    let image = image(&initramfs(&[("usr/lib/dracut/modules.txt", MODULES)]));
    let (one, other) = (Built::new(&image, &[]), Built::new(&image, &["-t", "raw"]));
    pass("diffutils", "cmp", &[text(&one.archive()), text(&other.archive())]);
    pass("gdisk", "sgdisk", &["-v", text(&other.scratch.path().join("image/disk.raw"))]);
    assert!(!one.scratch.path().join("image").exists());
    pass(
        "coreutils",
        "sh",
        &["-c", &format!("cd '{}' && sha256sum -c --quiet SHA256SUMS", text(one.scratch.path()))],
    );
}

#[test]
fn what_would_not_start_is_refused() {
    let list = |modules| image(&initramfs(&[("usr/lib/dracut/modules.txt", modules)]));
    let words =
        ["has no dmsquash-live, no livenet, which", "dracut-live and dracut-network", "add_dracutmodules+="];
    Built::new(&list("bash\nostree\n"), &[]).refused(&words);
    Built::new(&list("bash\nlivenet\ndmsquash-live\n"), &[]).refused(&["has no ostree, which"]);
    Built::new(&image(&initramfs(&[("etc/x", "")])), &[]).refused(&["not made by dracut"]);
    let unknown = Built::new(&Tiny::default(), &[]);
    unknown.archive();
    assert!(
        unknown.said().contains("network is not known: it is of a kind that is not read"),
        "{}",
        unknown.said()
    );
    let without = Tiny::default().without("usr/lib/modules/6.1.0/initramfs.img");
    Built::new(&without, &[]).refused(&["the image has no initramfs"]);
    Built::new(&list(MODULES), &["--karg", "root=LABEL=x"]).refused(&["root=LABEL=x cannot be"]);
    let blueprint = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    for (wish, word) in [
        ("filesystem: [{mountpoint: /var, minsize: 2 GiB}]", "has no disk"),
        ("ignition: {firstboot: {url: 'http://example.com/x'}}", "for the first time each time"),
        ("bootloader: {grub2: {terminal_output: [console]}}", "template"),
    ] {
        fs::write(&blueprint, format!("customizations: {{{wish}}}")).unwrap();
        Built::new(&list(MODULES), &["--blueprint", text(blueprint.path())]).refused(&[word]);
    }
}
