//! The errors of this crate: one variant for each thing a user can act on.

use std::io;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong while bytes are laid out or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed; `doing` is a participle ("reading layer content").
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Two pieces claim the same bytes: a mistake in a layout, found before it is on a disk.
    #[error("layout overlap at byte {offset}: a piece of {len} bytes meets another")]
    Overlap {
        /// Where the second piece starts, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        len: u64,
    },
    /// A piece reaches past the end of its space.
    #[error("layout beyond the end: {len} bytes at byte {offset} of {end}")]
    Beyond {
        /// Where the piece starts, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        len: u64,
        /// How long the space is, in bytes.
        end: u64,
    },
    /// The content does not fit the size that was asked for.
    #[error("{what} needs {needed} bytes, {given} were given")]
    TooSmall {
        /// What does not fit ("ext4 filesystem 'root'").
        what: String,
        /// Smallest size that holds the content, in bytes.
        needed: u64,
        /// The size asked for, in bytes.
        given: u64,
    },
    /// A value is past what the format can hold.
    #[error("{what}: {found} is past the limit of {allowed}")]
    Limit {
        /// Path or field, and what about it ("usr/x: extended attributes, bytes").
        what: String,
        /// The value found.
        found: u64,
        /// The largest value allowed.
        allowed: u64,
    },
    /// Something this format cannot express at all.
    #[error("{what}: {why}")]
    Unsupported {
        /// Path or field.
        what: String,
        /// The reason, and an alternative where there is one.
        why: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was being done (a participle phrase).
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// Something wrong with bytes that were read back. Reading goes on where it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether something is broken; else it is only unusual.
    pub is_error: bool,
    /// Structure, path or offset ("inode 12", "/etc/fstab", "backup header").
    pub place: String,
    /// What is wrong with it, found versus expected.
    pub what: String,
}

/// The faults of one reading, at most [`Faults::MAX`] of them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    dropped: usize,
}

impl Faults {
    /// More than this many are counted, not kept.
    pub const MAX: usize = 1000;

    /// Notes that something is broken.
    pub fn error(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.add(true, place.into(), what.into());
    }

    /// Notes that something is unusual.
    pub fn warning(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.add(false, place.into(), what.into());
    }

    fn add(&mut self, is_error: bool, place: String, what: String) {
        if self.list.len() < Self::MAX {
            self.list.push(Fault { is_error, place, what });
        } else {
            self.dropped += 1;
        }
    }

    /// The faults in the order they were found; a last one says how many more there are.
    #[must_use]
    pub fn into_list(mut self) -> Vec<Fault> {
        if self.dropped > 0 {
            let what = format!("{} more faults", self.dropped);
            self.list.push(Fault { is_error: true, place: "here and elsewhere".into(), what });
        }
        self.list
    }
}
