//! What a build would write, without writing it: `diskwright plan`.
//!
//! The image is read and deployed as a build does it; only the filesystems and the files are not made.

use anyhow::{Context as _, Result};
use diskwright_formats::{disk::Layout, units::MIB};
use serde::Serialize;

use crate::{
    blueprint::{self, Blueprint, Services, User},
    build::{self, Asked, BuildRequest, SizeWish},
    deploy::{self, Volume},
    error::ErrorKind,
    ids::Ids,
    plan::Wish,
    progress::Progress,
};

/// What a build would write.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The image as it was named.
    pub image: String,
    /// `sha256:...` of the platform's manifest.
    pub manifest_digest: String,
    /// What the image calls its system.
    pub system: String,
    /// The kernel's command line; the deployment adds `ostree=`.
    pub kernel_arguments: String,
    /// Sentences on the bootloader.
    pub bootloader: Vec<String>,
    /// Where machines look for updates.
    pub updates_from: String,
    /// One for each file.
    pub disks: Vec<Disk>,
    /// What the blueprint adds.
    pub added: Added,
    /// What a user may want to know before.
    pub warnings: Vec<String>,
}

/// A disk before it is written.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// The file, below the output directory.
    pub path: &'static str,
    /// The types that it serves.
    pub types: Vec<&'static str>,
    /// Bytes.
    pub size: u64,
    /// Why it has this size.
    pub why: String,
    /// Bytes per sector.
    pub sector_size: u32,
    /// GUID of the disk.
    pub uuid: String,
    /// In the order of the table.
    pub partitions: Vec<Partition>,
}

/// A partition before it is written.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// Number in the table, from 1.
    pub number: usize,
    /// Name in the table, and label of the filesystem.
    pub name: String,
    /// Type GUID.
    pub type_uuid: String,
    /// GUID of the partition.
    pub uuid: String,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Why it has this size.
    pub why: String,
    /// What it is formatted with.
    pub filesystem: Option<String>,
    /// UUID of the filesystem.
    pub filesystem_uuid: Option<String>,
    /// Bytes that its content needs at least.
    pub minimum: u64,
}

/// What a blueprint adds to the image.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Added {
    /// Users made or changed, with how they may log in.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Directories.
    pub directories: Vec<String>,
    /// Files.
    pub files: Vec<String>,
    /// Units enabled, disabled and masked.
    pub units: Vec<String>,
    /// Other settings, as `key: value`.
    pub settings: Vec<String>,
}

/// Finds out what a build of this request would write.
///
/// # Errors
/// Whatever the build would refuse before it writes.
pub fn preview(request: &BuildRequest, progress: &dyn Progress) -> Result<Preview> {
    let asked = Asked::check(request)?;
    let (image, merged) = build::fetch_and_merge(&asked.reference, &request.source, &build::boots, progress)?;
    let ids = build::ids(request, &asked, &image);
    let (config, reference) = (build::image_config(&image)?, asked.reference.to_string());
    let wishes = build::wishes(request, &asked, &config, &reference)?;
    let outline = deploy::outline(&config, &merged.tree, &wishes, &ids).context(ErrorKind::Input)?;
    let volumes = build::deploy_volumes(request, &asked, &image, merged, &ids, progress)?;
    let sizes = volumes.iter().map(|volume| build::wish(volume, &ids)).collect::<Result<Vec<_>>>()?;
    let wanted = asked.blueprint.blueprint();
    Ok(Preview {
        image: request.reference.clone(),
        manifest_digest: image.manifest_digest.clone(),
        system: outline.system,
        kernel_arguments: outline.kernel_arguments,
        bootloader: outline.bootloader,
        updates_from: outline.updates_from,
        disks: disks(request, &asked, &volumes, &sizes, &ids)?,
        added: added(wanted),
        warnings: outline.warnings.into_iter().chain(warnings(wanted, request)).collect(),
    })
}

/// A plan, or any other value, as YAML.
///
/// # Errors
/// A value that YAML does not have.
pub fn as_yaml<T: Serialize>(value: &T) -> Result<String> {
    blueprint::to_yaml(value).context("writing YAML")
}

/// A disk for each path, in the order of the types.
fn disks(
    request: &BuildRequest,
    asked: &Asked,
    volumes: &[Volume],
    sizes: &[Wish],
    ids: &Ids,
) -> Result<Vec<Disk>> {
    let mut disks: Vec<Disk> = Vec::new();
    for spec in asked.writers.iter().map(|writer| writer.spec()) {
        if let Some(disk) = disks.iter_mut().find(|disk| disk.path == spec.path) {
            disk.types.push(spec.name);
            continue;
        }
        let layout = build::layout(sizes, asked.size, asked.size_multiple(spec.path), ids)?;
        disks.push(Disk {
            path: spec.path,
            types: vec![spec.name],
            size: layout.size,
            why: why_size(request.size, asked.size_multiple(spec.path)),
            sector_size: layout.sector_size,
            uuid: layout.uuid.to_string(),
            partitions: partitions(&layout, volumes, sizes),
        });
    }
    Ok(disks)
}

fn partitions(layout: &Layout, volumes: &[Volume], sizes: &[Wish]) -> Vec<Partition> {
    let last = layout.partitions.len();
    let rows = layout.partitions.iter().zip(volumes).zip(sizes).enumerate();
    rows.map(|(index, ((part, volume), wish))| Partition {
        number: index + 1,
        name: part.name.clone(),
        type_uuid: part.type_uuid.to_string(),
        uuid: part.uuid.to_string(),
        offset: part.offset,
        size: part.size,
        why: why(volume, index + 1 == last).to_owned(),
        filesystem: volume.content.as_ref().map(|content| content.filesystem.to_owned()),
        filesystem_uuid: volume.content.as_ref().map(|content| content.uuid.to_string()),
        minimum: wish.size,
    })
    .collect()
}

fn why_size(wish: Option<SizeWish>, multiple: u64) -> String {
    let why = match wish {
        None => "the default, or twice the content where that is more",
        Some(SizeWish::Absolute(_)) => "as asked for",
        Some(SizeWish::PlusFree(_)) => "the content and the free space asked for",
        Some(SizeWish::Fit) => "what the content needs",
    };
    if multiple > MIB { format!("{why}, in multiples of {multiple} bytes") } else { why.to_owned() }
}

fn why(volume: &Volume, is_last: bool) -> &'static str {
    match (&volume.content, is_last) {
        (_, true) => "what is left of the disk",
        (None, _) => "room for a bootloader",
        (Some(_), _) if volume.size > 0 => "fixed, or what its content needs",
        (Some(_), _) => "what its content needs",
    }
}

fn warnings(blueprint: &Blueprint, request: &BuildRequest) -> Vec<String> {
    let all = &blueprint.customizations;
    let can_log_in =
        |user: &&User| user.key.is_some() || user.password.as_deref().is_some_and(|text| text.len() > 2);
    let mut warnings = Vec::new();
    let has_key = request.root_ssh_authorized_keys.is_some() || !all.sshkey.is_empty();
    if !has_key && !all.user.iter().any(|user| can_log_in(&user)) {
        warnings
            .push("nobody is given a password or a key; only accounts of the image can log in".to_owned());
    }
    for user in &all.user {
        if user.password.as_deref().is_some_and(|password| !User::is_hash(password)) {
            warnings.push(format!("the password of {} is written in plain text in the blueprint", user.name));
        }
    }
    warnings
}

fn added(blueprint: &Blueprint) -> Added {
    let all = &blueprint.customizations;
    let names =
        |wish: &str, units: &[String]| units.iter().map(|unit| format!("{unit} {wish}")).collect::<Vec<_>>();
    let Services { enabled, disabled, masked } = &all.services;
    let settings = [
        ("hostname", all.hostname.clone()),
        ("timezone", all.timezone.timezone.clone()),
        ("time servers", joined(&all.timezone.ntpservers)),
        ("languages", joined(&all.locale.languages)),
        ("keyboard", all.locale.keyboard.clone()),
        ("open ports", joined(&all.firewall.ports)),
        ("allowed services", joined(&all.firewall.services.enabled)),
        ("forbidden services", joined(&all.firewall.services.disabled)),
        ("sudo without a password", joined(&all.installer.sudo_nopasswd)),
        ("fips", all.fips.map(|fips| fips.to_string())),
        ("certificates", Some(all.cacerts.pem_certs.len()).filter(|&n| n > 0).map(|n| n.to_string())),
    ];
    Added {
        users: all.user.iter().map(user).collect(),
        groups: all.group.iter().map(|group| group.name.clone()).collect(),
        directories: all.directories.iter().map(|directory| directory.path.clone()).collect(),
        files: all.files.iter().map(|file| format!("{} ({} bytes)", file.path, file.data.len())).collect(),
        units: [names("enabled", enabled), names("disabled", disabled), names("masked", masked)].concat(),
        settings: settings
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}: {}", value?)))
            .collect(),
    }
}

fn joined(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join(" "))
}

fn user(user: &User) -> String {
    let ways = [(user.password.is_some(), "password"), (user.key.is_some(), "key")];
    let ways: Vec<_> = ways.into_iter().filter(|(is, _)| *is).map(|(_, way)| way).collect();
    let groups =
        if user.groups.is_empty() { String::new() } else { format!(", in {}", user.groups.join(" ")) };
    let ways = if ways.is_empty() { "no login".to_owned() } else { ways.join(" and ") };
    format!("{} ({ways}{groups})", user.name)
}
