//! What installs a system from a network, file by file: each is complete before it comes here, and
//! is written as it is.

use super::{FormatWriter, Medium, Options, Output, Progress, Spec, parts::copy::copy};
use crate::{Error, Result, sparse::Sparse};

static SPEC: Spec = Spec {
    name: "netboot",
    aliases: &[],
    path: "netboot/boot.ipxe",
    size_multiple: 512,
    medium: Medium::Network,
    about: "an installer from a network: a directory for iPXE",
};

/// One of the files.
#[derive(Debug)]
pub struct Netboot;

impl FormatWriter for Netboot {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn write(
        &self,
        file: &Sparse,
        _options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        out.set_len(file.len()).map_err(Error::io("setting the length of a file"))?;
        copy(file, out, progress)
    }
}
