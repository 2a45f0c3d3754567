//! What installs the image: a medium, as its ISO 9660 and its EFI system
//! partition hold it, or files for a network ([`network`]). The kernel, the
//! initramfs and the bootloader are the image's own; beside them goes a second
//! initramfs with the installer.
//!
//! `docs/installer-medium.md` is the contract with the installer.

mod drivers;
mod initramfs;
mod menu;
pub mod network;
mod units;

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::{
    cpio,
    disk::TableKind,
    sparse::Sparse,
    tree::{Kind, Meta, NodeId, Time, Tree},
};
use diskwright_install::file;

use self::{drivers::Drivers, menu::Menu};
use super::{
    System, Wishes,
    bootloader::{
        bios::el_torito::ElTorito,
        medium::{MENU, PREFIX, redirect},
        put,
    },
    image::ImageConfig,
    kargs::KernelArguments,
    kernel::Kernel,
    rootfs::Rootfs,
    storage::{Scheme, What},
};
use crate::{
    blueprint::{Installer, Iso},
    ids::Ids,
    progress::Progress,
};

/// The El Torito image for BIOS.
const EL_TORITO: &str = "boot/grub/eltorito.img";
/// What made the medium.
const APPLICATION: &str = "DISKWRIGHT";
/// What a disk's kernel is told of its own filesystems.
const OF_THE_DISK: [&str; 3] = ["root", "boot", "rw"];

/// A medium without its payload.
#[derive(Debug)]
pub struct Medium {
    /// The ISO 9660.
    pub tree: Tree,
    /// The EFI system partition; none where the image has no bootloader for UEFI.
    pub esp: Option<Tree>,
    /// What BIOS boots: a file of the ISO 9660, and what it holds.
    pub bios: Option<(NodeId, ElTorito)>,
    /// Volume id.
    pub label: String,
    /// What made it, and who: 128 printable characters of ASCII at most.
    pub application: String,
    /// Empty where nobody says.
    pub publisher: String,
    /// What the image calls its system.
    pub name: String,
    time: Time,
}

/// The medium of an image whose layers are merged in `tree`; `installer` is the program it starts.
///
/// # Errors
/// An image that cannot boot, or whose kernel can see no medium; the text says what is missing.
pub fn medium(
    image: &ImageConfig,
    tree: &Tree,
    wishes: &Wishes<'_>,
    ids: &Ids,
    installer: &[u8],
    progress: &dyn Progress,
) -> Result<Medium> {
    let base = Base::examine(image, tree, wishes, ids, progress)?;
    progress.note(&base.drivers.verdict()?);
    let asked = &wishes.blueprint.customizations;
    let mut medium = Medium::new(base.system.os.title(), &asked.iso, ids);
    medium.add("boot/vmlinuz", base.kernel);
    medium.add("boot/initramfs.img", base.initramfs);
    medium.add("boot/installer.img", cpio::archive(&units::initramfs(installer, None, ids.time()))?);
    let arguments = format!("inst.diskwright.medium={} {}", medium.label, base.arguments);
    let menu = Menu { name: &medium.name, timeout: base.timeout, arguments: &arguments };
    let menu = text(menu.of_medium(&medium.label)?);
    medium.add(MENU, menu);
    medium.add(file::PATH, text(base.options.text()?));
    medium.add_bootloader(&base.system, &Rootfs { tree, root: tree.root() }, progress)?;
    Ok(medium)
}

/// What of the image an installer runs on, and what it is told.
struct Base {
    system: System,
    kernel: Sparse,
    initramfs: Sparse,
    drivers: Drivers,
    arguments: KernelArguments,
    timeout: Option<u32>,
    options: file::File,
}

impl Base {
    fn examine(
        image: &ImageConfig,
        tree: &Tree,
        wishes: &Wishes<'_>,
        ids: &Ids,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut system = System::examine(image, tree, wishes)?;
        let scheme = system.scheme(tree, wishes, ids)?;
        if let Some(why) = not_installable(&scheme) {
            bail!(why);
        }
        let rootfs = Rootfs { tree, root: tree.root() };
        let kernel = Kernel::find(&rootfs)?;
        let initramfs =
            kernel.initramfs.context("the image has no initramfs: an installer has to run in one")?;
        let initramfs = content(tree, initramfs);
        let asked = &wishes.blueprint.customizations.installer;
        Ok(Self {
            drivers: Drivers::read(&rootfs, &kernel, &initramfs)?,
            kernel: content(tree, kernel.vmlinuz),
            initramfs,
            arguments: arguments(&system, tree, wishes, &scheme, progress)?,
            timeout: asked.bootloader.grub2.menu_timeout,
            options: options(asked),
            system,
        })
    }
}

/// Why an installer could not put the disk on a machine: it writes a GUID partition table for the
/// disk that it finds, and grows the ext4 of the root in its partition.
pub(super) fn not_installable(scheme: &Scheme) -> Option<&'static str> {
    let is_plain = |what: &What<_>| matches!(what, What::Filesystem(_));
    let root = scheme.parts.iter().find(|part| part.what.holds("/"));
    if scheme.table.kind == TableKind::Dos {
        return Some("an installer medium cannot install a dos partition table: use gpt for --type iso");
    }
    (!root.is_some_and(|part| is_plain(&part.what))).then_some(
        "an installer medium cannot install a root in LVM or LUKS: for --type iso the filesystem of / is straight in \
         its partition, which the installer grows; other volumes may be in LVM or LUKS",
    )
}

/// What the installer is told of the blueprint.
fn options(asked: &Installer) -> file::File {
    let mut options = file::File::default();
    options.unattended = asked.unattended.unwrap_or_default();
    options
}

impl Medium {
    fn new(name: &str, asked: &Iso, ids: &Ids) -> Self {
        let [a, b, c, d, ..] = ids.bytes("medium");
        let label = || format!("DISKWRIGHT_{:08X}", u32::from_be_bytes([a, b, c, d]));
        Self {
            tree: Tree::new(Meta { mtime: ids.time(), ..Meta::root(0o755) }),
            esp: None,
            bios: None,
            label: asked.volume_id.clone().unwrap_or_else(label),
            application: asked.application_id.clone().unwrap_or_else(|| APPLICATION.to_owned()),
            publisher: asked.publisher.clone().unwrap_or_default(),
            name: name.to_owned(),
            time: ids.time(),
        }
    }

    /// Adds a file to the ISO 9660.
    pub fn add(&mut self, path: &str, content: Sparse) -> NodeId {
        add(&mut self.tree, path, content, self.time)
    }

    fn add_bootloader(
        &mut self,
        system: &System,
        rootfs: &Rootfs<'_>,
        progress: &dyn Progress,
    ) -> Result<()> {
        if system.bootloader.place.is_some() {
            self.add_efi(system, rootfs);
        }
        let Some(bios) = &system.bootloader.bios else { return Ok(()) };
        let lack = format!("GRUB in /{} has no cdboot.img, boot_hybrid.img or iso9660.mod", bios.place);
        if let Some(image) = bios.el_torito(rootfs, &self.label, PREFIX)? {
            let node = self.add(EL_TORITO, Sparse::from_bytes(image.unplaced()));
            self.bios = Some((node, image));
        } else {
            ensure!(
                self.esp.is_some(),
                "nothing boots a medium of this image: no UEFI bootloader, and {lack}"
            );
            progress.note(&format!("the medium boots by UEFI only: {lack}"));
        }
        Ok(())
    }

    fn add_efi(&mut self, system: &System, rootfs: &Rootfs<'_>) {
        let mut esp = Tree::new(Meta { mtime: self.time, ..Meta::root(0o755) });
        let redirect = text(redirect(&self.label));
        for path in system.bootloader.configurations() {
            self.add(&path, redirect.clone());
            add(&mut esp, &path, redirect.clone(), self.time);
        }
        for (path, content) in system.bootloader.removable(rootfs.tree) {
            add(&mut esp, &path, content, self.time);
        }
        self.esp = Some(esp);
    }
}

/// Arguments of the installer's kernel: those of the disk's that are not about its filesystems.
fn arguments(
    system: &System,
    tree: &Tree,
    wishes: &Wishes<'_>,
    scheme: &Scheme,
    progress: &dyn Progress,
) -> Result<KernelArguments> {
    let mut arguments = system.kernel_arguments(tree, wishes, scheme)?;
    OF_THE_DISK.into_iter().for_each(|key| arguments.delete(key));
    for left_out in arguments.retain(menu::is_plain) {
        progress.note(&format!("the installer's kernel does without '{left_out}': GRUB would change it"));
    }
    Ok(arguments)
}

fn add(tree: &mut Tree, path: &str, content: Sparse, time: Time) -> NodeId {
    let node = tree.add_file(Meta { mtime: time, ..Meta::root(0o644) }, content);
    let root = tree.root();
    put(tree, root, path, node, time);
    node
}

fn content(tree: &Tree, file: NodeId) -> Sparse {
    match &tree.node(file).kind {
        Kind::File(content) => content.clone(),
        _ => Sparse::default(),
    }
}

fn text(text: String) -> Sparse {
    Sparse::from_bytes(text.into_bytes())
}

/// `text` filled up to `len` bytes with lines that are comments, so that it can be edited in place.
fn padded(mut text: String, len: usize) -> Result<String> {
    const LINE: usize = 64;
    ensure!(text.len() <= len, "a text of the medium has {} bytes, {len} at most", text.len());
    while text.len() < len {
        let line = LINE.min(len - text.len());
        text += &"#".repeat(usize::from(line > 1));
        text += &" ".repeat(line.saturating_sub(2));
        text += "\n";
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_with_comments() {
        for len in [2, 3, 4, 66, 67, 500] {
            let text = padded("a\n".to_owned(), len).unwrap();
            assert_eq!(text.len(), len);
            assert!(text.ends_with('\n'));
            let comments = text.lines().skip(1).all(|line| line.is_empty() || line.starts_with('#'));
            assert!(comments, "{text:?}");
        }
        assert!(padded("abc".to_owned(), 2).is_err());
    }
}
