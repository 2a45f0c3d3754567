//! Both generations of bootupd's trees on a disk, taken apart without a boot:
//! mtools read the ESP, debugfs and blkid /boot, sha512sum says whether
//! bootupd's state file tells the truth.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/tiny.rs"]
mod tiny;

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    process::{Command, Output},
};

use diskwright::{VerifyRequest, verify};
use serde_json::Value;
use tempfile::TempDir;
use tiny::Tiny;

const ESP_TYPE: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const BOOT_TYPE: &str = "BC13C2FF-59E6-4262-A352-B275FD6F7172";
const VERSIONS: &str = r#"[{"name":"grub2","rpm_evr":"1:2.12-41.fc44"},{"name":"shim","rpm_evr":"15.8-4"}]"#;
/// Content that is nowhere else.
const SHIM: &str = "a shim that only looks like one";

/// As images kept them before Fedora 44.
const OLDER: [(&str, &str); 5] = [
    ("usr/lib/bootupd/updates/EFI/BOOT/BOOTX64.EFI", "fallback's"),
    ("usr/lib/bootupd/updates/EFI/BOOT/fbx64.efi", "fallback"),
    ("usr/lib/bootupd/updates/EFI/fedora/shimx64.efi", SHIM),
    ("usr/lib/bootupd/updates/EFI/fedora/grubx64.efi", "grub"),
    ("usr/lib/bootupd/updates/EFI/fedora/BOOTX64.CSV", "s\0"),
];
/// As they keep them since, here for another machine.
const NEWER: [(&str, &str); 4] = [
    ("usr/lib/efi/shim/15.8-4/EFI/BOOT/BOOTAA64.EFI", "fallback's"),
    ("usr/lib/efi/shim/15.8-4/EFI/fedora/shimaa64.efi", SHIM),
    ("usr/lib/efi/grub2/1:2.12-41.fc44/EFI/fedora/grubaa64.efi", "grub"),
    ("usr/lib/efi/firmware/1/EFI/vendor/logo.bin", "logo"),
];
const STATIC: [(&str, &str); 4] = [
    ("usr/lib/bootupd/grub2-static/grub-static-pre.cfg", "set pre=1\n"),
    ("usr/lib/bootupd/grub2-static/grub-static-efi.cfg", "set efi=1\n"),
    ("usr/lib/bootupd/grub2-static/configs.d/10_blscfg.cfg", "blscfg\n"),
    ("usr/lib/bootupd/grub2-static/configs.d/README.md", "no configuration"),
];

#[test]
fn older_trees() {
    let disk = Disk::build(image(&OLDER), "amd64");
    let files = ["BOOT/BOOTX64.EFI", "BOOT/fbx64.efi", "fedora/BOOTX64.CSV", "fedora/grubx64.efi"];
    let shim = "fedora/shimx64.efi";
    let own = ["fedora/bootuuid.cfg", "fedora/grub.cfg"];
    assert_eq!(disk.esp_files(), sorted(&[&files[..], &own, &[shim]]));
    assert_eq!(disk.recorded(), sorted(&[&files[..], &[shim]]));
    assert_eq!(disk.children()[shim]["source"], shim);
    assert_eq!(disk.differences(), [""; 0]);
    assert_eq!(disk.findings(), [""; 0]);
    let uuid = disk.blkid("UUID");
    assert_eq!(disk.mtype("fedora/bootuuid.cfg"), format!("set BOOT_UUID=\"{uuid}\"\n"));
    assert_eq!(disk.debugfs("cat /grub2/bootuuid.cfg"), format!("set BOOT_UUID=\"{uuid}\"\n"));
    assert_eq!(disk.mtype("fedora/grub.cfg"), "set efi=1\n");
    disk.check_boot(&["bootuuid.cfg", "grub.cfg", "grubenv"]);
}

#[test]
fn newer_trees_without_uuids() {
    let skip = "[install.bootupd]\nskip-boot-uuid = true\n";
    let disk = Disk::build(image(&NEWER).with_file("usr/lib/bootc/install/50.toml", skip), "arm64");
    let files = ["BOOT/BOOTAA64.EFI", "fedora/grubaa64.efi", "fedora/shimaa64.efi", "vendor/logo.bin"];
    assert_eq!(disk.esp_files(), sorted(&[&files[..], &["fedora/grub.cfg"]]));
    assert_eq!(disk.recorded(), sorted(&[&files[..]]));
    let source = &disk.children()["fedora/grubaa64.efi"]["source"];
    assert_eq!(source, "grub2/1:2.12-41.fc44/EFI/fedora/grubaa64.efi");
    assert_eq!(disk.differences(), [""; 0]);
    assert_eq!(disk.findings(), [""; 0]);
    assert_eq!(disk.blkid("LABEL"), "boot");
    disk.check_boot(&["grub.cfg", "grubenv"]);
}

/// The judges say no: a byte of a file on the ESP, and a mode in /boot.
#[test]
fn damage_is_seen() {
    let disk = Disk::build(image(&OLDER), "amd64");
    disk.change(disk.esp, SHIM.as_bytes(), b"b");
    assert_eq!(disk.differences(), ["fedora/shimx64.efi"]);
    let expected = "/EFI/fedora/shimx64.efi: not the file of bootupd's record";
    assert!(disk.findings().iter().any(|line| line.ends_with(expected)), "{:?}", disk.findings());
    disk.change(disk.esp, b"FBX64   EFI", b"\xe5");
    let expected = "/EFI/BOOT/fbx64.efi: in bootupd's record, but missing";
    assert!(disk.findings().iter().any(|line| line.ends_with(expected)), "{:?}", disk.findings());
    run(
        "e2fsprogs",
        Command::new("debugfs")
            .args(["-w", "-R", "sif /grub2/grub.cfg mode 0100644"])
            .arg(disk.on(disk.boot, "?offset=")),
    );
    let check = std::panic::AssertUnwindSafe(|| disk.check_boot(&["bootuuid.cfg", "grub.cfg", "grubenv"]));
    assert!(std::panic::catch_unwind(check).is_err(), "a readable configuration passes");
}

fn image(trees: &[(&str, &str)]) -> Tiny {
    let meta = format!(
        r#"{{"timestamp":"2025-08-20T08:48:03.555492819Z","version":"grub2-1:2.12-41.fc44,shim-15.8-4","versions":{VERSIONS}}}"#
    );
    let image = Tiny::default().without("usr/lib/shim/").without("usr/lib/grub/");
    let image = image.with_file("usr/lib/bootupd/updates/EFI.json", meta);
    trees.iter().chain(&STATIC).fold(image, |image, (path, text)| image.with_file(path, text))
}

fn sorted(parts: &[&[&str]]) -> Vec<String> {
    let mut all: Vec<String> = parts.concat().into_iter().map(str::to_owned).collect();
    all.sort_unstable();
    all
}

/// A raw disk, and where two of its partitions begin.
struct Disk {
    dir: TempDir,
    esp: u64,
    boot: u64,
}

impl Disk {
    fn build(image: Tiny, architecture: &str) -> Self {
        let layout = image.for_architecture(architecture).write();
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.args([
            "build",
            "--type",
            "raw",
            "--size",
            "fit",
            "--no-cache",
            "--target-arch",
            architecture,
        ]);
        command.args(["--target-imgref", "registry.example.com/os:1", "--output"]).arg(dir.path());
        run("", command.arg(layout.reference()));
        let mut disk = Self { dir, esp: 0, boot: 0 };
        (disk.esp, disk.boot) = (disk.partition(ESP_TYPE), disk.partition(BOOT_TYPE));
        disk
    }

    fn raw(&self) -> PathBuf {
        self.dir.path().join("image/disk.raw")
    }

    /// Offset in bytes, as sfdisk reads the table.
    fn partition(&self, kind: &str) -> u64 {
        let table = run("fdisk", Command::new("sfdisk").arg("--json").arg(self.raw()));
        let table: Value = serde_json::from_str(&table).unwrap();
        let rows = table["partitiontable"]["partitions"].as_array().unwrap();
        rows.iter().find(|row| row["type"] == kind).unwrap()["start"].as_u64().unwrap() * 512
    }

    fn on(&self, offset: u64, how: &str) -> String {
        format!("{}{how}{offset}", self.raw().display())
    }

    /// Paths below EFI, as mtools list them.
    fn esp_files(&self) -> Vec<String> {
        let list =
            run("mtools", Command::new("mdir").args(["-/", "-b", "-i", &self.on(self.esp, "@@"), "::EFI"]));
        let files = list.lines().filter(|line| !line.ends_with('/'));
        let files: Vec<_> = files.map(|line| line.trim_start_matches("::/EFI/")).collect();
        sorted(&[&files])
    }

    fn mtype(&self, path: &str) -> String {
        run("mtools", Command::new("mtype").args(["-i", &self.on(self.esp, "@@"), &format!("::EFI/{path}")]))
    }

    fn debugfs(&self, what: &str) -> String {
        run("e2fsprogs", Command::new("debugfs").args(["-R", what]).arg(self.on(self.boot, "?offset=")))
    }

    fn blkid(&self, tag: &str) -> String {
        let offset = self.boot.to_string();
        let mut command = Command::new("blkid");
        command.args(["-p", "-O", &offset, "-s", tag, "-o", "value"]).arg(self.raw());
        run("util-linux", &mut command).trim().to_owned()
    }

    fn children(&self) -> Value {
        let state: Value = serde_json::from_str(&self.debugfs("cat /bootupd-state.json")).unwrap();
        assert_eq!(state["installed"].as_object().unwrap().len(), 1, "{state}");
        assert_eq!(state["installed"]["EFI"]["meta"]["versions"].to_string(), VERSIONS);
        assert_eq!(state["static-configs"]["version"], "unknown");
        state["installed"]["EFI"]["filetree"]["children"].clone()
    }

    /// What `verify` says of bootupd's record.
    fn findings(&self) -> Vec<String> {
        let report = verify(&VerifyRequest { disk: self.raw() }, &()).unwrap();
        let lines = report.findings.into_iter().map(|found| format!("{}: {}", found.place, found.what));
        lines.filter(|line| line.contains("bootupd")).collect()
    }

    fn recorded(&self) -> Vec<String> {
        self.children().as_object().unwrap().keys().cloned().collect()
    }

    /// Recorded files that are not on the ESP as recorded.
    fn differences(&self) -> Vec<String> {
        let file = self.dir.path().join("file");
        let same = |path: &str, recorded: &Value| {
            let _ = fs::remove_file(&file);
            let from = format!("::EFI/{path}");
            run(
                "mtools",
                Command::new("mcopy").args(["-n", "-i", &self.on(self.esp, "@@"), &from]).arg(&file),
            );
            let sum = run("coreutils", Command::new("sha512sum").arg(&file));
            let size = fs::metadata(&file).unwrap().len();
            recorded["size"] == size
                && recorded["sha512"] == format!("sha512:{}", sum.split(' ').next().unwrap())
        };
        let children = self.children();
        let differ = children.as_object().unwrap().iter().filter(|(path, recorded)| !same(path, recorded));
        differ.map(|(path, _)| path.clone()).collect()
    }

    /// Names, modes and owners of what is GRUB's in /boot; its configuration.
    fn check_boot(&self, names: &[&str]) {
        let entry = |path: &str| {
            let text = self.debugfs(&format!("stat {path}"));
            let words: Vec<&str> = text.split_whitespace().collect();
            let after = |key: &str| words[words.iter().position(|word| *word == key).unwrap() + 1].to_owned();
            [after("Mode:"), after("User:"), after("Group:")]
        };
        let list = self.debugfs("ls -p /grub2");
        let found: Vec<_> = list.lines().filter_map(|line| line.split('/').nth(5)).collect();
        let found: Vec<_> = found.into_iter().filter(|name| !name.starts_with('.')).collect();
        assert_eq!(sorted(&[&found]), names);
        for name in names {
            assert_eq!(entry(&format!("/grub2/{name}")), ["0600", "0", "0"], "{name}");
        }
        assert_eq!(entry("/grub2"), ["0700", "0", "0"]);
        assert_eq!(entry("/bootupd-state.json"), ["0644", "0", "0"]);
        assert_eq!(
            self.debugfs("cat /grub2/grub.cfg"),
            "# Generated by bootupd / do not edit\n\nset pre=1\n\n### BEGIN 10_blscfg.cfg ###\nblscfg\n\
             ### END 10_blscfg.cfg ###\n"
        );
    }

    /// Overwrites the first bytes of where `content` is after `from`.
    fn change(&self, from: u64, content: &[u8], bytes: &[u8]) {
        let file = fs::File::options().read(true).write(true).open(self.raw()).unwrap();
        let mut part = vec![0; 64 << 20];
        file.read_exact_at(&mut part, from).unwrap();
        let at = part.windows(content.len()).position(|window| window == content).unwrap();
        file.write_all_at(bytes, from + at as u64).unwrap();
    }
}

/// The standard output of a judge that must agree.
#[track_caller]
fn run(package: &str, command: &mut Command) -> String {
    let output = command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
    let output: Output =
        output.unwrap_or_else(|error| panic!("{command:?}: {error} (apt-get install {package})"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
