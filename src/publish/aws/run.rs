//! One publication, step by step.

use anyhow::{Result, anyhow};
use diskwright_formats::sparse::Sparse;
use sha2::{Digest, Sha256};

use super::{
    Plan, Published, PublishedImage,
    blocks::{self, Block},
    client::{Client, hex},
    ebs::{Ebs, Start},
    ec2::{Ec2, Image},
    failure::Failure,
    journal::Journal,
    made::Made,
    upload::Upload,
    wait,
};
use crate::{
    error::{ErrorKind, Hint},
    progress::Progress,
};

/// Snapshots that may turn out to be of no use before it is an error.
const ATTEMPTS: u32 = 3;

/// A publication under way.
pub(super) struct Run<'a> {
    client: &'a Client,
    plan: &'a Plan<'a>,
    disk: &'a Sparse,
    blocks: &'a [Block],
    token: String,
    journal: Journal,
    progress: &'a dyn Progress,
    made: Made,
}

/// A snapshot that exists.
struct Begun {
    id: String,
    is_complete: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        client: &'a Client,
        plan: &'a Plan<'a>,
        disk: &'a Sparse,
        blocks: &'a [Block],
        token: String,
        journal: Journal,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { client, plan, disk, blocks, token, journal, progress, made: Made::default() }
    }

    /// All steps. If one fails, what was made is removed, unless a later run can go on with it.
    pub(super) fn all(mut self) -> Result<Published> {
        let error = match self.steps() {
            Ok(published) => {
                self.journal.remove();
                return Ok(published);
            }
            Err(error) => error,
        };
        if Failure::can_go_on(&error) {
            self.made.keep(self.progress);
        } else {
            self.made.remove(self.client, self.progress);
            self.journal.give_up()?;
        }
        Err(error)
    }

    fn steps(&mut self) -> Result<Published> {
        let (client, home) = (self.client, self.plan.home.as_str());
        let ec2 = Ec2 { client, region: home };
        self.progress.begin("looking at AWS", None);
        let existing = self.existing(&ec2)?;
        let begun = self.begin(&ec2)?;
        let sent = self.fill(&begun)?;
        self.progress.begin("waiting for the snapshot", None);
        wait::for_snapshot(&ec2, &begun.id).map_err(Failure::into_error)?;
        self.progress.begin("registering the image", None);
        let image = match existing {
            Some(image) => image.image_id,
            None => ec2.register(&self.plan.image(&begun.id)).map_err(Failure::into_error)?,
        };
        self.made.image(home, &image);
        wait::for_image(&ec2, &image).map_err(Failure::into_error)?;
        let mut images = vec![PublishedImage { region: home.to_owned(), image, snapshot: begun.id }];
        self.copy(&mut images)?;
        self.share(&images)?;
        Ok(Published { images, blocks: self.blocks.len(), sent })
    }

    /// The image of an earlier run that came so far. Another of that name is in the way.
    fn existing(&self, ec2: &Ec2<'_>) -> Result<Option<Image>> {
        let name = &self.plan.wish.name;
        let mut own = None;
        for region in self.plan.regions() {
            let there = Ec2 { client: self.client, region };
            let Some(found) = there.image_named(name).map_err(Failure::into_error)? else { continue };
            let is_own = found.snapshots().any(|id| Some(id) == self.journal.told.snapshot.as_deref());
            if region == ec2.region && is_own {
                own = Some(found);
            } else if region == ec2.region || own.is_none() {
                let error = anyhow!("{region} has an AMI of the name '{name}' already: {}", found.image_id);
                let hint = "choose another name, or deregister that image".to_owned();
                return Err(error.context(Hint(hint)).context(ErrorKind::Usage));
            }
        }
        Ok(own)
    }

    /// The snapshot of an earlier run, or a new one.
    fn begin(&mut self, ec2: &Ec2<'_>) -> Result<Begun> {
        for _ in 0..ATTEMPTS {
            let begun = match self.journal.told.snapshot.clone() {
                Some(id) => self.take_up(ec2, id)?,
                None => self.start(ec2)?,
            };
            match begun {
                Some(begun) => return Ok(begun),
                None => self.journal.give_up()?,
            }
        }
        Err(anyhow!("AWS gave up {ATTEMPTS} snapshots in a row").context(ErrorKind::Network))
    }

    /// A snapshot that the journal knows; `None` if it is of no use any more.
    fn take_up(&mut self, ec2: &Ec2<'_>, id: String) -> Result<Option<Begun>> {
        self.made.snapshot(ec2.region, &id);
        let found = ec2.snapshot(&id, false).map_err(Failure::into_error)?;
        match found.as_ref().map(|snapshot| snapshot.status.as_str()) {
            Some("completed") => Ok(Some(Begun { id, is_complete: true })),
            Some("pending") => Ok(Some(Begun { id, is_complete: false })),
            Some(_) => ec2.delete_snapshot(&id).map_err(Failure::into_error).map(|()| None),
            None => Ok(None),
        }
    }

    /// A new snapshot; `None` if the token stands for one that was deleted or given up since.
    fn start(&mut self, ec2: &Ec2<'_>) -> Result<Option<Begun>> {
        let token = format!("{}-{}", &self.token[..48], self.journal.told.attempt);
        let ebs = Ebs { client: self.client, region: &self.plan.home };
        let start = Start {
            gib: self.plan.gib,
            token: &token,
            description: &self.plan.wish.name,
            tags: &self.plan.tags,
        };
        let started = ebs.start(&start).map_err(Failure::into_error)?;
        let (id, is_complete) = (started.snapshot_id, started.status == "completed");
        self.made.snapshot(ec2.region, &id);
        self.journal.started(&id)?;
        match ec2.snapshot(&id, true).map_err(Failure::into_error)? {
            Some(snapshot) if snapshot.status != "error" => Ok(Some(Begun { id, is_complete })),
            Some(_) => ec2.delete_snapshot(&id).map_err(Failure::into_error).map(|()| None),
            None => Ok(None),
        }
    }

    /// Sends what is missing and seals the snapshot; how many blocks were sent.
    fn fill(&self, begun: &Begun) -> Result<usize> {
        if begun.is_complete {
            return Ok(0);
        }
        let ebs = Ebs { client: self.client, region: &self.plan.home };
        let (disk, journal, progress) = (self.disk, &self.journal, self.progress);
        let upload = Upload { ebs, disk, snapshot: &begun.id, journal, progress };
        let sent = upload.run(self.blocks)?;
        let aggregate = blocks::aggregate(self.blocks);
        match upload.ebs.complete(&begun.id, self.blocks.len(), &aggregate) {
            // If the first answer was lost, the second says that there is nothing to complete.
            Err(failure) if !self.is_complete(&begun.id) => Err(failure.into_error()),
            _ => Ok(sent),
        }
    }

    fn is_complete(&self, snapshot: &str) -> bool {
        let ec2 = Ec2 { client: self.client, region: &self.plan.home };
        let found = ec2.snapshot(snapshot, false).ok().flatten();
        found.is_some_and(|snapshot| snapshot.status == "completed")
    }

    /// All copies are asked for before the first is waited for.
    fn copy(&mut self, images: &mut Vec<PublishedImage>) -> Result<()> {
        if self.plan.wish.copy_to.is_empty() {
            return Ok(());
        }
        self.progress.begin("copying to other regions", None);
        let (source, mut copies) = (images[0].image.clone(), Vec::new());
        for region in &self.plan.wish.copy_to {
            let token = hex(&Sha256::digest(format!("{} {source} {region}", self.token)));
            let ec2 = Ec2 { client: self.client, region };
            let copy = ec2.copy(&self.plan.copy(&source, &token)).map_err(Failure::into_error)?;
            self.made.image(region, &copy);
            copies.push((ec2, copy));
        }
        for (ec2, image) in copies {
            let found = wait::for_image(&ec2, &image).map_err(Failure::into_error)?;
            let snapshot = found.snapshots().next().unwrap_or_default().to_owned();
            images.push(PublishedImage { region: ec2.region.to_owned(), image, snapshot });
        }
        Ok(())
    }

    fn share(&self, images: &[PublishedImage]) -> Result<()> {
        let accounts = &self.plan.wish.share_with;
        if accounts.is_empty() {
            return Ok(());
        }
        self.progress.begin("sharing", None);
        for image in images {
            let ec2 = Ec2 { client: self.client, region: &image.region };
            let shared = ec2.share_image(&image.image, accounts);
            let shared = shared.and_then(|()| ec2.share_snapshot(&image.snapshot, accounts));
            shared.map_err(Failure::into_error)?;
        }
        Ok(())
    }
}
