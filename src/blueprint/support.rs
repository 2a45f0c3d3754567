//! Which type of output takes which field: the one table behind the check before a build,
//! `diskwright describe` and the page in docs/.

use diskwright_formats::writer::{FormatWriter, Medium, Uses};

/// What an output does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It is done.
    Done,
    /// It is refused; what to do instead.
    Refused(&'static str),
}

/// A field with everything below it, unless a longer row matches.
#[derive(Debug)]
pub struct Row {
    /// Names joined by dots, without indices of lists.
    pub field: &'static str,
    /// What a disk does with it.
    pub disk: Support,
    /// What installation media do with it.
    pub optical: Support,
    /// It is not for the disk, but for what goes with it: done if one of the types makes use of it.
    pub uses: Uses,
}

const MEDIUM: &str = "only installation media have it; build the type iso";
const ANACONDA: &str = "it configures Anaconda, which is not used; what is to be on the system is asked for by the \
    other customizations";

const MACHINE: &str = "only a type that describes a machine has it; build the type ova";
const MACHINE_SIZE: &str = "only a type that describes a machine has it; build the type ova or vagrant";

const BTRFS: &str = "btrfs cannot be written yet; ext4 can";

const fn always(field: &'static str) -> Row {
    Row { field, disk: Support::Done, optical: Support::Done, uses: Uses::empty() }
}

const fn medium(field: &'static str) -> Row {
    Row { disk: Support::Refused(MEDIUM), ..always(field) }
}

const fn never(field: &'static str, why: &'static str) -> Row {
    Row { disk: Support::Refused(why), optical: Support::Refused(why), ..always(field) }
}

const fn machine(field: &'static str, uses: Uses, why: &'static str) -> Row {
    Row { uses, ..never(field, why) }
}

/// Every field of the schema, by its own row or that of what it is in.
pub static TABLE: &[Row] = &[
    always("name"),
    always("description"),
    always("version"),
    always("customizations.user"),
    always("customizations.group"),
    always("customizations.sshkey"),
    always("customizations.hostname"),
    always("customizations.kernel.append"),
    always("customizations.directories"),
    always("customizations.files"),
    always("customizations.filesystem"),
    always("customizations.disk"),
    never("customizations.disk.partitions.subvolumes", BTRFS),
    always("customizations.timezone"),
    always("customizations.locale"),
    always("customizations.services"),
    always("customizations.firewall"),
    always("customizations.sshd"),
    always("customizations.fips"),
    always("customizations.cacerts"),
    always("customizations.ignition"),
    always("customizations.cloud_init"),
    always("customizations.bootloader.grub2"),
    always("customizations.installer.sudo-nopasswd"),
    medium("customizations.installer.unattended"),
    medium("customizations.installer.bootloader.grub2.menu-timeout"),
    never("customizations.installer.kickstart", ANACONDA),
    never("customizations.installer.modules", ANACONDA),
    never("customizations.installer.payload.flatpaks", ANACONDA),
    medium("customizations.iso"),
    machine("vm", Uses::MACHINE, MACHINE),
    machine("vm.cpus", Uses::MACHINE_SIZE, MACHINE_SIZE),
    machine("vm.memory", Uses::MACHINE_SIZE, MACHINE_SIZE),
];

/// The row of a field.
#[must_use]
pub fn row(field: &str) -> Option<&'static Row> {
    let covers = |row: &&Row| {
        field.strip_prefix(row.field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    TABLE.iter().filter(covers).max_by_key(|row| row.field.len())
}

/// The first of the types that has no use for the field, and what to do instead. One type that makes
/// use of what is not for the disk is enough, as others have no place for it.
#[must_use]
pub fn refusal<'a>(
    field: &str,
    writers: &[&'a dyn FormatWriter],
) -> Option<(&'a dyn FormatWriter, &'static str)> {
    let row = row(field)?;
    let refused = |writer: &&'a dyn FormatWriter| match row.on(*writer) {
        Support::Refused(why) => Some((*writer, why)),
        Support::Done => None,
    };
    let is_enough = !row.uses.is_empty() && writers.iter().any(|writer| refused(writer).is_none());
    if is_enough { None } else { writers.iter().find_map(refused) }
}

impl Row {
    /// What this type does with it.
    #[must_use]
    pub fn on(&self, writer: &dyn FormatWriter) -> Support {
        match writer.spec().medium {
            _ if !self.uses.is_empty() && writer.uses().contains(self.uses) => Support::Done,
            Medium::Disk => self.disk,
            Medium::Optical => self.optical,
        }
    }
}
