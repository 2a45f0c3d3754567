//! What an image holds, as far as a disk is concerned: [`inspect`] looks, and builds nothing.

use std::collections::BTreeMap;

use anyhow::Result;
use diskwright_formats::tree::{Kind, NodeId};
use serde::Serialize;

use crate::{
    build::{fetch_and_merge, image_config, parse_reference},
    deploy::{
        arch::Arch, bootloader, content_bytes, install_config::InstallConfig, kernel, rootfs::Rootfs,
        selinux, system::OsRelease,
    },
    progress::Progress,
    source::{self, Layer},
};

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct InspectRequest {
    /// The image, as in [`crate::BuildRequest::reference`].
    pub reference: String,
    /// How it is read.
    pub source: source::Options,
}

/// What an image holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inspection {
    /// The reference as it was given.
    pub reference: String,
    /// `sha256:...` of the platform's manifest.
    pub manifest_digest: String,
    /// Architecture in OCI spelling ("amd64").
    pub arch: String,
    /// `PRETTY_NAME` of os-release.
    pub os: Option<String>,
    /// Kernels, ordered by version.
    pub kernels: Vec<Kernel>,
    /// Bootloaders found, in the order in which a build prefers them.
    pub bootloaders: Vec<Bootloader>,
    /// `SELINUX=` of /etc/selinux/config ("enforcing"); `None` without one.
    pub selinux: Option<String>,
    /// The policy it names ("targeted").
    pub selinux_type: Option<String>,
    /// Filesystem that the image's install configuration names for root.
    pub default_filesystem: Option<String>,
    /// /usr/lib/ostree/prepare-root.conf, verbatim.
    pub prepare_root: Option<String>,
    /// Labels of the image config.
    pub labels: BTreeMap<String, String>,
    /// Sum of the compressed layers, in bytes.
    pub compressed_bytes: u64,
    /// Sum of the file contents of the merged tree, in bytes.
    pub unpacked_bytes: u64,
    /// Layers, lowest first.
    pub layers: Vec<InspectedLayer>,
}

/// One kernel below /usr/lib/modules.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Kernel {
    /// Name of its directory ("6.12.0-1.x86_64").
    pub version: String,
    /// Path of the kernel in the image.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Length of the initramfs beside it, in bytes; `None` if there is none.
    pub initramfs_size: Option<u64>,
}

/// One bootloader.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Bootloader {
    /// What it is ("grub2", "shim", "systemd-boot").
    pub name: String,
    /// Where it was found in the image.
    pub path: String,
}

/// One layer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InspectedLayer {
    /// Digest of the blob.
    pub digest: String,
    /// Length of the blob in bytes.
    pub compressed_bytes: u64,
    /// Length of its tar in bytes.
    pub unpacked_bytes: u64,
}

/// Looks at an image.
///
/// # Errors
/// Anything a stage reports; an [`crate::ErrorKind`] in the chain says whose fault it is.
pub fn inspect(request: &InspectRequest, progress: &dyn Progress) -> Result<Inspection> {
    let reference = parse_reference(&request.reference)?;
    let (image, merged) = fetch_and_merge(&reference, &request.source, &|_| Ok(()), progress)?;
    let config = image_config(&image)?;
    let rootfs = Rootfs { tree: &merged.tree, root: merged.tree.root() };
    let arch = Arch::from_oci(config.architecture());
    let install = InstallConfig::read(&rootfs, arch.as_ref().map_or("", |arch| arch.rust()))?;
    let selinux = selinux::Config::read(&rootfs)?;
    Ok(Inspection {
        reference: image.reference.clone(),
        manifest_digest: image.manifest_digest.clone(),
        arch: config.architecture().to_owned(),
        os: OsRelease::read(&rootfs)?.get("PRETTY_NAME").map(str::to_owned),
        kernels: kernels(&rootfs),
        bootloaders: arch.map(|arch| bootloaders(&rootfs, arch)).unwrap_or_default(),
        selinux: selinux.as_ref().and_then(|config| config.mode.clone()),
        selinux_type: selinux.map(|config| config.policy_type),
        default_filesystem: install.root_filesystem().map(str::to_owned),
        prepare_root: rootfs.read_text("usr/lib/ostree/prepare-root.conf")?,
        labels: config.labels,
        compressed_bytes: image.layers.iter().map(|layer| layer.size).sum(),
        unpacked_bytes: content_bytes(&merged.tree),
        layers: image.layers.iter().map(inspected_layer).collect(),
    })
}

fn inspected_layer(layer: &Layer) -> InspectedLayer {
    let Layer { digest, size, tar_len, .. } = layer;
    InspectedLayer { digest: digest.clone(), compressed_bytes: *size, unpacked_bytes: *tar_len }
}

/// All kernels, also where a build would refuse the image for having several.
fn kernels(rootfs: &Rootfs<'_>) -> Vec<Kernel> {
    let length = |path: &str| match rootfs.lookup(path).map(|id| &rootfs.tree.node(id).kind) {
        Some(Kind::File(content)) => Some(content.len()),
        _ => None,
    };
    let kernel = |(name, _): (&[u8], _)| {
        let version = String::from_utf8_lossy(name).into_owned();
        let path = format!("usr/lib/modules/{version}/vmlinuz");
        let initramfs_size = length(&format!("usr/lib/modules/{version}/initramfs.img"));
        Some(Kernel { size: length(&path)?, version, path, initramfs_size })
    };
    let found: Vec<_> = rootfs.list("usr/lib/modules").into_iter().filter_map(kernel).collect();
    if found.is_empty() { legacy_kernel(rootfs).into_iter().collect() } else { found }
}

/// The kernel of an older layout.
fn legacy_kernel(rootfs: &Rootfs<'_>) -> Option<Kernel> {
    let found = kernel::Kernel::find(rootfs).ok()?;
    let length = |id: NodeId| match &rootfs.tree.node(id).kind {
        Kind::File(content) => content.len(),
        _ => 0,
    };
    let (size, initramfs_size) = (length(found.vmlinuz), found.initramfs.map(length));
    Some(Kernel { version: found.version, path: found.path, size, initramfs_size })
}

fn bootloaders(rootfs: &Rootfs<'_>, arch: Arch) -> Vec<Bootloader> {
    let places = bootloader::places(rootfs, arch).into_iter();
    let uefi =
        places.map(|place| Bootloader { name: place.name().to_owned(), path: place.path().to_owned() });
    let bios = bootloader::bios::Bios::find(rootfs, arch);
    let bios = bios.map(|bios| Bootloader { name: "GRUB for BIOS".to_owned(), path: bios.place.to_owned() });
    uefi.chain(bios).collect()
}
