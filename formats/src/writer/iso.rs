//! Media that install a system, byte for byte. What is on them is laid out
//! before it comes here; [`crate::filesystem::iso9660`] has the layout.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::copy::copy};
use crate::{Error, Result, sparse::Sparse};

/// A medium that installs the image.
pub static ISO: Iso = Iso {
    spec: Spec {
        name: "iso",
        aliases: &["anaconda-iso"],
        path: "bootiso/install.iso",
        size_multiple: 2048,
        medium: Medium::Optical,
        about: "an installer: disc or stick, for UEFI and BIOS",
    },
};

/// A medium of Anaconda, which the image has, that installs another image.
pub static ANACONDA: Iso = Iso {
    spec: Spec {
        name: "bootc-installer",
        aliases: &[],
        path: "bootiso/install.iso",
        size_multiple: 2048,
        medium: Medium::Anaconda,
        about: "Anaconda of the image, with another image to install",
    },
};

/// An installer medium.
#[derive(Debug)]
pub struct Iso {
    spec: Spec,
}

impl FormatWriter for Iso {
    fn spec(&self) -> &'static Spec {
        match self.spec.medium {
            Medium::Anaconda => &ANACONDA.spec,
            _ => &ISO.spec,
        }
    }

    fn write(
        &self,
        disk: &Sparse,
        _options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        self.spec.check(disk)?;
        out.set_len(disk.len()).map_err(Error::io("setting the length of the medium"))?;
        copy(disk, out, progress)
    }
}
