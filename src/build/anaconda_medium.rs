//! The part of a build that makes a medium of Anaconda: the image is Anaconda's, and another one is installed.

use anyhow::{Context, Result, anyhow};
use diskwright_formats::{
    data::Data,
    sparse::Sparse,
    writer::{FormatWriter, Medium},
};
use serde_json::json;

use super::{BuildRequest, Job, parse_reference};
use crate::{
    deploy::medium::anaconda::{self, Payload, RUNTIME, anaconda},
    error::{ErrorKind, Hint, with_source_marks},
    merge::Merged,
    optical, pxe,
    source::{self, Blobs, Reference},
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

/// The medium.
pub(super) fn make(job: &Job<'_>, merged: &Merged) -> Result<Sparse> {
    let payload = job.asked.payload.as_ref().context("a medium of Anaconda without an image to install")?;
    let target = job.asked.request.target_imgref.clone().unwrap_or_else(|| payload.to_string());
    let wishes = job.wishes(&target)?;
    let blobs = blobs(job, payload).context("reading the image to install")?;
    let payload = Payload { target: &target, files: layout(&blobs) };
    let made = anaconda(&job.config, merged.tree.clone(), &wishes, payload, &job.ids, job.progress);
    let anaconda::Anaconda { mut medium, runtime } =
        made.context("making a medium of Anaconda").context(ErrorKind::Input)?;
    medium.add(RUNTIME, pxe::root_filesystem(&runtime, job.spool()?, &job.ids, job.progress)?);
    optical::lay_out(medium, &job.ids)
}

/// The image to install, of the architecture of the one with Anaconda.
fn blobs(job: &Job<'_>, payload: &Reference) -> Result<Blobs> {
    let architecture = Some(job.config.architecture().to_owned());
    let options = source::Options { target_arch: architecture, ..job.asked.request.source.clone() };
    let is_remote = matches!(payload, Reference::Registry(_));
    source::blobs(payload, &options, job.progress).map_err(|error| with_source_marks(error, is_remote))
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
