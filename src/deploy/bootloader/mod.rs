//! What firmware starts: the image's own signed shim and GRUB, found where
//! images keep them, laid out on the EFI system partition and in /boot.
//! Nothing is generated but text.

mod bootupd;
mod grub_cfg;

use anyhow::{Result, bail};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, NodeId, Time, Tree},
};
use uuid::Uuid;

use super::{arch::Arch, ostree::BootEntry, rootfs::Rootfs, system::OsRelease};

/// Components of newer bootupd images: `COMPONENT/VERSION/EFI`.
const EFI_COMPONENTS: &str = "usr/lib/efi";
/// The EFI tree of older bootupd images.
const BOOTUPD_EFI: &str = "usr/lib/bootupd/updates/EFI";
/// Where Debian and Ubuntu keep shim.
const DEBIAN_SHIM: &str = "usr/lib/shim";
/// An EFI system partition inside the image.
const BOOT_EFI: &str = "boot/efi/EFI";

/// Where in an image a bootloader was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `usr/lib/efi/*/*/EFI`.
    Components,
    /// `usr/lib/bootupd/updates/EFI`.
    Bootupd,
    /// `usr/lib/shim` and `usr/lib/grub`.
    Debian,
    /// `boot/efi/EFI`.
    BootEfi,
}

impl Place {
    const ALL: [Self; 4] = [Self::Components, Self::Bootupd, Self::Debian, Self::BootEfi];

    /// The place as a user would look for it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Components => "usr/lib/efi/*/*/EFI",
            Self::Bootupd => BOOTUPD_EFI,
            Self::Debian => "usr/lib/shim and usr/lib/grub/*-efi*",
            Self::BootEfi => BOOT_EFI,
        }
    }

    /// What kind of arrangement it is.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Components | Self::Bootupd => "bootupd",
            Self::Debian => "shim and GRUB",
            Self::BootEfi => "EFI system partition",
        }
    }

    fn files(self, rootfs: &Rootfs<'_>, arch: Arch) -> Vec<EspFile> {
        match self {
            Self::Components => components(rootfs),
            Self::Bootupd => below(rootfs, BOOTUPD_EFI, "EFI"),
            Self::Debian => debian(rootfs, arch),
            Self::BootEfi => below(rootfs, BOOT_EFI, "EFI"),
        }
    }
}

/// A file of the EFI system partition and the node that holds its content.
#[derive(Clone, Debug)]
struct EspFile {
    /// Path on the partition ("EFI/BOOT/BOOTX64.EFI").
    path: String,
    /// Path in the image below the place, for bootupd's records.
    source: Option<String>,
    node: NodeId,
}

/// A bootloader of an image.
#[derive(Clone, Debug)]
pub struct Bootloader {
    /// Where it was found.
    pub place: Place,
    arch: Arch,
    files: Vec<EspFile>,
    /// The directory below `EFI` in which GRUB looks for its configuration.
    vendor: String,
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
    /// There is no `blscfg`.
    Static,
}

/// What the configuration needs to know of the disk.
pub struct Facts<'a> {
    /// UUID of the filesystem that is /boot.
    pub boot_uuid: Uuid,
    /// Whether that is not the root filesystem.
    pub separate_boot: bool,
    /// The first boot entry.
    pub entry: &'a BootEntry,
    /// Times of what is written.
    pub time: Time,
    /// GRUB finds /boot by label.
    pub skip_boot_uuid: bool,
}

/// Every place of the image that holds a bootloader for `arch`, best first.
#[must_use]
pub fn places(rootfs: &Rootfs<'_>, arch: Arch) -> Vec<Place> {
    Place::ALL.into_iter().filter(|place| boots(&place.files(rootfs, arch), arch)).collect()
}

fn boots(files: &[EspFile], arch: Arch) -> bool {
    let wanted = format!("EFI/BOOT/BOOT{}.EFI", arch.efi().to_uppercase());
    files.iter().any(|file| file.path.eq_ignore_ascii_case(&wanted))
}

impl Bootloader {
    /// The best bootloader of the image.
    ///
    /// # Errors
    /// None found; the text names every place looked at.
    pub fn find(rootfs: &Rootfs<'_>, arch: Arch, os: &OsRelease) -> Result<Self> {
        let Some(&place) = places(rootfs, arch).first() else {
            let looked: Vec<_> = Place::ALL.iter().map(|place| place.path()).collect();
            bail!(
                "no UEFI bootloader for {} in the image: looked for BOOT{}.EFI or shim and GRUB at {}",
                arch.oci(),
                arch.efi().to_uppercase(),
                looked.join(", ")
            );
        };
        let files = place.files(rootfs, arch);
        let grub = grub_binary(rootfs, &files, arch);
        let vendor = vendor(&files, &grub, os);
        let menu = menu(rootfs, place, arch, &grub);
        Ok(Self { place, arch, files, vendor, menu })
    }

    /// One sentence for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let menu = match self.menu {
            Menu::Bootupd => "bootupd's configuration",
            Menu::BuiltIn => "boot entries read by GRUB itself",
            Menu::Module(_) => "boot entries read by a GRUB module, the first one alone under Secure Boot",
            Menu::Static => "one fixed menu entry",
        };
        format!("{} from {}, {menu}", self.vendor, self.place.path())
    }

    /// The content of the EFI system partition, as a directory of the arena.
    #[must_use]
    pub fn esp(&self, tree: &mut Tree, image_root: NodeId, facts: &Facts<'_>) -> NodeId {
        let esp = tree.add_directory(Meta { mtime: facts.time, ..Meta::root(0o755) });
        for file in &self.files {
            put(tree, esp, &file.path, file.node, facts.time);
        }
        let directory = format!("EFI/{}", self.vendor);
        let mut texts = Vec::new();
        match &self.menu {
            Menu::Bootupd => texts.extend(bootupd::esp_texts(&Rootfs { tree, root: image_root }, facts)),
            Menu::Module(module) => {
                self.put_module(tree, image_root, esp, module, facts);
                texts.push(("grub.cfg", grub_cfg::with_module(module, facts)));
            }
            Menu::BuiltIn => texts.push(("grub.cfg", grub_cfg::built_in(facts))),
            Menu::Static => texts.push(("grub.cfg", grub_cfg::fixed(facts))),
        }
        for (name, text) in texts {
            let file = tree.add_file(
                Meta { mtime: facts.time, ..Meta::root(0o644) },
                Sparse::from_bytes(text.into_bytes()),
            );
            put(tree, esp, &format!("{directory}/{name}"), file, facts.time);
        }
        esp
    }

    /// What the bootloader keeps in /boot.
    ///
    /// # Errors
    /// Unreadable files of the image.
    pub fn fill_boot(
        &self,
        tree: &mut Tree,
        image_root: NodeId,
        boot: NodeId,
        facts: &Facts<'_>,
    ) -> Result<()> {
        let efi = tree.add_directory(Meta { mtime: facts.time, ..Meta::root(0o755) });
        tree.link(boot, *b"efi", efi);
        if self.menu == Menu::Bootupd {
            bootupd::fill_boot(tree, image_root, boot, &self.files, facts)?;
        }
        Ok(())
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
fn put(tree: &mut Tree, root: NodeId, path: &str, node: NodeId, time: Time) {
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

/// Every file below `path` of the image, to be put below `to`.
fn below(rootfs: &Rootfs<'_>, path: &str, to: &str) -> Vec<EspFile> {
    let mut files = Vec::new();
    for (name, _) in rootfs.list(path) {
        let name = String::from_utf8_lossy(name);
        let (from, to) = (format!("{path}/{name}"), format!("{to}/{name}"));
        if rootfs.is_directory(&from) {
            files.extend(below(rootfs, &from, &to));
        } else if let Some(node) = rootfs.lookup(&from).filter(|_| rootfs.is_file(&from)) {
            files.push(EspFile { path: to, source: None, node });
        }
    }
    files
}

/// `usr/lib/efi/COMPONENT/VERSION/EFI`, components in order of their names.
fn components(rootfs: &Rootfs<'_>) -> Vec<EspFile> {
    let mut files = Vec::new();
    for (component, _) in rootfs.list(EFI_COMPONENTS) {
        let component = String::from_utf8_lossy(component).into_owned();
        for (version, _) in rootfs.list(&format!("{EFI_COMPONENTS}/{component}")) {
            let source = format!("{component}/{}/EFI", String::from_utf8_lossy(version));
            let found = below(rootfs, &format!("{EFI_COMPONENTS}/{source}"), "EFI");
            files.extend(found.into_iter().map(|file| EspFile { source: Some(source.clone()), ..file }));
        }
    }
    files
}

/// Debian's and Ubuntu's packages keep each binary apart; this is how their installers arrange them.
fn debian(rootfs: &Rootfs<'_>, arch: Arch) -> Vec<EspFile> {
    let (efi, grub) = (arch.efi(), arch.grub());
    let first = |candidates: &[String]| {
        candidates.iter().find(|path| rootfs.is_file(path)).and_then(|path| rootfs.lookup(path))
    };
    let shim = |name: &str| {
        let path = format!("{DEBIAN_SHIM}/{name}{efi}.efi");
        first(&[
            format!("{path}.signed.latest"),
            format!("{path}.signed"),
            format!("{path}.dualsigned"),
            path,
        ])
    };
    let grub = first(&[
        format!("usr/lib/grub/{grub}-signed/grub{efi}.efi.signed"),
        format!("usr/lib/grub/{grub}/monolithic/grub{efi}.efi"),
    ]);
    let Some(grub) = grub else { return Vec::new() };
    let boot = format!("EFI/BOOT/BOOT{}.EFI", efi.to_uppercase());
    let named = match shim("shim") {
        Some(shim_node) => vec![
            (boot, Some(shim_node)),
            (format!("EFI/BOOT/grub{efi}.efi"), Some(grub)),
            (format!("EFI/BOOT/mm{efi}.efi"), shim("mm")),
        ],
        None => vec![(boot, Some(grub))],
    };
    let found =
        named.into_iter().filter_map(|(path, node)| Some(EspFile { path, source: None, node: node? }));
    found.collect()
}

/// The content of the GRUB binary among `files`, to look for names in it.
fn grub_binary(rootfs: &Rootfs<'_>, files: &[EspFile], arch: Arch) -> Vec<u8> {
    let grub = format!("grub{}.efi", arch.efi());
    let boot = format!("boot{}.efi", arch.efi());
    let named = |name: &str| files.iter().find(|file| file.path.to_lowercase().ends_with(name));
    let node = named(&grub).or_else(|| named(&boot)).map(|file| &rootfs.tree.node(file.node).kind);
    match node {
        Some(Kind::File(content)) if content.len() < 64 << 20 => content.to_vec().unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The directory below `EFI` that GRUB was built to read its configuration from.
fn vendor(files: &[EspFile], grub: &[u8], os: &OsRelease) -> String {
    let beside_shim = files.iter().find_map(|file| {
        let (directory, name) = file.path.strip_prefix("EFI/")?.split_once('/')?;
        (name.starts_with("shim") && !directory.eq_ignore_ascii_case("BOOT")).then(|| directory.to_owned())
    });
    let id = || os.get("ID").unwrap_or("BOOT").to_owned();
    beside_shim.or_else(|| grub_prefix(grub)).unwrap_or_else(id)
}

/// `/EFI/NAME` followed by a NUL in the binary.
fn grub_prefix(grub: &[u8]) -> Option<String> {
    const START: &[u8] = b"/EFI/";
    let starts = grub.windows(START.len()).enumerate().filter(|(_, window)| *window == START);
    starts.map(|(at, _)| &grub[at + START.len()..]).find_map(|rest| {
        let end = rest.iter().take(32).position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(&rest[..end]).ok()?;
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (plain && !name.eq_ignore_ascii_case("BOOT")).then(|| name.to_owned())
    })
}

fn menu(rootfs: &Rootfs<'_>, place: Place, arch: Arch, grub: &[u8]) -> Menu {
    if matches!(place, Place::Components | Place::Bootupd) && rootfs.is_directory(bootupd::STATIC_CONFIGS) {
        return Menu::Bootupd;
    }
    const COMMAND: &[u8] = b"blscfg\0";
    if grub.windows(COMMAND.len()).any(|window| window == COMMAND) {
        return Menu::BuiltIn;
    }
    let module = |name: &str| rootfs.is_file(&format!("usr/lib/grub/{}/{name}.mod", arch.grub()));
    ["blsuki", "blscfg"].into_iter().find(|name| module(name)).map_or(Menu::Static, Menu::Module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_read_out_of_the_binary() {
        assert_eq!(grub_prefix(b"xx/EFI/BOOT\0..(memdisk)/EFI/debian\0"), Some("debian".to_owned()));
        assert_eq!(grub_prefix(b"/EFI/%s/x\0"), None);
    }
}
