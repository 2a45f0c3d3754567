//! The part of a build that makes what installs, a medium or files for a network: prepared while the
//! image's own files are at hand, finished when there is a disk to install.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use diskwright_formats::{
    sparse::Sparse,
    units::GIB,
    writer::{FormatWriter, Medium, Options},
};

use super::{BuildRequest, Job};
use crate::{
    deploy::{
        Deployed, Volume,
        medium::{self, network},
    },
    error::{ErrorKind, Hint},
    ids::Ids,
    installer, layout,
    merge::Merged,
    optical, payload,
    plan::DiskSize,
    record,
    write::Place,
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

/// That the address of a payload means something.
pub(super) fn check(request: &BuildRequest, writers: &[&dyn FormatWriter]) -> Result<()> {
    let has_network = writers.iter().any(|writer| writer.spec().medium == Medium::Network);
    if request.payload_url.is_none() || has_network {
        return Ok(());
    }
    let error = anyhow!("--payload-url means nothing to the types that are asked for");
    Err(error.context(Hint("types that know it: netboot".into())).context(ErrorKind::Usage))
}

/// What installs, without its payload, which is one for all.
pub(super) struct Installers {
    /// What the image calls its system.
    name: String,
    /// What the disk's size is a multiple of.
    size_multiple: u64,
    medium: Option<(Place, medium::Medium)>,
    network: Option<(Place, network::Files)>,
}

impl Installers {
    /// All of these files but the payload; `None` if there are none.
    pub(super) fn prepare(job: &Job<'_>, merged: &Merged, places: &[Place]) -> Result<Option<Self>> {
        let Some(size_multiple) = places.iter().map(Place::size_multiple).max() else { return Ok(None) };
        let at = |medium| places.iter().find(|place| place.medium() == medium).cloned();
        let target = job.asked.target();
        let wishes = job.wishes(&target)?;
        let program = installer::read(job.asked.request.installer.as_deref(), wishes.arch)?;
        let (config, tree, ids) = (&job.config, &merged.tree, &job.ids);
        let medium = |place| {
            let made = medium::medium(config, tree, &wishes, ids, &program, job.progress);
            made.map(|medium| (place, medium)).context("making the installer medium")
        };
        let medium = at(Medium::Optical).map(medium).transpose().context(ErrorKind::Input)?;
        let network = |place| {
            let made = network::files(config, tree, &wishes, ids, &program, job.progress);
            made.map(|files| (place, files)).context("making what installs from a network")
        };
        let network = at(Medium::Network).map(network).transpose().context(ErrorKind::Input)?;
        let of_medium = medium.as_ref().map(|(_, medium)| &medium.name);
        let name = of_medium.or(network.as_ref().map(|(_, files)| &files.name)).cloned().unwrap_or_default();
        Ok(Some(Self { name, size_multiple, medium, network }))
    }

    /// The bytes of every file.
    pub(super) fn finish(
        self,
        job: &Job<'_>,
        on_disk: &layout::Disk<'_>,
        options: &Options,
    ) -> Result<Vec<(Place, Arc<Sparse>)>> {
        let payload = self.payload(job, on_disk, options)?;
        let mut files = Vec::new();
        if let Some((place, medium)) = self.medium {
            files.push((place, Arc::new(on_medium(medium, &payload, &job.ids)?)));
        }
        if let Some((place, network)) = self.network {
            let all = network.with(of_network(payload), job.asked.request.payload_url.as_ref()).into_iter();
            files.extend(all.map(|(path, content)| (place.beside(&path), Arc::new(content))));
        }
        Ok(files)
    }

    fn payload(
        &self,
        job: &Job<'_>,
        on_disk: &layout::Disk<'_>,
        options: &Options,
    ) -> Result<payload::Payload> {
        let layout = on_disk.plan(&on_disk.wishes()?, disk_size(job.asked.size), self.size_multiple)?;
        let disk = on_disk.lay_out(&layout).context("laying out the disk to install")?;
        let facts = self.facts(job, on_disk.deployed, disk.len());
        payload::make(&disk, options, &facts, job.spool()?, job.progress)
    }

    /// What an installer is told of its payload.
    fn facts(&self, job: &Job<'_>, deployed: &Deployed, size: u64) -> payload::Facts {
        let root = deployed.volumes.last().and_then(Volume::content);
        payload::Facts {
            name: self.name.clone(),
            architecture: job.config.architecture().to_owned(),
            image: payload::Image {
                reference: job.asked.reference.to_string(),
                manifest_digest: job.image.manifest_digest.clone(),
                target: job.asked.target(),
            },
            disk: payload::Disk {
                file: payload::NAME,
                format: "qcow2",
                size,
                sector_size: deployed.table.sector_size,
                root_partition: deployed.volumes.len(),
                root_filesystem: root.map(|root| root.filesystem.kind.to_owned()),
            },
        }
    }
}

fn on_medium(mut medium: medium::Medium, payload: &payload::Payload, ids: &Ids) -> Result<Sparse> {
    medium.add(payload::FILE, payload.file.clone());
    medium.add(payload::DESCRIPTION, Sparse::from_bytes(payload.description.clone().into_bytes()));
    optical::lay_out(medium, ids)
}

fn of_network(payload: payload::Payload) -> network::Payload {
    network::Payload {
        file: (payload::NAME.to_owned(), payload.file),
        digest: record::digest(payload.description.as_bytes()),
        description: (payload::DESCRIPTION_NAME.to_owned(), payload.description),
    }
}
