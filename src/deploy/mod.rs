//! From a merged tree to the volumes of a disk: the deployment on the root
//! volume, kernels and boot entries on /boot, the bootloader on the ESP.

pub mod arch;
pub mod bootloader;
mod bound_images;
pub mod customize;
pub mod image;
pub mod install_config;
mod kargs;
pub mod kernel;
pub mod live;
pub mod medium;
pub mod ostree;
pub mod rootfs;
pub mod selinux;
pub mod storage;
pub mod system;

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::{
    tree::{Kind, NodeId, Tree},
    units::GIB,
};
use uuid::Uuid;

use crate::{blueprint::Blueprint, error::Hint, ids::Ids, merge::Merged, progress::Progress};
use arch::Arch;
use bootloader::{Bootloader, Console, Facts, bios::core_image::CoreImage};
use image::ImageConfig;
use install_config::InstallConfig;
use kargs::KernelArguments;
use kernel::Kernel;
use ostree::{LaidDown, Sysroot, Target, repo::RepoConfig};
use rootfs::Rootfs;
use storage::{Content, Scheme, Secrets, Split, Table, What, mounts};
use system::OsRelease;

/// Arguments every disk gets unless asked otherwise: a console wherever one may be.
const DEFAULT_KARGS: [&str; 3] = ["rw", "console=tty0", "console=ttyS0"];
/// A root volume has at least this.
const ROOT_SIZE: u64 = 2 * GIB;
/// Sectors that a BIOS reads.
const BIOS_SECTOR: u32 = 512;
/// The root filesystem when neither user nor image names one.
const DEFAULT_FILESYSTEM: &str = "ext4";

/// What the user asked of the deployment.
#[derive(Clone, Debug)]
pub struct Wishes<'a> {
    /// The architecture to boot on.
    pub arch: Arch,
    /// Root filesystem; `None` means what the image declares.
    pub rootfs: Option<&'a str>,
    /// Kernel arguments to add.
    pub kargs: &'a [String],
    /// Whether to add the arguments every disk gets.
    pub default_kargs: bool,
    /// Where upgrades come from.
    pub target: &'a str,
    /// Users, files, partitions and so on.
    pub blueprint: &'a Blueprint,
    /// Build without the logically bound images, should there be some.
    pub skip_bound_images: bool,
    /// Keys that may log in as root by SSH, the text of an `authorized_keys`.
    pub root_ssh_keys: Option<&'a str>,
    /// For encrypted volumes.
    pub secrets: &'a Secrets,
}

/// A system ready to be laid out.
#[derive(Debug)]
pub struct Deployed {
    /// The partition table.
    pub table: Table,
    /// The volumes in the order of their places; the last one grows.
    pub volumes: Vec<Volume>,
    /// GRUB for BIOS.
    pub core_image: Option<CoreImage>,
    /// Bytes the root filesystem should have where nothing else is asked.
    pub comfortable: u64,
}

/// One partition's content, before it has a place.
#[derive(Debug)]
pub struct Volume {
    /// Partition name.
    pub name: String,
    /// Partition type GUID.
    pub type_uuid: Uuid,
    /// Partition type in a dos table, where that is not the one of the same meaning.
    pub dos_type: Option<u8>,
    /// Unique partition GUID.
    pub partition_uuid: Uuid,
    /// Attribute bits of a GUID partition table; in a dos table the third one makes it active.
    pub attributes: u64,
    /// Bytes it has at least.
    pub size: u64,
    /// What it holds.
    pub what: What<Content>,
}

impl Volume {
    /// The filesystem that is straight in the partition.
    #[must_use]
    pub const fn content(&self) -> Option<&Content> {
        match &self.what {
            What::Filesystem(content) => Some(content),
            _ => None,
        }
    }
}

/// The volumes of a disk, and what boots them.
///
/// # Errors
/// An image that cannot boot or cannot be expressed; the text says what is missing and where it was sought.
pub fn deploy(
    image: &ImageConfig,
    mut merged: Merged,
    wishes: &Wishes<'_>,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Deployed> {
    let mut system = System::examine(image, &merged.tree, wishes)?;
    let scheme = system.scheme(&merged.tree, wishes, ids)?;
    system.announce(&scheme, progress);
    let arguments = system.kernel_arguments(&merged.tree, wishes, &scheme)?.to_string();
    let image_root = merged.tree.root();
    let content_bytes = content_bytes(&merged.tree);
    let config = system.repository();
    let imported =
        ostree::import(&mut merged, image, &system.target, config, system.all_paths, ids, progress)?;
    let mut tree = merged.tree;
    let kernel = Kernel::find(&Rootfs { tree: &tree, root: imported.root })?;
    let sysroot = Sysroot {
        image,
        target: &system.target,
        stateroot: system.install.stateroot(),
        kernel: &kernel,
        title: system.os.title(),
        arguments: &arguments,
        ids,
        progress,
    };
    let seed = ids.bytes("accounts");
    let mut split = Split::default();
    let boot_spec = system.boot_spec(&scheme)?;
    let customize = |tree: &mut Tree, deployment, etc, var| {
        let system = customize::System { deployment, etc, var };
        split = Split::prepare(tree, &system, &scheme.extra_mountpoints(), ids.time())?;
        mounts::write(tree, etc, &scheme, &split, &boot_spec, ids.time());
        if let Some(keys) = wishes.root_ssh_keys {
            customize::authorize_root(tree, &system, keys, ids.time())
                .context("authorizing root's SSH keys")?;
        }
        customize::apply(tree, &system, wishes.blueprint, ids.time(), &seed)
    };
    let LaidDown { root, boot, entry, policy } = sysroot.lay_down(&mut tree, imported, customize)?;
    let facts = Facts {
        boot_uuid: scheme.at("/boot")?.uuid,
        boot_filesystem: scheme.at("/boot")?.kind,
        separate_boot: true,
        table: scheme.table.kind,
        entry: &entry,
        time: ids.time(),
        skip_boot_uuid: system.install.bootupd.skip_boot_uuid.unwrap_or(false),
        console: Console::of(&wishes.blueprint.customizations.bootloader.grub2),
    };
    let ignition = &wishes.blueprint.customizations.ignition;
    customize::first_boot::fill_boot(&mut tree, boot, ignition, ids.time());
    let core_image = system.bootloader.fill_boot(&mut tree, image_root, boot, &facts)?;
    let esp = system.bootloader.esp(&mut tree, image_root, &facts);
    let esp = esp.map(|esp| tree.extract(esp));
    let mut boot = tree.extract(boot);
    tree.set_root(root);
    if let Some(policy) = policy {
        policy.label_root(&mut tree, ids.time());
        policy.label_boot(&mut boot, ids.time());
    }
    let mut trees = split.take(&mut tree);
    // The layers' own trees are not needed any more.
    let tree = tree.into_subtree(root);
    trees.extend(esp.map(|esp| ("/boot/efi".to_owned(), esp)));
    trees.extend([("/boot".to_owned(), boot), ("/".to_owned(), tree)]);
    let comfortable = ROOT_SIZE.max(content_bytes.saturating_mul(2));
    Ok(Deployed { table: scheme.table, volumes: scheme.fill(trees, ids), core_image, comfortable })
}

/// What a deployment will be, found out without making it.
#[derive(Clone, Debug)]
pub struct Outline {
    /// What the image calls its system.
    pub system: String,
    /// The kernel's command line without `ostree=`.
    pub kernel_arguments: String,
    /// Sentences on the bootloader.
    pub bootloader: Vec<String>,
    /// Where machines look for updates.
    pub updates_from: String,
    /// What a user may want to know before.
    pub warnings: Vec<String>,
    /// Why an installer leaves this disk as small as it is, if it does.
    pub not_grown: Option<&'static str>,
}

/// Looks at the image as [`deploy`] does, and changes nothing.
///
/// # Errors
/// Those of an image that cannot be deployed, as far as they show at once.
pub fn outline(image: &ImageConfig, tree: &Tree, wishes: &Wishes<'_>, ids: &Ids) -> Result<Outline> {
    let mut system = System::examine(image, tree, wishes)?;
    let scheme = system.scheme(tree, wishes, ids)?;
    let warnings = system.update_warning().into_iter().chain(mounts::notes(&scheme));
    Ok(Outline {
        system: system.os.title().to_owned(),
        kernel_arguments: system.kernel_arguments(tree, wishes, &scheme)?.to_string(),
        bootloader: system.bootloader_notes(&scheme),
        updates_from: system.target.image_reference().clone(),
        warnings: warnings.collect(),
        not_grown: medium::not_grown(&scheme),
    })
}

/// What the image brings, read before anything is laid down.
struct System {
    os: OsRelease,
    install: InstallConfig,
    bootloader: Bootloader,
    target: Target,
    /// Content outside /usr, /etc and /var shows on the deployed system.
    all_paths: bool,
    /// The deployed system demands fs-verity.
    verity: bool,
    /// What the user should know of it.
    notes: Vec<String>,
}

impl System {
    fn examine(image: &ImageConfig, tree: &Tree, wishes: &Wishes<'_>) -> Result<Self> {
        let rootfs = Rootfs { tree, root: tree.root() };
        ensure_bootable(image, &rootfs)?;
        let mut notes: Vec<String> =
            bound_images::check(&rootfs, wishes.skip_bound_images)?.into_iter().collect();
        let arch = wishes.arch;
        let os = OsRelease::read(&rootfs)?;
        let install = InstallConfig::read(&rootfs, arch.rust())?;
        let filesystem = wishes.rootfs.or(install.root_filesystem()).unwrap_or(DEFAULT_FILESYSTEM);
        ensure!(
            filesystem == "ext4",
            "the root filesystem '{filesystem}' cannot be written yet, only ext4 (ask for it with --rootfs ext4)"
        );
        if let Some(name) = install.bootloader.as_deref().filter(|name| *name != "grub") {
            bail!(
                "the image asks for the bootloader '{name}' (bootc/install/*.toml), only grub can be written yet"
            );
        }
        let target = Target::parse(wishes.target, install.enforce_container_sigpolicy.unwrap_or(false))?;
        // Refused here, before anything is hashed; the one to boot is the commit's.
        Kernel::find(&rootfs)?;
        let bootloader = Bootloader::find(&rootfs, arch, &os)?;
        let composefs = system::composefs_mode(&rootfs)?;
        notes.extend(install.preferred_block().map(|block| {
            format!("the image prefers the block setup '{block}', which cannot be written yet: root is not encrypted")
        }));
        let is_told = install.root_mount_spec.is_some() || bootloader.tells_partition();
        if install.discoverable_partitions == Some(true) && !is_told {
            let why = "GRUB does not tell where it was started from, on BIOS or without its module bli";
            notes.push(format!("discoverable-partitions: root= stays on the kernel command line, as {why}"));
        }
        let (all_paths, verity) = (composefs != "no", composefs == "verity");
        Ok(Self { os, install, bootloader, target, all_paths, verity, notes })
    }

    /// What the disk is divided into. What its table has no place for is left out: a BIOS reads
    /// sectors of 512 bytes.
    fn scheme(&mut self, tree: &Tree, wishes: &Wishes<'_>, ids: &Ids) -> Result<Scheme> {
        let declared = storage::declared(&Rootfs { tree, root: tree.root() })?;
        let facts = storage::Facts {
            arch: wishes.arch,
            uefi: self.bootloader.place.is_some(),
            root_type: self.root_type(wishes.arch),
            secrets: wishes.secrets,
            ids,
        };
        let scheme = storage::scheme(wishes.blueprint, &declared, &facts)?;
        ensure_boot_filesystem(scheme.at("/boot")?.kind)?;
        if declared.disk.is_some() && wishes.blueprint.customizations.disk.is_none() {
            self.notes.extend(declared.place.map(|place| format!("partition table {place}")));
        }
        if scheme.table.sector_size != BIOS_SECTOR {
            ensure!(
                facts.uefi,
                "no BIOS starts from sectors of 4096 bytes, and the image has nothing for UEFI"
            );
            self.bootloader.bios = None;
        }
        Ok(scheme)
    }

    /// What a user may want to know of the image before the work begins.
    fn announce(&self, scheme: &Scheme, progress: &dyn Progress) {
        self.notes.iter().for_each(|note| progress.note(note));
        mounts::notes(scheme).iter().for_each(|note| progress.note(note));
        for text in self.bootloader_notes(scheme) {
            progress.note(&format!("bootloader: {text}"));
        }
        if let Some(text) = self.update_warning() {
            progress.note(&text);
        }
    }

    /// What starts the system, in sentences.
    fn bootloader_notes(&self, scheme: &Scheme) -> Vec<String> {
        let bios = if scheme.table.sector_size == BIOS_SECTOR {
            self.bootloader.describe_bios()
        } else {
            Some("UEFI only: no BIOS starts from sectors of 4096 bytes".to_owned())
        };
        std::iter::once(self.bootloader.describe()).chain(bios).collect()
    }

    /// Where updates come from, if machines will hardly find it.
    fn update_warning(&self) -> Option<String> {
        let target = self.target.image_reference();
        let text =
            format!("machines will look for updates at {target}; --target-imgref names a registry instead");
        (!self.target.is_registry()).then_some(text)
    }

    fn repository(&self) -> RepoConfig {
        RepoConfig {
            fsverity: self.verity,
            bls_append_except_default: self.install.ostree.bls_append_except_default.clone(),
            ..RepoConfig::default()
        }
    }

    /// What `root=` says, if anything. Firmware tells partitions, not what is inside of them.
    fn root_spec(&self, scheme: &Scheme) -> Result<String> {
        let is_plain = scheme.parts.iter().all(|part| part.what.way_to("/").is_empty());
        let is_asked = is_plain && self.install.discoverable_partitions == Some(true);
        if let Some(spec) = &self.install.root_mount_spec {
            return Ok(spec.clone());
        }
        let is_found = is_asked && self.bootloader.tells_partition();
        Ok(if is_found { String::new() } else { format!("UUID={}", scheme.at("/")?.uuid) })
    }

    /// What `boot=` says, if anything, and from where /boot is mounted.
    fn boot_spec(&self, scheme: &Scheme) -> Result<String> {
        let uuid = scheme.at("/boot")?.uuid;
        Ok(self.install.boot_mount_spec.clone().unwrap_or_else(|| format!("UUID={uuid}")))
    }

    /// Partition type of the root volume.
    fn root_type(&self, arch: Arch) -> Uuid {
        let is_discoverable = self.install.discoverable_partitions == Some(true);
        if is_discoverable { arch.root_partition_type() } else { storage::LINUX_TYPE }
    }

    fn kernel_arguments(&self, tree: &Tree, wishes: &Wishes<'_>, scheme: &Scheme) -> Result<KernelArguments> {
        let (root, boot) = (self.root_spec(scheme)?, self.boot_spec(scheme)?);
        let mut all = KernelArguments::default();
        if !root.is_empty() {
            all.extend([format!("root={root}")]);
        }
        all.extend(["rw"]);
        if !boot.is_empty() {
            all.extend([format!("boot={boot}")]);
        }
        all.extend(mounts::kernel_arguments(scheme));
        self.add_arguments(&mut all, tree, wishes)?;
        Ok(all)
    }

    /// Adds the arguments that are not about filesystems.
    fn add_arguments(&self, all: &mut KernelArguments, tree: &Tree, wishes: &Wishes<'_>) -> Result<()> {
        if wishes.default_kargs {
            all.extend(DEFAULT_KARGS);
        }
        let asked: Vec<String> =
            wishes.blueprint.kernel_arguments().into_iter().chain(wishes.kargs.to_vec()).collect();
        let rootfs = Rootfs { tree, root: tree.root() };
        let ignition = &wishes.blueprint.customizations.ignition;
        all.extend(customize::first_boot::ignition_arguments(&rootfs, ignition)?);
        all.extend(asked.iter().cloned());
        all.extend(self.install.kargs.clone().unwrap_or_default());
        all.extend(install_config::kargs_d(&rootfs, wishes.arch.rust())?);
        for what in self.install.karg_deletes.iter().flatten() {
            all.delete(what);
        }
        all.extend(asked);
        Ok(())
    }
}

/// Whether the image says it boots, and holds nothing that would be laid down wrongly.
fn ensure_bootable(image: &ImageConfig, rootfs: &Rootfs<'_>) -> Result<()> {
    if !image.is_bootable() {
        return Err(anyhow::anyhow!(
            "the image does not say that it is bootable (no label containers.bootc)"
        ))
        .context(Hint(
            "application images cannot boot; build on a bootable base image, or add LABEL containers.bootc 1"
                .to_owned(),
        ));
    }
    let mode = system::composefs_mode(rootfs)?;
    ensure!(
        mode != "signed",
        "the image asks for composefs 'signed' (ostree/prepare-root.conf), which boots signed commits only; the \
         commit of a container image is made where it is deployed, and nobody signs it (use 'verity')"
    );
    ensure!(
        rootfs.is_directory("sysroot"),
        "the image has no /sysroot directory; ostree mounts the disk there"
    );
    Ok(())
}

/// Whether libostree can keep its entries in a /boot of this filesystem.
///
/// # Errors
/// It cannot.
pub fn ensure_boot_filesystem(name: &str) -> Result<()> {
    ensure!(
        name != "vfat",
        "/boot cannot be vfat: libostree switches between sets of boot entries by a symbolic link \
         (/boot/loader), which vfat has not; only the EFI system partition is vfat"
    );
    Ok(())
}

/// Bytes of all regular files below the root, each name counted, holes not.
#[must_use]
pub fn content_bytes(tree: &Tree) -> u64 {
    let size = |(_, id): (Vec<u8>, NodeId)| match &tree.node(id).kind {
        Kind::File(content) => content.data_len(),
        _ => 0,
    };
    tree.walk().map(size).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vfat_boot_is_refused_with_the_reason() {
        let said = ensure_boot_filesystem("vfat").unwrap_err().to_string();
        assert!(said.contains("/boot cannot be vfat") && said.contains("symbolic link"), "{said}");
        assert!(ensure_boot_filesystem("ext4").is_ok());
    }
}
