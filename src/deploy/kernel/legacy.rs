//! Layouts before `usr/lib/modules`: every file's name ends in the checksum of kernel and initramfs.

use anyhow::{Result, ensure};
use diskwright_formats::tree::NodeId;

use super::{Kernel, is_regular, one_word, several};
use crate::deploy::rootfs::Rootfs;

/// Where they are; the first directory that exists counts.
pub(super) const PLACES: [&str; 2] = ["usr/lib/ostree-boot", "boot"];
/// Hexadecimal digits of a checksum.
const CHECKSUM_LEN: usize = 64;

/// A file `PREFIX...-CHECKSUM`.
struct Named<'a> {
    path: String,
    /// Without the checksum.
    name: &'a str,
    checksum: &'a str,
    node: NodeId,
}

/// The only kernel of an older layout.
///
/// # Errors
/// More than one, or an initramfs or device tree with another checksum.
pub(super) fn find(rootfs: &Rootfs<'_>) -> Result<Option<Kernel>> {
    let Some(place) = PLACES.into_iter().find(|place| rootfs.is_directory(place)) else { return Ok(None) };
    let mut kernels = named(rootfs, place, "vmlinuz-");
    let Some(vmlinuz) = kernels.pop() else { return Ok(None) };
    if let Some(other) = kernels.pop() {
        return Err(several(&[other.path, vmlinuz.path]));
    }
    let version = vmlinuz.name.trim_start_matches("vmlinuz-");
    let mut kernel = Kernel {
        path: vmlinuz.path.clone(),
        checksum: Some(vmlinuz.checksum.to_owned()),
        ..Kernel::new(version, vmlinuz.node)
    };
    if let Some(initramfs) = beside(rootfs, place, "initramfs-", &vmlinuz)? {
        (kernel.initramfs, kernel.initramfs_name) = (Some(initramfs.node), initramfs.name.to_owned());
    }
    if let Some(tree) = beside(rootfs, place, "devicetree-", &vmlinuz)? {
        (kernel.devicetree, kernel.devicetree_name) = (Some(tree.node), tree.name.to_owned());
    }
    Ok(Some(kernel))
}

/// What belongs to the kernel; libostree refuses any other there.
fn beside<'a>(
    rootfs: &Rootfs<'a>,
    place: &str,
    prefix: &str,
    kernel: &Named<'_>,
) -> Result<Option<Named<'a>>> {
    let mut found = None;
    for file in named(rootfs, place, prefix) {
        let same = file.checksum == kernel.checksum;
        ensure!(same, "{} and {}: two checksums, so they are not of one kernel", kernel.path, file.path);
        found = Some(file);
    }
    Ok(found)
}

fn named<'a>(rootfs: &Rootfs<'a>, place: &str, prefix: &str) -> Vec<Named<'a>> {
    let checked = |(name, node): (&'a [u8], NodeId)| {
        let (stem, checksum) = one_word(name)?.rsplit_once('-')?;
        let is_one = checksum.len() == CHECKSUM_LEN
            && checksum.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let fits =
            is_one && stem.starts_with(prefix) && stem.len() > prefix.len() && is_regular(rootfs, node);
        let path = format!("{place}/{stem}-{checksum}");
        fits.then_some(Named { path, name: stem, checksum, node })
    };
    rootfs.list(place).into_iter().filter_map(checked).collect()
}
