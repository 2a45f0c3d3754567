//! A disk, its partitions, and the kernel's view of its filesystems.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Type GUIDs and names, as documented.
const PARTITIONS: [(&str, &str); 4] = [
    ("21686148-6449-6E6F-744E-656564454649", "BIOS-BOOT"),
    ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EFI-SYSTEM"),
    ("BC13C2FF-59E6-4262-A352-B275FD6F7172", "boot"),
    ("0FC63DAF-8483-4772-8E79-3D69D8477DE4", "root"),
];
/// MiB at which the partitions begin.
const OFFSETS: [u64; 4] = [1, 2, 503, 1527];
const MIB: u64 = 1 << 20;

/// Runs a judge; one that is missing fails the test with the name of its package.
pub(crate) fn run(package: &str, command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error} (apt-get install {package})"))
}

/// The standard output of a judge that must agree.
#[track_caller]
pub(crate) fn agrees(package: &str, command: &mut Command) -> String {
    let output = run(package, command);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}

pub(crate) struct Disk {
    pub(crate) raw: PathBuf,
}

pub(crate) struct Partition {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl Disk {
    /// Builds with the command line.
    pub(crate) fn build(reference: &str, target: &str, output: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.args(["build", "--no-cache", "--target-arch", "amd64", "--target-imgref", target]);
        agrees("", command.args(arguments).arg("--output").arg(output).arg(reference));
        Self { raw: output.join("image/disk.raw") }
    }

    /// Both formats hold the same disk.
    pub(crate) fn check_formats(&self, qcow2: &Path) {
        agrees("qemu-utils", Command::new("qemu-img").args(["check", "-q", "-f", "qcow2"]).arg(qcow2));
        let mut command = Command::new("qemu-img");
        command.args(["compare", "-f", "raw", "-F", "qcow2"]).arg(&self.raw).arg(qcow2);
        let verdict = agrees("qemu-utils", &mut command);
        assert!(verdict.contains("identical"), "{verdict}");
    }

    pub(crate) fn check_partitions(&self) {
        let verdict = agrees("gdisk", Command::new("sgdisk").arg("-v").arg(&self.raw));
        // A damaged primary header still ends in "No problems found": the backup was good.
        let quiet = !["Caution", "Warning", "ERROR"].iter().any(|word| verdict.contains(word));
        assert!(quiet && verdict.contains("No problems found"), "{verdict}");
        let mut end = 0;
        for (index, ((type_guid, name), start)) in PARTITIONS.iter().zip(OFFSETS).enumerate() {
            let text = self.sgdisk(index + 1);
            assert!(text.contains(&format!("Partition GUID code: {type_guid}")), "{text}");
            assert!(text.contains(&format!("Partition name: '{name}'")), "{text}");
            assert!(text.contains("Attribute flags: 0000000000000000"), "{text}");
            let partition = self.partition(index + 1);
            assert_eq!(partition.offset, start * MIB, "{text}");
            assert!(index == 0 || partition.offset == end, "{text}");
            end = partition.offset + partition.size;
        }
        assert!(
            self.raw.metadata().unwrap().len() - end <= 2 * MIB,
            "the last partition does not reach the end"
        );
        assert!(
            run("gdisk", Command::new("sgdisk").arg("-i5").arg(&self.raw))
                .stdout
                .starts_with(b"Partition #5 does not exist")
        );
    }

    fn sgdisk(&self, number: usize) -> String {
        agrees("gdisk", Command::new("sgdisk").arg(format!("-i{number}")).arg(&self.raw))
    }

    pub(crate) fn partition(&self, number: usize) -> Partition {
        let text = self.sgdisk(number);
        let sector = |key: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let (first, last) = (sector("First sector: "), sector("Last sector: "));
        Partition { offset: first * 512, size: (last + 1 - first) * 512 }
    }

    pub(crate) fn e2fsck(&self, partition: &Partition) -> Command {
        let mut command = Command::new("e2fsck");
        command.arg("-fn").arg(format!("{}?offset={}", self.raw.display(), partition.offset));
        command
    }

    /// A partition as a file of its own.
    pub(crate) fn extract(&self, partition: &Partition, work: &Path) -> PathBuf {
        let path = work.join("partition");
        let Partition { offset, size } = partition;
        let mut command = Command::new("dd");
        command.args(["bs=1M", "conv=sparse", "status=none"]).arg(format!("if={}", self.raw.display()));
        command.args([
            format!("of={}", path.display()),
            format!("skip={}", offset / MIB),
            format!("count={}", size / MIB),
        ]);
        agrees("coreutils", &mut command);
        path
    }

    pub(crate) fn check_filesystems(&self) {
        for number in [3, 4] {
            agrees("e2fsprogs", &mut self.e2fsck(&self.partition(number)));
        }
        let work = tempfile::tempdir().unwrap();
        let esp = self.partition(2);
        let file = self.extract(&esp, work.path());
        agrees("dosfstools", Command::new("fsck.fat").arg("-n").arg(file));
        let listing =
            agrees("mtools", Command::new("mdir").args(["-/", "-b", "-i", &self.mtools(&esp), "::"]));
        assert!(
            listing.lines().any(|line| line.eq_ignore_ascii_case("::/EFI/BOOT/BOOTX64.EFI")),
            "{listing}"
        );
    }

    /// Where the first allocation table begins in the ESP, in bytes.
    pub(crate) fn fat_start(&self, esp: &Partition) -> u64 {
        let mut reserved = [0; 2];
        fs::File::open(&self.raw).unwrap().read_exact_at(&mut reserved, esp.offset + 14).unwrap();
        u64::from(u16::from_le_bytes(reserved)) * 512
    }

    fn mtools(&self, esp: &Partition) -> String {
        format!("{}@@{}", self.raw.display(), esp.offset)
    }

    /// A file of the EFI system partition.
    pub(crate) fn esp_file(&self, path: &str) -> Vec<u8> {
        let mut command = Command::new("mtype");
        let output =
            run("mtools", command.args(["-i", &self.mtools(&self.partition(2)), &format!("::{path}")]));
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// What blkid says of a partition's filesystem.
    pub(crate) fn blkid(&self, number: usize, key: &str) -> String {
        let partition = self.partition(number);
        let mut command = Command::new("blkid");
        command.args(["-p", "-o", "value", "-s", key, "-O", &partition.offset.to_string()]);
        command.args(["-S", &partition.size.to_string()]).arg(&self.raw);
        agrees("util-linux", &mut command).trim().to_owned()
    }

    /// The root filesystem with /boot in it, read-only, by the kernel.
    pub(crate) fn mount(&self, work: &Path) -> Mounted {
        let mut mounted = Mounted { directory: work.join("mounted"), mounts: Vec::new() };
        fs::create_dir_all(&mounted.directory).unwrap();
        for (number, path) in [(4, mounted.directory.clone()), (3, mounted.directory.join("boot"))] {
            let Partition { offset, size } = self.partition(number);
            let options = format!("ro,loop,offset={offset},sizelimit={size}");
            let mut command = Command::new("mount");
            agrees("mount", command.args(["-t", "ext4", "-o", &options]).arg(&self.raw).arg(&path));
            mounted.mounts.push(path);
        }
        mounted
    }

    /// Where `text` lies on the disk.
    pub(crate) fn find(&self, text: &[u8]) -> u64 {
        let root = self.partition(4);
        let output = agrees(
            "grep",
            Command::new("grep").args(["-abo", "-m1", std::str::from_utf8(text).unwrap()]).arg(&self.raw),
        );
        let place: u64 = output.split(':').next().unwrap().parse().unwrap();
        assert!(place > root.offset);
        place
    }

    /// Does `what` while one bit of the disk is another.
    pub(crate) fn flipped(&self, at: u64, what: impl FnOnce()) {
        let file = fs::File::options().read(true).write(true).open(&self.raw).unwrap();
        let flip = || {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        };
        flip();
        what();
        flip();
    }
}

/// Unmounts when it goes.
pub(crate) struct Mounted {
    directory: PathBuf,
    mounts: Vec<PathBuf>,
}

impl Mounted {
    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for path in self.mounts.iter().rev() {
            // A panic is under way if this fails; the temporary directory stays then.
            _ = Command::new("umount").arg(path).status();
        }
    }
}
