//! The part of a build that makes a system which runs from memory.

use anyhow::{Context, Result};
use diskwright_formats::sparse::Sparse;

use super::Job;
use crate::{deploy::live, error::ErrorKind, merge::Merged, pxe};

/// The archive of the image's system.
pub(super) fn make(job: &Job<'_>, merged: &Merged) -> Result<Sparse> {
    job.begin_deployment();
    let target = job.asked.target();
    let live = live::live(&job.config, merged.clone(), &job.wishes(&target)?, &job.ids, job.progress);
    let live = live.context("making a system that runs from memory").context(ErrorKind::Input)?;
    pxe::lay_out(live, job.spool()?, &job.ids, job.progress)
}
