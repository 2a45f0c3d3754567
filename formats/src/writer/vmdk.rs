//! VMware's disks. [`super::parts::vmdk`] has the layouts.

use super::{
    FormatWriter, Medium, Options, Output, Progress, Spec,
    parts::{append::Append, vmdk},
};
use crate::{Result, sparse::Sparse};

/// A VMDK of one of two kinds.
#[derive(Debug)]
pub struct Vmdk {
    spec: Spec,
    is_stream: bool,
}

/// Compressed, to be imported: `streamOptimized`.
pub static STREAM: Vmdk = Vmdk {
    spec: Spec {
        name: "vmdk",
        aliases: &["streamoptimized"],
        path: "vmdk/disk.vmdk",
        size_multiple: 512,
        medium: Medium::Disk,
        about: "VMware's disk, compressed for import (streamOptimized)",
    },
    is_stream: true,
};

/// Plain, to be used as it is: `monolithicSparse`.
pub static SPARSE: Vmdk = Vmdk {
    spec: Spec {
        name: "vmdk-sparse",
        aliases: &["monolithicsparse"],
        path: "vmdk/disk-sparse.vmdk",
        size_multiple: 512,
        medium: Medium::Disk,
        about: "VMware's disk, to run from (monolithicSparse)",
    },
    is_stream: false,
};

impl FormatWriter for Vmdk {
    fn spec(&self) -> &'static Spec {
        if self.is_stream { &STREAM.spec } else { &SPARSE.spec }
    }

    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        self.spec.check(disk)?;
        if self.is_stream {
            let mut to = Append::new(out, 0, "writing the vmdk disk");
            vmdk::stream::write(disk, options, &mut to, progress)
        } else {
            vmdk::sparse::write(disk, options, out, progress)
        }
    }
}
