//! The part of a build that makes a medium which installs: prepared while the
//! image's own files are at hand, finished when there is a disk to install.

use anyhow::{Context, Result};
use diskwright_formats::{
    sparse::Sparse,
    units::GIB,
    writer::{Medium, Options, Spec},
};

use super::{Asked, BuildRequest, image_config, wishes};
use crate::{
    deploy::{Deployed, Volume, medium},
    error::ErrorKind,
    ids::Ids,
    installer, layout,
    merge::Merged,
    optical, payload,
    plan::DiskSize,
    progress::Progress,
    source::{self, OciImage},
};

/// Free bytes of the root volume that is installed: it boots even if nothing grows it.
const FREE: u64 = GIB;

/// The size of the disk on a medium, which the installer makes larger.
pub(crate) const fn disk_size(asked: DiskSize) -> DiskSize {
    match asked {
        DiskSize::Default => DiskSize::PlusFree(FREE),
        other => other,
    }
}

/// A medium without its payload.
pub(super) struct InstallerMedium {
    spec: &'static Spec,
    medium: medium::Medium,
}

impl InstallerMedium {
    /// What is on the medium beside the payload; `None` if no such format is asked for.
    pub(super) fn prepare(
        request: &BuildRequest,
        asked: &Asked,
        image: &OciImage,
        merged: &Merged,
        ids: &Ids,
        progress: &dyn Progress,
    ) -> Result<Option<Self>> {
        let mut specs = asked.writers.iter().map(|writer| writer.spec());
        let Some(spec) = specs.find(|spec| spec.medium == Medium::Optical) else { return Ok(None) };
        let config = image_config(image)?;
        let target = asked.target(request);
        let wishes = wishes(request, asked, &config, &target)?;
        let program = installer::read(request.installer.as_deref(), wishes.arch)?;
        let medium = medium::medium(&config, &merged.tree, &wishes, ids, &program, progress);
        let medium = medium.context("making the installer medium").context(ErrorKind::Input)?;
        Ok(Some(Self { spec, medium }))
    }

    /// The bytes of its file.
    pub(super) fn finish(
        mut self,
        request: &BuildRequest,
        asked: &Asked,
        image: &OciImage,
        on_disk: &layout::Disk<'_>,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Sparse> {
        let layout = on_disk.plan(&on_disk.wishes()?, disk_size(asked.size), self.spec.size_multiple)?;
        let disk = on_disk.lay_out(&layout).context("laying out the disk to install")?;
        let facts = self.facts(request, asked, image, on_disk.deployed, disk.len())?;
        let spool = source::spool_file(request.source.spool_dir.as_deref())?;
        let payload = payload::make(&disk, options, &facts, spool, progress)?;
        self.medium.add(payload::FILE, payload.file);
        self.medium.add(payload::DESCRIPTION, Sparse::from_bytes(payload.description.into_bytes()));
        optical::lay_out(self.medium, on_disk.ids)
    }

    /// What an installer is told of its payload.
    fn facts(
        &self,
        request: &BuildRequest,
        asked: &Asked,
        image: &OciImage,
        deployed: &Deployed,
        size: u64,
    ) -> Result<payload::Facts> {
        let root = deployed.volumes.last().and_then(Volume::content).context("a disk without a root")?;
        Ok(payload::Facts {
            name: self.medium.name.clone(),
            architecture: image_config(image)?.architecture().to_owned(),
            image: payload::Image {
                reference: asked.reference.to_string(),
                manifest_digest: image.manifest_digest.clone(),
                target: asked.target(request),
            },
            disk: payload::Disk {
                file: payload::NAME,
                format: "qcow2",
                size,
                sector_size: deployed.table.sector_size,
                root_partition: deployed.volumes.len(),
                root_filesystem: root.filesystem.kind.to_owned(),
            },
        })
    }
}
