//! What an AMI says of the disk: its architecture and how machines start it. Machines are chosen by it.

use anyhow::{Result, anyhow};
use diskwright_formats::sparse::Sparse;

use super::wish::{BootMode, Wish};
use crate::{
    error::{ErrorKind, Hint},
    firmware::Startup,
};

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

    /// The one that a disk has a loader for.
    fn of(startup: &Startup) -> Result<Self> {
        match startup.loaders[..] {
            [only] => return Self::parse(only.architecture),
            // What a BIOS starts is for x86.
            [] if startup.has_bios_code => return Ok(Self::X86),
            _ => {}
        }
        let what = if startup.loaders.is_empty() { "no EFI loader" } else { "EFI loaders of several" };
        let hint = "name it with --target-arch amd64 or --target-arch arm64";
        let error = anyhow!("which architecture the disk is for cannot be told: it has {what}");
        Err(error.context(Hint(hint.to_owned())).context(ErrorKind::Input))
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
        Self::chosen(&Startup::read(disk), wish)
    }

    fn chosen(startup: &Startup, wish: &Wish) -> Result<Self> {
        let architecture = match &wish.architecture {
            Some(name) => Architecture::parse(name)?,
            None => Architecture::of(startup)?,
        };
        let boot_mode = match (wish.boot_mode, architecture) {
            (Some(mode @ (BootMode::LegacyBios | BootMode::UefiPreferred)), Architecture::Arm) => {
                let error = anyhow!("boot mode {}: arm64 machines of EC2 have UEFI only", mode.name());
                return Err(error.context(ErrorKind::Usage));
            }
            (Some(mode), _) => mode,
            (None, Architecture::X86) if startup.has_bios_code && startup.loaders.is_empty() => {
                BootMode::LegacyBios
            }
            (None, Architecture::X86) if startup.has_bios_code => BootMode::UefiPreferred,
            (None, _) => BootMode::Uefi,
        };
        Ok(Self { architecture, boot_mode })
    }

    /// A TPM needs UEFI, and EC2 offers it on x86_64.
    pub(super) fn has_tpm(self) -> bool {
        self.architecture == Architecture::X86 && self.boot_mode != BootMode::LegacyBios
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firmware::Loader;

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
        let startup = Startup { loaders: Vec::new(), has_bios_code: true };
        let system = System::chosen(&startup, &Wish::default()).unwrap();
        assert_eq!((system.architecture, system.boot_mode), (Architecture::X86, BootMode::LegacyBios));
        let loaders = vec![Loader { architecture: "amd64", is_signed: false }];
        let both = System::chosen(&Startup { loaders, ..startup }, &Wish::default()).unwrap();
        assert_eq!(both.boot_mode, BootMode::UefiPreferred);
    }

    #[test]
    fn arm_has_neither_bios_nor_tpm() {
        let empty = Sparse::new(1 << 20);
        assert!(System::of(&empty, &wish("arm64", Some(BootMode::LegacyBios))).is_err());
        assert!(!System::of(&empty, &wish("arm64", None)).unwrap().has_tpm());
        assert!(!System::of(&empty, &wish("amd64", Some(BootMode::LegacyBios))).unwrap().has_tpm());
    }
}
