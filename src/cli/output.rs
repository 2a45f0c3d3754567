//! Arguments about files: where they go, how they are made, what describes them.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use diskwright_formats::writer::{Compression, Firmware, Qcow2Version};

use super::{Format, values};
use crate::write::{Choices, MachineChoices, Naming, Template};

/// What is written, and where to.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutArgs {
    /// Disk format; repeat it, or separate with commas, for several [default: qcow2]
    #[arg(short = 't', long = "type", value_name = "TYPE", value_delimiter = ',',
          value_parser = values::types(), hide_possible_values = true)]
    pub types: Vec<String>,
    /// Directory for the disks; each format has its own path below it
    #[arg(short, long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// Directory below that, in place of the format's own: text with {name}, {type}, {arch}, {ext}
    #[arg(long, value_name = "TEMPLATE")]
    pub output_dir: Option<Template>,
    /// File name, in place of the format's own path; the same placeholders, {ext} follows if not used
    #[arg(long, value_name = "TEMPLATE")]
    pub output_name: Option<Template>,
    /// Owner of the files and directories that are created
    #[arg(long, value_name = "UID[:GID]", value_parser = values::owner)]
    pub chown: Option<(u32, Option<u32>)>,
    /// Compute no digests of the files: large sparse ones take a second for every 2 GiB
    #[arg(long)]
    pub no_checksums: bool,
    /// What goes to standard output: the paths, or the record of all that was made
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// How clusters are compressed, in formats that can
    #[arg(long, value_name = "HOW", default_value = "zlib", value_parser = values::compressions())]
    pub compress: Compression,
    /// Version of qcow2: 2 for QEMU before 1.7, without zstd [default: 3]
    #[arg(long, value_name = "VERSION", value_parser = values::qcow2_versions())]
    pub qcow2_version: Option<Qcow2Version>,
    /// Size of a qcow2 cluster: a power of two from 4KiB to 2MiB [default: 64KiB]
    #[arg(long, value_name = "SIZE", value_parser = values::cluster_size)]
    pub qcow2_cluster_size: Option<u64>,
    /// Push the containerdisk to a registry: HOST/NAME:TAG
    #[arg(long, value_name = "REFERENCE")]
    pub push: Option<String>,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// The virtual machine, in formats that describe one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Virtual machine (ova; CPUs and memory: vagrant too)")]
pub struct MachineArgs {
    /// Name of the machine [default: VM]
    #[arg(long, value_name = "NAME")]
    pub vm_name: Option<String>,
    /// Virtual processors [default: 2]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub vm_cpus: Option<u32>,
    /// Memory, whole MiB [default: 4GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::memory)]
    pub vm_memory: Option<u64>,
    /// Firmware that boots it: efi or bios [default: what starts the disk, efi of both]
    #[arg(long, value_name = "FIRMWARE", value_parser = values::firmwares())]
    pub vm_firmware: Option<Firmware>,
    /// Whether UEFI verifies what it boots [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = clap::builder::BoolishValueParser::new())]
    pub vm_secure_boot: Option<bool>,
    /// Name of the network [default: VM Network]
    #[arg(long, value_name = "NAME")]
    pub vm_network: Option<String>,
    /// VMware's name of the operating system [default: other26xLinux64Guest]
    #[arg(long, value_name = "TYPE")]
    pub vm_guest_type: Option<String>,
}

impl OutArgs {
    /// What is asked of the library, but for types and the directory.
    pub(super) fn choices(&self) -> Choices {
        Choices {
            naming: Naming { dir: self.output_dir.clone(), name: self.output_name.clone() },
            no_checksums: self.no_checksums,
            qcow2_version: self.qcow2_version,
            qcow2_cluster_bytes: self.qcow2_cluster_size,
            machine: self.machine.choices(),
            push: self.push.clone(),
        }
    }
}

impl MachineArgs {
    fn choices(&self) -> MachineChoices {
        MachineChoices {
            name: self.vm_name.clone(),
            cpus: self.vm_cpus,
            memory_bytes: self.vm_memory,
            firmware: self.vm_firmware,
            secure_boot: self.vm_secure_boot,
            network: self.vm_network.clone(),
            guest: self.vm_guest_type.clone(),
        }
    }
}
