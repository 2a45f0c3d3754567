//! What machines load from a network: kernel, initramfs, root filesystem and bootloader, in one archive.

use super::{
    FormatWriter, Medium, Options, Output, Progress, Spec,
    parts::{
        append::Append,
        tar::{self, Member},
        xz,
    },
};
use crate::{Result, sparse::Sparse};

static SPEC: Spec = Spec {
    name: "pxe-tar-xz",
    aliases: &[],
    path: "xz/pxe.tar.xz",
    size_multiple: 512,
    medium: Medium::Live,
    about: "a system for machines without a disk, in a tar.xz",
};

/// An archive for network boot.
#[derive(Debug)]
pub struct Pxe;

/// A file or a directory of the archive.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path, of at most 100 bytes; a directory's ends in a slash.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Nothing, for a directory.
    pub content: Sparse,
}

/// The archive before it is compressed; all of it belongs to root and is of `time`, in seconds since 1970.
///
/// # Errors
/// [`crate::Error::Limit`] for a path that is too long.
pub fn archive(entries: &[Entry], time: i64) -> Result<Sparse> {
    let members: Vec<_> = entries.iter().map(|entry| (entry.member(time), &entry.content)).collect();
    tar::archive(&members)
}

impl Entry {
    const fn member(&self, time: i64) -> Member<'_> {
        Member { mode: self.mode, ..Member::file(self.name.as_str(), self.content.len(), time) }
    }
}

impl FormatWriter for Pxe {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn write(
        &self,
        disk: &Sparse,
        _options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        SPEC.check(disk)?;
        // all that is large in it is compressed already
        xz::write(disk, xz::FASTEST, &mut Append::new(out, 0, "writing the archive"), progress)
    }
}
