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
    /// What installations from a network do with it.
    pub network: Support,
    /// What media of Anaconda do with it.
    pub anaconda: Support,
    /// What systems that run from memory do with it.
    pub live: Support,
    /// It is not for the disk, but for what goes with it: done if one of the types makes use of it.
    pub uses: Uses,
}

const INSTALLER: &str = "only installers have it; build the type iso or netboot";
const DISC: &str = "only installation media have it; build the type iso";
const ANACONDA: &str = "it configures Anaconda, which the type bootc-installer has; what is to be on the system is \
    asked for by the other customizations";
const COPIED: &str = "Anaconda installs the image as it is: bring it in the image, or say it in \
    customizations.installer.kickstart";

const MACHINE: &str = "only a type that describes a machine has it; build the type ova";
const MACHINE_SIZE: &str = "only a type that describes a machine has it; build the type ova or vagrant";

const BTRFS: &str = "btrfs cannot be written yet; ext4 can";

const NO_DISK: &str = "a system that runs from memory has no disk; build a disk or an installer";
const NO_BOOT: &str =
    "a system that runs from memory boots for the first time each time; build a disk or an installer";
const NO_FIPS: &str = "FIPS mode verifies the kernel that is on the disk; build a disk or an installer";
const NO_MENU: &str = "the menu is a template, to be changed where it is served";

const FLATPAKS: &str = "flatpaks are not put on media; install them in the image";

const DONE: Support = Support::Done;

const fn always(field: &'static str) -> Row {
    Row { field, disk: DONE, optical: DONE, network: DONE, anaconda: DONE, live: DONE, uses: Uses::empty() }
}

/// What is written into the system, which Anaconda copies as it is.
const fn written(field: &'static str) -> Row {
    Row { anaconda: Support::Refused(COPIED), ..always(field) }
}

/// As [`written`], of systems that have a disk.
const fn stored(field: &'static str, why: &'static str) -> Row {
    Row { live: Support::Refused(why), ..written(field) }
}

const fn installer(field: &'static str) -> Row {
    let refused = Support::Refused(INSTALLER);
    Row { disk: refused, live: refused, ..always(field) }
}

const fn disc(field: &'static str) -> Row {
    let refused = Support::Refused(DISC);
    Row { disk: refused, network: refused, live: refused, ..always(field) }
}

/// What only Anaconda knows.
const fn kickstart(field: &'static str) -> Row {
    Row { anaconda: DONE, ..never(field, ANACONDA) }
}

const fn never(field: &'static str, why: &'static str) -> Row {
    let refused = Support::Refused(why);
    Row {
        disk: refused,
        optical: refused,
        network: refused,
        anaconda: refused,
        live: refused,
        ..always(field)
    }
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
    written("customizations.directories"),
    written("customizations.files"),
    stored("customizations.filesystem", NO_DISK),
    stored("customizations.disk", NO_DISK),
    stored("customizations.partitioning_mode", NO_DISK),
    never("customizations.disk.partitions.subvolumes", BTRFS),
    always("customizations.timezone"),
    written("customizations.timezone.ntpservers"),
    always("customizations.locale"),
    written("customizations.services"),
    written("customizations.firewall"),
    written("customizations.sshd"),
    Row { live: Support::Refused(NO_FIPS), ..always("customizations.fips") },
    written("customizations.cacerts"),
    stored("customizations.ignition", NO_BOOT),
    written("customizations.cloud_init"),
    stored("customizations.bootloader.grub2", NO_MENU),
    always("customizations.installer.sudo-nopasswd"),
    installer("customizations.installer.unattended"),
    installer("customizations.installer.bootloader.grub2.menu-timeout"),
    kickstart("customizations.installer.kickstart"),
    kickstart("customizations.installer.modules"),
    never("customizations.installer.payload.flatpaks", FLATPAKS),
    disc("customizations.iso"),
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
            Medium::Network => self.network,
            Medium::Anaconda => self.anaconda,
            Medium::Live => self.live,
        }
    }
}
