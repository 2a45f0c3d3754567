//! Waiting for what AWS does in its own time.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    ec2::{Ec2, Image},
    failure::Failure,
};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
/// A copy to the other side of the world is given this long.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// Asks until there is an answer, less and less often.
fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    let (start, mut pause) = (Instant::now(), FIRST);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > PATIENCE {
            return Err(Failure::last(what, format!("not done after {} hours", PATIENCE.as_secs() / 3600)));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
}

/// Until a snapshot is complete.
pub(super) fn for_snapshot(ec2: &Ec2<'_>, id: &str) -> Result<(), Failure> {
    let what = format!("snapshot {id} in {}", ec2.region);
    until(&what, || match ec2.snapshot(id, true)? {
        Some(snapshot) if snapshot.status == "completed" => Ok(Some(())),
        Some(snapshot) if snapshot.status == "pending" => Ok(None),
        Some(snapshot) => {
            Err(Failure::last(&what, format!("{} {}", snapshot.status, snapshot.status_message)))
        }
        None => Err(Failure::last(&what, "it is gone")),
    })
}

/// Until machines can be started from an image.
pub(super) fn for_image(ec2: &Ec2<'_>, id: &str) -> Result<Image, Failure> {
    let what = format!("image {id} in {}", ec2.region);
    until(&what, || match ec2.image(id, true)? {
        Some(image) if image.image_state == "available" => Ok(Some(image)),
        Some(image) if image.image_state == "pending" => Ok(None),
        Some(image) => Err(Failure::last(&what, format!("{} {}", image.image_state, image.reason()))),
        None => Err(Failure::last(&what, "it is gone")),
    })
}
