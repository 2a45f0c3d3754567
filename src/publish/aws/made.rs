//! What a run has made at AWS, to be removed if it fails.

use super::{
    client::Client,
    ec2::{Ec2, Image},
    failure::Failure,
};
use crate::progress::Progress;

/// Something that costs money while it is there.
enum Thing {
    Snapshot { region: String, id: String },
    Image { region: String, id: String },
}

/// Everything, in the order it was made.
#[derive(Default)]
pub(super) struct Made(Vec<Thing>);

impl Made {
    pub(super) fn snapshot(&mut self, region: &str, id: &str) {
        self.0.push(Thing::Snapshot { region: region.to_owned(), id: id.to_owned() });
    }

    pub(super) fn image(&mut self, region: &str, id: &str) {
        self.0.push(Thing::Image { region: region.to_owned(), id: id.to_owned() });
    }

    /// Removes all of it, the last first. What cannot be removed is named.
    pub(super) fn remove(&self, client: &Client, progress: &dyn Progress) {
        for thing in self.0.iter().rev() {
            match thing.remove(client) {
                Ok(()) => progress.note(&format!("{} is removed again", thing.name())),
                Err(failure) => {
                    progress
                        .note(&format!("{} is left and must be removed by hand: {failure}", thing.name()));
                }
            }
        }
    }

    /// Says what is kept for a later run.
    pub(super) fn keep(&self, progress: &dyn Progress) {
        for thing in &self.0 {
            progress.note(&format!("{} is kept: the same command goes on with it", thing.name()));
        }
    }
}

impl Thing {
    fn name(&self) -> String {
        match self {
            Self::Snapshot { region, id } => format!("snapshot {id} in {region}"),
            Self::Image { region, id } => format!("image {id} in {region}"),
        }
    }

    fn remove(&self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::Snapshot { region, id } => Ec2 { client, region }.delete_snapshot(id),
            Self::Image { region, id } => {
                let ec2 = Ec2 { client, region };
                let image = ec2.image(id, false)?;
                ec2.deregister(id)?;
                let mut snapshots = image.iter().flat_map(Image::snapshots);
                snapshots.try_for_each(|snapshot| ec2.delete_snapshot(snapshot))
            }
        }
    }
}
