//! Arguments of `publish`, and those of `build` that publish.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueHint};

use super::{Format, text, values};
use crate::{
    error::{ErrorKind, Hint},
    publish::{
        PublishRequest,
        aws::{BootMode, Wish},
    },
};

/// Where to.
#[derive(Debug, Subcommand)]
pub enum Cloud {
    /// Make an AMI of a disk, raw or qcow2, through EBS: no bucket, no import role
    Aws(Box<PublishAwsArgs>),
}

/// What becomes of a disk at AWS.
#[derive(Args, Debug)]
#[command(next_help_heading = "AWS")]
pub struct AwsArgs {
    /// Make an AMI of this name
    #[arg(long, value_name = "NAME")]
    pub aws_ami_name: Option<String>,
    /// Region of the AMI [default: $AWS_REGION]
    #[arg(long, value_name = "REGION")]
    pub aws_region: Option<String>,
    /// Profile with the credentials [default: $AWS_PROFILE, and what docs/publish-aws.md lists]
    #[arg(long, value_name = "PROFILE", requires = "aws_ami_name")]
    pub aws_profile: Option<String>,
    /// Copy the AMI to this region; repeat it, or separate with commas, for several
    #[arg(long, value_name = "REGION", value_delimiter = ',', requires = "aws_ami_name")]
    pub aws_copy_to: Vec<String>,
    /// Let this account start machines from it; repeat it, or separate with commas, for several
    #[arg(long, value_name = "ACCOUNT", value_delimiter = ',', requires = "aws_ami_name")]
    pub aws_share_with: Vec<String>,
    /// Tag of images and snapshots; repeat it for several
    #[arg(long = "aws-tag", value_name = "KEY=VALUE", value_parser = values::tag, requires = "aws_ami_name")]
    pub aws_tags: Vec<(String, String)>,
    /// How machines start [default: what the disk has code for]
    #[arg(long, value_name = "MODE", value_enum, requires = "aws_ami_name")]
    pub aws_boot_mode: Option<BootMode>,
    #[arg(long, hide = true)]
    aws_bucket: Option<String>,
}

impl AwsArgs {
    /// The AMI that is wanted, if one is.
    #[must_use]
    pub fn wish(&self) -> Option<Wish> {
        Some(Wish {
            name: self.aws_ami_name.clone()?,
            region: self.aws_region.clone(),
            profile: self.aws_profile.clone(),
            copy_to: self.aws_copy_to.clone(),
            share_with: self.aws_share_with.clone(),
            tags: self.aws_tags.clone(),
            boot_mode: self.aws_boot_mode,
            architecture: None,
        })
    }

    /// A line for what was given and has no effect.
    #[must_use]
    pub fn notice(&self) -> Option<&'static str> {
        let text = "--aws-bucket has no effect: disks go into EBS directly, and no bucket is needed";
        self.aws_bucket.as_ref().map(|_| text)
    }
}

/// Arguments of `publish aws`.
#[derive(Args, Debug)]
#[command(after_long_help = text::publish_notes())]
pub struct PublishAwsArgs {
    /// The disk: a raw or qcow2 file, or a block device; it is only read
    #[arg(value_name = "DISK", value_hint = ValueHint::FilePath)]
    pub disk: PathBuf,
    /// What it becomes.
    #[command(flatten)]
    pub aws: AwsArgs,
    /// Architecture of the AMI [default: what the disk has a loader for]
    #[arg(long, value_name = "ARCH")]
    pub target_arch: Option<String>,
    /// Change nothing: ask AWS what is allowed, and print the IAM policy that is needed
    #[arg(long)]
    pub dry_run: bool,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

impl PublishAwsArgs {
    /// What is asked of the library.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the AMI has no name.
    pub fn request(&self) -> Result<PublishRequest> {
        let hint = || Hint("name it with --aws-ami-name".to_owned());
        let wish = self.aws.wish().context("the AMI has no name");
        let aws = wish.with_context(hint).context(ErrorKind::Usage)?;
        Ok(PublishRequest {
            disk: self.disk.clone(),
            aws: Wish { architecture: self.target_arch.clone(), ..aws },
        })
    }
}
