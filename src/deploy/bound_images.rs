//! Logically bound images: containers that an image wants beside itself
//! (bootc, "logically bound images"). bootc's installer copies them into
//! `ostree/bootc/storage`; here they are only named, so that nobody misses
//! them on a machine.
//!
//! ```text
//! usr/lib/bootc/bound-images.d/NAME.image      link to a Quadlet file, [Image] Image=
//! usr/lib/bootc/bound-images.d/NAME.container  the same, [Container] Image=
//! ```

use anyhow::{Context, Result, anyhow};

use super::{rootfs::Rootfs, system::key_file_value};
use crate::error::Hint;

/// Links to the files that name them.
const DIRECTORY: &str = "usr/lib/bootc/bound-images.d";
/// Names that a message lists.
const SHOWN: usize = 10;

/// The bound images, in order of their files: `REFERENCE (FILE)`.
///
/// # Errors
/// A file that is not text.
fn list(rootfs: &Rootfs<'_>) -> Result<Vec<String>> {
    let name = |(file, _): (&[u8], _)| {
        let file = String::from_utf8_lossy(file).into_owned();
        let path = format!("{DIRECTORY}/{file}");
        let section = if file.ends_with(".container") { "Container" } else { "Image" };
        let text = rootfs.read_text(&path)?;
        let image = text.and_then(|text| key_file_value(&text, section, "Image"));
        Ok(image.map_or_else(|| format!("what /{path} names"), |image| format!("{image} ({file})")))
    };
    rootfs.list(DIRECTORY).into_iter().map(name).collect()
}

/// One line on what will be missing, if something will; refused unless that is `wanted`.
///
/// # Errors
/// Bound images, and they are not to be skipped.
pub(super) fn check(rootfs: &Rootfs<'_>, wanted: bool) -> Result<Option<String>> {
    let images = list(rootfs).context("reading the logically bound images")?;
    if images.is_empty() {
        return Ok(None);
    }
    let missing = shown(&images);
    if wanted {
        return Ok(Some(format!("logically bound images are left out: {missing}")));
    }
    Err(anyhow!(
        "the image declares logically bound images (/{DIRECTORY}), which cannot be laid into a disk yet; \
         missing would be: {missing}"
    ))
    .context(Hint(
        "--skip-bound-images builds the disk without them; services that need them fail until `bootc upgrade` \
         or podman on the machine has pulled them"
            .to_owned(),
    ))
}

fn shown(images: &[String]) -> String {
    let mut text = images[..images.len().min(SHOWN)].join(", ");
    if images.len() > SHOWN {
        text += &format!(" and {} more", images.len() - SHOWN);
    }
    text
}
