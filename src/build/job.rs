//! A build under way: what is asked, and the image that it is asked of.

use std::{fs::File, sync::Arc};

use anyhow::{Context, Result};
use diskwright_formats::{
    sparse::Sparse,
    writer::{Machine, Options},
};

use super::{AMI, Asked, boots, fetch_and_merge, image_config};
use crate::{
    deploy::{self, Deployed, Wishes, arch::Arch, image::ImageConfig},
    error::{ErrorKind, Hint},
    firmware::Startup,
    ids::Ids,
    merge::Merged,
    output,
    progress::Progress,
    publish::aws,
    record::{self, Origin, Tool},
    source::{self, OciImage},
    write::Place,
};

/// What every part of a build knows.
pub(crate) struct Job<'a> {
    pub(crate) asked: Asked<'a>,
    pub(crate) image: OciImage,
    pub(crate) config: ImageConfig,
    pub(crate) ids: Ids,
    pub(crate) progress: &'a dyn Progress,
}

impl<'a> Job<'a> {
    /// Reads the image, and merges its layers.
    pub(crate) fn open(asked: Asked<'a>, progress: &'a dyn Progress) -> Result<(Self, Merged)> {
        let request = asked.request;
        let (image, merged) = fetch_and_merge(&asked.reference, &request.source, &boots, progress)?;
        let config = image_config(&image)?;
        let time = request.source_date_epoch.or_else(|| config.created()).unwrap_or(0);
        let ids = Ids::new(&image.manifest_digest, asked.blueprint.text().as_bytes(), time);
        Ok((Self { asked, image, config, ids, progress }, merged))
    }

    /// What is asked of the deployment, which updates from `target`.
    pub(crate) fn wishes<'b>(&'b self, target: &'b str) -> Result<Wishes<'b>> {
        let (asked, request) = (&self.asked, self.asked.request);
        Ok(Wishes {
            arch: Arch::from_oci(self.config.architecture()).context(ErrorKind::Input)?,
            rootfs: request.rootfs.as_deref(),
            kargs: &request.kargs,
            default_kargs: !request.no_default_kernel_args,
            target,
            blueprint: asked.blueprint.blueprint(),
            skip_bound_images: request.skip_bound_images,
            root_ssh_keys: asked.root_ssh_keys.as_deref(),
            secrets: &asked.secrets,
        })
    }

    /// The volumes of the disk.
    pub(crate) fn deploy(&self, merged: Merged) -> Result<Deployed> {
        self.begin_deployment();
        let target = self.asked.target();
        let wishes = self.wishes(&target)?;
        deploy::deploy(&self.config, merged, &wishes, &self.ids, self.progress).context(ErrorKind::Input)
    }

    pub(super) fn begin_deployment(&self) {
        self.progress.begin("deploying", Some(self.image.layers.iter().map(|layer| layer.tar_len).sum()));
    }

    /// A file for content that is only passed on.
    pub(super) fn spool(&self) -> Result<File> {
        source::spool_file(self.asked.request.source.spool_dir.as_deref())
    }

    /// What formats record beside the disk.
    pub(super) fn options(&self, sector_size: u32, startup: &Startup) -> Result<Options> {
        let options = self.asked.choices.applied(Options {
            compression: self.asked.request.compression,
            sector_size,
            seed: self.ids.uuid("formats").into_bytes(),
            time: self.ids.time().seconds,
            architecture: self.config.architecture().to_owned(),
            machine: Machine { firmware: startup.firmware(), ..Machine::default() },
            ..Options::default()
        });
        startup.check(&options.machine)?;
        Ok(options)
    }

    /// What the record says of where the disks come from.
    pub(super) fn origin(&self, options: &Options, disks: &[(Place, Arc<Sparse>)]) -> Origin {
        let image = &self.image;
        let layer = |layer: &source::Layer| record::Layer {
            digest: layer.digest.clone(),
            diff_id: layer.diff_id.clone(),
            size: layer.size,
            opened: layer.opened,
        };
        let text = self.asked.blueprint.text().as_bytes();
        Origin {
            tool: Tool::current(),
            source: record::Source::Image(record::Image {
                reference: image.reference.clone(),
                manifest_digest: image.manifest_digest.clone(),
                config_digest: record::digest(&image.config),
                architecture: options.architecture.clone(),
                layers: image.layers.iter().map(layer).collect(),
            }),
            blueprint_digest: (!text.is_empty()).then(|| record::digest(text)),
            source_date_epoch: options.time,
            disks: record::disks(disks, options.sector_size),
        }
    }

    /// The disk to AWS, if that is wished for. The files stay, whatever comes of it.
    pub(super) fn publish(&self, disks: &[(Place, Arc<Sparse>)]) -> Result<Option<aws::Published>> {
        let request = self.asked.request;
        let Some(wish) = &request.aws else { return Ok(None) };
        let is_ami = |place: &Place| place.writers.iter().any(|writer| writer.spec().name == AMI);
        let (place, disk) = disks.iter().find(|(place, _)| is_ami(place)).context("no disk to publish")?;
        output::go_on_after_commit();
        let architecture = self.config.architecture().to_owned();
        let wish = aws::Wish { architecture: Some(architecture), ..wish.clone() };
        let path = request.output.join(&place.path).display().to_string();
        let hint =
            || Hint(format!("the disk is complete; to publish it alone: diskwright publish aws {path}"));
        aws::publish(disk, &wish, self.progress).with_context(hint).context("publishing to AWS").map(Some)
    }
}
