//! Architectures a disk can be made for, and their names.

use anyhow::{Result, bail};
use uuid::{Uuid, uuid};

/// An architecture whose machines boot by UEFI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// amd64.
    X86_64,
    /// arm64.
    Aarch64,
    /// riscv64.
    Riscv64,
}

impl Arch {
    /// By its OCI name ("amd64").
    ///
    /// # Errors
    /// An architecture no disk can be made for, with the reason.
    pub fn from_oci(name: &str) -> Result<Self> {
        Ok(match name {
            "amd64" => Self::X86_64,
            "arm64" => Self::Aarch64,
            "riscv64" => Self::Riscv64,
            "ppc64le" => bail!("no disks for ppc64le: its firmware needs a GRUB image made for each machine"),
            "s390x" => bail!(
                "no disks for s390x: its boot record lists disk blocks, which zipl writes on the machine"
            ),
            other => {
                bail!("no disks for the architecture '{other}': only amd64, arm64 and riscv64 boot by UEFI")
            }
        })
    }

    /// The OCI name.
    #[must_use]
    pub const fn oci(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// What bootc's configuration calls it.
    #[must_use]
    pub const fn rust(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// The suffix of EFI binaries ("x64").
    #[must_use]
    pub const fn efi(self) -> &'static str {
        match self {
            Self::X86_64 => "x64",
            Self::Aarch64 => "aa64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// The directory of GRUB's modules ("x86_64-efi").
    #[must_use]
    pub const fn grub(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-efi",
            Self::Aarch64 => "arm64-efi",
            Self::Riscv64 => "riscv64-efi",
        }
    }

    /// Partition type of a root filesystem (Discoverable Partitions Specification).
    #[must_use]
    pub const fn root_partition_type(self) -> Uuid {
        match self {
            Self::X86_64 => uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
            Self::Aarch64 => uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
            Self::Riscv64 => uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224"),
        }
    }
}
