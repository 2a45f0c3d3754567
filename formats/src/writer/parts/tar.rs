//! Tar archives with members of known or later known length.
//!
//! ```text
//! header (512) | content, to a multiple of 512 | ... | zeros (1024), to a multiple of 10240
//! ```
//!
//! Source: POSIX pax, section "ustar Interchange Format"; GNU tar manual,
//! "Basic Tar Format", for the older GNU magic and lengths past 8 GiB.

use crate::{Error, Result, data::Data, sparse::Sparse, units::round_up};

/// Unit of headers and contents.
pub(crate) const BLOCK: u64 = 512;
/// Unit of whole archives, tar's default.
const RECORD: u64 = 20 * BLOCK;
/// Two blocks of zeros end an archive.
const END: u64 = 2 * BLOCK;
/// Largest number that eleven octal digits hold.
const MAX_OCTAL: u64 = (1 << 33) - 1;

/// Which magic a header has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Ustar,
    OldGnu,
}

/// One member's header.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    /// Name of at most 100 bytes; a directory's ends in a slash.
    pub(crate) name: &'a str,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970.
    pub(crate) time: i64,
    pub(crate) flavour: Flavour,
}

impl<'a> Member<'a> {
    /// A file of root that all may read, in POSIX's format.
    pub(crate) const fn file(name: &'a str, size: u64, time: i64) -> Self {
        Self { name, size, mode: 0o644, uid: 0, gid: 0, time, flavour: Flavour::Ustar }
    }

    /// Header and content, padded: what the member takes of an archive.
    pub(crate) const fn space(&self) -> u64 {
        BLOCK + round_up(self.size, BLOCK)
    }

    /// The header block.
    pub(crate) fn header(&self) -> Result<[u8; BLOCK as usize]> {
        let kind = if self.name.ends_with('/') { b'5' } else { b'0' };
        self.fields(kind).map(with_sum)
    }

    /// The header block of a member of this kind, without its sum.
    pub(super) fn fields(&self, kind: u8) -> Result<[u8; BLOCK as usize]> {
        let mut header = [0; BLOCK as usize];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        if self.name.len() > 100 {
            let what = format!("{}: name in a tar archive, bytes", self.name);
            return Err(Error::Limit { what, found: self.name.len() as u64, allowed: 100 });
        }
        put(0, self.name.as_bytes());
        put(100, octal(u64::from(self.mode), 7).as_bytes());
        put(108, octal(u64::from(self.uid), 7).as_bytes());
        put(116, octal(u64::from(self.gid), 7).as_bytes());
        put(124, &number(self.size));
        put(136, &number(u64::try_from(self.time).unwrap_or(0)));
        put(156, &[kind]);
        match self.flavour {
            Flavour::Ustar => put(257, b"ustar\x0000"),
            Flavour::OldGnu => put(257, b"ustar  \0"),
        }
        Ok(header)
    }
}

/// The block with the sum of its bytes, in which the sum's own count as spaces.
pub(super) fn with_sum(mut header: [u8; BLOCK as usize]) -> [u8; BLOCK as usize] {
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

fn octal(value: u64, digits: usize) -> String {
    format!("{value:0digits$o}")
}

/// Eleven octal digits, or past them the twelve bytes of GNU's binary form.
pub(super) fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value <= MAX_OCTAL {
        field[..11].copy_from_slice(octal(value, 11).as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
    field
}

/// Length of an archive whose members take `used` bytes.
pub(crate) const fn archive_len(used: u64) -> u64 {
    round_up(used + END, RECORD)
}

/// An archive of these members, each of its content's length.
pub(crate) fn archive(members: &[(Member<'_>, &Sparse)]) -> Result<Sparse> {
    let used = members.iter().map(|(member, _)| member.space()).sum();
    let mut archive = Sparse::new(archive_len(used));
    let mut at = 0;
    for (member, content) in members {
        archive.insert(at, Data::from_bytes(member.header()?))?;
        archive.place(at + BLOCK, content)?;
        at += member.space();
    }
    Ok(archive)
}
