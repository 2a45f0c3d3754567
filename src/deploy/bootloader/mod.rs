//! What firmware starts: the image's own signed shim and GRUB, found where
//! images keep them, laid out on the EFI system partition and in /boot, and
//! GRUB for BIOS put together from the image's own files. Nothing is
//! generated but text.

pub mod bios;
mod bootupd;
mod console;
mod efi;
mod grub_cfg;
pub mod medium;

use anyhow::{Result, ensure};
use diskwright_formats::{
    disk::TableKind,
    sparse::Sparse,
    tree::{Meta, NodeId, Time, Tree},
};
use uuid::Uuid;

use super::{arch::Arch, ostree::BootEntry, rootfs::Rootfs, system::OsRelease};
use bios::{Bios, core_image::CoreImage};
pub use console::Console;
use efi::EspFile;
pub use efi::{Place, places};
pub(super) use grub_cfg::CONSOLE;

/// Our configuration for GRUB on BIOS. Not `grub.cfg`: where that is, Debian's grub2-common.service
/// writes into the same directory, and fails, because ostree's /boot is read-only.
const BIOS_CONFIG: &str = "entries.cfg";

/// The variable in which GRUB's module `bli` tells where it was started from.
const PARTITION_VARIABLE: &[u8] = b"LoaderDevicePartUUID";

/// A bootloader of an image.
#[derive(Clone, Debug)]
pub struct Bootloader {
    /// Where the one for UEFI was found; without one there is GRUB for BIOS.
    pub place: Option<Place>,
    /// GRUB for BIOS, where there is one.
    pub bios: Option<Bios>,
    /// GRUB tells the system what partition it was started from (Boot Loader Interface).
    tells_partition: bool,
    arch: Arch,
    files: Vec<EspFile>,
    /// The directory below `EFI` in which GRUB looks for its configuration.
    vendor: String,
    /// The directory of /boot that is GRUB's in this distribution.
    directory: &'static str,
    menu: Menu,
}

/// How GRUB can find boot entries.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Menu {
    /// The image brings bootupd's own configuration.
    Bootupd,
    /// `blscfg` is part of the GRUB binary.
    BuiltIn,
    /// `blscfg` is in a module, which Secure Boot does not let in.
    Module(&'static str),
    /// There is no `blscfg`: the configuration reads them itself.
    Scripted,
}

/// What the configuration needs to know of the disk.
pub struct Facts<'a> {
    /// UUID of the filesystem that is /boot.
    pub boot_uuid: Uuid,
    /// The kind of that filesystem ("ext4").
    pub boot_filesystem: &'a str,
    /// The kind of the partition table.
    pub table: TableKind,
    /// Whether that is not the root filesystem.
    pub separate_boot: bool,
    /// The first boot entry.
    pub entry: &'a BootEntry,
    /// Times of what is written.
    pub time: Time,
    /// GRUB finds /boot by label.
    pub skip_boot_uuid: bool,
    /// GRUB's console, where the user asks for one.
    pub console: Option<Console>,
}

impl Bootloader {
    /// The best bootloader of the image.
    ///
    /// # Errors
    /// None found; the text names every place looked at. bootupd's files with more than one shim.
    pub fn find(rootfs: &Rootfs<'_>, arch: Arch, os: &OsRelease) -> Result<Self> {
        let place = places(rootfs, arch).first().copied();
        let bios = Bios::find(rootfs, arch);
        ensure!(place.is_some() || bios.is_some(), "{}", none(arch));
        let files = place.map(|place| place.files(rootfs, arch)).unwrap_or_default();
        let grub = efi::grub_binary(rootfs, &files, arch);
        let vendor = place.map(|place| efi::vendor(place, &files, &grub, arch, os)).transpose()?;
        let menu = match &bios {
            Some(bios) if place.is_none() && !bootupd::is_complete(rootfs, false) => bios_menu(bios, rootfs),
            _ => menu(rootfs, place, arch, &grub),
        };
        let directory = directory(rootfs, &menu, bios.as_ref());
        let tells_partition = contains(&grub, PARTITION_VARIABLE);
        let vendor = vendor.unwrap_or_default();
        Ok(Self { place, bios, tells_partition, arch, files, vendor, directory, menu })
    }

    /// Whether the system finds its disk without being told, however it is started.
    #[must_use]
    pub fn tells_partition(&self) -> bool {
        self.tells_partition && self.bios.is_none()
    }

    /// One sentence for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let menu = match self.menu {
            Menu::Bootupd => "bootupd's configuration",
            Menu::BuiltIn => "boot entries read by GRUB itself",
            Menu::Module(_) => "boot entries read by a GRUB module",
            Menu::Scripted => "boot entries read by GRUB's configuration",
        };
        match self.place {
            Some(place) => format!("{} from {}, {menu}", self.vendor, place.path()),
            None => format!("GRUB for BIOS, {menu}"),
        }
    }

    /// One sentence on BIOS, where the machine has one.
    #[must_use]
    pub fn describe_bios(&self) -> Option<String> {
        let only =
            if self.place.is_some() { "BIOS too" } else { "BIOS only: the image has no UEFI bootloader" };
        let found = self.bios.as_ref().map(|bios| format!("{only}, GRUB from {}", bios.place));
        let none = || {
            "UEFI only: the image has no GRUB for BIOS (usr/lib/grub/i386-pc of grub-pc-bin or grub2-pc-modules)"
                .to_owned()
        };
        (self.arch == Arch::X86_64).then(|| found.unwrap_or_else(none))
    }

    /// The content of the EFI system partition, as a directory of the arena; `None` on a disk for BIOS only.
    #[must_use]
    pub fn esp(&self, tree: &mut Tree, image_root: NodeId, facts: &Facts<'_>) -> Option<NodeId> {
        self.place?;
        let esp = tree.add_directory(Meta { mtime: facts.time, ..Meta::root(0o755) });
        for file in &self.files {
            put(tree, esp, &file.path, file.node, facts.time);
        }
        let own = match &self.menu {
            Menu::Bootupd => bootupd::esp_files(&Rootfs { tree, root: image_root }, facts),
            menu => vec![("grub.cfg", Sparse::from_bytes(grub_cfg::text(menu, facts).into_bytes()))],
        };
        if let Menu::Module(module) = &self.menu {
            self.put_module(tree, image_root, esp, module, facts);
        }
        for (name, content) in own {
            let file = tree.add_file(Meta { mtime: facts.time, ..Meta::root(0o644) }, content);
            put(tree, esp, &format!("EFI/{}/{name}", self.vendor), file, facts.time);
        }
        Some(esp)
    }

    /// What the bootloader keeps in /boot; returns GRUB for the BIOS boot partition.
    ///
    /// # Errors
    /// Unreadable or damaged files of the image.
    pub fn fill_boot(
        &self,
        tree: &mut Tree,
        image_root: NodeId,
        boot: NodeId,
        facts: &Facts<'_>,
    ) -> Result<Option<CoreImage>> {
        if self.place.is_some() {
            let efi = tree.add_directory(Meta { mtime: facts.time, ..Meta::root(0o755) });
            tree.link(boot, *b"efi", efi);
        }
        let bootupd = self.menu == Menu::Bootupd;
        if bootupd {
            let installed = bootupd::Installed { files: &self.files, bios: self.bios.is_some() };
            bootupd::fill_boot(tree, image_root, boot, &installed, facts)?;
        }
        let Some(bios) = &self.bios else { return Ok(None) };
        let rootfs = Rootfs { tree, root: image_root };
        let text = (!bootupd).then(|| grub_cfg::text(&bios_menu(bios, &rootfs), facts));
        let config = format!("{}/{}", self.directory, if bootupd { "grub.cfg" } else { BIOS_CONFIG });
        let core = bios.core_image(&rootfs, &config, facts)?;
        if let Some(text) = text {
            let meta = Meta { mtime: facts.time, ..Meta::root(0o600) };
            let file = tree.add_file(meta, Sparse::from_bytes(text.into_bytes()));
            put(tree, boot, &config, file, facts.time);
        }
        if let Some(directory) = tree.child(boot, self.directory.as_bytes()) {
            bios.fill_boot(tree, image_root, directory, &core, facts);
        }
        Ok(Some(core))
    }

    fn put_module(&self, tree: &mut Tree, image_root: NodeId, esp: NodeId, module: &str, facts: &Facts<'_>) {
        let (directory, name) = (self.arch.grub(), format!("{module}.mod"));
        let node = Rootfs { tree, root: image_root }.lookup(format!("usr/lib/grub/{directory}/{name}"));
        if let Some(node) = node {
            put(tree, esp, &format!("EFI/{}/{directory}/{name}", self.vendor), node, facts.time);
        }
    }
}

/// Gives `node` the name `path` below `root`, making directories.
pub(super) fn put(tree: &mut Tree, root: NodeId, path: &str, node: NodeId, time: Time) {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    let mut at = root;
    for part in parts {
        at = match tree.child(at, part.as_bytes()) {
            Some(child) => child,
            None => {
                let made = tree.add_directory(Meta { mtime: time, ..Meta::root(0o755) });
                tree.link(at, part.as_bytes(), made);
                made
            }
        };
    }
    tree.link(at, name.as_bytes(), node);
}

/// No bootloader at all, and where one was sought.
fn none(arch: Arch) -> String {
    let looked: Vec<_> = Place::ALL.iter().map(|place| place.path()).collect();
    let mut text = format!(
        "no bootloader for {} in the image: looked for BOOT{}.EFI or shim and GRUB at {}",
        arch.oci(),
        arch.efi().to_uppercase(),
        looked.join(", ")
    );
    if arch == Arch::X86_64 {
        text += &format!("; for GRUB for BIOS at {}", bios::PLACES.join(", "));
    }
    text
}

/// `place` is where the one for UEFI is; BIOS alone has bootupd's configuration or none of these.
fn menu(rootfs: &Rootfs<'_>, place: Option<Place>, arch: Arch, grub: &[u8]) -> Menu {
    let from_bootupd = matches!(place, None | Some(Place::Components | Place::Bootupd));
    if from_bootupd && bootupd::is_complete(rootfs, place.is_some()) {
        return Menu::Bootupd;
    }
    if contains(grub, b"blscfg\0") {
        return Menu::BuiltIn;
    }
    by_module(|name| rootfs.is_file(&format!("usr/lib/grub/{}/{name}.mod", arch.grub())))
}

/// The menu of a GRUB for BIOS, whose modules are its own.
fn bios_menu(bios: &Bios, rootfs: &Rootfs<'_>) -> Menu {
    by_module(|name| bios.has_module(rootfs, name))
}

fn by_module(has: impl Fn(&str) -> bool) -> Menu {
    let found = ["blsuki", "blscfg"].into_iter().find(|name| has(name));
    found.map_or(Menu::Scripted, Menu::Module)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// `grub2` where the distribution calls its tools so.
fn directory(rootfs: &Rootfs<'_>, menu: &Menu, bios: Option<&Bios>) -> &'static str {
    let tools =
        ["usr/sbin/grub2-mkconfig", "usr/bin/grub2-mkconfig", "usr/sbin/grub2-install", "usr/share/grub2"];
    let renamed = *menu == Menu::Bootupd
        || bios.is_some_and(|bios| bios.place.contains("/grub2/"))
        || tools.into_iter().any(|path| rootfs.lookup(path).is_some());
    if renamed { "grub2" } else { "grub" }
}
