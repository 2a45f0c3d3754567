//! What a user can choose of the files, whatever the disk is made of; what no format asked for would
//! honour is refused.

use anyhow::{Result, anyhow};
use diskwright_formats::writer::{FormatWriter, Options, Qcow2Version, Uses, WRITERS};

use super::{machine::MachineChoices, naming::Naming};
use crate::error::{ErrorKind, Hint};

/// Choices about files; `None` leaves it to the format.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// How files get their paths.
    pub naming: Naming,
    /// Leave out the digests of the files.
    pub no_checksums: bool,
    /// Version of QCOW2 disks.
    pub qcow2_version: Option<Qcow2Version>,
    /// Bytes of a cluster of QCOW2 disks.
    pub qcow2_cluster_bytes: Option<u64>,
    /// The virtual machine, in formats that describe one.
    pub machine: MachineChoices,
    /// Where in a registry the disk goes, in formats that can.
    pub push: Option<String>,
}

impl Choices {
    /// That each choice means something to one of the formats at least.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`], naming the flag and the formats that know it.
    pub fn check(&self, writers: &[&dyn FormatWriter]) -> Result<()> {
        let used = writers.iter().fold(Uses::empty(), |all, writer| all.union(writer.uses()));
        for (flag, is_given, uses) in self.flags() {
            if is_given && !used.contains(uses) {
                return Err(no_use(flag, uses));
            }
        }
        self.machine.check()
    }

    fn flags(&self) -> [(&'static str, bool, Uses); 10] {
        let machine = &self.machine;
        [
            ("--qcow2-version", self.qcow2_version.is_some(), Uses::QCOW2),
            ("--qcow2-cluster-size", self.qcow2_cluster_bytes.is_some(), Uses::QCOW2),
            ("--push", self.push.is_some(), Uses::PUSH),
            ("--vm-cpus", machine.cpus.is_some(), Uses::MACHINE_SIZE),
            ("--vm-memory", machine.memory_bytes.is_some(), Uses::MACHINE_SIZE),
            ("--vm-name", machine.name.is_some(), Uses::MACHINE),
            ("--vm-firmware", machine.firmware.is_some(), Uses::MACHINE),
            ("--vm-secure-boot", machine.secure_boot.is_some(), Uses::MACHINE),
            ("--vm-network", machine.network.is_some(), Uses::MACHINE),
            ("--vm-guest-type", machine.guest.is_some(), Uses::MACHINE),
        ]
    }

    /// `options` with what was chosen.
    #[must_use]
    pub fn applied(&self, options: Options) -> Options {
        Options {
            qcow2_version: self.qcow2_version.unwrap_or(options.qcow2_version),
            qcow2_cluster_bytes: self.qcow2_cluster_bytes.unwrap_or(options.qcow2_cluster_bytes),
            machine: self.machine.applied(options.machine),
            ..options
        }
    }
}

fn no_use(flag: &str, uses: Uses) -> anyhow::Error {
    let knowing = WRITERS.iter().filter(|writer| writer.uses().contains(uses));
    let names: Vec<_> = knowing.map(|writer| writer.spec().name).collect();
    let error = anyhow!("{flag} means nothing to the types that are asked for");
    error.context(Hint(format!("types that know it: {}", names.join(", ")))).context(ErrorKind::Usage)
}

#[cfg(test)]
mod tests {
    use diskwright_formats::writer::by_name;

    use super::*;

    fn check(choices: &Choices, types: &[&str]) -> String {
        let writers: Vec<_> = types.iter().map(|name| by_name(name).unwrap()).collect();
        choices.check(&writers).map_or_else(|error| crate::error::hints(&error).concat(), |()| "fine".into())
    }

    #[test]
    fn a_choice_without_a_format_that_knows_it_is_refused() {
        let version = Choices { qcow2_version: Some(Qcow2Version::V2), ..Choices::default() };
        assert_eq!(check(&version, &["raw", "oci"]), "fine");
        assert_eq!(check(&version, &["raw", "vmdk"]), "types that know it: qcow2, oci");
        let mut machine = Choices::default();
        machine.machine.cpus = Some(2);
        assert_eq!(check(&machine, &["vagrant"]), "fine");
        machine.machine.name = Some("x".into());
        assert_eq!(check(&machine, &["vagrant"]), "types that know it: ova");
        assert_eq!(check(&machine, &["ova", "qcow2"]), "fine");
    }
}
