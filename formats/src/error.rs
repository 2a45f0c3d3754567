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
