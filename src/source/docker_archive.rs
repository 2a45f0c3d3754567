//! Docker image archives, as "docker save", podman and skopeo write them
//! (Docker image specification v1.2, "Combined Image JSON + Filesystem
//! Changeset Format"):
//!
//! ```text
//! manifest.json        [{"Config": PATH, "RepoTags": [NAME, ...], "Layers": [PATH, ...]}, ...]
//! PATH of the config   the image config, named by its digest
//! PATH of a layer      a tar; plain, or compressed by newer engines
//! ```
//!
//! The archive has no OCI manifest. One is made here, the same for the same
//! archive: a plain layer goes by its diff_id, a compressed one by the digest
//! of its bytes.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    archive::Archive,
    digest::{Digest, Hasher},
    error::{Hinted, Kind},
    manifest::{self, Compression, Descriptor},
    reference::Pick,
    store::{Found, Span, Store, Watch, check_digest},
};

const MANIFEST_FILE: &str = "manifest.json";
const DEFAULT_TAG: &str = "latest";

/// One image of a docker archive, seen through a manifest made for it.
pub(crate) struct DockerArchive {
    manifest: Vec<u8>,
    blobs: HashMap<Digest, Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Item {
    fn tags(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }
}

impl DockerArchive {
    /// Finds the image and makes its manifest.
    pub(crate) fn new(archive: &Archive, pick: &Pick) -> Result<Self> {
        let items = items(archive)?;
        let item = choose(&items, pick)?;
        let (config, span) =
            config(archive, item).with_context(|| format!("reading config {}", item.config))?;
        let diff_ids = manifest::parse_config(&config)
            .with_context(|| format!("parsing config {}", item.config))?
            .diff_ids;
        let (layers, count) = (item.layers.len(), diff_ids.len());
        ensure!(layers == count, "{MANIFEST_FILE} has {layers} layers, the config has {count} diff_ids");
        let digest = Digest::sha256(&config);
        let mut made = Made { layers: Vec::new(), blobs: HashMap::from([(digest.clone(), span)]) };
        for (path, diff_id) in item.layers.iter().zip(diff_ids) {
            made.add(archive, path, diff_id).with_context(|| format!("looking for layer {path}"))?;
        }
        made.finish(&digest, config.len())
    }
}

/// The manifest to be written: fields in the order of the specification, so its bytes are fixed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewManifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: NewDescriptor,
    layers: Vec<NewDescriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewDescriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// A manifest in the making.
struct Made {
    layers: Vec<NewDescriptor>,
    blobs: HashMap<Digest, Span>,
}

impl Made {
    fn add(&mut self, archive: &Archive, path: &str, diff_id: Digest) -> Result<()> {
        let span = archive.member(path)?;
        let compression = Compression::of_magic(span.read_start(&mut [0; 4])?);
        let digest = if compression == Compression::None { diff_id } else { hash(&span)? };
        let media_type = format!("application/vnd.oci.image.layer.v1.{}", compression.name());
        self.layers.push(NewDescriptor { media_type, digest: digest.to_string(), size: span.len });
        self.blobs.insert(digest, span);
        Ok(())
    }

    fn finish(self, config: &Digest, config_len: usize) -> Result<DockerArchive> {
        let config = NewDescriptor {
            media_type: "application/vnd.oci.image.config.v1+json".into(),
            digest: config.to_string(),
            size: config_len as u64,
        };
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = NewManifest { schema_version: 2, media_type, config, layers: self.layers };
        Ok(DockerArchive { manifest: serde_json::to_vec(&manifest)?, blobs: self.blobs })
    }
}

impl Store for DockerArchive {
    fn root(&self, _architecture: &str) -> Result<Found> {
        let digest = Digest::sha256(&self.manifest);
        Ok(Found { bytes: self.manifest.clone(), digest, media_type: None })
    }

    fn blob(&self, blob: &Descriptor, _watch: &Watch<'_>) -> Result<Span> {
        let span = self.blobs.get(&blob.digest).context("the made manifest names members only")?;
        span.check_len(blob)?;
        Ok(span.clone())
    }
}

fn items(archive: &Archive) -> Result<Vec<Item>> {
    let Some(span) = archive.member_if_there(MANIFEST_FILE)? else {
        let message = format!("no {MANIFEST_FILE}: this is not a docker archive");
        return Err(Hinted::new(Kind::NotFound, message, "for an OCI archive write oci-archive:FILE").into());
    };
    let bytes = span.read().with_context(|| format!("reading {MANIFEST_FILE}"))?;
    let items: Vec<Item> =
        manifest::parse_json(&bytes).with_context(|| format!("parsing {MANIFEST_FILE}"))?;
    ensure!(!items.is_empty(), "{MANIFEST_FILE} is empty");
    Ok(items)
}

/// The config; its digest is checked if it is named by one, as all writers do.
fn config(archive: &Archive, item: &Item) -> Result<(Vec<u8>, Span)> {
    let span = archive.member(&item.config)?;
    let bytes = span.read()?;
    let name = item.config.rsplit('/').next().unwrap_or_default();
    if let Ok(digest) = format!("sha256:{}", name.trim_end_matches(".json")).parse() {
        check_digest(&bytes, &digest)?;
    }
    Ok((bytes, span))
}

fn hash(span: &Span) -> Result<Digest> {
    let mut hasher = Hasher::new(super::digest::Algorithm::Sha256);
    span.for_each_chunk(|chunk| hasher.update(chunk))?;
    Ok(hasher.finish())
}

fn choose<'a>(items: &'a [Item], pick: &Pick) -> Result<&'a Item> {
    match pick {
        Pick::Index(at) => items.get(*at).with_context(|| {
            format!("no image at position {at}: {MANIFEST_FILE} has {} of them", items.len())
        }),
        Pick::Only if items.len() == 1 => Ok(&items[0]),
        Pick::Only => {
            let message = format!("{} images and no name to choose by: {}", items.len(), names(items));
            Err(Hinted::new(Kind::Reference, message, "append :NAME:TAG to the reference, or :@N").into())
        }
        Pick::Tag(name) => named(items, name),
    }
}

/// By the exact name, or by its end at a slash: engines differ in how much of a name they write.
fn named<'a>(items: &'a [Item], name: &str) -> Result<&'a Item> {
    let last = name.rsplit('/').next().unwrap_or_default();
    let full = if last.contains(':') { name.to_owned() } else { format!("{name}:{DEFAULT_TAG}") };
    let end = format!("/{full}");
    let exact = items.iter().filter(|item| item.tags().contains(&full)).collect::<Vec<_>>();
    let ending = items.iter().filter(|item| item.tags().iter().any(|tag| tag.ends_with(&end))).collect();
    let found = if exact.is_empty() { ending } else { exact };
    match found[..] {
        [item] => Ok(item),
        [] => {
            let message = format!("image {full:?} not found: {}", names(items));
            Err(Hinted::new(Kind::NotFound, message, "name one of these images").into())
        }
        _ => {
            let message = format!("{full:?} names more than one image: {}", names(items));
            Err(Hinted::new(Kind::Reference, message, "write the full name").into())
        }
    }
}

fn names(items: &[Item]) -> String {
    let names: Vec<_> = items.iter().flat_map(Item::tags).map(String::as_str).collect();
    if names.is_empty() {
        "no image here has a name".into()
    } else {
        format!("there are {}", names.join(", "))
    }
}
