//! What configures the machine at its first boot: cloud-init's seed of the NoCloud data source,
//! and Ignition's stamp and configuration in /boot.
//!
//! Ignition runs in the initramfs, if the kernel is told `ignition.firstboot`. GRUB's configuration
//! in images that use it tells so while /boot/ignition.firstboot is there; the argument in the boot
//! entry is GRUB's variable `$ignition_firstboot`.

use anyhow::{Result, ensure};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Meta, NodeId, Time, Tree},
};

use super::place::Root;
use crate::{
    blueprint::{CloudInit, Ignition},
    deploy::rootfs::Rootfs,
};

const SEED: &str = "/var/lib/cloud/seed/nocloud";
const PROGRAMS: [&str; 2] = ["/usr/bin/cloud-init", "/usr/local/bin/cloud-init"];
/// GRUB's part of Ignition.
const GRUB: &str = "usr/lib/bootupd/grub2-static/configs.d/05_ignition.cfg";
/// dracut's module, under any number.
const DRACUT: &str = "usr/lib/dracut/modules.d";

pub(super) fn cloud_init(root: &mut Root<'_>, wanted: &CloudInit, seed: &[u8; 32]) -> Result<()> {
    if *wanted == CloudInit::default() {
        return Ok(());
    }
    let mut found = false;
    for path in PROGRAMS {
        found |= root.find(path)?.is_some();
    }
    ensure!(found, "the image has no cloud-init; install it in the Containerfile");
    let id: String = seed.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let files = [
        ("user-data", wanted.user_data.clone().or_else(|| Some("#cloud-config\n".to_owned()))),
        ("meta-data", wanted.meta_data.clone().or_else(|| Some(format!("instance-id: {id}\n")))),
        ("network-config", wanted.network_config.clone()),
    ];
    for (name, text) in files {
        if let Some(text) = text {
            root.write_text(&format!("{SEED}/{name}"), 0o600, text)?;
        }
    }
    Ok(())
}

/// Whether Ignition is to run.
pub(in crate::deploy) fn wants_ignition(wanted: &Ignition) -> bool {
    wanted.embedded.config.is_some() || wanted.firstboot.url.is_some() || wanted.firstboot.empty == Some(true)
}

/// Arguments for the boot entry.
///
/// # Errors
/// An image without Ignition.
pub(in crate::deploy) fn ignition_arguments(rootfs: &Rootfs<'_>, wanted: &Ignition) -> Result<Vec<String>> {
    if !wants_ignition(wanted) {
        return Ok(Vec::new());
    }
    let module =
        rootfs.list(DRACUT).iter().any(|(name, _)| String::from_utf8_lossy(name).ends_with("ignition"));
    ensure!(
        module && rootfs.is_file(GRUB),
        "customizations.ignition: the image has no Ignition ({DRACUT}/*ignition and {GRUB}); install it in the \
         Containerfile, or use customizations.cloud_init"
    );
    let url = wanted.firstboot.url.iter().map(|url| format!("ignition.config.url={url}"));
    let fixed = ["$ignition_firstboot", "ignition.platform.id=metal"].map(str::to_owned);
    Ok(fixed.into_iter().chain(url).collect())
}

/// What /boot holds for Ignition.
pub(in crate::deploy) fn fill_boot(tree: &mut Tree, boot: NodeId, wanted: &Ignition, time: Time) {
    if !wants_ignition(wanted) {
        return;
    }
    let file = |tree: &mut Tree, text: String, mode| {
        tree.add_file(Meta { mtime: time, ..Meta::root(mode) }, Sparse::from_bytes(text.into_bytes()))
    };
    let stamp = file(tree, String::new(), 0o644);
    tree.link(boot, *b"ignition.firstboot", stamp);
    if let Some(json) = wanted.embedded.json() {
        let directory = tree.add_directory(Meta { mtime: time, ..Meta::root(0o700) });
        let config = file(tree, json, 0o600);
        tree.link(directory, *b"config.ign", config);
        tree.link(boot, *b"ignition", directory);
    }
}
