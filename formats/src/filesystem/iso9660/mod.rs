//! ISO 9660 with Rock Ridge, for media that machines boot from.
//!
//! ```text
//! system area | primary | boot record | end | El Torito | path tables | directories | files ...
//! 16 sectors  | 16      | 17          | 18  | 19        | each in both byte orders, areas behind each
//! ```
//!
//! The system area is not part of what is made here: partition tables go
//! there. A file of more than 4 GiB has several extents (level 3), one after
//! the other; a hard link is one file with several names. What BIOS boots is a
//! file of the tree, what UEFI boots lies anywhere on the medium.
//!
//! Sources: ECMA-119 (ISO 9660), 4th edition; SUSP and RRIP 1.12; El Torito 1.0.
//! Left out on purpose: Joliet, relocation of deep directories (readers of Rock
//! Ridge need none), extended attributes (an error), holes (they are zeros).

mod emit;
mod layout;
mod names;
mod ondisk;
mod susp;
mod time;

use std::ops::Range;

pub use self::layout::Layout;
use crate::{
    Error, Result,
    sparse::Sparse,
    tree::{NodeId, Time, Tree},
};

/// Bytes before the volume: room for partition tables and boot code.
pub const SYSTEM_AREA: u64 = ondisk::SYSTEM_SECTORS as u64 * ondisk::SECTOR;
/// Bytes of a sector.
pub const SECTOR: u64 = ondisk::SECTOR;

/// What makes one medium distinct from another of the same content.
#[derive(Clone, Copy, Debug)]
pub struct Volume<'a> {
    /// Volume id: 32 letters, digits, underscores, hyphens and dots at most.
    pub id: &'a str,
    /// Who made it: 128 printable characters at most.
    pub publisher: &'a str,
    /// What made it: 128 printable characters at most.
    pub application: &'a str,
    /// When it was made.
    pub time: Time,
    /// Bytes of the whole medium, with what lies behind the files.
    pub size: u64,
}

/// What firmware boots.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// A regular file of the tree, for BIOS.
    pub bios: Option<NodeId>,
    /// Bytes of the medium that are an EFI system partition, from a multiple of [`SECTOR`] on.
    pub efi: Option<Range<u64>>,
}

/// The bytes of the medium from [`SYSTEM_AREA`] to the end of the layout, which is the tree's.
///
/// # Errors
/// [`Error::Unsupported`] for texts that the volume's descriptor cannot hold; what
/// [`Sparse::place`] says of a tree that has changed since it was laid out.
pub fn write(tree: &Tree, layout: &Layout, volume: &Volume<'_>, boot: &Boot) -> Result<Sparse> {
    volume.check()?;
    emit::emit(tree, layout, volume, boot)
}

impl Volume<'_> {
    fn check(&self) -> Result<()> {
        // more than ECMA-119 allows, as everything that looks for volume ids does
        let is_d = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let is_a = |c: char| c.is_ascii_graphic() || c == ' ';
        let plain = |text: &str| text.chars().all(is_a);
        let printable = "printable characters of ASCII";
        for (name, text, longest, is_plain, what) in [
            (
                "volume id",
                self.id,
                32,
                self.id.chars().all(is_d),
                "letters, digits, underscores, hyphens and dots",
            ),
            ("publisher", self.publisher, 128, plain(self.publisher), printable),
            ("application", self.application, 128, plain(self.application), printable),
        ] {
            if text.len() > longest || !is_plain {
                let why = format!("{longest} {what} at most");
                return Err(Error::Unsupported { what: format!("{name} '{text}'"), why });
            }
        }
        Ok(())
    }
}
