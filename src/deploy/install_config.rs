//! bootc's configuration in the image: `bootc/install/*.toml` and
//! `bootc/kargs.d/*.toml` (bootc-install-config(5), bootc kernel arguments).

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use diskwright_formats::tree::Kind;
use serde::Deserialize;

use super::rootfs::Rootfs;

/// Where configuration lies; a later directory replaces files of the same name.
const DIRECTORIES: [&str; 3] = ["usr/lib", "usr/local/lib", "etc"];

/// The block setup without encryption.
const DIRECT: &str = "direct";
/// A drop-in that is a link to this is none, nor are those of its name before it.
const MASK: &[u8] = b"/dev/null";
/// Where images keep what image-builder shall read, first that counts first.
const DISK_YAML: [&str; 2] = ["usr/lib/image-builder/bootc", "usr/lib/bootc-image-builder"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    install: Option<InstallConfig>,
}

/// The `[install]` tables of all files, merged: lists append, else the last wins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InstallConfig {
    /// Older spelling of `filesystem.root.type`.
    root_fs_type: Option<String>,
    #[serde(default)]
    filesystem: Filesystems,
    /// Allowed block setups; the first is the default.
    block: Option<Vec<String>>,
    /// Kernel arguments, in file order.
    pub kargs: Option<Vec<String>>,
    /// Kernel arguments to take away: `key` or `key=value`.
    pub karg_deletes: Option<Vec<String>>,
    match_architectures: Option<Vec<String>>,
    /// What goes into the repository's configuration.
    #[serde(default)]
    pub ostree: Ostree,
    /// Name of the stateroot, `default` unless set.
    stateroot: Option<String>,
    /// Root specification for the kernel instead of `UUID=`; empty leaves it out.
    pub root_mount_spec: Option<String>,
    /// The same for /boot.
    pub boot_mount_spec: Option<String>,
    /// Choices for bootupd.
    #[serde(default)]
    pub bootupd: Bootupd,
    /// `grub`, `grub-cc`, `systemd` or `none`.
    pub bootloader: Option<String>,
    /// Partitions are found by type, without `root=`.
    pub discoverable_partitions: Option<bool>,
    /// Upgrades must be signed.
    pub enforce_container_sigpolicy: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filesystems {
    #[serde(default)]
    root: RootFilesystem,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootFilesystem {
    r#type: Option<String>,
}

/// `[install.ostree]`; unknown keys are allowed here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ostree {
    /// `sysroot.bls-append-except-default` of the repository.
    pub bls_append_except_default: Option<String>,
}

/// `[install.bootupd]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bootupd {
    /// No `bootuuid.cfg`: GRUB finds /boot by label.
    pub skip_boot_uuid: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KargsFile {
    kargs: Option<Vec<String>>,
    match_architectures: Option<Vec<String>>,
}

impl InstallConfig {
    /// Reads and merges all files for `arch` (Rust's name: `x86_64`).
    ///
    /// # Errors
    /// A file that is no valid TOML or has an unknown key; the text names it.
    pub fn read(rootfs: &Rootfs<'_>, arch: &str) -> Result<Self> {
        let mut merged = Self::default();
        for path in files(rootfs, &DIRECTORIES, "bootc/install") {
            let file: File = parse(rootfs, &path)?;
            if let Some(install) = file.install
                && matches(install.match_architectures.as_deref(), arch)
            {
                merged.merge(install);
            }
        }
        merged.check()?;
        Ok(merged)
    }

    /// What no disk can have.
    fn check(&self) -> Result<()> {
        let stateroot = self.stateroot();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        ensure!(
            stateroot.starts_with(|c: char| c.is_ascii_alphanumeric()) && stateroot.chars().all(plain),
            "the image's stateroot {stateroot:?} (bootc/install/*.toml) is no name: letters, digits, '.', '_' and '-'"
        );
        let blocks = self.block.as_deref().unwrap_or(&[]);
        ensure!(
            self.block.is_none() || blocks.iter().any(|block| block == DIRECT),
            "the image allows only the block setup '{}' (block in bootc/install/*.toml), and only '{DIRECT}' can \
             be written yet",
            blocks.join("', '")
        );
        Ok(())
    }

    /// The block setup that the image prefers to plain partitions, if there is one.
    #[must_use]
    pub fn preferred_block(&self) -> Option<&str> {
        let first = self.block.as_deref()?.first()?;
        (first != DIRECT).then_some(first)
    }

    /// Name of the stateroot.
    #[must_use]
    pub fn stateroot(&self) -> &str {
        self.stateroot.as_deref().unwrap_or("default")
    }

    /// The root filesystem the image asks for.
    #[must_use]
    pub fn root_filesystem(&self) -> Option<&str> {
        self.filesystem.root.r#type.as_deref().or(self.root_fs_type.as_deref())
    }

    fn merge(&mut self, other: Self) {
        append(&mut self.kargs, other.kargs);
        append(&mut self.karg_deletes, other.karg_deletes);
        replace(&mut self.root_fs_type, other.root_fs_type);
        replace(&mut self.filesystem.root.r#type, other.filesystem.root.r#type);
        replace(&mut self.block, other.block);
        replace(&mut self.ostree.bls_append_except_default, other.ostree.bls_append_except_default);
        replace(&mut self.stateroot, other.stateroot);
        replace(&mut self.root_mount_spec, other.root_mount_spec);
        replace(&mut self.boot_mount_spec, other.boot_mount_spec);
        replace(&mut self.bootupd.skip_boot_uuid, other.bootupd.skip_boot_uuid);
        replace(&mut self.bootloader, other.bootloader);
        replace(&mut self.discoverable_partitions, other.discoverable_partitions);
        replace(&mut self.enforce_container_sigpolicy, other.enforce_container_sigpolicy);
    }
}

/// The kernel arguments of `usr/lib/bootc/kargs.d`, files in order of their names.
///
/// # Errors
/// A file that is no valid TOML or has an unknown key; the text names it.
pub fn kargs_d(rootfs: &Rootfs<'_>, arch: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for path in files(rootfs, &["usr/lib"], "bootc/kargs.d") {
        let file: KargsFile = parse(rootfs, &path)?;
        if matches(file.match_architectures.as_deref(), arch) {
            all.extend(file.kargs.unwrap_or_default());
        }
    }
    Ok(all)
}

/// The image's own partition table for its disks, where it brings one (image-builder's `disk.yaml`).
#[must_use]
pub fn partition_table(rootfs: &Rootfs<'_>) -> Option<String> {
    let paths = DISK_YAML.map(|directory| format!("{directory}/disk.yaml"));
    paths.into_iter().find(|path| rootfs.lookup(path).is_some())
}

/// Paths of the `*.toml` in the directories, sorted by name, later directories winning; a link to
/// `/dev/null` takes the file of that name away.
fn files(rootfs: &Rootfs<'_>, directories: &[&str], below: &str) -> Vec<String> {
    let mut found = BTreeMap::new();
    for directory in directories {
        let directory = format!("{directory}/{below}");
        for (name, node) in rootfs.list(&directory) {
            let name = String::from_utf8_lossy(name).into_owned();
            if matches!(&rootfs.tree.node(node).kind, Kind::Symlink(target) if **target == *MASK) {
                found.remove(&name);
            } else if name.ends_with(".toml") && !name.starts_with('.') {
                let path = format!("{directory}/{name}");
                found.insert(name, path);
            }
        }
    }
    found.into_values().collect()
}

fn parse<T: serde::de::DeserializeOwned>(rootfs: &Rootfs<'_>, path: &str) -> Result<T> {
    let text = rootfs.read_text(path)?.with_context(|| format!("/{path} of the image is not a file"))?;
    toml::from_str(&text).map_err(|error| {
        let number =
            error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count());
        let line = number.and_then(|number| Some((number + 1, text.lines().nth(number)?)));
        let place = line
            .map(|(number, line)| format!("line {number}: {}: ", line.chars().take(80).collect::<String>()));
        anyhow!("parsing /{path} of the image: {}{}", place.unwrap_or_default(), error.message())
    })
}

fn matches(architectures: Option<&[String]>, arch: &str) -> bool {
    architectures.is_none_or(|list| list.iter().any(|name| name == arch))
}

fn append(all: &mut Option<Vec<String>>, more: Option<Vec<String>>) {
    if let Some(more) = more {
        all.get_or_insert_default().extend(more);
    }
}

fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}
