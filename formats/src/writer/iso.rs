//! A medium that installs a system, byte for byte. What is on it is laid out
//! before it comes here; [`crate::filesystem::iso9660`] has the layout.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::copy::copy};
use crate::{Error, Result, sparse::Sparse};

static SPEC: Spec = Spec {
    name: "iso",
    aliases: &["anaconda-iso", "bootc-installer"],
    path: "bootiso/install.iso",
    size_multiple: 2048,
    medium: Medium::Optical,
    about: "an installer: disc or stick, for UEFI and BIOS",
};

/// An installer medium.
#[derive(Debug)]
pub struct Iso;

impl FormatWriter for Iso {
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
        out.set_len(disk.len()).map_err(Error::io("setting the length of the medium"))?;
        copy(disk, out, progress)
    }
}
