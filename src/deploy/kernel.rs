//! The kernel of an image, where libostree looks for it, and nothing else.
//!
//! ```text
//! usr/lib/modules/VERSION/vmlinuz              the layout of today; beside it
//!     initramfs.img | initramfs                optional
//!     devicetree | dtb/                        one device tree, else a directory of them
//!     .vmlinuz.hmac                            for FIPS mode
//! usr/lib/ostree-boot/vmlinuz-VERSION-SUM      older layouts, else the same in boot/;
//!     initramfs-...-SUM, devicetree-...-SUM    SUM is 64 hexadecimal digits, the same in all names
//! ```
//!
//! An older layout counts where there is no other, or where only it has an initramfs.
//! Source: libostree's `ostree-sysroot-deploy.c`, `get_kernel_from_tree`. Stricter on purpose: of
//! several kernels libostree takes any, bootc none.

mod legacy;

use anyhow::{Context, Result, anyhow, bail, ensure};
use diskwright_formats::tree::{Kind, NodeId};

use super::rootfs::Rootfs;
use crate::error::Hint;

/// Where a kernel lies in a bootable image.
const MODULES: &str = "usr/lib/modules";
/// Files named when no kernel is where it should be.
const SHOWN: usize = 5;

/// A kernel and what is loaded with it.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` will say, as far as names tell.
    pub version: String,
    /// Path of the kernel in the image.
    pub path: String,
    /// The kernel image.
    pub vmlinuz: NodeId,
    /// The initial RAM filesystem.
    pub initramfs: Option<NodeId>,
    /// `.vmlinuz.hmac`, for FIPS mode.
    pub hmac: Option<NodeId>,
    /// A single device tree.
    pub devicetree: Option<NodeId>,
    /// A directory of device trees, when there is no single one.
    pub dtb: Option<NodeId>,
    /// What /boot calls the initramfs.
    pub initramfs_name: String,
    /// What /boot calls the single device tree.
    pub devicetree_name: String,
    /// The checksum that the names of an older layout carry; nobody computes another.
    pub checksum: Option<String>,
}

impl Kernel {
    /// A kernel alone, in no place yet.
    #[must_use]
    pub fn new(version: &str, vmlinuz: NodeId) -> Self {
        Self {
            version: version.to_owned(),
            path: String::new(),
            vmlinuz,
            initramfs: None,
            hmac: None,
            devicetree: None,
            dtb: None,
            initramfs_name: format!("initramfs-{version}.img"),
            devicetree_name: format!("devicetree-{version}"),
            checksum: None,
        }
    }

    /// The only kernel of the image.
    ///
    /// # Errors
    /// None where libostree looks, or more than one: bootc takes exactly one.
    pub fn find(rootfs: &Rootfs<'_>) -> Result<Self> {
        match (below_modules(rootfs)?, legacy::find(rootfs)?) {
            (Some(new), Some(old)) if new.initramfs.is_none() && old.initramfs.is_some() => Ok(old),
            (Some(new), _) => Ok(new),
            (None, Some(old)) => Ok(old),
            (None, None) => none(rootfs),
        }
    }
}

/// The only kernel below `usr/lib/modules`.
fn below_modules(rootfs: &Rootfs<'_>) -> Result<Option<Kernel>> {
    let path = |name: &[u8]| format!("{MODULES}/{}/vmlinuz", String::from_utf8_lossy(name));
    let mut found = rootfs.list(MODULES);
    found.retain(|(name, _)| rootfs.is_file(&path(name)));
    let Some((name, directory)) = found.pop() else { return Ok(None) };
    if let Some((other, _)) = found.first() {
        let directories = [other, name].map(|name| format!("{MODULES}/{}", String::from_utf8_lossy(name)));
        return Err(several(&directories));
    }
    let Some(version) = one_word(name) else {
        bail!("no kernel version: the directory {MODULES}/{} is not named by one word", name.escape_ascii());
    };
    let child = |name: &str| rootfs.tree.child(directory, name.as_bytes());
    let file = |name: &str| child(name).filter(|&id| is_regular(rootfs, id));
    let vmlinuz = file("vmlinuz").with_context(|| format!("{} is not a regular file", path(name)))?;
    let devicetree = file("devicetree");
    let dtb = child("dtb").filter(|&id| devicetree.is_none() && rootfs.tree.children(id).is_some());
    Ok(Some(Kernel {
        path: path(name),
        initramfs: file("initramfs.img").or_else(|| file("initramfs")),
        hmac: file(".vmlinuz.hmac"),
        devicetree,
        dtb,
        ..Kernel::new(version, vmlinuz)
    }))
}

fn is_regular(rootfs: &Rootfs<'_>, id: NodeId) -> bool {
    matches!(rootfs.tree.node(id).kind, Kind::File(_))
}

/// What can be part of a boot entry.
fn one_word(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| !name.contains(|c: char| c.is_control() || c == ' '))
}

fn several(paths: &[String; 2]) -> anyhow::Error {
    let [one, two] = paths;
    anyhow!("more than one kernel in the image: {one} and {two}; a bootable image has exactly one")
}

/// No kernel that ostree knows; what looks like one is named.
fn none(rootfs: &Rootfs<'_>) -> Result<Kernel> {
    let mut text = format!(
        "no kernel in the image: no regular file {MODULES}/VERSION/vmlinuz, and no vmlinuz-VERSION-CHECKSUM in {}",
        legacy::PLACES.join(" or ")
    );
    let strays = strays(rootfs);
    ensure!(!strays.is_empty(), text);
    text += &format!("; in no layout that ostree boots: {}", strays[..strays.len().min(SHOWN)].join(", "));
    Err(anyhow!(text)).context(Hint(format!(
        "put the kernel at {MODULES}/VERSION/vmlinuz and its initramfs beside it as initramfs.img"
    )))
}

/// Kernels elsewhere: of a plain distribution, and unified ones.
fn strays(rootfs: &Rootfs<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |directory: &str, is_kernel: fn(&[u8]) -> bool| {
        let names = rootfs.list(directory).into_iter().map(|(name, _)| name).filter(|name| is_kernel(name));
        found.extend(names.map(|name| format!("/{directory}/{}", name.escape_ascii())));
    };
    for directory in legacy::PLACES {
        look(directory, |name| name.starts_with(b"vmlinu") || name.starts_with(b"Image"));
    }
    look("boot/EFI/Linux", |name| name.ends_with(b".efi"));
    for (version, _) in rootfs.list(MODULES) {
        let directory = format!("{MODULES}/{}", String::from_utf8_lossy(version));
        look(&directory, |name| name.ends_with(b".efi") || name.starts_with(b"vmlinuz"));
    }
    found
}
