//! Texts for people: what help adds to the flags, and results as text.

use std::fmt::{self, Write};

use diskwright_formats::{
    filesystem::FILESYSTEMS,
    units::{GIB, KIB, MIB},
    writer::WRITERS,
};
use serde::Serialize;

use super::values::root_filesystems;
use crate::{
    inspect::Inspection,
    publish::aws::{DryRun, Outcome, Published},
    verify::{Partition, Severity, VerifyReport},
    write::BuiltOutput,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a failure of no other kind
  2    the command line is wrong
  3    the image, the blueprint or the disk is corrupt, unsupported, or asks the impossible
  4    a registry or a cloud, or the network on the way to it
  5    the output: disk full, read-only, not permitted
  130  interrupted (143: terminated); nothing half-made is left on disk";

/// What `diskwright --help` adds.
pub(super) fn overview() -> String {
    let mut text = String::from("Examples:\n");
    text += "  diskwright registry.example.com/os:latest\n";
    text += "  diskwright build --type qcow2,raw --output disks registry.example.com/os:latest\n";
    text += "  diskwright plan --blueprint blueprint.yaml registry.example.com/os:latest\n";
    text += "  diskwright blueprint check blueprint.yaml\n";
    text += "  diskwright inspect oci:os-layout:latest\n";
    text += "  diskwright convert -t vmdk,azure -o disks disk.qcow2\n";
    text += "  diskwright verify disks/qcow2/disk.qcow2\n";
    text +=
        "  diskwright publish aws disks/image/disk.raw --aws-ami-name os-1.0 --aws-region eu-central-1\n\n";
    text += &formats();
    text += &filesystems();
    text + EXIT_CODES
}

/// What `diskwright build --help` adds.
pub(super) fn build_examples() -> String {
    let mut text = String::from("Examples:\n");
    text += "  A qcow2 disk, at qcow2/disk.qcow2:\n";
    text += "    diskwright registry.example.com/os:latest\n";
    text += "  Two formats from one run, with a user and files set up:\n";
    text += "    diskwright build -t qcow2 -t raw -b blueprint.yaml registry.example.com/os:latest\n";
    text += "  From an OCI layout, for another architecture, as small as it gets:\n";
    text += "    diskwright build --target-arch arm64 --size fit oci:os-layout:latest\n";
    text += "  The system is to update from somewhere else:\n";
    text += "    diskwright build --target-imgref registry.example.com/os:stable oci:os-layout\n";
    text += "  An AMI, without a bucket or an import role:\n";
    text += "    diskwright build -t ami --aws-ami-name os-1.0 --aws-region eu-central-1 oci:os-layout\n\n";
    text += &formats();
    text += &filesystems();
    text + EXIT_CODES
}

/// What `diskwright verify --help` adds.
pub(super) fn verify_notes() -> String {
    let mut text =
        String::from("Read are the partition table, the filesystems (ext4, FAT), the ostree repository\n");
    text += "(every object is hashed), deployments, SELinux labels, boot entries and bootloaders. Needs no\n";
    text += "root and no mounts. The exit code is 3 if there is an error; warnings do not change it.\n\n";
    text + EXIT_CODES
}

/// What `diskwright publish aws --help` adds.
pub(super) fn publish_notes() -> String {
    let mut text = String::from("Examples:\n");
    text += "  What would be allowed, and the policy that is needed:\n";
    text += "    diskwright publish aws disk.raw --aws-ami-name os-1.0 --aws-region eu-central-1 --dry-run\n";
    text += "  An AMI, with copies in two more regions, for another account too:\n";
    text += "    diskwright publish aws disk.qcow2 --aws-ami-name os-1.0 --aws-region eu-central-1 \\\n";
    text += "        --aws-copy-to us-east-1,ap-south-1 --aws-share-with 123456789012\n\n";
    text += "Only blocks with data are sent. An interrupted upload goes on when the same command is run\n";
    text += "again; one that AWS refuses is removed. Each AMI is a line on standard output: region and id.\n";
    text += "Credentials come from where the AWS tools have them: environment, web identity, profiles,\n";
    text += "the role of the container or the machine.\n\n";
    text + EXIT_CODES
}

/// What `diskwright build -h` adds.
pub(super) fn names() -> String {
    let types: Vec<_> = WRITERS.iter().map(|writer| writer.spec().name).collect();
    let filesystems: Vec<_> = root_filesystems().collect();
    format!(
        "Types: {}\nFilesystems: {}\n`diskwright build --help` shows examples and exit codes",
        types.join(", "),
        filesystems.join(", ")
    )
}

fn formats() -> String {
    let mut text = String::from("Types (--type), and the file each makes:\n");
    for spec in WRITERS.iter().map(|writer| writer.spec()) {
        let _ = write!(text, "  {:<13} {:<26} {}", spec.name, spec.path, spec.about);
        if !spec.aliases.is_empty() {
            let _ = write!(text, " (also: {})", spec.aliases.join(", "));
        }
        text.push('\n');
    }
    text + "\n"
}

fn filesystems() -> String {
    let names: Vec<_> = root_filesystems().collect();
    format!("Filesystems (--rootfs):\n  {}\n\n", names.join(", "))
}

/// The paths of what was made, each once, a line each.
#[must_use]
pub fn paths(outputs: &[BuiltOutput]) -> String {
    let mut paths: Vec<_> = outputs.iter().map(|output| &output.path).collect();
    let mut seen = std::collections::HashSet::new();
    paths.retain(|path| seen.insert(*path));
    paths.iter().map(|path| format!("{}\n", path.display())).collect()
}

/// AMIs, each with its region, a line each.
#[must_use]
pub fn published(published: &Published) -> String {
    published.images.iter().map(|image| format!("{} {}\n", image.region, image.image)).collect()
}

/// The policy of a dry run, for standard output.
#[must_use]
pub fn policy(run: &DryRun) -> String {
    format!("{:#}\n", run.policy)
}

/// What a dry run found out, a line each.
pub fn permissions(run: &DryRun) -> impl Iterator<Item = String> + '_ {
    run.checks.iter().map(|check| {
        let outcome = match check.outcome {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::Unchecked => "not checked",
            Outcome::Failed => "failed",
        };
        let why = if check.why.is_empty() { String::new() } else { format!(": {}", check.why) };
        format!("{} in {}: {outcome}{why}", check.action, check.region)
    })
}

/// `bytes` with a binary unit, three digits at least.
#[must_use]
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..KIB => return format!("{bytes} B"),
        KIB..MIB => (KIB, "KiB"),
        MIB..GIB => (MIB, "MiB"),
        _ => (GIB, "GiB"),
    };
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// What `version` shows.
#[derive(Debug, Serialize)]
pub struct Version {
    name: &'static str,
    version: &'static str,
    types: Vec<&'static str>,
    filesystems: Vec<&'static str>,
}

impl Version {
    /// Of this program.
    #[must_use]
    pub fn current() -> Self {
        Self {
            name: "diskwright",
            version: env!("CARGO_PKG_VERSION"),
            types: WRITERS.iter().map(|writer| writer.spec().name).collect(),
            filesystems: FILESYSTEMS.iter().map(|filesystem| filesystem.name()).collect(),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.name, self.version)?;
        writeln!(f, "types: {}", self.types.join(", "))?;
        writeln!(f, "filesystems: {}", self.filesystems.join(", "))
    }
}

/// An inspection as text, a fact a line.
#[must_use]
pub fn inspection(found: &Inspection) -> String {
    let mut facts = Facts::default();
    facts.add("image", &found.reference);
    facts.add("digest", &found.manifest_digest);
    facts.add("architecture", &found.arch);
    facts.add("system", found.os.as_deref().unwrap_or("unnamed"));
    for kernel in &found.kernels {
        let initramfs =
            kernel.initramfs_size.map_or("no initramfs".into(), |len| format!("initramfs {}", size(len)));
        facts.add(
            "kernel",
            &format!("{} ({}, {}), {initramfs}", kernel.version, kernel.path, size(kernel.size)),
        );
    }
    if found.kernels.is_empty() {
        facts.add("kernel", "none: this image cannot boot");
    }
    for bootloader in &found.bootloaders {
        facts.add("bootloader", &format!("{} ({})", bootloader.name, bootloader.path));
    }
    facts.add("selinux", &selinux(found));
    facts.add("filesystem", found.default_filesystem.as_deref().unwrap_or("none declared"));
    facts.add("layers", &layers(found));
    for line in found.prepare_root.iter().flat_map(|text| text.lines()) {
        facts.add("prepare-root", line);
    }
    for (key, value) in &found.labels {
        facts.add("label", &format!("{key}={value}"));
    }
    facts.0
}

/// A report of `verify` as text: facts, findings a line each, and the sum.
#[must_use]
pub fn verification(report: &VerifyReport) -> String {
    let mut facts = Facts::default();
    facts.add("disk", &format!("{} ({}, {})", report.disk.display(), report.format, size(report.size)));
    for partition in &report.partitions {
        let Partition { number, name, filesystem, uuid, inodes, .. } = partition;
        let holds = match (filesystem, uuid) {
            (Some(filesystem), Some(uuid)) => format!("{filesystem} {uuid}, {inodes} inodes"),
            _ => "no filesystem".to_owned(),
        };
        facts.add("partition", &format!("{number} {name} ({}), {holds}", size(partition.size)));
    }
    let (objects, bytes) = (report.objects, size(report.object_bytes));
    facts.add("repository", &format!("{objects} objects, {bytes} hashed, {} refs", report.refs));
    for deployment in &report.deployments {
        let origin = deployment.origin.as_deref().unwrap_or("no origin");
        facts
            .add("deployment", &format!("{}, {origin}, composefs {}", deployment.path, deployment.composefs));
    }
    for finding in &report.findings {
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        facts.add(severity, &format!("{}: {}: {}", finding.check, finding.place, finding.what));
    }
    let counts = format!("{} errors, {} warnings", report.errors, report.warnings);
    facts.add("result", if report.findings.is_empty() { "clean" } else { &counts });
    facts.0
}

fn selinux(found: &Inspection) -> String {
    let mode = found.selinux.as_deref().unwrap_or("no mode");
    found.selinux_type.as_ref().map_or("no policy".into(), |policy| format!("{policy}, {mode}"))
}

fn layers(found: &Inspection) -> String {
    let (packed, unpacked) = (size(found.compressed_bytes), size(found.unpacked_bytes));
    format!("{}, {packed} compressed, {unpacked} of files", found.layers.len())
}

#[derive(Default)]
struct Facts(String);

impl Facts {
    fn add(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "{name:<13} {}", printable(value));
    }
}

/// Control characters of an image's texts do not reach the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
