//! Whether the image's kernel, as it is in its initramfs, sees the medium that
//! it was booted from. A bootloader reads by the firmware, a kernel does not.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use diskwright_formats::sparse::Sparse;

use super::initramfs::{module_of, modules};
use crate::deploy::{kernel::Kernel, rootfs::Rootfs};

/// Media, and what each needs: one module of every row.
const MEDIA: [(&str, &[&[&str]]); 3] = [
    ("a disc", &[&["isofs"], &["cdrom"], &["sr_mod"]]),
    ("a USB stick", &[&["isofs"], &["usb_storage", "uas"], &["xhci_pci"], &["sd_mod"]]),
    ("a virtual disk", &[&["isofs"], &["virtio_blk"]]),
];

/// The drivers of an image.
#[derive(Debug)]
pub(super) struct Drivers {
    /// In the kernel itself.
    builtin: BTreeSet<String>,
    /// In the image's initramfs; `None` where that cannot be read.
    initramfs: Option<BTreeSet<String>>,
    /// In the image.
    image: BTreeSet<String>,
}

impl Drivers {
    /// Out of the kernel's lists of modules and the initramfs.
    ///
    /// # Errors
    /// Unreadable files.
    pub(super) fn read(rootfs: &Rootfs<'_>, kernel: &Kernel, initramfs: &Sparse) -> Result<Self> {
        let list = |name: &str| -> Result<BTreeSet<String>> {
            let text = rootfs.read_text(&format!("usr/lib/modules/{}/{name}", kernel.version))?;
            let text = text.unwrap_or_default();
            Ok(text.lines().filter_map(|line| module_of(line.split(':').next()?.trim())).collect())
        };
        Ok(Self {
            builtin: list("modules.builtin")?,
            initramfs: modules(initramfs),
            image: list("modules.dep")?,
        })
    }

    /// One sentence: what the medium can be, and why it cannot be the rest.
    ///
    /// # Errors
    /// The kernel sees no medium at all.
    pub(super) fn verdict(&self) -> Result<String> {
        let Some(initramfs) = &self.initramfs else {
            return Ok(
                "what the medium can be is not known: the initramfs is of a kind that is not read".into()
            );
        };
        let has = |name: &&str| self.builtin.contains(*name) || initramfs.contains(*name);
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        for (medium, rows) in MEDIA {
            let missing: Vec<_> = rows.iter().filter(|row| !row.iter().any(has)).map(|row| row[0]).collect();
            if missing.is_empty() {
                seen.push(medium);
            } else {
                unseen.push(format!("{medium} ({})", self.why(&missing)));
            }
        }
        if seen.is_empty() {
            bail!("the image's kernel would see no medium: not {}", unseen.join(", not "));
        }
        let mut verdict = format!("the installer runs from {}", seen.join(" or "));
        if !unseen.is_empty() {
            verdict += &format!("; not from {}", unseen.join(" or "));
        }
        Ok(verdict)
    }

    fn why(&self, missing: &[&str]) -> String {
        let (elsewhere, nowhere): (Vec<&str>, Vec<&str>) =
            missing.iter().partition(|name| self.image.contains(**name));
        let mut reasons = Vec::new();
        if !nowhere.is_empty() {
            reasons.push(format!("the kernel has no {}", nowhere.join(", ")));
        }
        if !elsewhere.is_empty() {
            reasons.push(format!("the initramfs has no {}, the kernel does", elsewhere.join(", ")));
        }
        reasons.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_verdict_names_media_and_what_is_missing() {
        let mut drivers = Drivers {
            builtin: set(&["cdrom"]),
            initramfs: Some(set(&["isofs", "sr_mod", "sd_mod", "uas"])),
            image: set(&["isofs", "virtio_blk"]),
        };
        assert_eq!(
            drivers.verdict().unwrap(),
            "the installer runs from a disc; not from a USB stick (the kernel has no xhci_pci) or a virtual \
             disk (the initramfs has no virtio_blk, the kernel does)"
        );
        drivers.initramfs = Some(BTreeSet::new());
        assert!(drivers.verdict().unwrap_err().to_string().contains("would see no medium"));
        drivers.initramfs = None;
        assert!(drivers.verdict().unwrap().contains("not known"));
    }
}
