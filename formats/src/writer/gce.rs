//! What Google Compute Engine imports: a gzipped tar archive, of the older GNU
//! kind, that holds `disk.raw` alone, without its gaps. The disk is of whole GiB.
//!
//! Source: Compute Engine, "Manually import boot disks", section "Create a
//! compressed archive".

use super::{
    FormatWriter, Medium, Options, Output, Progress, Spec,
    parts::{
        append::Append,
        gzip, sparse_tar,
        tar::{Flavour, Member},
    },
    progress::Capped,
};
use crate::{Result, sparse::Sparse, units::GIB};

static SPEC: Spec = Spec {
    name: "gce",
    aliases: &[],
    path: "gce/image.tar.gz",
    size_multiple: GIB,
    medium: Medium::Disk,
    about: "Google Compute Engine: disk.raw in a tar.gz",
};

/// A disk for Google Compute Engine.
#[derive(Debug)]
pub struct Gce;

impl FormatWriter for Gce {
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
        let file = Member::file("disk.raw", disk.len(), options.time);
        let archive = sparse_tar::archive(Member { flavour: Flavour::OldGnu, ..file }, disk)?;
        let mut to = Append::new(out, 0, "writing the archive");
        gzip::write(&archive, &mut to, None, &Capped::new(disk, progress))
    }
}
