//! What a disk starts: the architecture of its EFI loader, and whether a BIOS
//! finds code on it. An AMI says both, and machines are chosen by it.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use diskwright_formats::{
    data::Data,
    filesystem,
    partition::gpt,
    sparse::Sparse,
    tree::{NodeId, Tree},
};
use uuid::{Uuid, uuid};

use super::wish::{BootMode, Wish};
use crate::error::{ErrorKind, Hint};

const ESP_TYPE: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const BIOS_BOOT_TYPE: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");

/// An architecture that EC2 has machines of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    X86,
    Arm,
}

impl Architecture {
    /// EC2's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "arm64",
        }
    }

    /// By the OCI name or the kernel's.
    fn parse(name: &str) -> Result<Self> {
        match name {
            "amd64" | "x86_64" => Ok(Self::X86),
            "arm64" | "aarch64" => Ok(Self::Arm),
            other => Err(anyhow!("EC2 has no machines of architecture '{other}'").context(ErrorKind::Usage)),
        }
    }
}

/// What an AMI says of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct System {
    pub(super) architecture: Architecture,
    pub(super) boot_mode: BootMode,
}

impl System {
    /// As wished; what is not wished for is read from the disk.
    pub(super) fn of(disk: &Sparse, wish: &Wish) -> Result<Self> {
        Found::read(disk).system(wish)
    }

    /// A TPM needs UEFI, and EC2 offers it on x86_64.
    pub(super) fn has_tpm(self) -> bool {
        self.architecture == Architecture::X86 && self.boot_mode != BootMode::LegacyBios
    }
}

/// What is on a disk.
#[derive(Default)]
struct Found {
    loaders: Vec<Architecture>,
    has_bios_boot: bool,
}

impl Found {
    /// A disk that cannot be read has nothing.
    fn read(disk: &Sparse) -> Self {
        let bytes = Data::from_source(Arc::new(disk.clone()), 0, disk.len());
        let mut found = Self::default();
        let gpt::Table { layout, boot_code, .. } = gpt::read(&bytes);
        // The partition alone may be mere room for a bootloader.
        for partition in layout.map(|layout| layout.partitions).unwrap_or_default() {
            found.has_bios_boot |= boot_code.is_some() && partition.type_uuid == BIOS_BOOT_TYPE;
            let fits = partition.offset.checked_add(partition.size).is_some_and(|end| end <= bytes.len());
            if partition.type_uuid == ESP_TYPE && fits {
                let contents = filesystem::read(&bytes.slice(partition.offset, partition.size));
                found.loaders.extend(contents.iter().flat_map(|contents| loaders(&contents.tree)));
            }
        }
        found
    }

    fn system(&self, wish: &Wish) -> Result<System> {
        let architecture = match &wish.architecture {
            Some(name) => Architecture::parse(name)?,
            None => self.architecture()?,
        };
        let boot_mode = match (wish.boot_mode, architecture) {
            (Some(mode @ (BootMode::LegacyBios | BootMode::UefiPreferred)), Architecture::Arm) => {
                let error = anyhow!("boot mode {}: arm64 machines of EC2 have UEFI only", mode.name());
                return Err(error.context(ErrorKind::Usage));
            }
            (Some(mode), _) => mode,
            (None, Architecture::X86) if self.has_bios_boot && self.loaders.is_empty() => {
                BootMode::LegacyBios
            }
            (None, Architecture::X86) if self.has_bios_boot => BootMode::UefiPreferred,
            (None, _) => BootMode::Uefi,
        };
        Ok(System { architecture, boot_mode })
    }

    fn architecture(&self) -> Result<Architecture> {
        match self.loaders[..] {
            [only] => return Ok(only),
            // What a BIOS starts is for x86.
            [] if self.has_bios_boot => return Ok(Architecture::X86),
            _ => {}
        }
        let what = if self.loaders.is_empty() { "no EFI loader" } else { "EFI loaders of several" };
        let hint = "name it with --target-arch amd64 or --target-arch arm64";
        let error = anyhow!("which architecture the disk is for cannot be told: it has {what}");
        Err(error.context(Hint(hint.to_owned())).context(ErrorKind::Input))
    }
}

/// Architectures that the ESP has a loader for. FAT names have no case.
fn loaders(tree: &Tree) -> Vec<Architecture> {
    let names = [("BOOTX64.EFI", Architecture::X86), ("BOOTAA64.EFI", Architecture::Arm)];
    let directory = child(tree, tree.root(), "EFI").and_then(|efi| child(tree, efi, "BOOT"));
    let Some(directory) = directory else { return Vec::new() };
    let found = names.into_iter().filter(|(name, _)| child(tree, directory, name).is_some());
    found.map(|(_, architecture)| architecture).collect()
}

fn child(tree: &Tree, directory: NodeId, name: &str) -> Option<NodeId> {
    let mut children = tree.children(directory)?.iter();
    children.find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, node)| *node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(architecture: &str, boot_mode: Option<BootMode>) -> Wish {
        Wish { architecture: Some(architecture.into()), boot_mode, ..Wish::default() }
    }

    #[test]
    fn what_the_disk_does_not_say_must_be_said() {
        let empty = Sparse::new(1 << 20);
        let error = System::of(&empty, &Wish::default()).unwrap_err();
        assert_eq!(ErrorKind::of(&error), ErrorKind::Input);
        let said = System::of(&empty, &wish("amd64", None)).unwrap();
        assert_eq!((said.architecture, said.boot_mode), (Architecture::X86, BootMode::Uefi));
        assert!(System::of(&empty, &wish("riscv64", None)).is_err());
    }

    #[test]
    fn a_disk_for_a_bios_alone_says_so() {
        let found = Found { loaders: Vec::new(), has_bios_boot: true };
        let system = found.system(&Wish::default()).unwrap();
        assert_eq!((system.architecture, system.boot_mode), (Architecture::X86, BootMode::LegacyBios));
        let both = Found { loaders: vec![Architecture::X86], ..found };
        assert_eq!(both.system(&Wish::default()).unwrap().boot_mode, BootMode::UefiPreferred);
    }

    #[test]
    fn arm_has_neither_bios_nor_tpm() {
        let empty = Sparse::new(1 << 20);
        assert!(System::of(&empty, &wish("arm64", Some(BootMode::LegacyBios))).is_err());
        assert!(!System::of(&empty, &wish("arm64", None)).unwrap().has_tpm());
        assert!(!System::of(&empty, &wish("amd64", Some(BootMode::LegacyBios))).unwrap().has_tpm());
    }
}
