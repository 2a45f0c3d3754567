//! Reads a disk back and says what is wrong with it: [`verify`], the tool's
//! own check of what it built, and of disks from elsewhere.
//!
//! ```text
//! partition table -> filesystems -> ostree repository -> deployments -> labels -> boot entries, bootloader
//! ```
//!
//! Nothing is mounted or run, and nothing of the disk is believed: a hostile
//! one ends with findings. Every check takes [`Volumes`] and adds to the
//! [`Findings`]. Left out: what only a running system could tell, and repairing.

mod boot;
mod bootloader;
mod bootupd;
mod deployments;
mod disk;
mod filesystems;
mod labels;
mod ostree;
mod report;
mod seals;

use std::path::PathBuf;

use anyhow::Result;

pub use self::report::{Deployment, Finding, Partition, Severity, VerifyReport};
use self::{filesystems::Volumes, report::Findings};
use crate::progress::Progress;

/// What is to be read.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// The disk: raw or qcow2.
    pub disk: PathBuf,
}

/// Reads a disk back.
///
/// # Errors
/// A file that cannot be opened or is no disk. What is wrong on the disk is in the report.
pub fn verify(request: &VerifyRequest, progress: &dyn Progress) -> Result<VerifyReport> {
    let disk = disk::open(&request.disk)?;
    let mut findings = Findings::default();
    progress.begin("reading the disk", None);
    let mut volumes = Volumes::read(&disk.bytes, &mut findings);
    let partitions = volumes.list.iter().map(filesystems::Volume::described).collect();
    let checked = ostree::check(&mut volumes, progress, &mut findings);
    seals::check(&volumes, progress, &mut findings);
    labels::check(&volumes, &checked.deployments, &mut findings);
    boot::check(&volumes, &checked.deployments, &mut findings);
    bootloader::check(&volumes, &mut findings);
    bootupd::check(&volumes, &mut findings);
    let mut report = VerifyReport {
        disk: request.disk.clone(),
        format: disk.format,
        size: disk.bytes.len(),
        partitions,
        objects: checked.objects,
        object_bytes: checked.bytes,
        refs: checked.refs,
        deployments: checked.deployments.into_iter().map(|deployment| deployment.described).collect(),
        findings: findings.into_list(),
        errors: 0,
        warnings: 0,
    };
    report.count();
    Ok(report)
}
