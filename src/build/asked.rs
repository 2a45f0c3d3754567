//! What is asked, with its files read and its names looked up: all that can be refused before a byte of the
//! image is fetched.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use diskwright_formats::{filesystem::by_name, writer::FormatWriter};
use rustix::rand::{GetRandomFlags, getrandom};

use super::{AMI, BuildRequest, SizeWish, anaconda_medium, installer_medium};
use crate::{
    blueprint::{Blueprint, Document, Syntax, storage},
    deploy::{self, storage::Secrets},
    error::{ErrorKind, Hint, with_hint},
    plan::DiskSize,
    publish::aws,
    push,
    source::{self, Hinted, Reference},
    write::{self, Choices, MachineChoices, Place, Subject},
};

/// Longest blueprint in bytes; it may hold files.
const BLUEPRINT_MAX: u64 = 16 << 20;
/// Longest list of SSH keys in bytes.
const KEYS_MAX: u64 = 1 << 20;
/// Longest key file of an encrypted volume, in bytes; cryptsetup takes no longer one.
const KEY_FILE_MAX: u64 = 8 << 20;

/// A request whose names are known to mean something.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) reference: Reference,
    pub(crate) writers: Vec<&'static dyn FormatWriter>,
    pub(crate) blueprint: Document,
    pub(super) root_ssh_keys: Option<String>,
    pub(super) secrets: Secrets,
    pub(crate) size: DiskSize,
    pub(super) push: Option<push::Destination>,
    pub(super) payload: Option<Reference>,
    pub(super) choices: Choices,
}

impl<'a> Asked<'a> {
    /// Everything that can be refused before a byte is fetched.
    pub(crate) fn check(request: &'a BuildRequest) -> Result<Self> {
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
        installer_medium::check(request, &writers)?;
        let asked = Self {
            request,
            reference,
            writers,
            blueprint,
            root_ssh_keys,
            secrets,
            size,
            push,
            payload,
            choices,
        };
        // Which architecture it will be does not change whether the paths are good.
        asked.places(source::host_architecture())?;
        Ok(asked)
    }

    /// Where the files go.
    pub(super) fn places(&self, arch: &str) -> Result<Vec<Place>> {
        let subject = Subject { name: self.reference.short_name(), arch: arch.to_owned() };
        write::places(&self.writers, &self.request.choices.naming, &subject)
    }

    /// The reference that the system updates from.
    pub(crate) fn target(&self) -> String {
        self.request.target_imgref.clone().unwrap_or_else(|| self.reference.to_string())
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
/// What is wrong with it, as [`super::build`] would say.
pub fn check_blueprint(path: &Path, types: &[String]) -> Result<()> {
    let document = read_blueprint(path)?;
    let writers = if types.is_empty() { Vec::new() } else { write::writers(types)? };
    document.check_outputs(&writers).context(ErrorKind::Input)
}

/// A blueprint in another syntax.
///
/// # Errors
/// What is wrong with it, as [`super::build`] would say.
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
