//! The UEFI bootloader of an image: where images keep shim and GRUB, and how
//! installers lay them out on the EFI system partition. Everything is the
//! image's own, signed as it is.

use anyhow::{Result, ensure};
use diskwright_formats::tree::{Kind, NodeId};

use crate::deploy::{arch::Arch, rootfs::Rootfs, system::OsRelease};

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
    pub(super) const ALL: [Self; 4] = [Self::Components, Self::Bootupd, Self::Debian, Self::BootEfi];

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

    pub(super) fn files(self, rootfs: &Rootfs<'_>, arch: Arch) -> Vec<EspFile> {
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
pub(super) struct EspFile {
    /// Path on the partition ("EFI/BOOT/BOOTX64.EFI").
    pub(super) path: String,
    /// Path in the image below the place, for bootupd's records.
    pub(super) source: Option<String>,
    pub(super) node: NodeId,
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

/// Every file below `path` of the image, to be put below `to`. Links to
/// files are files; links to directories are not entered, so that a loop is not.
fn below(rootfs: &Rootfs<'_>, path: &str, to: &str) -> Vec<EspFile> {
    let mut files = Vec::new();
    for (name, child) in rootfs.list(path) {
        let name = String::from_utf8_lossy(name);
        let (from, to) = (format!("{path}/{name}"), format!("{to}/{name}"));
        if rootfs.tree.children(child).is_some() {
            files.extend(below(rootfs, &from, &to));
        } else if let Some(node) = rootfs.lookup(&from).filter(|_| rootfs.is_file(&from)) {
            let source = to.strip_prefix("EFI/").map(str::to_owned);
            files.push(EspFile { path: to, source, node });
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
            let parent = format!("{component}/{}", String::from_utf8_lossy(version));
            let found = below(rootfs, &format!("{EFI_COMPONENTS}/{parent}/EFI"), "EFI");
            files.extend(found.into_iter().map(|file| {
                let source = Some(format!("{parent}/{}", file.path));
                EspFile { source, ..file }
            }));
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
pub(super) fn grub_binary(rootfs: &Rootfs<'_>, files: &[EspFile], arch: Arch) -> Vec<u8> {
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
///
/// # Errors
/// bootupd's files with more than one shim: bootupd takes none of them then.
pub(super) fn vendor(
    place: Place,
    files: &[EspFile],
    grub: &[u8],
    arch: Arch,
    os: &OsRelease,
) -> Result<String> {
    let exact = format!("shim{}.efi", arch.efi());
    let shims = files.iter().filter(|file| file.path.rsplit('/').next() == Some(&exact));
    let shims: Vec<&str> = shims.filter_map(|file| file.source.as_deref()).collect();
    ensure!(
        shims.len() < 2 || place == Place::BootEfi,
        "several {exact} at {}, of which bootupd takes none: {}",
        place.path(),
        shims.join(", ")
    );
    let parts = files.iter().filter_map(|file| file.path.strip_prefix("EFI/")?.split_once('/'));
    let mut beside_shim = parts
        .filter(|(directory, _)| !directory.eq_ignore_ascii_case("BOOT"))
        .filter(|(_, name)| *name == exact)
        .map(|(directory, _)| directory.to_owned());
    let found = beside_shim.next();
    Ok(found.or_else(|| grub_prefix(grub)).unwrap_or_else(|| os.get("ID").unwrap_or("BOOT").to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_read_out_of_the_binary() {
        assert_eq!(grub_prefix(b"xx/EFI/BOOT\0..(memdisk)/EFI/debian\0"), Some("debian".to_owned()));
        assert_eq!(grub_prefix(b"/EFI/%s/x\0"), None);
    }
}
