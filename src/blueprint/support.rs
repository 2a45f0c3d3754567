//! Which type of output takes which field: the one table behind the check before a build,
//! `diskwright describe` and the page in docs/.

use diskwright_formats::writer::Medium;

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
}

const INSTALLER: &str = "only installers have it; build the type iso or netboot";
const DISC: &str = "only installation media have it; build the type iso";
const ANACONDA: &str = "it configures Anaconda, which the type bootc-installer has; what is to be on the system is \
    asked for by the other customizations";
const COPIED: &str = "Anaconda installs the image as it is: bring it in the image, or say it in \
    customizations.installer.kickstart";

const BTRFS: &str = "btrfs cannot be written yet; ext4 can";

const NO_DISK: &str = "a system that runs from memory has no disk; build a disk or an installer";
const NO_BOOT: &str =
    "a system that runs from memory boots for the first time each time; build a disk or an installer";
const NO_FIPS: &str = "FIPS mode verifies the kernel that is on the disk; build a disk or an installer";
const NO_MENU: &str = "the menu is a template, to be changed where it is served";

const FLATPAKS: &str = "flatpaks are not put on media; install them in the image";

const DONE: Support = Support::Done;

const fn always(field: &'static str) -> Row {
    Row { field, disk: DONE, optical: DONE, network: DONE, anaconda: DONE, live: DONE }
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
    Row { field, disk: refused, optical: refused, network: refused, anaconda: refused, live: refused }
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
];

/// The row of a field.
#[must_use]
pub fn row(field: &str) -> Option<&'static Row> {
    let covers = |row: &&Row| {
        field.strip_prefix(row.field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    TABLE.iter().filter(covers).max_by_key(|row| row.field.len())
}

/// Whether an output on this medium honours the field.
///
/// # Errors
/// What to do instead.
pub fn of(field: &str, medium: Medium) -> Result<(), &'static str> {
    match row(field).map_or(Support::Done, |row| row.on(medium)) {
        Support::Done => Ok(()),
        Support::Refused(why) => Err(why),
    }
}

impl Row {
    /// What an output on this medium does with it.
    #[must_use]
    pub const fn on(&self, medium: Medium) -> Support {
        match medium {
            Medium::Disk => self.disk,
            Medium::Optical => self.optical,
            Medium::Network => self.network,
            Medium::Anaconda => self.anaconda,
            Medium::Live => self.live,
        }
    }
}
