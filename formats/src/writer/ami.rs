//! What becomes a machine image of Amazon EC2: the raw disk, of whole GiB as
//! EBS volumes are. The file is that of the format `raw`.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::copy::copy};
use crate::{Error, Result, sparse::Sparse, units::GIB};

static SPEC: Spec = Spec {
    name: "ami",
    aliases: &["ec2"],
    path: "image/disk.raw",
    size_multiple: GIB,
    medium: Medium::Disk,
    about: "Amazon EC2: a raw disk of whole GiB",
};

/// A raw disk for EC2.
#[derive(Debug)]
pub struct Ami;

impl FormatWriter for Ami {
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
