//! What a build would write, without writing it: `diskwright plan`.
//!
//! The image is read and deployed as a build does it; only the filesystems and the files are not made.

use anyhow::{Context as _, Result, anyhow};
use diskwright_formats::{
    disk::{Layout, TableKind},
    units::MIB,
    writer::Medium,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    blueprint::{self, Blueprint, Services, User},
    build::{self, Asked, BuildRequest, SizeWish},
    deploy::{
        self, Outline,
        storage::{Content, What},
    },
    error::ErrorKind,
    layout,
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
    /// Kind of the partition table: `gpt` or `dos`.
    pub table: &'static str,
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
    /// Name in the table.
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
    /// What it holds.
    #[serde(flatten)]
    pub holds: Holds,
    /// Bytes that its content needs at least.
    pub minimum: u64,
}

/// What a partition, or a volume in one, holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Holds {
    /// What it is formatted with: a filesystem, `swap`, `lvm` or `luks2`.
    pub filesystem: Option<String>,
    /// UUID of that.
    pub filesystem_uuid: Option<String>,
    /// Where it is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountpoint: Option<String>,
    /// Logical volumes, or the inside of an encrypted one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Inner>,
}

/// A volume in a partition or in another volume.
#[derive(Clone, Debug, Serialize)]
pub struct Inner {
    /// `GROUP/NAME` of a logical volume; `luks-UUID`, as it is opened by, of an encrypted one.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// What it holds.
    #[serde(flatten)]
    pub holds: Holds,
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
    check_installers(&asked, &outline)?;
    let deployed = build::deploy_volumes(request, &asked, &image, merged, &ids, progress)?;
    let on_disk = layout::Disk { deployed: &deployed, ids: &ids };
    let wanted = asked.blueprint.blueprint();
    Ok(Preview {
        image: request.reference.clone(),
        manifest_digest: image.manifest_digest.clone(),
        system: outline.system,
        kernel_arguments: outline.kernel_arguments,
        bootloader: outline.bootloader,
        updates_from: outline.updates_from,
        disks: disks(request, &asked, &on_disk)?,
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

/// Media that install are refused as a build would.
fn check_installers(asked: &Asked, outline: &Outline) -> Result<()> {
    let is_medium = asked.writers.iter().any(|writer| writer.spec().medium != Medium::Disk);
    match outline.not_installable {
        Some(why) if is_medium => Err(anyhow!(why).context(ErrorKind::Input)),
        _ => Ok(()),
    }
}

/// A disk for each path, in the order of the types.
fn disks(request: &BuildRequest, asked: &Asked, on_disk: &layout::Disk<'_>) -> Result<Vec<Disk>> {
    let sizes = on_disk.wishes()?;
    let mut disks: Vec<Disk> = Vec::new();
    for spec in asked.writers.iter().map(|writer| writer.spec()) {
        if let Some(disk) = disks.iter_mut().find(|disk| disk.path == spec.path) {
            disk.types.push(spec.name);
            continue;
        }
        let multiple = asked.size_multiple(spec.path);
        let layout = on_disk.plan(&sizes, asked.size, multiple)?;
        disks.push(Disk {
            path: spec.path,
            types: vec![spec.name],
            size: layout.size,
            why: why_size(request.size, &layout, on_disk, multiple),
            table: if layout.kind == TableKind::Dos { "dos" } else { "gpt" },
            sector_size: layout.sector_size,
            uuid: layout.uuid.to_string(),
            partitions: partitions(&layout, on_disk, &sizes)?,
        });
    }
    Ok(disks)
}

fn partitions(layout: &Layout, on_disk: &layout::Disk<'_>, sizes: &[Wish]) -> Result<Vec<Partition>> {
    let last = layout.partitions.len();
    let rows = layout.partitions.iter().zip(&on_disk.deployed.volumes).zip(sizes).enumerate();
    rows.map(|(index, ((part, volume), wish))| {
        Ok(Partition {
            number: index + 1,
            name: part.name.clone(),
            type_uuid: part.type_uuid.to_string(),
            uuid: part.uuid.to_string(),
            offset: part.offset,
            size: part.size,
            why: why(&volume.what, volume.size, index + 1 == last).to_owned(),
            holds: holds(on_disk, &volume.what, part.size)?,
            minimum: wish.size,
        })
    })
    .collect()
}

fn holds(on_disk: &layout::Disk<'_>, what: &What<Content>, size: u64) -> Result<Holds> {
    let sizes = on_disk.inner_sizes(what, size)?.into_iter();
    let formatted = |name: &str, uuid: &Uuid| (Some(name.to_owned()), Some(uuid.to_string()));
    let (inner, (filesystem, filesystem_uuid)): (Vec<(String, &What<Content>)>, _) = match what {
        What::BiosBoot | What::Raw => (Vec::new(), (None, None)),
        What::Swap { uuid, .. } => (Vec::new(), formatted("swap", uuid)),
        What::Filesystem(Content { filesystem, .. }) => {
            (Vec::new(), formatted(filesystem.kind, &filesystem.uuid))
        }
        What::Group(group) => {
            let members = group.members.iter();
            let members = members.map(|member| (format!("{}/{}", group.name, member.name), &member.what));
            (members.collect(), formatted("lvm", &group.physical_uuid))
        }
        What::Locked(locked) => {
            (vec![(format!("luks-{}", locked.uuid), &locked.what)], formatted("luks2", &locked.uuid))
        }
    };
    let volumes = inner
        .into_iter()
        .zip(sizes)
        .map(|((name, what), size)| Ok(Inner { name, size, holds: holds(on_disk, what, size)? }));
    let mountpoint = match what {
        What::Filesystem(content) => content.filesystem.mountpoint.clone(),
        _ => None,
    };
    Ok(Holds { filesystem, filesystem_uuid, mountpoint, volumes: volumes.collect::<Result<_>>()? })
}

fn why_size(wish: Option<SizeWish>, layout: &Layout, on_disk: &layout::Disk<'_>, multiple: u64) -> String {
    let why = match wish {
        None if on_disk.deployed.table.floor == Some(layout.size) => "as the partition table asks for",
        None if on_disk.deployed.table.floor.is_some() => "what the partitions need",
        None => "the default, or twice the content where that is more",
        Some(SizeWish::Absolute(_)) => "as asked for",
        Some(SizeWish::PlusFree(_)) => "the content and the free space asked for",
        Some(SizeWish::Fit) => "what the content needs",
    };
    if multiple > MIB { format!("{why}, in multiples of {multiple} bytes") } else { why.to_owned() }
}

const fn why(what: &What<Content>, asked: u64, is_last: bool) -> &'static str {
    match what {
        _ if is_last => "what is left of the disk",
        What::BiosBoot => "room for a bootloader",
        What::Raw => "as asked for",
        _ if asked > 0 => "fixed, or what its content needs",
        _ => "what its content needs",
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
