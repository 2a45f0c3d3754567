//! The part of a build that makes a medium of Anaconda: the image is Anaconda's, and another one is installed.

use anyhow::{Context, Result, anyhow};
use diskwright_formats::{
    data::Data,
    sparse::Sparse,
    writer::{FormatWriter, Medium},
};
use serde_json::json;

use super::{Asked, BuildRequest, image_config, parse_reference, wishes};
use crate::{
    deploy::medium::anaconda::{self, Payload, RUNTIME, anaconda},
    error::{ErrorKind, Hint, with_source_marks},
    ids::Ids,
    merge::Merged,
    optical,
    progress::Progress,
    pxe,
    source::{self, Blobs, OciImage, Reference},
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The image to install, if one is asked for, by a medium that can.
pub(super) fn payload(request: &BuildRequest, writers: &[&dyn FormatWriter]) -> Result<Option<Reference>> {
    let found = writers.iter().map(|writer| writer.spec()).find(|spec| spec.medium == Medium::Anaconda);
    let usage = |text: String, hint: &str| {
        Err(anyhow!(text).context(Hint(hint.to_owned())).context(ErrorKind::Usage))
    };
    match (&request.installer_payload, found) {
        (None, None) => Ok(None),
        (Some(_), None) => usage(
            "--installer-payload-ref means nothing to the types that are asked for".into(),
            "types that know it: bootc-installer",
        ),
        (None, Some(spec)) => usage(
            format!("{} needs --installer-payload-ref, the image to install", spec.name),
            "--type iso installs IMAGE itself, by an installer of its own",
        ),
        (Some(_), Some(spec)) if writers.len() > 1 => usage(
            format!("{} is built alone: its image is the one of Anaconda", spec.name),
            "build the other types of the image that is installed",
        ),
        (Some(text), Some(_)) => parse_reference(text).map(Some),
    }
}

/// The medium; `None` if none is asked for.
pub(super) fn make(
    request: &BuildRequest,
    asked: &Asked,
    image: &OciImage,
    merged: &Merged,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Option<Sparse>> {
    let Some(payload) = &asked.payload else { return Ok(None) };
    let config = image_config(image)?;
    let target = request.target_imgref.clone().unwrap_or_else(|| payload.to_string());
    let wishes = wishes(request, asked, &config, &target)?;
    let options =
        source::Options { target_arch: Some(config.architecture().to_owned()), ..request.source.clone() };
    let is_remote = matches!(payload, Reference::Registry(_));
    let blobs = source::blobs(payload, &options, progress);
    let blobs = blobs.map_err(|error| with_source_marks(error, is_remote));
    let blobs = blobs.context("reading the image to install")?;
    let payload = Payload { target: &target, files: layout(&blobs) };
    let made = anaconda(&config, merged.tree.clone(), &wishes, payload, ids, progress);
    let anaconda::Anaconda { mut medium, runtime } =
        made.context("making a medium of Anaconda").context(ErrorKind::Input)?;
    let spool = source::spool_file(request.source.spool_dir.as_deref())?;
    medium.add(RUNTIME, pxe::root_filesystem(&runtime, spool, ids, progress)?);
    optical::lay_out(medium, ids).map(Some)
}

/// The files of an OCI layout that holds this image alone.
fn layout(blobs: &Blobs) -> Vec<(String, Sparse)> {
    let (bytes, digest) = (&blobs.manifest, &blobs.manifest_digest);
    let manifest = json!({"mediaType": blobs.media_type, "digest": digest, "size": bytes.len()});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
    let path = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
    let text = |text: String| Sparse::from_bytes(text.into_bytes());
    let mut files = vec![
        ("oci-layout".to_owned(), text(json!({"imageLayoutVersion": "1.0.0"}).to_string())),
        ("index.json".to_owned(), text(index.to_string())),
        (path(digest), Sparse::from_bytes(&bytes[..])),
        (path(&blobs.config_digest), Sparse::from_bytes(&blobs.config[..])),
    ];
    for layer in &blobs.layers {
        let data = Data::from_source(layer.file.clone(), layer.offset, layer.len);
        files.push((path(&layer.digest), Sparse::from_data(data)));
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files.dedup_by(|one, other| one.0 == other.0);
    files
}
