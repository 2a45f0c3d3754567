//! Boot entries (Boot Loader Specification, type 1): kernel and initramfs
//! exist and are what their directory's checksum says, `ostree=` leads to a
//! deployment, `root=` and `boot=` to filesystems of this disk, and `rd.luks.uuid=`
//! to what is encrypted there. Of a system that is encrypted itself only the
//! latter can be told.

use diskwright_formats::{
    filesystem::Contents,
    tree::{Kind, NodeId},
};

use super::{
    deployments::Deployed,
    filesystems::{Volume, Volumes, read_small},
    report::Findings,
};
use crate::deploy::{kernel::Kernel, ostree::boot_checksum, rootfs::Rootfs};

const CHECK: &str = "boot";
/// Where entries are on a filesystem that is /boot, and on one that has it.
const ENTRIES: [&str; 2] = ["loader/entries", "boot/loader/entries"];
/// Largest entry.
const ENTRY_MAX: u64 = 1 << 20;
/// A kernel or initramfs has fewer bytes of holes.
const HOLES_MAX: u64 = 1 << 26;
/// Entries looked at.
const ENTRIES_MAX: usize = 100;
/// Directory of unified kernels on an ESP.
const UNIFIED: &str = "EFI/Linux";

/// Checks every entry, and that every deployment has one.
pub(super) fn check(volumes: &Volumes, deployments: &[Deployed], findings: &mut Findings) {
    let mut booted = Vec::new();
    let mut count = 0;
    for (volume, contents) in volumes.readable() {
        let root = Rootfs { tree: &contents.tree, root: contents.tree.root() };
        count += root.list(UNIFIED).len();
        for directory in ENTRIES {
            for (name, node) in root.list(directory).into_iter().take(ENTRIES_MAX) {
                let path = format!("{directory}/{}", String::from_utf8_lossy(name));
                let entry = Entry { volumes, volume, root, contents, path };
                if entry.path.ends_with(".conf") {
                    count += 1;
                    booted.extend(entry.check(node, findings));
                }
            }
        }
    }
    if count == 0 {
        findings.error(CHECK, "disk", format!("no boot entries: looked for {}", ENTRIES.join(", ")));
    }
    for deployment in deployments.iter().filter(|deployment| !booted.contains(&deployment.root)) {
        let what = "no boot entry leads to this deployment";
        findings.warning(CHECK, &deployment.described.path, what);
    }
}

struct Entry<'a> {
    volumes: &'a Volumes,
    volume: &'a Volume,
    root: Rootfs<'a>,
    contents: &'a Contents,
    path: String,
}

impl Entry<'_> {
    fn error(&self, findings: &mut Findings, what: String) {
        findings.error(CHECK, self.volume.at(&self.path), what);
    }

    /// Returns the deployment it boots.
    fn check(&self, node: NodeId, findings: &mut Findings) -> Option<NodeId> {
        let text =
            read_small(&self.contents.tree, node, ENTRY_MAX).and_then(|text| String::from_utf8(text).ok());
        let Some(text) = text else {
            self.error(findings, "cannot be read, or no text".to_owned());
            return None;
        };
        let values = |key: &'static str| {
            text.lines().filter_map(move |line| {
                let (name, value) = line.trim().split_once([' ', '\t'])?;
                (name == key).then(|| value.trim())
            })
        };
        let linux = values("linux").next();
        if linux.is_none() {
            self.error(findings, "names no kernel (linux)".to_owned());
        }
        for key in ["linux", "initrd", "devicetree"] {
            for value in values(key).filter(|value| !self.root.is_file(value)) {
                self.error(findings, format!("{key} {value}: no such file"));
            }
        }
        for value in values("fdtdir").filter(|value| !self.root.is_directory(value)) {
            self.error(findings, format!("fdtdir {value}: no such directory"));
        }
        let options: Vec<&str> = values("options").flat_map(str::split_ascii_whitespace).collect();
        if let Some(linux) = linux {
            let [initrd, devicetree, dtb] = ["initrd", "devicetree", "fdtdir"].map(|key| values(key).next());
            self.checksum(linux, initrd, devicetree, dtb, &options, findings);
        }
        self.filesystems(&options, findings);
        let Some(link) = options.iter().find_map(|option| option.strip_prefix("ostree=")) else {
            self.error(findings, "options name no deployment (ostree=)".to_owned());
            return None;
        };
        self.deployment(link, findings)
    }

    /// The directory of kernel and initramfs ends with their checksum.
    fn checksum(
        &self,
        linux: &str,
        initrd: Option<&str>,
        devicetree: Option<&str>,
        dtb: Option<&str>,
        options: &[&str],
        findings: &mut Findings,
    ) {
        let expected = linux.rsplit('/').nth(1).and_then(|directory| directory.rsplit('-').next());
        let expected = expected.filter(|text| text.len() == 64);
        let find = |path: Option<&str>| path.and_then(|path| self.root.lookup(path));
        let (Some(expected), Some(vmlinuz)) = (expected, find(Some(linux))) else { return };
        let initramfs = find(initrd);
        let devicetree = find(devicetree);
        let dtb = find(dtb);
        let files = [Some(vmlinuz), initramfs, devicetree];
        if initrd.is_some() != initramfs.is_some() || files.into_iter().flatten().any(|id| self.is_hollow(id))
        {
            return;
        }
        if self.is_legacy(options, expected) {
            return;
        }
        let kernel = Kernel { initramfs, devicetree, dtb, ..Kernel::new("", vmlinuz) };
        match boot_checksum(&self.contents.tree, &kernel) {
            Ok(found) if found == expected => {}
            Ok(found) => {
                self.error(findings, format!("kernel and initramfs hash to {found}, not {expected}"));
            }
            Err(error) => self.error(findings, format!("{error:#}")),
        }
    }

    /// Whether the deployment has its kernel in an older layout, whose names bring this checksum.
    fn is_legacy(&self, options: &[&str], checksum: &str) -> bool {
        let Some(link) = options.iter().find_map(|option| option.strip_prefix("ostree=")) else {
            return false;
        };
        self.volumes.readable().any(|(_, contents)| {
            let root = Rootfs { tree: &contents.tree, root: contents.tree.root() };
            let kernel = root.lookup(link).map(|found| Kernel::find(&Rootfs { root: found, ..root }));
            matches!(kernel, Some(Ok(kernel)) if kernel.checksum.as_deref() == Some(checksum))
        })
    }

    /// Mostly holes: nothing to hash.
    fn is_hollow(&self, id: NodeId) -> bool {
        match &self.contents.tree.node(id).kind {
            Kind::File(content) => content.len() - content.data_len() > HOLES_MAX,
            _ => true,
        }
    }

    fn filesystems(&self, options: &[&str], findings: &mut Findings) {
        for uuid in options.iter().filter_map(|option| option.strip_prefix("rd.luks.uuid=")) {
            if !self.volumes.has_locked(uuid.trim_start_matches("luks-")) {
                self.error(findings, format!("rd.luks.uuid={uuid}: nothing encrypted has it on this disk"));
            }
        }
        for (key, value) in options.iter().filter_map(|option| option.split_once('=')) {
            if key == "root" && self.volumes.hides_system() {
                continue;
            }
            let Some(uuid) = value.strip_prefix("UUID=").filter(|_| matches!(key, "root" | "boot")) else {
                continue;
            };
            if !self.volumes.has_filesystem(uuid.trim_matches('"')) {
                self.error(findings, format!("{key}=UUID={uuid}: no such filesystem on this disk"));
            }
        }
    }

    fn deployment(&self, link: &str, findings: &mut Findings) -> Option<NodeId> {
        for (_, contents) in self.volumes.readable() {
            let root = Rootfs { tree: &contents.tree, root: contents.tree.root() };
            let Some(found) = root.lookup(link) else { continue };
            let deployment = Rootfs { root: found, ..root };
            if deployment.is_directory("usr") {
                return Some(found);
            }
            self.error(findings, format!("ostree={link}: leads to what is no deployment (no /usr)"));
            return None;
        }
        if !self.volumes.hides_system() {
            self.error(findings, format!("ostree={link}: leads nowhere"));
        }
        None
    }
}
