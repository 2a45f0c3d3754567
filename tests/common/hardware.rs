//! What is emulated: boards, firmware and drives, in QEMU's words.

use std::path::{Path, PathBuf};

/// Code and fresh variables of UEFI firmware.
pub(crate) const UEFI: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];
/// The same with Microsoft's keys enrolled, so that Secure Boot is on.
pub(crate) const SECURE_UEFI: [&str; 2] =
    ["/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"];
/// The same for 64-bit Arm; GRUB is not signed by a key these firmwares know.
pub(crate) const ARM_UEFI: [&str; 2] = ["/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"];

/// An ordinary computer.
pub(crate) const PC: Board = Board {
    program: "qemu-system-x86_64",
    packages: "qemu-system-x86 and ovmf",
    machine: "q35",
    // everything but `cmpxchg16b`, after which QEMU 7.2 leaves wrong flags: Linux 6.12 dies of it
    cpu: "max,cx16=off",
};
/// A 64-bit Arm computer.
pub(crate) const ARM: Board = Board {
    program: "qemu-system-aarch64",
    packages: "qemu-system-arm and qemu-efi-aarch64",
    machine: "virt",
    // one without pointer authentication, whose hashes are slow to emulate
    cpu: "cortex-a72",
};

/// What is emulated.
#[derive(Clone, Copy)]
pub(crate) struct Board {
    pub(crate) program: &'static str,
    /// Where the program and its firmware come from.
    pub(crate) packages: &'static str,
    pub(crate) machine: &'static str,
    pub(crate) cpu: &'static str,
}

/// What a machine boots from, and how it is attached.
pub(crate) enum Drive {
    /// A disk that is written to.
    Disk {
        path: PathBuf,
        /// How it is opened.
        options: String,
        /// Bytes per logical sector.
        sector_size: u32,
    },
    /// A raw file as a disc.
    Disc(PathBuf),
    /// A raw file as a disk that is only read.
    Copy(PathBuf),
    /// None: the machine starts from its network card, with a file that DHCP names.
    Network {
        /// What QEMU's TFTP server has.
        directory: PathBuf,
        /// A file there, or an address.
        file: String,
    },
}

impl Drive {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let only_read = |kind: &str, path: &Path| {
            format!("if=none,id=medium,{kind},format=raw,readonly=on,file={}", path.display())
        };
        let (drive, device) = match self {
            Self::Disk { path, options, sector_size } => (
                format!("if=none,id=disk,{options},file={}", path.display()),
                format!(
                    "virtio-blk-pci,drive=disk,logical_block_size={sector_size},physical_block_size={sector_size}"
                ),
            ),
            Self::Disc(path) => (only_read("media=cdrom", path), "ide-cd,drive=medium".into()),
            Self::Copy(path) => (only_read("media=disk", path), "virtio-blk-pci,drive=medium".into()),
            Self::Network { .. } => return Vec::new(),
        };
        vec!["-drive".into(), drive, "-device".into(), format!("{device},bootindex=0")]
    }

    /// The network card, and the network with `more` of QEMU's options.
    pub(crate) fn card(&self, more: &str) -> [String; 4] {
        let (start, device) = match self {
            Self::Network { directory, file } => {
                (format!(",tftp={},bootfile={file}", directory.display()), ",bootindex=0")
            }
            _ => (String::new(), ""),
        };
        let device = format!("virtio-net-pci,netdev=net{device}");
        ["-netdev".into(), format!("user,id=net{start}{more}"), "-device".into(), device]
    }
}

/// QEMU's arguments for a disk (qcow2) beside the one that is booted from, known by its serial number.
pub(crate) fn target(path: &Path, serial: &str) -> [String; 4] {
    let drive = format!("if=none,id={serial},format=qcow2,discard=unmap,file={}", path.display());
    ["-drive".into(), drive, "-device".into(), format!("virtio-blk-pci,drive={serial},serial={serial}")]
}
