//! The disk byte for byte, as a sparse file.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::copy::copy};
use crate::{Error, Result, sparse::Sparse};

static SPEC: Spec = Spec {
    name: "raw",
    aliases: &[],
    path: "image/disk.raw",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "the disk byte for byte, as a sparse file",
};

/// A raw disk.
#[derive(Debug)]
pub struct Raw;

impl FormatWriter for Raw {
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
        out.set_len(disk.len()).map_err(Error::io("setting the length of the raw disk"))?;
        copy(disk, out, progress)
    }
}
