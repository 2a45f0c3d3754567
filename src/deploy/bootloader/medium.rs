//! The bootloader on a medium that installs: shim and GRUB as they are, in the
//! one place where firmware looks without being told, and a configuration
//! that leads to the medium's own.
//!
//! GRUB reads its configuration from the device that it came from: of a stick
//! that is the FAT, of a disc the whole disc, whose ISO 9660 therefore has it
//! too.

use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Tree},
};

use super::Bootloader;

/// Where the menu is, on the medium.
pub const MENU: &str = "boot/grub/grub.cfg";
/// `$prefix` of a GRUB that has read it.
pub const PREFIX: &str = "/boot/grub";

impl Bootloader {
    /// Shim, GRUB and the key manager, by their paths on an EFI system partition. What only
    /// belongs on a disk, such as shim's fallback, which makes boot entries, is left out.
    #[must_use]
    pub fn removable(&self, image: &Tree) -> Vec<(String, Sparse)> {
        let efi = self.arch.efi();
        let wanted = [format!("boot{efi}.efi"), format!("grub{efi}.efi"), format!("mm{efi}.efi")];
        let find = |name: &String| {
            let named =
                |path: &str| path.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(name));
            let in_boot = |path: &str| path.to_ascii_uppercase().starts_with("EFI/BOOT/");
            let found = |in_place: bool| {
                self.files.iter().find(|file| named(&file.path) && in_boot(&file.path) == in_place)
            };
            let file = found(true).or_else(|| found(false))?;
            let Kind::File(content) = &image.node(file.node).kind else { return None };
            let name = if *name == wanted[0] { name.to_ascii_uppercase() } else { name.clone() };
            Some((format!("EFI/BOOT/{name}"), content.clone()))
        };
        wanted.iter().filter_map(find).collect()
    }

    /// All of shim and GRUB, by their paths on an EFI system partition.
    #[must_use]
    pub fn all_files(&self, image: &Tree) -> Vec<(String, Sparse)> {
        let content = |file: &super::EspFile| match &image.node(file.node).kind {
            Kind::File(content) => Some((file.path.clone(), content.clone())),
            _ => None,
        };
        self.files.iter().filter_map(content).collect()
    }

    /// Every path at which GRUB may look for its configuration.
    #[must_use]
    pub fn configurations(&self) -> Vec<String> {
        let mut directories = vec!["BOOT"];
        if !self.vendor.eq_ignore_ascii_case("BOOT") {
            directories.push(&self.vendor);
        }
        directories.into_iter().map(|directory| format!("EFI/{directory}/grub.cfg")).collect()
    }
}

/// The configuration at those paths: the medium is found by its volume id.
#[must_use]
pub fn redirect(label: &str) -> String {
    format!(
        "search --no-floppy --set=root --label {label}\nset prefix=($root){PREFIX}\nconfigfile ($root)/{MENU}\n"
    )
}
