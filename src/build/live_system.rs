//! The part of a build that makes a system which runs from memory.

use anyhow::{Context, Result};
use diskwright_formats::{sparse::Sparse, writer::Medium};

use super::{Asked, BuildRequest, image_config, wishes};
use crate::{
    deploy::live,
    error::ErrorKind,
    ids::Ids,
    merge::Merged,
    progress::Progress,
    pxe,
    source::{self, OciImage},
};

/// The archive of the image's system; `None` if no such format is asked for.
pub(super) fn make(
    request: &BuildRequest,
    asked: &Asked,
    image: &OciImage,
    merged: &Merged,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Option<Sparse>> {
    if !asked.writers.iter().any(|writer| writer.spec().medium == Medium::Live) {
        return Ok(None);
    }
    progress.begin("deploying", Some(image.layers.iter().map(|layer| layer.tar_len).sum()));
    let config = image_config(image)?;
    let target = asked.target(request);
    let wishes = wishes(request, asked, &config, &target)?;
    let live = live::live(&config, merged.clone(), &wishes, ids, progress);
    let live = live.context("making a system that runs from memory").context(ErrorKind::Input)?;
    let spool = source::spool_file(request.source.spool_dir.as_deref())?;
    pxe::lay_out(live, spool, ids, progress).map(Some)
}
