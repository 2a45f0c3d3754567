//! AWS: a disk becomes an EBS snapshot and an AMI, with nothing but
//! permissions of EBS and EC2: no bucket, no import role.
//!
//! ```text
//! blocks with data --EBS direct--> snapshot --RegisterImage--> AMI --CopyImage--> AMIs elsewhere
//! ```
//!
//! An upload that was interrupted goes on where it stopped ([`journal`]); one
//! that failed leaves nothing ([`made`]). Which of both it was is decided by
//! whether AWS could still be reached.

mod blocks;
mod client;
mod credentials;
mod dry_run;
mod ebs;
mod ec2;
mod endpoint;
mod failure;
mod journal;
mod made;
mod policy;
mod role;
mod run;
mod system;
mod upload;
mod wait;
mod wish;

use anyhow::{Context, Result, anyhow};
use diskwright_formats::{sparse::Sparse, units::GIB};
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::{
    blocks::Block,
    client::{Client, hex},
    ec2::{Copy, NewImage},
    journal::Journal,
    run::Run,
    system::System,
};
pub use self::{
    dry_run::{Check, DryRun, Outcome},
    wish::{BootMode, Wish},
};
use crate::{error::ErrorKind, progress::Progress};

/// Largest volume of EBS in GiB.
const GIB_MAX: u64 = 64 << 10;

/// What there is at AWS now.
#[derive(Clone, Debug, Serialize)]
pub struct Published {
    /// The image, then its copies in the order of the wish.
    pub images: Vec<PublishedImage>,
    /// Blocks of 512 KiB that are not all zeros.
    pub blocks: usize,
    /// Blocks that this run sent.
    pub sent: usize,
}

/// An image in a region.
#[derive(Clone, Debug, Serialize)]
pub struct PublishedImage {
    /// Where.
    pub region: String,
    /// "ami-...".
    pub image: String,
    /// "snap-...", of its disk.
    pub snapshot: String,
}

/// Makes an AMI of `disk`.
///
/// # Errors
/// [`ErrorKind::Usage`] for what cannot be named so, [`ErrorKind::Input`] for a disk that cannot be
/// read, else [`ErrorKind::Network`]; then nothing is left at AWS, or a note says what is.
pub fn publish(disk: &Sparse, wish: &Wish, progress: &dyn Progress) -> Result<Published> {
    let plan = Plan::new(disk, wish)?;
    let client = Client::new(wish.profile.as_deref())?;
    client.check_credentials()?;
    let blocks = blocks::blocks(disk, progress).context("reading the disk").context(ErrorKind::Input)?;
    ensure_data(&blocks)?;
    let token = plan.token(&blocks);
    let journal = Journal::open(&token[..32], progress)?;
    Run::new(&client, &plan, disk, &blocks, token, journal, progress).all()
}

/// Asks whether [`publish`] would be allowed, and changes nothing.
///
/// # Errors
/// As [`publish`], but for what AWS says: that is in the answer.
pub fn dry_run(disk: &Sparse, wish: &Wish, progress: &dyn Progress) -> Result<DryRun> {
    let plan = Plan::new(disk, wish)?;
    let client = Client::new(wish.profile.as_deref())?;
    progress.begin("asking for permissions", None);
    match client.check_credentials() {
        Ok(()) => Ok(dry_run::ask(&client, &plan)),
        Err(error) => Ok(dry_run::without_credentials(&plan, &crate::error::chain(&error))),
    }
}

/// Whether [`publish`] can begin, before there is a disk: names, and that there are credentials.
///
/// # Errors
/// As [`publish`].
pub fn check(wish: &Wish) -> Result<()> {
    wish.check()?;
    Client::new(wish.profile.as_deref())?.check_credentials()
}

fn ensure_data(blocks: &[Block]) -> Result<()> {
    if blocks.is_empty() {
        return Err(anyhow!("the disk is empty: no machine starts from it").context(ErrorKind::Input));
    }
    Ok(())
}

/// A wish with everything known that the disk tells.
struct Plan<'a> {
    wish: &'a Wish,
    home: String,
    /// Size of the volume.
    gib: u64,
    system: System,
    tags: Vec<(String, String)>,
}

impl<'a> Plan<'a> {
    fn new(disk: &Sparse, wish: &'a Wish) -> Result<Self> {
        wish.check()?;
        let gib = disk.len().div_ceil(GIB);
        if gib > GIB_MAX {
            let error = anyhow!("a disk of {gib} GiB: a volume of EBS has at most {GIB_MAX} GiB");
            return Err(error.context(ErrorKind::Input));
        }
        let (home, system, tags) = (wish.home()?, System::of(disk, wish)?, wish.all_tags());
        Ok(Self { wish, home, gib, system, tags })
    }

    /// Home first.
    fn regions(&self) -> impl Iterator<Item = &str> {
        [self.home.as_str()].into_iter().chain(self.wish.copy_to.iter().map(String::as_str))
    }

    /// What makes this publication itself: the same disk under the same name in the same region.
    fn token(&self, blocks: &[Block]) -> String {
        let mut hash = Sha256::new();
        hash.update(b"diskwright aws 1\0");
        let named = [&self.home, &self.wish.name].into_iter();
        let tags = self.tags.iter().flat_map(|(key, value)| [key, value]);
        for text in named.chain(tags) {
            hash.update(text);
            hash.update([0]);
        }
        hash.update(self.gib.to_le_bytes());
        for block in blocks {
            hash.update(block.index.to_le_bytes());
            hash.update(block.digest);
        }
        hex(&hash.finalize())
    }

    fn image<'p>(&'p self, snapshot: &'p str) -> NewImage<'p> {
        NewImage {
            name: &self.wish.name,
            description: &self.wish.name,
            snapshot,
            gib: self.gib,
            system: self.system,
            tags: &self.tags,
        }
    }

    fn copy<'p>(&'p self, from: &'p str, token: &'p str) -> Copy<'p> {
        Copy {
            name: &self.wish.name,
            description: &self.wish.name,
            from_region: &self.home,
            from,
            token,
            tags: &self.tags,
        }
    }
}
