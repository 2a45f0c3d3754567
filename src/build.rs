//! The build: what is asked ([`BuildRequest`]), what comes of it
//! ([`BuildReport`]), and [`build`], the only place where the stages meet.

mod anaconda_medium;
mod installer_medium;
mod live_system;

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, ensure};
use diskwright_formats::{
    filesystem::by_name,
    sparse::Sparse,
    writer::{Compression, FormatWriter, Machine, Medium, Options},
};
use diskwright_install::address::Address;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;

use self::installer_medium::{Given, Installers};
pub(crate) use self::installer_medium::disk_size as installed_size;
use crate::{
    azure,
    blueprint::{Blueprint, Document, Syntax, storage},
    deploy::{
        self, Deployed, Wishes,
        arch::Arch,
        image::{ImageConfig, LayerId},
        storage::Secrets,
    },
    error::{ErrorKind, Hint, with_hint, with_source_marks},
    firmware::Startup,
    ids::Ids,
    layout,
    merge::{self, Merged},
    output::{self, OutputSet},
    plan::DiskSize,
    progress::Progress,
    publish::aws,
    push,
    record::{self, Origin, Tool},
    source::{self, Hinted, OciImage, Reference},
    write::{self, BuiltOutput, Choices, MachineChoices, Place, Subject},
};

/// Longest blueprint in bytes; it may hold files.
const BLUEPRINT_MAX: u64 = 16 << 20;
/// Longest list of SSH keys in bytes.
const KEYS_MAX: u64 = 1 << 20;
/// Bytes of a disk's sector where nothing else is asked for.
const SECTOR_SIZE: u32 = 512;
/// The type that can become an AMI.
const AMI: &str = "ami";
/// Longest key file of an encrypted volume, in bytes; cryptsetup takes no longer one.
const KEY_FILE_MAX: u64 = 8 << 20;

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
    let (image, merged) = fetch_and_merge(&asked.reference, &request.source, &boots, progress)?;
    let ids = ids(request, &asked, &image);
    let live = live_system::make(request, &asked, &image, &merged, &ids, progress)?;
    let anaconda = anaconda_medium::make(request, &asked, &image, &merged, &ids, progress)?;
    let places = asked.places(request, image_config(&image)?.architecture())?;
    let (live_places, places) = of_medium(places, Medium::Live);
    let (anaconda_places, places) = of_medium(places, Medium::Anaconda);
    let LaidOut { files, options, startup } = if places.is_empty() {
        let startup = Startup::default();
        let options = options(&asked, request, &image, SECTOR_SIZE, &ids, &startup)?;
        LaidOut { files: Vec::new(), options, startup }
    } else {
        lay_out(request, &asked, &image, merged, places, &ids, progress)?
    };
    let live = live_places.into_iter().zip(live.map(Arc::new));
    let anaconda = anaconda_places.into_iter().zip(anaconda.map(Arc::new));
    let files: Vec<_> = files.into_iter().chain(anaconda).chain(live).collect();
    let with_sums = !request.choices.no_checksums;
    let mut written = write::write_all(&files, &asked.writers, &options, with_sums, &mut outputs, progress)?;
    if let Some(destination) = &asked.push {
        push::push(destination, &mut written, &request.source, progress)?;
    }
    azure::note_generations(&mut written, &startup, progress);
    let origin = origin(&asked, &image, &options, &files);
    record::write(&mut outputs, &request.output, &origin, &written)?;
    outputs.commit()?;
    let aws = publish(request, &files, &image, progress)?;
    Ok(BuildReport { manifest_digest: image.manifest_digest, outputs: written, aws, origin })
}

/// Those that are used as this, and the others.
fn of_medium(places: Vec<Place>, medium: Medium) -> (Vec<Place>, Vec<Place>) {
    places.into_iter().partition(|place| place.medium() == medium)
}

/// What is written, and what is known of it.
struct LaidOut {
    files: Vec<(Place, Arc<Sparse>)>,
    options: Options,
    startup: Startup,
}

/// The disks, and the media that install them, with what formats record beside.
fn lay_out(
    request: &BuildRequest,
    asked: &Asked,
    image: &OciImage,
    merged: Merged,
    places: Vec<Place>,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<LaidOut> {
    let installers = Installers::prepare(request, asked, image, &merged, ids, progress)?;
    let deployed = deploy_volumes(request, asked, image, merged, ids, progress)?;
    progress.begin("laying out the disk", None);
    let (places, others) = of_medium(places, Medium::Disk);
    let on_disk = layout::Disk { deployed: &deployed, ids };
    let mut files = lay_out_all(&on_disk, places, asked.size).context("laying out the disk")?;
    let startup = files.first().map(|(_, disk)| Startup::read(disk)).unwrap_or_default();
    let options = options(asked, request, image, deployed.table.sector_size, ids, &startup)?;
    if let Some(installers) = installers {
        let given = Given { request, asked, image, on_disk: &on_disk, options: &options };
        files.extend(installers.finish(&given, &others, progress)?);
    }
    Ok(LaidOut { files, options, startup })
}

/// A request whose names are known to mean something.
pub(crate) struct Asked {
    pub(crate) reference: Reference,
    pub(crate) writers: Vec<&'static dyn FormatWriter>,
    pub(crate) blueprint: Document,
    root_ssh_keys: Option<String>,
    secrets: Secrets,
    pub(crate) size: DiskSize,
    push: Option<push::Destination>,
    payload: Option<Reference>,
    choices: Choices,
}

impl Asked {
    /// Everything that can be refused before a byte is fetched.
    pub(crate) fn check(request: &BuildRequest) -> Result<Self> {
        let reference = parse_reference(&request.reference)?;
        let writers = write::writers(&request.types)?;
        check_publication(request, &writers)?;
        if let Some(name) = request.rootfs.as_deref().filter(|name| by_name(name).is_none()) {
            return Err(
                anyhow!("--rootfs {name}: no such filesystem can be written").context(ErrorKind::Usage)
            );
        }
        if let Some(name) = &request.source.target_arch {
            source::architecture(name).context("--target-arch").context(ErrorKind::Usage)?;
        }
        let blueprint = match &request.blueprint {
            Some(path) => read_blueprint(path)?,
            None => Document::default(),
        };
        let root_ssh_keys = request.root_ssh_authorized_keys.as_deref().map(read_keys).transpose()?;
        blueprint.check_outputs(&writers).context(ErrorKind::Input)?;
        let size = match request.size {
            None => DiskSize::Default,
            Some(SizeWish::Absolute(bytes)) => DiskSize::Absolute(bytes),
            Some(SizeWish::PlusFree(bytes)) => DiskSize::PlusFree(bytes),
            Some(SizeWish::Fit) => DiskSize::Fit,
        };
        let payload = anaconda_medium::payload(request, &writers)?;
        if payload.is_some() {
            deploy::medium::anaconda::check(blueprint.blueprint())?;
        }
        let secrets = secrets(blueprint.blueprint())?;
        let choices = choices(request, &writers, blueprint.blueprint())?;
        let push = choices.push.as_deref().map(push::Destination::parse).transpose()?;
        let asked =
            Self { reference, writers, blueprint, root_ssh_keys, secrets, size, push, payload, choices };
        installer_medium::check(request, &asked)?;
        // Which architecture it will be does not change whether the paths are good.
        asked.places(request, source::host_architecture())?;
        Ok(asked)
    }

    /// Where the files go.
    fn places(&self, request: &BuildRequest, arch: &str) -> Result<Vec<Place>> {
        let subject = Subject { name: self.reference.short_name(), arch: arch.to_owned() };
        write::places(&self.writers, &request.choices.naming, &subject)
    }

    /// The reference that the system updates from.
    fn target(&self, request: &BuildRequest) -> String {
        request.target_imgref.clone().unwrap_or_else(|| self.reference.to_string())
    }

    /// What the disk's size is a multiple of for the file at `path`, which may serve several formats.
    pub(crate) fn size_multiple(&self, path: &str) -> u64 {
        let specs = self.writers.iter().map(|writer| writer.spec());
        specs.filter(|spec| spec.path == path).map(|spec| spec.size_multiple).max().unwrap_or(1)
    }
}

/// What the command line says of the files, and below that the blueprint.
fn choices(request: &BuildRequest, writers: &[&dyn FormatWriter], blueprint: &Blueprint) -> Result<Choices> {
    request.choices.check(writers)?;
    let vm = blueprint.vm.clone();
    let machine = request.choices.machine.clone().over(MachineChoices {
        name: vm.name,
        cpus: vm.cpus,
        memory_bytes: vm.memory.map(|size| size.0),
        firmware: vm.firmware.map(|firmware| firmware.0),
        secure_boot: vm.secure_boot,
        network: vm.network,
        guest: vm.guest_type,
    });
    machine.check()?;
    Ok(Choices { machine, ..request.choices.clone() })
}

/// Names, and missing credentials, are told before the build, which takes longer.
fn check_publication(request: &BuildRequest, writers: &[&dyn FormatWriter]) -> Result<()> {
    let Some(wish) = &request.aws else { return Ok(()) };
    if !writers.iter().any(|writer| writer.spec().name == AMI) {
        let error = anyhow!("--aws-ami-name needs a disk of type {AMI}");
        return Err(error.context(Hint(format!("add --type {AMI}"))).context(ErrorKind::Usage));
    }
    aws::check(wish)
}

pub(crate) fn parse_reference(text: &str) -> Result<Reference> {
    text.parse().map_err(|error: Hinted| with_hint(error.into())).context(ErrorKind::Usage)
}

fn read_blueprint(path: &Path) -> Result<Document> {
    let name = path.display().to_string();
    let text = if name == "-" {
        read_text(std::io::stdin())
    } else {
        File::open(path).map_err(Into::into).and_then(read_text)
    };
    let text = text.with_context(|| format!("reading blueprint {name}")).context(ErrorKind::Input)?;
    Document::read(&text, &name).context(ErrorKind::Input)
}

/// Keys for root's logins: text, with a key in it at least.
fn read_keys(path: &Path) -> Result<String> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(KEYS_MAX + 1).read_to_string(&mut text)?;
        ensure!(text.len() as u64 <= KEYS_MAX, "more than {KEYS_MAX} bytes are no list of keys");
        let is_key = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        ensure!(text.lines().any(is_key), "no key in it");
        Ok(text)
    };
    read().with_context(|| format!("--root-ssh-authorized-keys {}", path.display())).context(ErrorKind::Input)
}

/// What encrypted volumes need: their key files, and the system's randomness unless all are reproducible.
fn secrets(blueprint: &Blueprint) -> Result<Secrets> {
    let mut secrets = Secrets::default();
    let partitions = blueprint.customizations.disk.iter().flat_map(|disk| &disk.partitions);
    let encrypted: Vec<_> = partitions.filter(|partition| partition.r#type == storage::Kind::Luks).collect();
    for path in encrypted.iter().filter_map(|partition| partition.key_file.as_ref()) {
        let key = read_key_file(Path::new(path));
        let key = key.with_context(|| format!("reading key file {path} of customizations.disk"));
        secrets.key_files.insert(path.clone(), key.context(ErrorKind::Input)?);
    }
    if encrypted.iter().any(|partition| !partition.reproducible) {
        let count = getrandom(&mut secrets.entropy[..], GetRandomFlags::empty());
        ensure!(
            count.context("asking the system for randomness")? == secrets.entropy.len(),
            "too little randomness"
        );
    }
    Ok(secrets)
}

fn read_key_file(path: &Path) -> Result<Vec<u8>> {
    let mut key = Vec::new();
    File::open(path)?.take(KEY_FILE_MAX + 1).read_to_end(&mut key)?;
    ensure!(!key.is_empty(), "it is empty");
    ensure!(key.len() as u64 <= KEY_FILE_MAX, "it has more than {KEY_FILE_MAX} bytes");
    Ok(key)
}

/// Checks a blueprint without an image, and that each of the types honours all of it.
///
/// # Errors
/// What is wrong with it, as [`build`] would say.
pub fn check_blueprint(path: &Path, types: &[String]) -> Result<()> {
    let document = read_blueprint(path)?;
    let writers = if types.is_empty() { Vec::new() } else { write::writers(types)? };
    document.check_outputs(&writers).context(ErrorKind::Input)
}

/// A blueprint in another syntax.
///
/// # Errors
/// What is wrong with it, as [`build`] would say.
pub fn convert_blueprint(path: &Path, to: Syntax) -> Result<String> {
    let document = read_blueprint(path)?;
    document.write(to).map_err(|why| anyhow!("writing {to:?}: {why}")).context(ErrorKind::Input)
}

fn read_text(source: impl Read) -> Result<String> {
    let mut text = String::new();
    source.take(BLUEPRINT_MAX + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= BLUEPRINT_MAX, "more than {BLUEPRINT_MAX} bytes are no blueprint");
    Ok(text)
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

pub(crate) fn ids(request: &BuildRequest, asked: &Asked, image: &OciImage) -> Ids {
    let created = || image_config(image).ok().and_then(|config| config.created());
    let time = request.source_date_epoch.or_else(created).unwrap_or(0);
    Ids::new(&image.manifest_digest, asked.blueprint.text().as_bytes(), time)
}

/// The disk to AWS, if that is wished for. The files stay, whatever comes of it.
fn publish(
    request: &BuildRequest,
    disks: &[(Place, Arc<Sparse>)],
    image: &OciImage,
    progress: &dyn Progress,
) -> Result<Option<aws::Published>> {
    let Some(wish) = &request.aws else { return Ok(None) };
    let is_ami = |place: &Place| place.writers.iter().any(|writer| writer.spec().name == AMI);
    let (place, disk) = disks.iter().find(|(place, _)| is_ami(place)).context("no disk to publish")?;
    output::go_on_after_commit();
    let architecture = image_config(image)?.architecture().to_owned();
    let wish = aws::Wish { architecture: Some(architecture), ..wish.clone() };
    let path = request.output.join(&place.path).display().to_string();
    let hint = || Hint(format!("the disk is complete; to publish it alone: diskwright publish aws {path}"));
    aws::publish(disk, &wish, progress).with_context(hint).context("publishing to AWS").map(Some)
}

/// What is asked of the deployment.
pub(crate) fn wishes<'a>(
    request: &'a BuildRequest,
    asked: &'a Asked,
    config: &ImageConfig,
    reference: &'a str,
) -> Result<Wishes<'a>> {
    Ok(Wishes {
        arch: Arch::from_oci(config.architecture()).context(ErrorKind::Input)?,
        rootfs: request.rootfs.as_deref(),
        kargs: &request.kargs,
        default_kargs: !request.no_default_kernel_args,
        target: request.target_imgref.as_deref().unwrap_or(reference),
        blueprint: asked.blueprint.blueprint(),
        skip_bound_images: request.skip_bound_images,
        root_ssh_keys: asked.root_ssh_keys.as_deref(),
        secrets: &asked.secrets,
    })
}

pub(crate) fn deploy_volumes(
    request: &BuildRequest,
    asked: &Asked,
    image: &OciImage,
    merged: Merged,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Deployed> {
    progress.begin("deploying", Some(image.layers.iter().map(|layer| layer.tar_len).sum()));
    let config = image_config(image)?;
    let target = asked.target(request);
    let wishes = wishes(request, asked, &config, &target)?;
    deploy::deploy(&config, merged, &wishes, ids, progress).context(ErrorKind::Input)
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

/// What formats record beside the disk.
fn options(
    asked: &Asked,
    request: &BuildRequest,
    image: &OciImage,
    sector_size: u32,
    ids: &Ids,
    startup: &Startup,
) -> Result<Options> {
    let options = asked.choices.applied(Options {
        compression: request.compression,
        sector_size,
        seed: ids.uuid("formats").into_bytes(),
        time: ids.time().seconds,
        architecture: image_config(image)?.architecture().to_owned(),
        machine: Machine { firmware: startup.firmware(), ..Machine::default() },
        ..Options::default()
    });
    startup.check(&options.machine)?;
    Ok(options)
}

/// What the record says of where the disks come from.
fn origin(asked: &Asked, image: &OciImage, options: &Options, disks: &[(Place, Arc<Sparse>)]) -> Origin {
    let layer = |layer: &source::Layer| record::Layer {
        digest: layer.digest.clone(),
        diff_id: layer.diff_id.clone(),
        size: layer.size,
        opened: layer.opened,
    };
    let text = asked.blueprint.text().as_bytes();
    Origin {
        tool: Tool::current(),
        source: record::Source::Image(record::Image {
            reference: image.reference.clone(),
            manifest_digest: image.manifest_digest.clone(),
            config_digest: record::digest(&image.config),
            architecture: options.architecture.clone(),
            layers: image.layers.iter().map(layer).collect(),
        }),
        blueprint_digest: (!text.is_empty()).then(|| record::digest(text)),
        source_date_epoch: options.time,
        disks: record::disks(disks, options.sector_size),
    }
}
