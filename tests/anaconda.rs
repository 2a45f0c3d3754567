//! Media of Anaconda, judged without starting them: by xorriso, sgdisk, unsquashfs, skopeo and pykickstart.

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
    tree::{Meta, Tree},
};
use tempfile::TempDir;
use tiny::{Layout, Tiny};

const KICKSTART: &str = "pykickstart of PyPI (pipx install pykickstart)";

fn run(package: &str, program: &str, args: &[&str]) -> Output {
    let path = format!("{}/.local/bin:{}", env!("HOME"), std::env::var("PATH").unwrap());
    let output = Command::new(program).args(args).env("LC_ALL", "C.UTF-8").env("PATH", path).output();
    output.unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"))
}

fn pass(package: &str, program: &str, args: &[&str]) -> String {
    let output = run(package, program, args);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An initramfs whose list of dracut's modules is this.
fn initramfs(modules: &str) -> Vec<u8> {
    let mut tree = Tree::new(Meta::root(0o755));
    let list = tree.add_file(Meta::root(0o644), Sparse::from_bytes(modules.as_bytes()));
    let at = ["usr", "lib", "dracut"].into_iter().fold(tree.root(), |at, name| {
        let made = tree.add_directory(Meta::root(0o755));
        tree.link(at, name.as_bytes(), made);
        made
    });
    tree.link(at, *b"modules.txt", list);
    cpio::archive(&tree).unwrap().to_vec().unwrap()
}

/// What passes for an image with Anaconda.
fn installer() -> Tiny {
    Tiny::default()
        .with_file("usr/lib/modules/6.1.0/initramfs.img", initramfs("bash\nanaconda\nbase\n"))
        .with_file("usr/sbin/anaconda", "anaconda")
        .with_file("usr/lib/systemd/system/anaconda.target", "[Unit]\n")
        .with_file("boot/initramfs-6.1.0.img", "not needed")
}

/// A build in a directory of its own.
struct Built {
    scratch: TempDir,
    output: Output,
}

impl Built {
    fn new(installer: &Tiny, arguments: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let layout = installer.write();
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.args(["build", "--no-cache", "--output"]).arg(scratch.path()).args(arguments);
        command.arg(layout.reference()).env("HOME", scratch.path()).env_remove("SOURCE_DATE_EPOCH");
        let output = command.output().unwrap();
        Self { scratch, output }
    }

    /// With an image to install, which is that of a registry.
    fn of(payload: &Layout, arguments: &[&str]) -> Self {
        let fixed = ["-t", "bootc-installer", "--target-imgref", "registry.example.com/os:1"];
        let reference = payload.reference();
        let payload = ["--installer-payload-ref", reference.as_str()];
        Self::new(&installer(), &[&fixed[..], &payload, arguments].concat())
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn medium(&self) -> PathBuf {
        assert!(self.output.status.success(), "{}", self.said());
        self.scratch.path().join("bootiso/install.iso")
    }

    /// What xorriso extracts.
    fn extracted(&self) -> PathBuf {
        let to = self.scratch.path().join("files");
        fs::create_dir(&to).unwrap();
        let medium = self.medium();
        let args = ["-no_rc", "-osirrox", "on", "-indev", text(&medium), "-extract", "/", text(&to)];
        pass("xorriso", "xorriso", &args);
        pass("coreutils", "chmod", &["-R", "u+w", text(&to)]);
        to
    }

    fn refused(&self, code: i32, words: &[&str]) {
        let said = self.said();
        assert_eq!(self.output.status.code(), Some(code), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "'{word}' is not in: {said}"));
        assert!(!self.scratch.path().join("bootiso").exists(), "something is left");
    }
}

/// What crypt(3) makes of a password.
const HASH: &str =
    "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";

fn blueprint(customizations: &str) -> tempfile::NamedTempFile {
    let customizations = customizations.replace("HASH", HASH);
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(file.path(), format!("customizations: {{{customizations}}}")).unwrap();
    file
}

/// The kickstart as Anaconda reads it, in a file of its own.
fn kickstart(at: &Path) -> (PathBuf, String) {
    let base = fs::read_to_string(at.join("osbuild-base.ks")).unwrap();
    let own = fs::read_to_string(at.join("osbuild.ks")).unwrap();
    let whole = own.replace("%include /run/install/repo/osbuild-base.ks\n", &base);
    assert_ne!(whole, own);
    let path = at.join("whole.ks");
    fs::write(&path, &whole).unwrap();
    (path, whole)
}

#[test]
fn the_medium_is_laid_out_as_anaconda_expects() {
    let payload = Tiny::default().with_file("usr/lib/noise", tiny::noise(3 << 20)).write();
    let built = Built::of(&payload, &[]);
    let medium = built.medium();
    let said = pass("gdisk", "sgdisk", &["-v", text(&medium)]);
    assert!(said.contains("No problems found"), "{said}");
    let torito =
        pass("xorriso", "xorriso", &["-no_rc", "-indev", text(&medium), "-report_el_torito", "plain"]);
    assert!(torito.contains("UEFI"), "{torito}");
    let label = pass("util-linux", "blkid", &["-p", "-s", "LABEL", "-o", "value", text(&medium)]);
    let at = built.extracted();
    assert_eq!(fs::read(at.join("images/pxeboot/vmlinuz")).unwrap(), b"kernel");
    assert_eq!(fs::read(at.join("images/pxeboot/initrd.img")).unwrap(), initramfs("bash\nanaconda\nbase\n"));
    let menu = fs::read_to_string(at.join("boot/grub/grub.cfg")).unwrap();
    let label = label.trim();
    let line = format!(
        "linux /images/pxeboot/vmlinuz inst.stage2=hd:LABEL={label} inst.ks=hd:LABEL={label}:/osbuild.ks console=tty0"
    );
    assert!(menu.contains(&line) && menu.contains("initrd /images/pxeboot/initrd.img"), "{menu}");
    pass("grub-common", "grub-script-check", &[text(&at.join("boot/grub/grub.cfg"))]);
    assert_eq!(fs::read_to_string(at.join(".discinfo")).unwrap(), "1767225600.000000\nTiny 1 1\nx86_64\n");
    check_runtime(&at.join("images/install.img"));
    check_container(&at.join("container"), &payload);
    let other = Built::of(&payload, &[]);
    pass("diffutils", "cmp", &[text(&medium), text(&other.medium())]);
}

fn check_runtime(image: &Path) {
    let show = |path: &str| pass("squashfs-tools", "unsquashfs", &["-cat", text(image), path]);
    assert_eq!(show("usr/sbin/anaconda"), "anaconda");
    assert!(
        show(".buildstamp").starts_with("[Main]\nProduct=Tiny 1\nVersion=1\n"),
        "{}",
        show(".buildstamp")
    );
    assert!(show("etc/passwd").contains("\ninstall:x:0:0:root:"));
    let list = pass("squashfs-tools", "unsquashfs", &["-ll", text(image)]);
    assert!(list.contains("/default.target -> /usr/lib/systemd/system/anaconda.target"), "{list}");
    assert!(!list.contains("boot/initramfs"), "{list}");
}

/// What skopeo reads of the image to install.
fn check_container(at: &Path, payload: &Layout) {
    let reference = format!("oci:{}", at.display());
    let digest = pass("skopeo", "skopeo", &["inspect", "--format", "{{.Digest}}", &reference]);
    let original = pass("skopeo", "skopeo", &["inspect", "--format", "{{.Digest}}", &payload.reference()]);
    assert_eq!(digest, original);
    let to = format!("dir:{}", at.with_file_name("copy").display());
    pass("skopeo", "skopeo", &["--insecure-policy", "copy", "-q", &reference, &to]);
    let blob = at.join("blobs").join(payload.layer_digest(0).replace(':', "/"));
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let again = run("skopeo", "skopeo", &["--insecure-policy", "copy", "-q", &reference, &to]);
    assert!(!again.status.success(), "skopeo copies what is damaged");
}

#[test]
fn the_kickstart_says_what_the_blueprint_asks_for() {
    let payload = Tiny::default().write();
    let wishes = blueprint(
        "hostname: a.example, timezone: {timezone: Europe/Berlin}, locale: {languages: [de_DE.UTF-8], keyboard: de}, \
         kernel: {append: demo.one=1}, group: [{name: crew, gid: 1200}], \
         user: [{name: ada, description: 'A \"B\" C', password: \"HASH\", groups: [crew], uid: 1007, \
         key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA a@b', \
         expiredate: 22279, force_password_reset: true}, {name: bob}], \
         installer: {sudo-nopasswd: ['%crew'], modules: {disable: [org.fedoraproject.Anaconda.Modules.Users]}}",
    );
    let built = Built::of(&payload, &["--blueprint", text(wishes.path()), "--karg", "demo.two=2"]);
    let at = built.extracted();
    let (path, whole) = kickstart(&at);
    for version in ["F42", "RHEL9", "RHEL10"] {
        pass(KICKSTART, "ksvalidator", &["-e", "-v", version, text(&path)]);
    }
    for line in [
        "ostreecontainer --url=/run/install/repo/container --transport=oci",
        "lang de_DE.UTF-8",
        "keyboard de",
        "timezone Europe/Berlin --utc",
        "bootloader --append=\"demo.one=1 demo.two=2\"",
        "group --name=crew --gid=1200",
        "rootpw --lock",
        "user --name=ada --gecos=\"A \\\"B\\\" C\" --uid=1007 --groups=crew --iscrypted --password=\"HASH\"",
        "user --name=bob --lock",
        "bootc switch --mutate-in-place --transport registry registry.example.com/os:1",
        "chage --expiredate 22279 ada",
        "echo '%crew ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/90-nopasswd-group-crew",
        "clearpart --all --initlabel",
        "autopart --nohome --type=plain --fstype=ext4",
        "reboot --eject",
    ] {
        let line = line.replace("HASH", HASH);
        assert!(whole.lines().any(|other| other == line), "no '{line}' in: {whole}");
    }
    let modules = ["-cat", text(&at.join("images/install.img")), "etc/anaconda/conf.d/90-blueprint.conf"]
        .map(str::to_owned);
    let modules = pass("squashfs-tools", "unsquashfs", &modules.each_ref().map(String::as_str));
    assert_eq!(modules, "[Anaconda]\nforbidden_modules =\n    org.fedoraproject.Anaconda.Modules.Users\n");
}

#[test]
fn a_kickstart_of_ones_own_replaces_all_but_the_image() {
    let payload = Tiny::default().write();
    let own = blueprint("installer: {kickstart: {contents: \"text\\nlang en_US\\nautopart\\n\"}}");
    let built = Built::of(&payload, &["--blueprint", text(own.path())]);
    let (path, whole) = kickstart(&built.extracted());
    pass(KICKSTART, "ksvalidator", &["-e", "-v", "F42", text(&path)]);
    assert!(whole.ends_with("%end\ntext\nlang en_US\nautopart\n") && !whole.contains("clearpart"), "{whole}");
    fs::write(&path, whole.replace("autopart", "autoparts")).unwrap();
    let said = run(KICKSTART, "ksvalidator", &["-e", "-v", "F42", text(&path)]);
    assert!(!said.status.success(), "ksvalidator takes anything");
    let asking = blueprint("installer: {unattended: false}");
    let (_, whole) = kickstart(&Built::of(&payload, &["--blueprint", text(asking.path())]).extracted());
    assert!(whole.contains("rootpw --lock") && !whole.contains("autopart"), "{whole}");
}

#[test]
fn what_cannot_be_is_refused() {
    let payload = Tiny::default().write();
    let reference = payload.reference();
    let with = ["-t", "bootc-installer", "--installer-payload-ref", &reference];
    let target = ["--target-imgref", "registry.example.com/os:1"];
    let new = |image: &Tiny, arguments: &[&[&str]]| Built::new(image, &arguments.concat());
    let words = [
        "no Anaconda: no usr/sbin/anaconda and no usr/bin/anaconda",
        "--type iso installs any bootable image",
    ];
    new(&Tiny::default(), &[&with, &target]).refused(3, &words);
    let bare = installer().with_file("usr/lib/modules/6.1.0/initramfs.img", initramfs("bash\n"));
    new(&bare, &[&with, &target]).refused(3, &["no module anaconda of dracut", "anaconda-dracut"]);
    new(&installer(), &[&["-t", "bootc-installer"]])
        .refused(2, &["needs --installer-payload-ref", "--type iso"]);
    new(&installer(), &[&["-t", "raw"], &with[2..]]).refused(2, &["means nothing", "bootc-installer"]);
    new(&installer(), &[&with, &["-t", "raw"]]).refused(2, &["is built alone"]);
    new(&installer(), &[&with]).refused(2, &["no machine finds its updates", "--target-imgref"]);
    let arm = Tiny::default().for_architecture("arm64").write();
    let foreign = arm.reference();
    new(&installer(), &[&with[..3], &[&foreign], &target])
        .refused(3, &["reading the image to install", "arm64"]);
    for (wishes, words) in [
        (
            "installer: {kickstart: {contents: text}}, user: [{name: ada}]",
            ["kickstart replaces", "customizations.user"],
        ),
        ("files: [{path: /etc/x, data: y}]", ["customizations.files", "as it is"]),
    ] {
        let wishes = blueprint(wishes);
        Built::of(&payload, &["--blueprint", text(wishes.path())]).refused(3, &words);
    }
}
