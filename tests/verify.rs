//! `verify` reads a whole disk back: a good one is clean, and of each single
//! corruption it says what is wrong and where. Judges that can say no to the
//! same corruption (e2fsck, ostree fsck, sgdisk) do.
//!
//! The disk is built of a small image made here, whose kernel and bootloader
//! only look like such.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use diskwright::{VerifyReport, VerifyRequest, verify};
use diskwright_formats::{data::Data, disk::Partition, partition::gpt};
use sha2::{Digest, Sha256};

/// Where partitions are in the table.
const ESP: usize = 1;
const BOOT: usize = 2;
const ROOT: usize = 3;

/// A finished disk in a directory of its own.
struct Disk {
    dir: tempfile::TempDir,
    partitions: Vec<Partition>,
}

#[test]
fn a_good_disk_is_clean() {
    let disk = Disk::build();
    let report = disk.verify();
    assert_eq!(report.findings, []);
    assert_eq!((report.deployments.len(), report.partitions.len()), (1, 4));
    assert!(report.objects > 20 && report.refs == 3, "{} {}", report.objects, report.refs);
    assert!(disk.e2fsck(ROOT) && disk.e2fsck(BOOT) && disk.sgdisk() && disk.ostree_fsck());
    let output =
        run("diskwright", Command::new(env!("CARGO_BIN_EXE_diskwright")).arg("verify").arg(disk.path()));
    let text = String::from_utf8(output.stdout).unwrap();
    let qcow2 = disk.dir.path().join("disk.qcow2");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-c", "-O", "qcow2"]).arg(disk.path()).arg(&qcow2);
    assert!(run("qemu-utils", &mut convert).status.success());
    let packed = verify(&VerifyRequest { disk: qcow2 }, &()).unwrap();
    assert_eq!((packed.format, packed.findings), ("qcow2", vec![]));
    assert!(output.status.success() && text.ends_with("result        clean\n"), "{text}");
}

#[test]
fn every_single_corruption_is_found_where_it_is() {
    let disk = Disk::build();
    let object = disk.object_of("usr/share/demo/content");
    disk.flip_file(ROOT, &object, "content of a file", &[&object, "usr/share/demo/content"]);
    assert!(disk.broken(|| disk.flip_block(ROOT, &object), Disk::ostree_fsck), "ostree fsck");
    disk.debugfs_case(ROOT, &format!("sif {object} mode 0100600"), &[&object, "hashes to"]);
    let dirtree = disk.first("ostree/repo/objects", ".dirtree");
    disk.flip_file(ROOT, &dirtree, "dirtree", &[&dirtree, "corrupt"]);
    let reference = disk.first("ostree/repo/refs/heads/ostree/container/image", "");
    disk.flip_file(ROOT, &reference, "ref", &[&reference]);
    let cfs = disk.first("ostree/deploy/default/deploy", "/.ostree.cfs");
    disk.flip_file(ROOT, &cfs, "composefs image", &[".ostree.cfs", "not the image of its commit"]);
    let kernel = disk.boot_file("vmlinuz-");
    disk.flip_file(BOOT, &kernel, "kernel", &["ostree-1.conf", "kernel and initramfs hash to"]);
    let deployed = cfs.replace("/.ostree.cfs", "/usr/share/demo/content");
    disk.debugfs_case(ROOT, &format!("rm {deployed}"), &[&deployed, "missing"]);
    let initramfs = disk.boot_file("initramfs-");
    disk.debugfs_case(BOOT, &format!("rm {initramfs}"), &["ostree-1.conf", &initramfs, "no such file"]);
    disk.debugfs_case(
        ROOT,
        "rm /ostree/boot.1",
        &["ostree-1.conf", "ostree=/ostree/boot.1/", "leads nowhere"],
    );
    let origin = cfs.replace("/.ostree.cfs", ".origin");
    disk.debugfs_case(ROOT, &format!("rm {origin}"), &[".origin", "missing"]);
    disk.debugfs_case(ROOT, &format!("sif {object} links_count 9"), &["link count is 9"]);
    disk.debugfs_case(ROOT, &format!("rm {object}"), &[&object, "refers to it"]);
    disk.debugfs_case(BOOT, "rm /loader", &["no boot entries"]);
}

#[test]
fn tables_superblocks_and_the_esp_are_looked_at() {
    let disk = Disk::build();
    let end = fs::metadata(disk.path()).unwrap().len();
    disk.byte_case(512 + 60, &["primary table", "checksum"]);
    assert!(disk.broken(|| disk.flip(512 + 60), Disk::sgdisk), "sgdisk");
    disk.byte_case(1024 + 40, &["primary table", "entries", "checksum"]);
    disk.byte_case(end - 512 + 20, &["backup table", "checksum"]);
    disk.byte_case(510, &["MBR", "signature"]);
    let superblock = disk.partitions[ROOT].offset + 1024;
    disk.byte_case(superblock + 0x78, &["partition 4 'root'", "superblock", "checksum"]);
    disk.byte_case(superblock + 0x39, &["partition 4 'root'", "no filesystem"]);
    assert!(disk.broken(|| disk.flip(superblock + 0x78), |disk| disk.e2fsck(ROOT)), "e2fsck");
    disk.byte_case(disk.partitions[ROOT].offset + 4096 + 8, &["group 0 descriptor", "checksum"]);
    let uuid = disk.find(ESP, b"--set=root ") + 11;
    disk.text_case(uuid, b"00000000", &["EFI/debian/grub.cfg", "00000000-", "not on this disk"]);
    let entry = disk.find(BOOT, b"linux /boot/");
    disk.text_case(entry, b"linux /toob/", &["ostree-1.conf", "linux /toob/", "no such file"]);
    let deleted = disk.find(ESP, b"BOOTX64 EFI");
    disk.text_case(deleted, b"\xe5", &["EFI/BOOT", "no BOOT*.EFI"]);
    let grub = disk.find(ESP, b"GRUBX64 EFI");
    disk.text_case(grub, b"\xe5", &["BOOTX64.EFI", "is shim", "grubx64.efi"]);
    // the directory EFI goes on in itself
    disk.fat_loop_case();
}

#[test]
fn seals_of_fs_verity_are_looked_at() {
    let disk = Disk::build_with("verity");
    assert_eq!(disk.verify().findings, []);
    assert!(disk.e2fsck(ROOT) && disk.e2fsck(BOOT) && disk.ostree_fsck());
    let object = disk.object_of("usr/share/demo/content");
    let blocks = disk.debugfs(ROOT, &format!("blocks /{object}"));
    let last: u64 = blocks.split_whitespace().last().unwrap().parse().unwrap();
    let descriptor = disk.partitions[ROOT].offset + last * 4096;
    disk.byte_case(descriptor + 16, &["usr/share/demo/content", "fs-verity tree or descriptor"]);
    disk.byte_case(descriptor - 4096, &["usr/share/demo/content", "fs-verity tree or descriptor"]);
    let flags = format!("sif /{object} flags 0x80000");
    disk.debugfs_case(ROOT, &flags, &[&object, "without fs-verity"]);
    let cfs = disk.first("ostree/deploy/default/deploy", "/.ostree.cfs");
    let flags = format!("sif /{cfs} flags 0x80000");
    disk.debugfs_case(ROOT, &flags, &[".ostree.cfs", "without fs-verity"]);
    disk.flip_file(ROOT, &cfs, "sealed composefs image", &[".ostree.cfs", "not the image of its commit"]);
    let sealed =
        |partition, path: &str| disk.debugfs(partition, &format!("stat /{path}")).contains("Flags: 0x180000");
    assert!(sealed(ROOT, "ostree/repo/config") && sealed(ROOT, &object) && sealed(ROOT, &cfs));
    assert!(
        !sealed(BOOT, &disk.boot_file("vmlinuz-"))
            && !sealed(ROOT, &cfs.replace(".ostree.cfs", "etc/passwd"))
    );
}

/// debugfs changes one label at a time, in every kind of place.
#[test]
fn labels_are_those_of_the_policy() {
    let disk = Disk::build_from(|layout| labelled_image(layout, "true"));
    assert_eq!(disk.verify().findings, []);
    let cfs = disk.first("ostree/deploy/default/deploy", "/.ostree.cfs");
    let deployment = cfs.trim_end_matches("/.ostree.cfs").to_owned();
    let [boot, kernel] = ["/loader.1/entries/ostree-1.conf".to_owned(), disk.boot_file("vmlinuz-")];
    for (partition, path, label) in [
        (ROOT, "ostree/repo/config", "ostree_t"),
        (ROOT, &format!("{deployment}.origin"), "etc_t"),
        (ROOT, &cfs, "usr_t"),
        (ROOT, &format!("{deployment}/etc/shadow"), "shadow_t"),
        (ROOT, &format!("{deployment}/usr/share/demo"), "usr_t"),
        (BOOT, &boot, "boot_t"),
        (BOOT, &kernel, "boot_t"),
    ] {
        let name = path.rsplit('/').next().unwrap();
        let wanted = format!("the policy says u:o:{label}:s0");
        let set = format!("ea_set {path} security.selinux u:o:other_t:s0");
        disk.debugfs_case(partition, &set, &[name, "labelled u:o:other_t:s0", &wanted]);
        let taken = format!("ea_rm {path} security.selinux");
        disk.debugfs_case(partition, &taken, &[name, "no label", &wanted]);
    }
    // The label of what is in the commit is part of its checksum too.
    let object = disk.object_of("usr/share/demo/content");
    let set = format!("ea_set {object} security.selinux u:o:other_t:s0");
    disk.debugfs_case(ROOT, &set, &["usr/share/demo/content", "labelled u:o:other_t:s0", "hashes to"]);
    // Programs label what they keep in /var.
    disk.debugfs(ROOT, "ea_set ostree/deploy/default/var/lib/state security.selinux u:o:other_t:s0");
    let report = disk.verify();
    assert_eq!((report.errors, report.warnings), (0, 1), "{:?}", report.findings);
    assert!(report.findings[0].place.ends_with("/var/lib/state"), "{:?}", report.findings);
}

#[test]
fn signed_commits_cannot_be_made() {
    let dir = tempfile::tempdir().unwrap();
    image(dir.path(), "signed");
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(["build", "--no-cache", "--output"]).arg(dir.path());
    let output = run("diskwright", command.arg(format!("oci:{}", dir.path().display())));
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("composefs 'signed'"), "{output:?}");
}

#[test]
fn hostile_disks_end_with_findings() {
    let disk = Disk::build();
    let file = disk.open();
    let blocks = disk.data_blocks();
    let mut random = Random(7);
    for _ in 0..25 {
        let changes: Vec<(u64, u8)> = (0..random.below(40) + 1)
            .map(|_| {
                (blocks[random.below(blocks.len())] + random.below(4096) as u64, random.below(256) as u8)
            })
            .collect();
        let before: Vec<u8> = changes.iter().map(|&(at, _)| read_byte(&file, at)).collect();
        changes.iter().for_each(|&(at, byte)| file.write_all_at(&[byte], at).unwrap());
        drop(disk.verify());
        changes.iter().zip(before).rev().for_each(|(&(at, _), byte)| file.write_all_at(&[byte], at).unwrap());
    }
    assert_eq!(disk.verify().findings, [], "the test did not put everything back");
    for len in [0, 1, 512, 65536, 1 << 20, 530 << 20] {
        file.set_len(len).unwrap();
        let report = verify(&VerifyRequest { disk: disk.path() }, &());
        assert!(report.is_err() || report.unwrap().errors > 0, "{len} bytes");
    }
}

#[test]
fn errors_exit_with_3_and_json_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    fs::write(&path, vec![0x55; 1 << 20]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    let output = run("diskwright", command.args(["verify", "--format", "json"]).arg(&path));
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["severity"], "error");
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    let output = run("diskwright", command.args(["verify", "/nonexistent/disk"]));
    assert_eq!(output.status.code(), Some(3));
}

impl Disk {
    fn build() -> Self {
        Self::build_with("true")
    }

    /// With that for `[composefs] enabled`.
    fn build_with(composefs: &str) -> Self {
        Self::build_from(|layout| image(layout, composefs))
    }

    /// Of what `image` writes to the layout it is given.
    fn build_from(image: impl Fn(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path().join("layout");
        image(&layout);
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.args(["build", "--no-cache", "--type", "raw", "--size", "fit", "--source-date-epoch", "1"]);
        command.args(["--target-imgref", "registry.example.com/os:1", "--output"]).arg(dir.path());
        let output = run("diskwright", command.arg(format!("oci:{}", layout.display())));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut disk = Self { dir, partitions: Vec::new() };
        let file = disk.open();
        let len = file.metadata().unwrap().len();
        let table = gpt::read(&Data::from_source(Arc::new(file), 0, len));
        disk.partitions = table.layout.unwrap().partitions;
        disk
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("image/disk.raw")
    }

    fn open(&self) -> File {
        File::options().read(true).write(true).open(self.path()).unwrap()
    }

    fn verify(&self) -> VerifyReport {
        verify(&VerifyRequest { disk: self.path() }, &()).unwrap()
    }

    /// Some error must have all these texts in its place or message.
    fn expect(&self, what: &str, texts: &[&str]) {
        let report = self.verify();
        let lines: Vec<_> =
            report.findings.iter().map(|found| format!("{}: {}", found.place, found.what)).collect();
        let is_found = lines.iter().any(|line| texts.iter().all(|text| line.contains(text)))
            || texts.iter().all(|text| lines.iter().any(|line| line.contains(text)));
        assert!(report.errors > 0 && is_found, "{what}: no {texts:?} in {lines:#?}");
    }

    fn flip(&self, at: u64) {
        let file = self.open();
        file.write_all_at(&[read_byte(&file, at) ^ 1], at).unwrap();
    }

    fn byte_case(&self, at: u64, texts: &[&str]) {
        self.flip(at);
        self.expect(&format!("byte {at}"), texts);
        self.flip(at);
    }

    fn text_case(&self, at: u64, text: &[u8], texts: &[&str]) {
        let file = self.open();
        let mut before = vec![0; text.len()];
        file.read_exact_at(&mut before, at).unwrap();
        file.write_all_at(text, at).unwrap();
        self.expect(&format!("{} at {at}", text.escape_ascii()), texts);
        file.write_all_at(&before, at).unwrap();
    }

    /// Flips a byte in the first block of a file of an ext4.
    fn flip_block(&self, partition: usize, path: &str) {
        let blocks = self.debugfs(partition, &format!("blocks /{path}"));
        let first: u64 =
            blocks.split_whitespace().next().unwrap_or_else(|| panic!("{path}")).parse().unwrap();
        self.flip(self.partitions[partition].offset + first * 4096 + 5);
    }

    fn flip_file(&self, partition: usize, path: &str, what: &str, texts: &[&str]) {
        self.flip_block(partition, path);
        self.expect(what, texts);
        self.flip_block(partition, path);
    }

    /// Runs a request of debugfs on the disk, and takes it back by copying the disk before.
    fn debugfs_case(&self, partition: usize, request: &str, texts: &[&str]) {
        let saved = self.dir.path().join("saved");
        copy(&self.path(), &saved);
        self.debugfs(partition, request);
        self.expect(request, texts);
        fs::rename(saved, self.path()).unwrap();
    }

    /// Whether a judge that said yes says no after `change`; takes the change back.
    fn broken(&self, change: impl Fn(), judge: impl Fn(&Self) -> bool) -> bool {
        change();
        let broken = !judge(self);
        change();
        broken
    }

    fn device(&self, partition: usize) -> String {
        format!("{}?offset={}", self.path().display(), self.partitions[partition].offset)
    }

    fn debugfs(&self, partition: usize, request: &str) -> String {
        let mut command = Command::new("debugfs");
        let output = run("e2fsprogs", command.args(["-w", "-R", request, &self.device(partition)]));
        String::from_utf8(output.stdout).unwrap()
    }

    fn e2fsck(&self, partition: usize) -> bool {
        run("e2fsprogs", Command::new("e2fsck").args(["-fn", &self.device(partition)])).status.success()
    }

    fn sgdisk(&self) -> bool {
        let output = run("gdisk", Command::new("sgdisk").arg("-v").arg(self.path()));
        let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
        said.contains("no problems found") && !said.contains("invalid") && !said.contains("caution")
    }

    /// The repository, copied out with owners and modes.
    fn ostree_fsck(&self) -> bool {
        let out = self.dir.path().join("out");
        drop(fs::remove_dir_all(&out));
        fs::create_dir(&out).unwrap();
        self.debugfs(ROOT, &format!("rdump /ostree/repo {}", out.display()));
        let repo = format!("--repo={}", out.join("repo").display());
        run("ostree", Command::new("ostree").args(["fsck", &repo])).status.success()
    }

    /// A path below `top` that ends so, found by debugfs.
    fn first(&self, top: &str, end: &str) -> String {
        let mut stack = vec![top.to_owned()];
        while let Some(path) = stack.pop() {
            for line in self.debugfs(ROOT, &format!("ls -p /{path}")).lines() {
                let fields: Vec<_> = line.split('/').collect();
                let [_, inode, mode, _, _, name, ..] = fields[..] else { continue };
                let below = format!("{path}/{name}");
                if inode == "0" || matches!(name, "." | ".." | "etc" | "var" | "usr") {
                    continue;
                } else if mode.starts_with("04") {
                    stack.push(below);
                } else if below.ends_with(end) {
                    return below;
                }
            }
        }
        panic!("no {end} below {top}");
    }

    /// The object that a path of the deployment is a name of.
    fn object_of(&self, path: &str) -> String {
        let cfs = self.first("ostree/deploy/default/deploy", "/.ostree.cfs");
        let inode = |path: &str| {
            let text = self.debugfs(ROOT, &format!("stat /{path}"));
            text.split_whitespace().nth(1).unwrap().to_owned()
        };
        let wanted = inode(&cfs.replace(".ostree.cfs", path));
        let names = self.debugfs(ROOT, &format!("ncheck {wanted}"));
        let object = names.split_whitespace().find(|word| word.contains("/repo/objects/"));
        object.unwrap_or_else(|| panic!("{names}")).trim_start_matches('/').to_owned()
    }

    fn boot_file(&self, start: &str) -> String {
        let below = |path: &str, start: &str| {
            let list = self.debugfs(BOOT, &format!("ls -p {path}"));
            let names = list.lines().filter_map(|line| line.split('/').nth(5).map(ToOwned::to_owned));
            names.into_iter().find(|name| name.starts_with(start)).unwrap()
        };
        let directory = format!("ostree/{}", below("/ostree", "default-"));
        format!("{directory}/{}", below(&format!("/{directory}"), start))
    }

    /// Offset of bytes in the first 64 MiB of a partition's data.
    fn find(&self, partition: usize, bytes: &[u8]) -> u64 {
        let file = self.open();
        let Partition { offset, size, .. } = self.partitions[partition];
        let mut block = vec![0; (1 << 20) + bytes.len()];
        for at in (offset..offset + size - block.len() as u64).step_by(1 << 20) {
            file.read_exact_at(&mut block, at).unwrap();
            if block.iter().any(|&byte| byte != 0)
                && let Some(found) = block.windows(bytes.len()).position(|window| window == bytes)
            {
                return at + found as u64;
            }
        }
        panic!("no {}", bytes.escape_ascii());
    }

    /// The entry of the directory EFI is made its own successor in both tables.
    fn fat_loop_case(&self) {
        let efi = self.find(ESP, b"EFI        ");
        let file = self.open();
        let at = |offset: u64, len: usize| {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, offset).unwrap();
            bytes.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte))
        };
        let cluster = at(efi + 26, 2);
        let start = self.partitions[ESP].offset;
        let (sector, reserved) = (at(start + 11, 2), at(start + 14, 2));
        let is_wide = at(start + 22, 2) == 0;
        let width = if is_wide { 4 } else { 2 };
        let text = cluster.to_le_bytes();
        let entry = start + reserved * sector + cluster * width;
        self.text_case(entry, &text[..width as usize], &["/EFI", "its chain is a loop"]);
    }

    /// Offsets of blocks that are not holes, most of them metadata.
    fn data_blocks(&self) -> Vec<u64> {
        let file = self.open();
        let len = file.metadata().unwrap().len();
        let mut block = vec![0; 4096];
        let mut at = 0;
        let mut blocks = Vec::new();
        while let Ok(data) = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
            at = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(data)).unwrap();
            for offset in (data / 4096 * 4096..at.min(len - 4095)).step_by(4096) {
                file.read_exact_at(&mut block, offset).unwrap();
                if block.iter().any(|&byte| byte != 0) {
                    blocks.push(offset);
                }
            }
        }
        blocks
    }
}

/// A layout of one image that can be deployed.
fn image(layout: &Path, composefs: &str) {
    image_with(layout, composefs, &[]);
}

/// The same with a policy.
fn labelled_image(layout: &Path, composefs: &str) {
    let contexts = "\
        /.*            u:o:default_t:s0\n\
        /ostree(/.*)?  u:o:ostree_t:s0\n\
        /boot(/.*)?    u:o:boot_t:s0\n\
        /usr(/.*)?     u:o:usr_t:s0\n\
        /etc(/.*)?     u:o:etc_t:s0\n\
        /etc/shadow -- u:o:shadow_t:s0\n\
        /var(/.*)?     u:o:var_t:s0\n";
    let policy: &[(&str, &[u8])] = &[
        ("etc/selinux/config", b"SELINUX=enforcing\nSELINUXTYPE=small\n"),
        ("etc/selinux/small/policy/policy.33", b"never read"),
        ("etc/selinux/small/contexts/files/file_contexts", contexts.as_bytes()),
    ];
    image_with(layout, composefs, policy);
}

fn image_with(layout: &Path, composefs: &str, more: &[(&str, &[u8])]) {
    let prepare_root = format!("[composefs]\nenabled = {composefs}\n");
    let shim = program("\\grubx64.efi".encode_utf16().flat_map(u16::to_le_bytes).collect());
    let grub = program(b"/EFI/debian\0blscfg\0".to_vec());
    let content = "what a file holds\n".repeat(3000);
    let files: &[(&str, &[u8])] = &[
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", b"root:x:0:\n"),
        ("etc/shadow", b"root:!:1::::::\n"),
        ("usr/lib/os-release", b"ID=debian\nPRETTY_NAME=Test\n"),
        ("usr/lib/tmpfiles.d/x.conf", b"d /var/x\n"),
        ("usr/lib/ostree/prepare-root.conf", prepare_root.as_bytes()),
        ("usr/lib/modules/6.1/vmlinuz", b"a kernel, more or less"),
        ("usr/lib/modules/6.1/initramfs.img", b"what a kernel starts"),
        ("usr/lib/shim/shimx64.efi.signed", &shim),
        ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", &grub),
        ("var/lib/state", b"content that a commit has in /var"),
        ("usr/share/demo/content", content.as_bytes()),
        ("usr/share/demo/empty", b""),
        ("usr/share/demo/deep/er/file", b"deep"),
    ];
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes).unwrap();
    };
    for directory in ["sysroot", "var", "usr", "usr/share", "etc"] {
        add(directory, tar::EntryType::Directory, 0o755, b"");
    }
    files.iter().chain(more).for_each(|(path, bytes)| add(path, tar::EntryType::Regular, 0o644, bytes));
    let tar = tar.into_inner().unwrap();
    write_layout(layout, &tar);
}

/// Bytes that begin as an EFI binary does.
fn program(text: Vec<u8>) -> Vec<u8> {
    let mut bytes = b"MZ".to_vec();
    bytes.resize(0x3C, 0);
    bytes.extend_from_slice(&0x40_u32.to_le_bytes());
    bytes.extend_from_slice(b"PE\0\0");
    bytes.extend(text);
    bytes
}

fn write_layout(layout: &Path, tar: &[u8]) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let store = |bytes: &[u8]| {
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&digest), bytes).unwrap();
        (format!("sha256:{digest}"), bytes.len())
    };
    let descriptor = |(digest, size): (String, usize), kind: &str| {
        let media_type = format!("application/vnd.oci.image.{kind}");
        serde_json::json!({ "mediaType": media_type, "digest": digest, "size": size })
    };
    let layer = store(tar);
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "config": { "Labels": { "containers.bootc": "1" } },
        "rootfs": { "type": "layers", "diff_ids": [layer.0.clone()] } });
    let config = descriptor(store(config.to_string().as_bytes()), "config.v1+json");
    let layer = descriptor(layer, "layer.v1.tar");
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer],
        "mediaType": "application/vnd.oci.image.manifest.v1+json" });
    let manifest = descriptor(store(manifest.to_string().as_bytes()), "manifest.v1+json");
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

fn run(package: &str, command: &mut Command) -> Output {
    command.stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{command:?} of the package {package}: {error}"))
}

fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    assert!(run("coreutils", command.arg("--sparse=always").arg(from).arg(to)).status.success());
}

fn read_byte(file: &File, at: u64) -> u8 {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0]
}

/// xorshift: the same corruptions each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
