//! What is on a disk, as far as a person must know before it is overwritten.
//!
//! Read are the partition tables and the magic numbers of filesystems that
//! people put on whole disks. Anything else that is not zero is "data".

use std::{fmt, fs::File, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use anyhow::{Context, Result};
use diskwright_formats::{data::Data, partition::gpt};

/// Bytes at the start that are looked at. Filesystems and volume managers all mark them.
const HEAD: usize = 1 << 20;
/// Name, offset and bytes by which content is known.
const MAGIC: [(&str, usize, &[u8]); 7] = [
    ("an ISO 9660 filesystem", 0x8001, b"CD001"),
    ("an ext filesystem", 0x438, &[0x53, 0xef]),
    ("an XFS filesystem", 0, b"XFSB"),
    ("a btrfs filesystem", 0x10040, b"_BHRfS_M"),
    ("an LVM volume", 512, b"LABELONE"),
    ("an encrypted volume", 0, b"LUKS\xba\xbe"),
    ("an MBR partition table", 510, &[0x55, 0xaa]),
];

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing but zeros where anything would begin.
    Empty,
    /// A GUID partition table with these partition names.
    Partitions(Vec<String>),
    /// Something else, in words.
    Other(&'static str),
}

impl Contents {
    /// Whether there is something to lose.
    pub(crate) const fn is_data(&self) -> bool {
        !matches!(self, Self::Empty)
    }

    /// Looks at the device or file at `path`, of `size` bytes.
    pub(crate) fn of(path: &Path, size: u64) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut head = vec![0; HEAD.min(usize::try_from(size).unwrap_or(HEAD))];
        file.read_exact_at(&mut head, 0).with_context(|| format!("reading {}", path.display()))?;
        let disk = Data::from_source(Arc::new(file), 0, size);
        if let Some(layout) = gpt::read(&disk).layout {
            return Ok(Self::Partitions(
                layout.partitions.into_iter().map(|partition| partition.name).collect(),
            ));
        }
        let is_there =
            |&&(_, at, magic): &&(&str, usize, &[u8])| head.get(at..at + magic.len()) == Some(magic);
        Ok(match MAGIC.iter().find(is_there) {
            Some((name, ..)) => Self::Other(name),
            None if head.iter().all(|&byte| byte == 0) => Self::Empty,
            None => Self::Other("data of an unknown kind"),
        })
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Partitions(names) if names.is_empty() => f.write_str("an empty partition table"),
            Self::Partitions(names) => {
                let names: Vec<_> =
                    names.iter().filter(|name| !name.is_empty()).map(String::as_str).collect();
                let s = if names.len() == 1 { "" } else { "s" };
                write!(f, "partition{s} {}", names.join(", "))
            }
            Self::Other(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(at: u64, bytes: &[u8]) -> Contents {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        file.as_file().write_all_at(bytes, at).unwrap();
        Contents::of(file.path(), 4 << 20).unwrap()
    }

    #[test]
    fn an_empty_disk_is_empty_and_any_byte_at_its_start_is_data() {
        assert_eq!(contents(0, &[0]), Contents::Empty);
        assert!(contents(700_000, &[1]).is_data());
    }

    #[test]
    fn filesystems_are_known_by_their_magic() {
        for (name, at, magic) in MAGIC {
            assert_eq!(contents(at as u64, magic), Contents::Other(name));
        }
    }
}
