//! OCI image layouts (OCI image-spec 1.1, image-layout.md), in a directory or
//! in a tar file of one:
//!
//! ```text
//! oci-layout                   {"imageLayoutVersion": "1.0.0"}
//! index.json                   entry points, tagged by annotations
//! blobs/ALGORITHM/HEX          content
//! ```
//!
//! A missing `oci-layout` file is tolerated, as other readers do; a wrong one is not.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::{
    archive::Archive,
    error::{Hinted, Kind},
    manifest::{self, Descriptor, Document},
    platform,
    reference::Pick,
    store::{Found, Span, Store, Watch, if_there},
};

const LAYOUT_FILE: &str = "oci-layout";
const INDEX_FILE: &str = "index.json";
const LAYOUT_VERSION: &str = "1.0.0";
/// Annotation of an index entry that holds its tag (annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same by containerd, with the full name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The files a layout consists of.
pub(crate) enum Files {
    /// Below a directory.
    Directory(PathBuf),
    /// Members of a tar file.
    Archive(Archive),
}

impl Files {
    fn open(&self, name: &str) -> Result<Span> {
        match self {
            Self::Directory(dir) => Span::open(&dir.join(name)),
            Self::Archive(archive) => archive.member(name),
        }
    }

    /// `None` if there is no such file.
    fn open_if_there(&self, name: &str) -> Result<Option<Span>> {
        if_there(self.open(name))
    }
}

/// An OCI layout.
pub(crate) struct Layout {
    files: Files,
    pick: Pick,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

impl Layout {
    /// Checks that there is a layout. `files` are not read beyond its first file.
    pub(crate) fn new(files: Files, pick: Pick) -> Result<Self> {
        if let Some(span) = files.open_if_there(LAYOUT_FILE)? {
            let version = span
                .read()
                .and_then(|bytes| manifest::parse_json::<LayoutFile>(&bytes))
                .with_context(|| format!("parsing {LAYOUT_FILE}"))?
                .image_layout_version;
            ensure!(
                version == LAYOUT_VERSION,
                "image layout version {version}: only {LAYOUT_VERSION} is known"
            );
        }
        Ok(Self { files, pick })
    }

    fn entries(&self) -> Result<Vec<Descriptor>> {
        let Some(span) = self.files.open_if_there(INDEX_FILE)? else {
            let message = format!("no {INDEX_FILE}: this is not an OCI layout");
            let hint = "for an archive made by \"docker save\" or \"podman save\" write docker-archive:FILE";
            return Err(Hinted::new(Kind::NotFound, message, hint).into());
        };
        let bytes = span.read().with_context(|| format!("reading {INDEX_FILE}"))?;
        match manifest::parse(&bytes, None).with_context(|| format!("parsing {INDEX_FILE}"))? {
            Document::Index(entries) => Ok(entries),
            Document::Manifest(_) => bail!("{INDEX_FILE} is a manifest, not an index"),
        }
    }
}

impl Store for Layout {
    fn root(&self, architecture: &str) -> Result<Found> {
        let entries = self.entries()?;
        let entry = pick(&entries, &self.pick, architecture)?;
        entry.check_is_manifest().with_context(|| format!("reading {INDEX_FILE}"))?;
        let bytes = self.manifest(entry).with_context(|| format!("reading manifest {}", entry.digest))?;
        Ok(Found { bytes, digest: entry.digest.clone(), media_type: Some(entry.media_type.clone()) })
    }

    fn blob(&self, blob: &Descriptor, _watch: &Watch<'_>) -> Result<Span> {
        let digest = &blob.digest;
        let path = format!("blobs/{}/{}", digest.algorithm_name(), digest.hex());
        let span = self.files.open(&path)?;
        span.check_len(blob)?;
        Ok(span)
    }
}

fn tag_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}

fn has_tag(entry: &Descriptor, tag: &str) -> bool {
    tag_of(entry) == Some(tag) || entry.annotations.get(CONTAINERD_NAME).is_some_and(|name| name == tag)
}

/// The entry that the reference means.
fn pick<'a>(entries: &'a [Descriptor], pick: &Pick, architecture: &str) -> Result<&'a Descriptor> {
    match pick {
        Pick::Index(at) => entries.get(*at).with_context(|| {
            format!("no image at position {at}: {INDEX_FILE} has {} of them", entries.len())
        }),
        Pick::Tag(tag) => {
            let tagged: Vec<_> = entries.iter().filter(|entry| has_tag(entry, tag)).cloned().collect();
            ensure_found(&tagged, entries, tag)?;
            let chosen =
                if tagged.len() == 1 { &tagged[0] } else { platform::choose(&tagged, architecture)? };
            entries.iter().find(|entry| *entry == chosen).context("the tagged entry is in the index")
        }
        Pick::Only if entries.len() == 1 => Ok(&entries[0]),
        Pick::Only if is_one_image(entries) => platform::choose(entries, architecture),
        Pick::Only => {
            let message = format!("{} images and no tag to choose by: {}", entries.len(), tags(entries));
            Err(Hinted::new(Kind::Reference, message, "append :TAG to the reference, or :@N for the Nth")
                .into())
        }
    }
}

/// Entries of an untagged multi-platform image: each names a platform, and no two are the same.
fn is_one_image(entries: &[Descriptor]) -> bool {
    let platforms: Vec<_> = entries.iter().filter_map(|entry| entry.platform.as_ref()).collect();
    let distinct = (1..platforms.len()).all(|at| !platforms[..at].contains(&platforms[at]));
    let first = tag_of(&entries[0]);
    platforms.len() == entries.len() && distinct && entries.iter().all(|entry| tag_of(entry) == first)
}

fn ensure_found(tagged: &[Descriptor], entries: &[Descriptor], tag: &str) -> Result<()> {
    if tagged.is_empty() {
        let message = format!("tag {tag:?} not found: {}", tags(entries));
        return Err(Hinted::new(Kind::NotFound, message, "name one of these tags").into());
    }
    Ok(())
}

fn tags(entries: &[Descriptor]) -> String {
    let mut names: Vec<_> = entries.iter().filter_map(tag_of).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        "no image here has a tag".into()
    } else {
        format!("the tags are {}", names.join(", "))
    }
}
