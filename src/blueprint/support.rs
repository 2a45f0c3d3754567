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
}

const MEDIUM: &str = "only installers have it; build the type iso or netboot";
const DISC: &str = "only installation media have it; build the type iso";
const ANACONDA: &str = "it configures Anaconda, which is not used; what is to be on the system is asked for by the \
    other customizations";

const BTRFS: &str = "btrfs cannot be written yet; ext4 can";

const fn always(field: &'static str) -> Row {
    Row { field, disk: Support::Done, optical: Support::Done, network: Support::Done }
}

const fn installer(field: &'static str) -> Row {
    Row { field, disk: Support::Refused(MEDIUM), optical: Support::Done, network: Support::Done }
}

const fn disc(field: &'static str) -> Row {
    let refused = Support::Refused(DISC);
    Row { field, disk: refused, optical: Support::Done, network: refused }
}

const fn never(field: &'static str, why: &'static str) -> Row {
    let refused = Support::Refused(why);
    Row { field, disk: refused, optical: refused, network: refused }
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
    installer("customizations.installer.unattended"),
    installer("customizations.installer.bootloader.grub2.menu-timeout"),
    never("customizations.installer.kickstart", ANACONDA),
    never("customizations.installer.modules", ANACONDA),
    never("customizations.installer.payload.flatpaks", ANACONDA),
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
        }
    }
}
