//! What a user can choose of the virtual machine that formats describe.

use anyhow::{Result, anyhow};
use diskwright_formats::writer::{Firmware, Machine};

use crate::error::{ErrorKind, Hint};

/// Choices about a virtual machine.
#[derive(Clone, Debug, Default)]
pub struct MachineChoices {
    /// Its name.
    pub name: Option<String>,
    /// Virtual processors.
    pub cpus: Option<u32>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Firmware that boots it.
    pub firmware: Option<Firmware>,
    /// Whether UEFI verifies what it boots.
    pub secure_boot: Option<bool>,
    /// Name of the network its card is on.
    pub network: Option<String>,
    /// VMware's name of the operating system.
    pub guest: Option<String>,
}

impl MachineChoices {
    /// These, and for what they leave open those of `below`.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            name: self.name.or(below.name),
            cpus: self.cpus.or(below.cpus),
            memory_bytes: self.memory_bytes.or(below.memory_bytes),
            firmware: self.firmware.or(below.firmware),
            secure_boot: self.secure_boot.or(below.secure_boot),
            network: self.network.or(below.network),
            guest: self.guest.or(below.guest),
        }
    }

    /// That they do not contradict each other.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`].
    pub fn check(&self) -> Result<()> {
        if self.firmware == Some(Firmware::Bios) && self.secure_boot == Some(true) {
            let error = anyhow!("Secure Boot of the virtual machine: a BIOS has no Secure Boot");
            return Err(error.context(Hint("leave out --vm-firmware bios".into())).context(ErrorKind::Usage));
        }
        Ok(())
    }

    pub(super) fn applied(&self, machine: Machine) -> Machine {
        let chosen = self.clone();
        Machine {
            name: chosen.name.unwrap_or(machine.name),
            cpus: chosen.cpus.unwrap_or(machine.cpus),
            memory_mib: chosen.memory_bytes.map_or(machine.memory_mib, |bytes| bytes >> 20),
            firmware: chosen.firmware.unwrap_or(machine.firmware),
            secure_boot: chosen.secure_boot.unwrap_or(machine.secure_boot),
            network: chosen.network.unwrap_or(machine.network),
            guest: chosen.guest.unwrap_or(machine.guest),
        }
    }
}
