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
pub mod medium;
pub mod ostree;
pub mod rootfs;
pub mod selinux;
pub mod system;

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::{
    tree::{Kind, NodeId, Tree},
    units::{GIB, MIB},
};
use uuid::{Uuid, uuid};

use crate::{blueprint::Blueprint, error::Hint, ids::Ids, merge::Merged, progress::Progress};
use arch::Arch;
use bootloader::{Bootloader, Console, Facts, bios::core_image::CoreImage};
use image::ImageConfig;
use install_config::InstallConfig;
use kargs::KernelArguments;
use kernel::Kernel;
use ostree::{LaidDown, Sysroot, Target, repo::RepoConfig};
use rootfs::Rootfs;
use system::OsRelease;

/// Arguments every disk gets unless asked otherwise: a console wherever one may be.
const DEFAULT_KARGS: [&str; 3] = ["rw", "console=tty0", "console=ttyS0"];
/// GRUB for BIOS goes here.
const BIOS_BOOT_TYPE: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// EFI system partition.
pub const ESP_TYPE: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Extended boot loader partition: /boot.
const XBOOTLDR_TYPE: Uuid = uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172");
/// Linux filesystem data.
const LINUX_TYPE: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
/// Room for an ESP of every vendor.
const ESP_SIZE: u64 = 501 * MIB;
/// Room for a few kernels.
const BOOT_SIZE: u64 = GIB;
/// A root volume has at least this.
const ROOT_SIZE: u64 = 2 * GIB;
/// The filesystem of /boot: libostree needs symbolic links in it.
const BOOT_FILESYSTEM: &str = "ext4";
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
    /// Users, files and so on.
    pub blueprint: &'a Blueprint,
    /// Build without the logically bound images, should there be some.
    pub skip_bound_images: bool,
    /// Keys that may log in as root by SSH, the text of an `authorized_keys`.
    pub root_ssh_keys: Option<&'a str>,
}

/// One partition's content, before it has a place.
#[derive(Debug)]
pub struct Volume {
    /// Partition name, and label of the filesystem.
    pub name: &'static str,
    /// Partition type GUID.
    pub type_uuid: Uuid,
    /// Unique partition GUID.
    pub partition_uuid: Uuid,
    /// What it holds; `None` leaves the partition empty.
    pub content: Option<Content>,
    /// GRUB for BIOS, in place of a filesystem.
    pub core_image: Option<CoreImage>,
    /// Bytes it has at least.
    pub size: u64,
    /// Bytes it should have where nothing else is asked.
    pub comfortable: u64,
}

/// A tree and the filesystem it is wanted in.
#[derive(Debug)]
pub struct Content {
    /// What the filesystem holds.
    pub tree: Tree,
    /// Name of the filesystem.
    pub filesystem: &'static str,
    /// UUID of the filesystem.
    pub uuid: Uuid,
}

/// The volumes of a disk in partition order; the last one grows.
///
/// # Errors
/// An image that cannot boot or cannot be expressed; the text says what is missing and where it was sought.
pub fn deploy(
    image: &ImageConfig,
    mut merged: Merged,
    wishes: &Wishes<'_>,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Vec<Volume>> {
    let system = System::examine(image, &merged.tree, wishes)?;
    system.announce(progress);
    let uuids = Uuids::new(ids);
    let arguments = system.kernel_arguments(&merged.tree, wishes, &uuids)?.to_string();
    let fstab = system.fstab(&uuids);
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
        fstab: fstab.as_deref(),
        ids,
        progress,
    };
    let seed = ids.bytes("accounts");
    let customize = |tree: &mut Tree, deployment, etc, var| {
        let system = customize::System { deployment, etc, var };
        if let Some(keys) = wishes.root_ssh_keys {
            customize::authorize_root(tree, &system, keys, ids.time())
                .context("authorizing root's SSH keys")?;
        }
        customize::apply(tree, &system, wishes.blueprint, ids.time(), &seed)
    };
    let LaidDown { root, boot, entry, policy } = sysroot.lay_down(&mut tree, imported, customize)?;
    let facts = Facts {
        boot_uuid: uuids.boot,
        boot_filesystem: BOOT_FILESYSTEM,
        separate_boot: true,
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
    // The layers' own trees are not needed any more.
    let root = tree.into_subtree(root);
    let mut volumes =
        volumes(Trees { esp, boot, root }, system.root_type(wishes.arch), &uuids, ids, content_bytes);
    if wishes.arch == Arch::X86_64 {
        volumes.insert(0, bios_boot(core_image, ids));
    }
    Ok(volumes)
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
}

/// Looks at the image as [`deploy`] does, and changes nothing.
///
/// # Errors
/// Those of an image that cannot be deployed, as far as they show at once.
pub fn outline(image: &ImageConfig, tree: &Tree, wishes: &Wishes<'_>, ids: &Ids) -> Result<Outline> {
    let system = System::examine(image, tree, wishes)?;
    let bootloader = std::iter::once(system.bootloader.describe()).chain(system.bootloader.describe_bios());
    Ok(Outline {
        system: system.os.title().to_owned(),
        kernel_arguments: system.kernel_arguments(tree, wishes, &Uuids::new(ids))?.to_string(),
        bootloader: bootloader.collect(),
        updates_from: system.target.image_reference().clone(),
        warnings: system.update_warning().into_iter().collect(),
    })
}

/// UUIDs of the filesystems.
struct Uuids {
    esp: Uuid,
    boot: Uuid,
    root: Uuid,
}

impl Uuids {
    fn new(ids: &Ids) -> Self {
        let uuid = |name: &str| ids.uuid(&format!("filesystem {name}"));
        Self { esp: uuid("EFI-SYSTEM"), boot: uuid("boot"), root: uuid("root") }
    }
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
        notes.extend(install_config::partition_table(&rootfs).map(|path| {
            format!("the image's own partition table /{path} is not read yet: the disk gets the usual one")
        }));
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
        ensure_boot_filesystem(BOOT_FILESYSTEM)?;
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

    /// What a user may want to know of the image before the work begins.
    fn announce(&self, progress: &dyn Progress) {
        self.notes.iter().for_each(|note| progress.note(note));
        progress.note(&format!("bootloader: {}", self.bootloader.describe()));
        if let Some(text) = self.bootloader.describe_bios() {
            progress.note(&format!("bootloader: {text}"));
        }
        if let Some(text) = self.update_warning() {
            progress.note(&text);
        }
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

    /// What `root=` says, if anything.
    fn root_spec(&self, uuids: &Uuids) -> String {
        let is_found =
            self.install.discoverable_partitions == Some(true) && self.bootloader.tells_partition();
        let default = || if is_found { String::new() } else { format!("UUID={}", uuids.root) };
        self.install.root_mount_spec.clone().unwrap_or_else(default)
    }

    /// What `boot=` says, if anything, and from where /boot is mounted.
    fn boot_spec(&self, uuids: &Uuids) -> String {
        self.install.boot_mount_spec.clone().unwrap_or_else(|| format!("UUID={}", uuids.boot))
    }

    /// /boot as bootc writes it, and the ESP where bootloader tools look for it.
    fn fstab(&self, uuids: &Uuids) -> Option<String> {
        let mut text = String::new();
        let boot = self.boot_spec(uuids);
        if !boot.is_empty() {
            text += &format!("{boot} /boot auto ro 0 0\n");
        }
        if self.bootloader.place.is_some() {
            let id = uuids.esp.as_bytes();
            let esp = format!("{:02X}{:02X}-{:02X}{:02X}", id[0], id[1], id[2], id[3]);
            text += &format!("UUID={esp} /boot/efi vfat umask=0077,shortname=winnt,nofail 0 2\n");
        }
        (!text.is_empty()).then_some(text)
    }

    /// Partition type of the root volume.
    fn root_type(&self, arch: Arch) -> Uuid {
        let is_discoverable = self.install.discoverable_partitions == Some(true);
        if is_discoverable { arch.root_partition_type() } else { LINUX_TYPE }
    }

    fn kernel_arguments(&self, tree: &Tree, wishes: &Wishes<'_>, uuids: &Uuids) -> Result<KernelArguments> {
        let (root, boot) = (self.root_spec(uuids), self.boot_spec(uuids));
        let mut all = KernelArguments::default();
        if !root.is_empty() {
            all.extend([format!("root={root}")]);
        }
        all.extend(["rw"]);
        if !boot.is_empty() {
            all.extend([format!("boot={boot}")]);
        }
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
        Ok(all)
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

/// Where BIOS finds GRUB; without one it is room for it.
fn bios_boot(core_image: Option<CoreImage>, ids: &Ids) -> Volume {
    Volume {
        name: "BIOS-BOOT",
        type_uuid: BIOS_BOOT_TYPE,
        partition_uuid: ids.uuid("partition BIOS-BOOT"),
        content: None,
        core_image,
        size: MIB,
        comfortable: MIB,
    }
}

/// What the partitions hold.
struct Trees {
    esp: Option<Tree>,
    boot: Tree,
    root: Tree,
}

fn volumes(trees: Trees, root_type: Uuid, uuids: &Uuids, ids: &Ids, content_bytes: u64) -> Vec<Volume> {
    let content = |tree, filesystem, uuid| Some(Content { tree, filesystem, uuid });
    let volume = |name: &'static str, type_uuid, content, size, comfortable| {
        let partition_uuid = ids.uuid(&format!("partition {name}"));
        Volume { name, type_uuid, partition_uuid, content, core_image: None, size, comfortable }
    };
    let comfortable = ROOT_SIZE.max(content_bytes.saturating_mul(2));
    let Trees { esp, boot, root } = trees;
    let esp = esp.map(|esp| content(esp, "vfat", uuids.esp));
    let esp = esp.map(|content| volume("EFI-SYSTEM", ESP_TYPE, content, ESP_SIZE, ESP_SIZE));
    let rest = [
        volume("boot", XBOOTLDR_TYPE, content(boot, BOOT_FILESYSTEM, uuids.boot), BOOT_SIZE, BOOT_SIZE),
        volume("root", root_type, content(root, "ext4", uuids.root), 0, comfortable),
    ];
    esp.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vfat_boot_is_refused_with_the_reason() {
        let said = ensure_boot_filesystem("vfat").unwrap_err().to_string();
        assert!(said.contains("/boot cannot be vfat") && said.contains("symbolic link"), "{said}");
        assert!(ensure_boot_filesystem(BOOT_FILESYSTEM).is_ok());
    }
}
