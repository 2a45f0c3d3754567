//! What firmware starts a disk, read from the disk itself: EFI loaders on its EFI system partition, and
//! code for a BIOS. A machine that is described beside the disk must be able to start it.
//!
//! Source: UEFI Specification 2.10, section 3.5.1.1 "Removable Media Boot Behavior", for the names of
//! loaders; Microsoft, "PE Format", sections "Optional Header" and "The Attribute Certificate Table".

use std::sync::Arc;

use anyhow::{Result, anyhow};
use diskwright_formats::{
    data::Data,
    disk::{Layout, Partition},
    filesystem,
    partition::{BOOT_CODE_BYTES, gpt, mbr},
    sparse::Sparse,
    tree::{Kind, NodeId, Tree},
    writer::{Firmware, Machine},
};
use uuid::{Uuid, uuid};

use crate::error::{ErrorKind, Hint};

const ESP_TYPE: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const BIOS_BOOT_TYPE: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// Loaders that firmware starts without being told, by OCI's names of architectures.
const LOADERS: [(&str, &str); 3] =
    [("BOOTX64.EFI", "amd64"), ("BOOTAA64.EFI", "arm64"), ("BOOTRISCV64.EFI", "riscv64")];
/// A PE header ends before.
const PE_HEAD_BYTES: u64 = 4096;

/// An EFI loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loader {
    /// OCI's name of its architecture.
    pub architecture: &'static str,
    /// Whether it carries a signature, whoever made that.
    pub is_signed: bool,
}

/// What there is on a disk for firmware to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Startup {
    /// For UEFI.
    pub loaders: Vec<Loader>,
    /// For a BIOS.
    pub has_bios_code: bool,
}

impl Startup {
    /// A disk that cannot be read has nothing.
    #[must_use]
    pub fn read(disk: &Sparse) -> Self {
        let bytes = Data::from_source(Arc::new(disk.clone()), 0, disk.len());
        let gpt::Table { layout, boot_code, .. } = gpt::read(&bytes);
        // The partition alone may be mere room for a bootloader.
        let is_for_bios = |partition: &Partition| partition.type_uuid == BIOS_BOOT_TYPE;
        let has_room = |layout: &Layout| layout.partitions.iter().any(is_for_bios);
        match layout {
            Some(layout) => Self {
                has_bios_code: boot_code.is_some() && has_room(&layout),
                loaders: all_loaders(&bytes, &layout),
            },
            None => mbr::read(&bytes).map_or_else(Self::default, |layout| Self {
                has_bios_code: has_boot_code(&bytes),
                loaders: all_loaders(&bytes, &layout),
            }),
        }
    }

    /// The names of the firmware that starts it.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let found = [(!self.loaders.is_empty(), "uefi"), (self.has_bios_code, "bios")];
        found.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
    }

    /// What a machine made for the disk starts it with. UEFI where both could, or where nothing is known.
    #[must_use]
    pub const fn firmware(&self) -> Firmware {
        if self.is_for_bios_alone() { Firmware::Bios } else { Firmware::Efi }
    }

    const fn is_for_bios_alone(&self) -> bool {
        self.has_bios_code && self.loaders.is_empty()
    }

    /// That the machine starts the disk, as far as that can be told.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] with the reason.
    pub fn check(&self, machine: &Machine) -> Result<()> {
        let is_signed = self.loaders.is_empty() || self.loaders.iter().any(|loader| loader.is_signed);
        let (what, why, hint) = if machine.secure_boot && self.is_for_bios_alone() {
            ("Secure Boot", "the disk starts by BIOS alone, which has none", "leave it out")
        } else if machine.secure_boot && !is_signed {
            let why = "the EFI loader of the image is not signed";
            ("Secure Boot", why, "leave it out, or put a signed shim into the image")
        } else if machine.firmware == Firmware::Efi && self.is_for_bios_alone() {
            ("firmware efi", "the disk starts by BIOS alone", "leave it out, or say bios")
        } else if machine.firmware == Firmware::Bios && !self.loaders.is_empty() && !self.has_bios_code {
            ("firmware bios", "the disk starts by UEFI alone", "leave it out, or say efi")
        } else {
            return Ok(());
        };
        let error = anyhow!("{what} of the virtual machine: {why}");
        Err(error.context(Hint(hint.to_owned())).context(ErrorKind::Input))
    }
}

fn has_boot_code(disk: &Data) -> bool {
    let mut code = [0; BOOT_CODE_BYTES];
    disk.read_exact_at(&mut code, 0).is_ok() && code != [0; BOOT_CODE_BYTES]
}

fn all_loaders(disk: &Data, layout: &Layout) -> Vec<Loader> {
    let is_esp = |partition: &&Partition| {
        let end = partition.offset.checked_add(partition.size);
        partition.type_uuid == ESP_TYPE && end.is_some_and(|end| end <= disk.len())
    };
    let trees = layout.partitions.iter().filter(is_esp).filter_map(|partition| {
        filesystem::read(&disk.slice(partition.offset, partition.size)).map(|contents| contents.tree)
    });
    trees.flat_map(|tree| loaders(&tree)).collect()
}

/// FAT names have no case.
fn loaders(tree: &Tree) -> Vec<Loader> {
    let directory = child(tree, tree.root(), "EFI").and_then(|efi| child(tree, efi, "BOOT"));
    let Some(directory) = directory else { return Vec::new() };
    let found = |(name, architecture)| {
        let node = child(tree, directory, name)?;
        let is_signed = matches!(&tree.node(node).kind, Kind::File(content) if is_signed(content));
        Some(Loader { architecture, is_signed })
    };
    LOADERS.into_iter().filter_map(found).collect()
}

fn child(tree: &Tree, directory: NodeId, name: &str) -> Option<NodeId> {
    let mut children = tree.children(directory)?.iter();
    children.find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, node)| *node)
}

/// Whether a PE file has a table of certificates: the fifth of its data directories.
fn is_signed(content: &Sparse) -> bool {
    let mut head = vec![0; content.len().min(PE_HEAD_BYTES) as usize];
    let is_read = content.read_exact_at(&mut head, 0).is_ok();
    is_read && certificates(&head).is_some_and(|end| end <= content.len())
}

/// Where the table of certificates of a PE file ends, if it has one.
fn certificates(head: &[u8]) -> Option<u64> {
    let number = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let header = number(0x3c)? as usize;
    let optional = header.checked_add(24)?;
    let is_pe = head.get(header..)?.starts_with(b"PE\0\0");
    let directories = match head.get(optional..optional + 2)? {
        [0x0b, 1] => optional + 96,
        [0x0b, 2] => optional + 112,
        _ => return None,
    };
    let (offset, len) = (number(directories + 32)?, number(directories + 36)?);
    (is_pe && len > 0).then(|| u64::from(offset) + u64::from(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(uefi: Option<bool>, has_bios_code: bool) -> Startup {
        let loader = |is_signed| Loader { architecture: "amd64", is_signed };
        Startup { loaders: uefi.map(loader).into_iter().collect(), has_bios_code }
    }

    #[test]
    fn a_machine_is_refused_where_its_firmware_finds_nothing() {
        let machine = |firmware, secure_boot| Machine { firmware, secure_boot, ..Machine::default() };
        let (efi, bios) = (machine(Firmware::Efi, false), machine(Firmware::Bios, false));
        let secure = machine(Firmware::Efi, true);
        for (startup, fits) in [
            (startup(Some(true), true), [true, true, true]),
            (startup(Some(false), true), [true, true, false]),
            (startup(Some(true), false), [true, false, true]),
            (startup(None, true), [false, true, false]),
            (startup(None, false), [true, true, true]),
        ] {
            let found = [&efi, &bios, &secure].map(|machine| startup.check(machine).is_ok());
            assert_eq!(found, fits, "{startup:?}");
            let own = machine(startup.firmware(), false);
            startup.check(&own).unwrap();
        }
    }

    #[test]
    fn what_is_no_pe_file_is_not_signed() {
        let cut = |len: usize| [b"MZ".as_slice(), &[0xff; 0x200]].concat()[..len].to_vec();
        for bytes in [Vec::new(), b"shim".to_vec(), cut(0x40), cut(0x100), vec![0; 512]] {
            assert!(!is_signed(&Sparse::from_bytes(bytes)));
        }
    }
}
