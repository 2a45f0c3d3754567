//! A finished disk to a cloud: network and credentials live here and in
//! `source`, never in formats. Async stays inside.
//!
//! ```text
//! Sparse --aws--> EBS snapshot --> AMI --> copies in other regions, shares
//! ```

pub mod aws;

use std::{fs::File, path::PathBuf};

use anyhow::{Context, Result, ensure};
use diskwright_formats::{reader, sparse::Sparse};

use crate::{error::ErrorKind, progress::Progress};

/// A disk that exists, and what shall become of it.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The disk: a raw or qcow2 file, or a block device.
    pub disk: PathBuf,
    /// What it shall be there.
    pub aws: aws::Wish,
}

/// Publishes a disk that exists as an AMI.
///
/// # Errors
/// A disk that cannot be read, and whatever [`aws::publish`] reports.
pub fn publish(request: &PublishRequest, progress: &dyn Progress) -> Result<aws::Published> {
    aws::publish(&open(request)?, &request.aws, progress)
}

/// Asks whether [`publish`] would be allowed, and changes nothing.
///
/// # Errors
/// A disk that cannot be read; what is not allowed is in the answer.
pub fn dry_run(request: &PublishRequest, progress: &dyn Progress) -> Result<aws::DryRun> {
    aws::dry_run(&open(request)?, &request.aws, progress)
}

fn open(request: &PublishRequest) -> Result<Sparse> {
    let opened = || {
        let file = File::open(&request.disk)?;
        ensure!(!file.metadata()?.is_dir(), "it is a directory");
        Ok(reader::open(file)?)
    };
    opened().with_context(|| format!("opening {}", request.disk.display())).context(ErrorKind::Input)
}
