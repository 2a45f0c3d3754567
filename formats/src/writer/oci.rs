//! Oracle Cloud takes QCOW2: the same file as that format's, which
//! [`super::parts::qcow2`] lays out.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::qcow2};
use crate::{Result, sparse::Sparse};

static SPEC: Spec = Spec {
    name: "oci",
    aliases: &["oracle"],
    path: "qcow2/disk.qcow2",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "Oracle Cloud Infrastructure: a qcow2 disk",
};

/// A disk for Oracle Cloud.
#[derive(Debug)]
pub struct Oci;

impl FormatWriter for Oci {
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
