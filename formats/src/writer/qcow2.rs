//! QEMU's copy-on-write disk. [`super::parts::qcow2`] has the layout.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::qcow2};
use crate::{Result, sparse::Sparse};

static SPEC: Spec = Spec {
    name: "qcow2",
    aliases: &[],
    path: "qcow2/disk.qcow2",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "QEMU's copy-on-write disk, compressed",
};

/// A QCOW2 disk.
#[derive(Debug)]
pub struct Qcow2;

impl FormatWriter for Qcow2 {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        SPEC.check(disk)?;
        qcow2::write(disk, options, out, progress)
    }
}
