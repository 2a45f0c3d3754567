//! The disk byte for byte, as a sparse file. Machine images of Amazon EC2 are
//! made of the same, of whole GiB as EBS volumes are.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::copy::copy};
use crate::{Error, Result, sparse::Sparse, units::GIB};

/// A raw disk.
#[derive(Debug)]
pub struct Raw {
    spec: &'static Spec,
}

const SPEC: Spec = Spec {
    name: "raw",
    aliases: &[],
    path: "image/disk.raw",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "the disk byte for byte, as a sparse file",
};

/// A disk of any size.
pub static RAW: Raw = Raw { spec: &SPEC };

/// A disk for EC2.
pub static AMI: Raw = Raw {
    spec: &Spec {
        name: "ami",
        aliases: &["ec2"],
        size_multiple: GIB,
        about: "Amazon EC2: a raw disk of whole GiB",
        ..SPEC
    },
};

impl FormatWriter for Raw {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn write(
        &self,
        disk: &Sparse,
        _options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        self.spec.check(disk)?;
        out.set_len(disk.len()).map_err(Error::io("setting the length of the raw disk"))?;
        copy(disk, out, progress)
    }
}
