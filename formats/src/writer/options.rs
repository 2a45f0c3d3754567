//! What a user can choose of formats, and what makes one disk distinct from
//! another: nothing is random, and no clock is read.

use bitflags::bitflags;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// How clusters are compressed, in formats that can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Deflate: readable by every consumer of the format.
    #[default]
    Zlib,
    /// Zstandard: smaller and faster, for newer consumers.
    Zstd,
}

/// Version of QCOW2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qcow2Version {
    /// `compat=0.10`; compressed with zlib only.
    V2,
    /// `compat=1.1`.
    #[default]
    V3,
}

bitflags! {
    /// Choices of the user that make a difference to a format.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Uses: u8 {
        /// Version and cluster size of QCOW2.
        const QCOW2 = 1 << 0;
        /// Processors and memory of [`Machine`].
        const MACHINE_SIZE = 1 << 1;
        /// The rest of [`Machine`].
        const MACHINE = 1 << 2;
        /// Can be pushed to a registry: the file is an OCI archive.
        const PUSH = 1 << 3;
    }
}

/// Choices of the user that formats honour.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to compress clusters.
    pub compression: Compression,
    /// Version of QCOW2 disks.
    pub qcow2_version: Qcow2Version,
    /// Bytes of a QCOW2 cluster: a power of two from 4 KiB to 2 MiB.
    pub qcow2_cluster_bytes: u64,
    /// Bytes per logical sector, 512 or 4096, in formats that record it.
    pub sector_size: u32,
    /// What every identifier in a file derives from.
    pub seed: [u8; 16],
    /// Seconds since 1970, for every time in a file.
    pub time: i64,
    /// OCI's name of the processor architecture ("amd64"), in formats that record it.
    pub architecture: String,
    /// The virtual machine, in formats that describe one.
    pub machine: Machine,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            qcow2_version: Qcow2Version::default(),
            qcow2_cluster_bytes: 1 << 16,
            sector_size: 512,
            seed: [0; 16],
            time: 0,
            architecture: "amd64".into(),
            machine: Machine::default(),
        }
    }
}

impl Options {
    /// A UUID of its own for `purpose`, in the form of a random one.
    pub(super) fn uuid(&self, purpose: &str) -> Uuid {
        let digest: [u8; 32] = Sha256::new().chain_update(self.seed).chain_update(purpose).finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Builder::from_random_bytes(half).into_uuid()
    }
}

/// A virtual machine that shall have the disk.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Firmware that boots it.
    pub firmware: Firmware,
    /// Whether UEFI verifies what it boots.
    pub secure_boot: bool,
    /// Name of the network its card is on.
    pub network: String,
    /// VMware's name of the operating system.
    pub guest: String,
}

/// Firmware of a virtual machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// UEFI.
    #[default]
    Efi,
    /// PC BIOS.
    Bios,
}

/// The values of bootc-image-builder.
impl Default for Machine {
    fn default() -> Self {
        Self {
            name: "VM".into(),
            cpus: 2,
            memory_mib: 4096,
            firmware: Firmware::Efi,
            secure_boot: false,
            network: "VM Network".into(),
            guest: "other26xLinux64Guest".into(),
        }
    }
}
