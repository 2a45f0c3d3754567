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
    /// None: the machine starts from its network card, with a file that DHCP names.
    Network {
        /// What QEMU's TFTP server has.
        directory: PathBuf,
        /// A file there, or an address.
        file: String,
    },
    /// A raw file as a stick at a USB port, only read.
    Stick(PathBuf),
    /// None: kernel, initramfs and arguments, as a bootloader would load them.
    Kernel(PathBuf, PathBuf, String),
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
            Self::Stick(path) => (only_read("media=disk", path), "usb-storage,drive=medium".into()),
            Self::Network { .. } => return Vec::new(),
            Self::Kernel(kernel, initramfs, arguments) => {
                let [kernel, initramfs] = [kernel, initramfs].map(|path| path.display().to_string());
                let words = ["-kernel", &kernel, "-initrd", &initramfs, "-append", arguments];
                return words.map(ToOwned::to_owned).to_vec();
            }
        };
        let port =
            if matches!(self, Self::Stick(_)) { vec!["-device".into(), "qemu-xhci".into()] } else { vec![] };
        [port, vec!["-drive".into(), drive, "-device".into(), format!("{device},bootindex=0")]].concat()
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

/// A disk (qcow2) beside the one that is booted from, known by its serial number.
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    pub(crate) serial: String,
    pub(crate) trouble: Trouble,
}

/// What can happen to a disk.
#[derive(Clone, Copy)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// This sector, of 512 bytes, cannot be written.
    BadSector(u64),
    /// It can be pulled out, by its serial number.
    Pulled,
}

impl Target {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let (serial, path) = (&self.serial, self.path.display());
        let (options, bus, device) = match self.trouble {
            Trouble::None => (format!("format=qcow2,file={path}"), None, "virtio-blk-pci".into()),
            Trouble::BadSector(sector) => (
                format!(
                    "driver=blkdebug,inject-error.0.event=none,inject-error.0.iotype=write,\
                     inject-error.0.sector={sector},image.driver=qcow2,image.file.driver=file,\
                     image.file.filename={path}"
                ),
                None,
                "virtio-blk-pci".into(),
            ),
            Trouble::Pulled => (
                format!("format=qcow2,file={path}"),
                Some(format!("virtio-scsi-pci,id=bus-{serial}")),
                format!("scsi-hd,bus=bus-{serial}.0,id={serial}"),
            ),
        };
        let drive = format!("if=none,id={serial},discard=unmap,{options}");
        let bus = bus.map(|bus| ["-device".into(), bus]).into_iter().flatten();
        let device = format!("{device},drive={serial},serial={serial}");
        ["-drive".into(), drive].into_iter().chain(bus).chain(["-device".into(), device]).collect()
    }
}
