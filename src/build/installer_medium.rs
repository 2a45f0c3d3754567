//! The part of a build that makes what installs, a medium or files for a network: prepared while the
//! image's own files are at hand, finished when there is a disk to install.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use diskwright_formats::{
    sparse::Sparse,
    units::GIB,
    writer::{Medium, Options, Spec},
};

use super::{Asked, BuildRequest, image_config, wishes};
use crate::{
    deploy::{
        Volume,
        medium::{self, network},
    },
    error::{ErrorKind, Hint},
    ids::Ids,
    installer, layout,
    merge::Merged,
    optical, payload,
    plan::DiskSize,
    progress::Progress,
    record,
    source::{self, OciImage},
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

/// What installs, without its payload, which is one for all.
pub(super) struct Installers {
    /// What the image calls its system.
    name: String,
    /// What the disk's size is a multiple of.
    size_multiple: u64,
    medium: Option<medium::Medium>,
    network: Option<network::Files>,
}

/// What there is when a disk is made.
pub(super) struct Given<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) asked: &'a Asked,
    pub(super) image: &'a OciImage,
    pub(super) on_disk: &'a layout::Disk<'a>,
    pub(super) options: &'a Options,
}

/// That the address of a payload means something.
pub(super) fn check(request: &BuildRequest, asked: &Asked) -> Result<()> {
    let has_network = asked.writers.iter().any(|writer| writer.spec().medium == Medium::Network);
    if request.payload_url.is_none() || has_network {
        return Ok(());
    }
    let error = anyhow!("--payload-url means nothing to the types that are asked for");
    Err(error.context(Hint("types that know it: netboot".into())).context(ErrorKind::Usage))
}

impl Installers {
    /// All but the payload; `None` if no such format is asked for.
    pub(super) fn prepare(
        request: &BuildRequest,
        asked: &Asked,
        image: &OciImage,
        merged: &Merged,
        ids: &Ids,
        progress: &dyn Progress,
    ) -> Result<Option<Self>> {
        let specs = asked.writers.iter().map(|writer| writer.spec());
        let is_installer = |spec: &&Spec| matches!(spec.medium, Medium::Optical | Medium::Network);
        let specs: Vec<_> = specs.filter(is_installer).collect();
        let Some(size_multiple) = specs.iter().map(|spec| spec.size_multiple).max() else { return Ok(None) };
        let has = |medium| specs.iter().any(|spec| spec.medium == medium);
        let config = image_config(image)?;
        let target = asked.target(request);
        let wishes = wishes(request, asked, &config, &target)?;
        let program = installer::read(request.installer.as_deref(), wishes.arch)?;
        let medium = || medium::medium(&config, &merged.tree, &wishes, ids, &program, progress);
        let medium = has(Medium::Optical).then(medium).transpose();
        let medium = medium.context("making the installer medium").context(ErrorKind::Input)?;
        let network = || network::files(&config, &merged.tree, &wishes, ids, &program, progress);
        let network = has(Medium::Network).then(network).transpose();
        let network = network.context("making what installs from a network").context(ErrorKind::Input)?;
        let names = medium.iter().map(|medium| &medium.name).chain(network.iter().map(|files| &files.name));
        let name = names.last().cloned().unwrap_or_default();
        Ok(Some(Self { name, size_multiple, medium, network }))
    }

    /// The bytes of every file at `places`.
    pub(super) fn finish(
        self,
        given: &Given<'_>,
        places: &[Place],
        progress: &dyn Progress,
    ) -> Result<Vec<(Place, Arc<Sparse>)>> {
        let payload = self.payload(given, progress)?;
        let at = |medium| places.iter().find(|place| place.medium() == medium);
        let mut files = Vec::new();
        if let (Some(medium), Some(place)) = (self.medium, at(Medium::Optical)) {
            files.push((place.clone(), Arc::new(on_medium(medium, &payload, given.on_disk.ids)?)));
        }
        if let (Some(network), Some(place)) = (self.network, at(Medium::Network)) {
            let all = network.with(of_network(payload), given.request.payload_url.as_ref()).into_iter();
            files.extend(all.map(|(path, content)| (place.beside(&path), Arc::new(content))));
        }
        Ok(files)
    }

    fn payload(&self, given: &Given<'_>, progress: &dyn Progress) -> Result<payload::Payload> {
        let Given { request, asked, on_disk, options, .. } = given;
        let layout = on_disk.plan(&on_disk.wishes()?, disk_size(asked.size), self.size_multiple)?;
        let disk = on_disk.lay_out(&layout).context("laying out the disk to install")?;
        let facts = self.facts(given, disk.len())?;
        let spool = source::spool_file(request.source.spool_dir.as_deref())?;
        payload::make(&disk, options, &facts, spool, progress)
    }

    /// What an installer is told of its payload.
    fn facts(&self, given: &Given<'_>, size: u64) -> Result<payload::Facts> {
        let Given { request, asked, image, on_disk, .. } = given;
        let deployed = on_disk.deployed;
        let root = deployed.volumes.last().and_then(Volume::content);
        Ok(payload::Facts {
            name: self.name.clone(),
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
                root_filesystem: root.map(|root| root.filesystem.kind.to_owned()),
            },
        })
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
