//! The build: what is asked ([`BuildRequest`]), what comes of it
//! ([`BuildReport`]), and [`build`], the only place where the stages meet.

mod anaconda_medium;
mod asked;
mod installer_medium;
mod job;
mod live_system;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use diskwright_formats::{
    sparse::Sparse,
    writer::{Compression, Medium, Options},
};
use diskwright_install::address::Address;
use serde::Serialize;

pub use self::asked::{check_blueprint, convert_blueprint};
use self::installer_medium::Installers;
pub(crate) use self::{
    asked::{Asked, parse_reference},
    installer_medium::disk_size as installed_size,
    job::Job,
};
use crate::{
    azure,
    deploy::{
        arch::Arch,
        image::{ImageConfig, LayerId},
    },
    error::{ErrorKind, with_source_marks},
    firmware::Startup,
    layout,
    merge::{self, Merged},
    output::OutputSet,
    plan::DiskSize,
    progress::Progress,
    publish::aws,
    push,
    record::{self, Origin},
    source::{self, OciImage, Reference},
    write::{self, BuiltOutput, Choices, Place},
};

/// Bytes of a disk's sector where nothing else is asked for.
const SECTOR_SIZE: u32 = 512;
/// The type that can become an AMI.
const AMI: &str = "ami";

/// Everything a user can ask of one build. Plain values: nothing in here has been checked
/// against the image, and names (types, filesystems) not against the registries.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The image, in the transports' syntax ("oci:dir:tag") or as a bare registry reference.
    pub reference: String,
    /// Names or aliases of disk formats, in the user's order; empty means `qcow2`.
    pub types: Vec<String>,
    /// Filesystem of the root volume; `None` means what the image declares.
    pub rootfs: Option<String>,
    /// How the image is read.
    pub source: source::Options,
    /// Directory below which each format puts its file ("qcow2/disk.qcow2").
    pub output: PathBuf,
    /// Owner of every file and directory created: uid, and gid if it was given.
    pub chown: Option<(u32, Option<u32>)>,
    /// The blueprint file: YAML, TOML or JSON.
    pub blueprint: Option<PathBuf>,
    /// Kernel arguments to append, in order; one argument each.
    pub kargs: Vec<String>,
    /// Leave out the kernel arguments that every disk gets by default.
    pub no_default_kernel_args: bool,
    /// The reference that the installed system updates from; `None` means `reference`.
    pub target_imgref: Option<String>,
    /// The program that an installer medium starts; `None` means the one beside this program.
    pub installer: Option<PathBuf>,
    /// Where machines find what installs from a network; `None` leaves it to them.
    pub payload_url: Option<Address>,
    /// The image that a medium of Anaconda installs, in the syntax of `reference`.
    pub installer_payload: Option<String>,
    /// Build without the image's logically bound images, should there be some.
    pub skip_bound_images: bool,
    /// A file of keys that may log in as root by SSH.
    pub root_ssh_authorized_keys: Option<PathBuf>,
    /// Size of the disk; `None` leaves it to the blueprint and then to the default.
    pub size: Option<SizeWish>,
    /// How clusters are compressed, in formats that can.
    pub compression: Compression,
    /// What else there is to choose of the files.
    pub choices: Choices,
    /// Time of everything that needs one, in seconds since 1970; `None` means the image's own.
    pub source_date_epoch: Option<i64>,
    /// The AMI that the disk of type `ami` shall become.
    pub aws: Option<aws::Wish>,
}

/// How large the disk shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeWish {
    /// This many bytes.
    Absolute(u64),
    /// What the content needs, and this many bytes of free space on the root volume.
    PlusFree(u64),
    /// What the content needs.
    Fit,
}

/// What a build made.
#[derive(Clone, Debug, Serialize)]
pub struct BuildReport {
    /// `sha256:...` of the platform's manifest that was built.
    pub manifest_digest: String,
    /// One entry for each format, in the order of the request's types.
    pub outputs: Vec<BuiltOutput>,
    /// What there is at AWS now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<aws::Published>,
    /// What they were made of.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Turns an image into disks.
///
/// # Errors
/// Anything a stage reports; an [`crate::ErrorKind`] in the chain says whose fault it is.
pub fn build(request: &BuildRequest, progress: &dyn Progress) -> Result<BuildReport> {
    let asked = Asked::check(request)?;
    let mut outputs = OutputSet::new(&request.output, request.chown)?;
    let (job, merged) = Job::open(asked, progress)?;
    let LaidOut { files, options, startup } = lay_out(&job, merged)?;
    let with_sums = !request.choices.no_checksums;
    let writers = &job.asked.writers;
    let mut written = write::write_all(&files, writers, &options, with_sums, &mut outputs, progress)?;
    if let Some(destination) = &job.asked.push {
        push::push(destination, &mut written, &request.source, progress)?;
    }
    azure::note_generations(&mut written, &startup, progress);
    let origin = job.origin(&options, &files);
    record::write(&mut outputs, &request.output, &origin, &written)?;
    outputs.commit()?;
    let aws = job.publish(&files)?;
    Ok(BuildReport { manifest_digest: job.image.manifest_digest, outputs: written, aws, origin })
}

/// What is written, and what is known of it.
struct LaidOut {
    files: Vec<(Place, Arc<Sparse>)>,
    options: Options,
    startup: Startup,
}

/// The bytes of every file, with what formats record beside.
fn lay_out(job: &Job<'_>, merged: Merged) -> Result<LaidOut> {
    let places = job.asked.places(job.config.architecture())?;
    let (live, places) = of_medium(places, Medium::Live);
    let (anaconda, places) = of_medium(places, Medium::Anaconda);
    let mut others = Vec::new();
    for place in live {
        others.push((place, Arc::new(live_system::make(job, &merged)?)));
    }
    for place in anaconda {
        others.push((place, Arc::new(anaconda_medium::make(job, &merged)?)));
    }
    let mut laid_out = if places.is_empty() {
        let startup = Startup::default();
        LaidOut { files: Vec::new(), options: job.options(SECTOR_SIZE, &startup)?, startup }
    } else {
        disks(job, merged, places)?
    };
    laid_out.files.extend(others);
    Ok(laid_out)
}

/// Those that are used as this, and the others.
fn of_medium(places: Vec<Place>, medium: Medium) -> (Vec<Place>, Vec<Place>) {
    places.into_iter().partition(|place| place.medium() == medium)
}

/// The disks, and the media that install them.
fn disks(job: &Job<'_>, merged: Merged, places: Vec<Place>) -> Result<LaidOut> {
    let (places, others) = of_medium(places, Medium::Disk);
    let installers = Installers::prepare(job, &merged, &others)?;
    let deployed = job.deploy(merged)?;
    job.progress.begin("laying out the disk", None);
    let on_disk = layout::Disk { deployed: &deployed, ids: &job.ids };
    let mut files = lay_out_all(&on_disk, places, job.asked.size).context("laying out the disk")?;
    let startup = files.first().map(|(_, disk)| Startup::read(disk)).unwrap_or_default();
    let options = job.options(deployed.table.sector_size, &startup)?;
    if let Some(installers) = installers {
        files.extend(installers.finish(job, &on_disk, &options)?);
    }
    Ok(LaidOut { files, options, startup })
}

/// The disk of each file: one for each size that the formats ask for.
fn lay_out_all(
    on_disk: &layout::Disk<'_>,
    places: Vec<Place>,
    size: DiskSize,
) -> Result<Vec<(Place, Arc<Sparse>)>> {
    let wishes = on_disk.wishes()?;
    let mut disks: Vec<(Place, Arc<Sparse>)> = Vec::new();
    for place in places {
        let layout = on_disk.plan(&wishes, size, place.size_multiple())?;
        let made = disks.iter().find(|(_, disk)| disk.len() == layout.size);
        let disk = match made {
            Some((_, disk)) => disk.clone(),
            None => Arc::new(on_disk.lay_out(&layout)?),
        };
        disks.push((place, disk));
    }
    Ok(disks)
}

/// Whether disks can be made for the architecture.
pub(crate) fn boots(architecture: &str) -> Result<()> {
    Arch::from_oci(architecture).map(drop)
}

/// The image with its layers merged, if its architecture is accepted.
pub(crate) fn fetch_and_merge(
    reference: &Reference,
    options: &source::Options,
    accepts: &dyn Fn(&str) -> Result<()>,
    progress: &dyn Progress,
) -> Result<(OciImage, Merged)> {
    progress.begin("reading the image", None);
    let is_remote = matches!(reference, Reference::Registry(_));
    let image = source::open_for(reference, options, accepts, progress);
    let image = image.map_err(|error| with_source_marks(error, is_remote))?;
    progress.begin("merging layers", None);
    let merged = merge::merge(&image.layers).context(ErrorKind::Input)?;
    Ok((image, merged))
}

pub(crate) fn image_config(image: &OciImage) -> Result<ImageConfig> {
    let layers = image.layers.iter();
    let layers = layers.map(|layer| LayerId { digest: layer.digest.clone(), diff_id: layer.diff_id.clone() });
    ImageConfig::parse(
        &image.reference,
        &image.manifest_digest,
        &image.manifest,
        &image.config,
        layers.collect(),
    )
}
