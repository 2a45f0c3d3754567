//! Whether the image's kernel, as it is in its initramfs, sees the medium or the
//! network that it was booted from. A bootloader reads by the firmware, a kernel does not.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail};
use diskwright_formats::sparse::Sparse;

use super::initramfs::{Contents, NETWORK_MANAGER, NETWORKD, contents, module_of};
use crate::{
    deploy::{kernel::Kernel, rootfs::Rootfs},
    error::Hint,
};

/// Media, and what each needs: one module of every row.
const MEDIA: [(&str, &[&[&str]]); 3] = [
    ("a disc", &[&["isofs"], &["cdrom"], &["sr_mod"]]),
    ("a USB stick", &[&["isofs"], &["usb_storage", "uas"], &["xhci_pci"], &["sd_mod"]]),
    ("a virtual disk", &[&["isofs"], &["virtio_blk"]]),
];

/// Drivers of the network cards that most machines have, virtual ones first.
const CARDS: [&str; 17] = [
    "virtio_net",
    "vmxnet3",
    "hv_netvsc",
    "ena",
    "e1000",
    "e1000e",
    "igb",
    "igc",
    "ixgbe",
    "i40e",
    "ice",
    "r8169",
    "tg3",
    "bnxt_en",
    "mlx5_core",
    "qede",
    "atlantic",
];

/// What brings up a network in an initramfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkService {
    Networkd,
    NetworkManager,
}

/// The drivers of an image.
#[derive(Debug)]
pub(super) struct Drivers {
    /// In the kernel itself.
    builtin: BTreeSet<String>,
    /// In the image's initramfs; `None` where that cannot be read.
    initramfs: Option<Contents>,
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
            initramfs: contents(initramfs),
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
        let has = |name: &&str| self.builtin.contains(*name) || initramfs.modules.contains(*name);
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

    /// What brings up the network, and one sentence on the cards that it can be reached by.
    ///
    /// # Errors
    /// Nothing does, or there is no driver for any card.
    pub(super) fn network(&self) -> Result<(NetworkService, String)> {
        let Some(initramfs) = &self.initramfs else {
            let note = "whether there is a network is not known: the initramfs is of a kind that is not read";
            return Ok((NetworkService::Networkd, note.into()));
        };
        let service = match &initramfs.programs {
            programs if programs.contains(NETWORKD) => NetworkService::Networkd,
            programs if programs.contains(NETWORK_MANAGER) => NetworkService::NetworkManager,
            _ => {
                let hint = Hint("make it with dracut's module systemd-networkd or network-manager".into());
                let error = anyhow!(
                    "nothing in the image's initramfs brings up a network: neither {NETWORKD} nor {NETWORK_MANAGER}"
                );
                return Err(error.context(hint));
            }
        };
        let has = |name: &&str| self.builtin.contains(*name) || initramfs.modules.contains(*name);
        let (driven, missing): (Vec<_>, Vec<_>) = CARDS.into_iter().partition(has);
        if driven.is_empty() {
            bail!("the image's kernel would see no network: no driver of a card ({})", self.why(&missing));
        }
        let mut note = format!("the installer reaches the network by {}", driven.join(", "));
        let left: Vec<_> = missing.into_iter().filter(|name| self.image.contains(*name)).collect();
        if !left.is_empty() {
            note += &format!("; not by {} (the initramfs has none, the kernel does)", left.join(", "));
        }
        Ok((service, note))
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

    fn with(modules: &[&str]) -> Option<Contents> {
        Some(Contents { modules: set(modules), ..Contents::default() })
    }

    #[test]
    fn a_network_needs_a_service_and_a_card() {
        let image = set(&["igb"]);
        let mut drivers = Drivers { builtin: BTreeSet::new(), initramfs: with(&["e1000e"]), image };
        assert!(drivers.network().unwrap_err().chain().any(|why| why.to_string().contains("neither")));
        let mut contents = with(&["e1000e"]).unwrap();
        contents.programs.insert(NETWORK_MANAGER);
        drivers.initramfs = Some(contents);
        let (service, note) = drivers.network().unwrap();
        assert_eq!(service, NetworkService::NetworkManager);
        assert_eq!(
            note,
            "the installer reaches the network by e1000e; not by igb (the initramfs has none, the kernel does)"
        );
        drivers.initramfs.as_mut().unwrap().modules.clear();
        drivers.initramfs.as_mut().unwrap().programs.insert(NETWORKD);
        assert!(drivers.network().unwrap_err().to_string().contains("would see no network"));
        drivers.initramfs = None;
        assert!(drivers.network().unwrap().1.contains("not known"));
    }

    #[test]
    fn the_verdict_names_media_and_what_is_missing() {
        let mut drivers = Drivers {
            builtin: set(&["cdrom"]),
            initramfs: with(&["isofs", "sr_mod", "sd_mod", "uas"]),
            image: set(&["isofs", "virtio_blk"]),
        };
        assert_eq!(
            drivers.verdict().unwrap(),
            "the installer runs from a disc; not from a USB stick (the kernel has no xhci_pci) or a virtual \
             disk (the initramfs has no virtio_blk, the kernel does)"
        );
        drivers.initramfs = with(&[]);
        assert!(drivers.verdict().unwrap_err().to_string().contains("would see no medium"));
        drivers.initramfs = None;
        assert!(drivers.verdict().unwrap().contains("not known"));
    }
}
