//! QEMU's copy-on-write disk, which Oracle Cloud takes too.
//! [`super::parts::qcow2`] has the layout.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, Uses, parts::qcow2};
use crate::{Result, sparse::Sparse};

/// A QCOW2 disk.
#[derive(Debug)]
pub struct Qcow2 {
    spec: &'static Spec,
}

const SPEC: Spec = Spec {
    name: "qcow2",
    aliases: &[],
    path: "qcow2/disk.qcow2",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "QEMU's copy-on-write disk, compressed",
};

/// A disk for QEMU.
pub static QCOW2: Qcow2 = Qcow2 { spec: &SPEC };

/// A disk for Oracle Cloud.
pub static OCI: Qcow2 = Qcow2 {
    spec: &Spec {
        name: "oci",
        aliases: &["oracle"],
        about: "Oracle Cloud Infrastructure: a qcow2 disk",
        ..SPEC
    },
};

impl FormatWriter for Qcow2 {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn uses(&self) -> Uses {
        Uses::QCOW2
    }

    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        self.spec.check(disk)?;
        qcow2::write(disk, options, out, progress)
    }
}
