//! The content of /boot that libostree manages: kernel and initramfs under
//! their checksum, and a Boot Loader Specification entry.

use anyhow::{Context, Result};
use diskwright_formats::tree::{Kind, Meta, NodeId, Time, Tree};
use sha2::{Digest, Sha256};

use super::{Repo, deployment::text_file};
use crate::deploy::kernel::Kernel;

/// Bytes of a file hashed at once.
const CHUNK: u64 = 1 << 20;

/// Everything /boot needs to know.
pub(super) struct Boot<'a> {
    pub stateroot: &'a str,
    pub title: &'a str,
    pub kernel: &'a Kernel,
    pub bootcsum: &'a str,
    /// The command line without `ostree=`.
    pub arguments: &'a str,
    pub time: Time,
}

/// A boot entry, as it is on the disk.
#[derive(Clone, Debug)]
pub struct BootEntry {
    /// What a menu shows.
    pub title: String,
    /// The whole command line.
    pub options: String,
    /// Path of the kernel below /boot, with a leading slash.
    pub linux: String,
    /// Path of the initramfs below /boot.
    pub initrd: Option<String>,
}

/// sha256 over kernel, initramfs and device trees, in this order; an older layout brings its own.
///
/// # Errors
/// Reading them.
pub fn checksum(tree: &Tree, kernel: &Kernel) -> Result<String> {
    if let Some(checksum) = &kernel.checksum {
        return Ok(checksum.clone());
    }
    let mut hash = Sha256::new();
    let single = [Some(kernel.vmlinuz), kernel.initramfs, kernel.devicetree];
    let mut files: Vec<NodeId> = single.into_iter().flatten().collect();
    if let Some(dtb) = kernel.dtb {
        regular_files(tree, dtb, &mut files);
    }
    let mut buffer = Vec::new();
    for file in files {
        let Kind::File(content) = &tree.node(file).kind else { continue };
        let mut at = 0;
        while at < content.len() {
            buffer.resize(CHUNK.min(content.len() - at) as usize, 0);
            content.read_exact_at(&mut buffer, at).context("hashing the kernel")?;
            hash.update(&buffer);
            at += buffer.len() as u64;
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Firmware checks no fs-verity, and bootloaders need not know it.
fn without_verity(tree: &mut Tree, object: NodeId) -> NodeId {
    let mut copy = tree.node(object).clone();
    if !std::mem::take(&mut copy.meta.verity) {
        return object;
    }
    tree.add(copy)
}

fn regular_files(tree: &Tree, directory: NodeId, found: &mut Vec<NodeId>) {
    for &child in tree.children(directory).into_iter().flat_map(|children| children.values()) {
        match tree.node(child).kind {
            Kind::Directory(_) => regular_files(tree, child, found),
            Kind::File(_) => found.push(child),
            _ => {}
        }
    }
}

impl Boot<'_> {
    /// Fills the directory `boot`; returns its entry.
    pub(super) fn fill(&self, tree: &mut Tree, repo: &mut Repo, boot: NodeId) -> BootEntry {
        let entry = self.kernel_files(tree, repo, boot);
        let (linux, initrd) = (&entry.linux, entry.initrd.as_ref());
        let mut text = format!("title {} (ostree:0)\nversion 1\noptions {}\n", self.title, entry.options);
        let below = format!("/boot/ostree/{}-{}", self.stateroot, self.bootcsum);
        if self.kernel.devicetree.is_some() {
            text += &format!("devicetree {below}/{}\n", self.kernel.devicetree_name);
        }
        text += &format!("linux /boot{linux}\n");
        text += &initrd.map(|path| format!("initrd /boot{path}\n")).unwrap_or_default();
        if self.kernel.dtb.is_some() {
            text += &format!("fdtdir {below}/dtb\n");
        }
        let loader = self.subdirectory(tree, boot, "loader.1");
        let entries = self.subdirectory(tree, loader, "entries");
        let file = text_file(tree, &text, 0o644, self.time);
        tree.link(entries, *b"ostree-1.conf", file);
        for (name, target) in [("loader", "loader.1"), ("boot", ".")] {
            let link = tree.add_symlink(target.as_bytes());
            tree.node_mut(link).meta.mtime = self.time;
            tree.link(boot, name.as_bytes(), link);
        }
        entry
    }

    fn kernel_files(&self, tree: &mut Tree, repo: &mut Repo, boot: NodeId) -> BootEntry {
        let Kernel { version, vmlinuz, initramfs, hmac, devicetree, dtb, .. } = self.kernel;
        let name = format!("{}-{}", self.stateroot, self.bootcsum);
        let ostree = self.subdirectory(tree, boot, "ostree");
        let directory = self.subdirectory(tree, ostree, &name);
        let named = [
            (Some(*vmlinuz), format!("vmlinuz-{version}")),
            (*initramfs, self.kernel.initramfs_name.clone()),
            (*hmac, format!(".vmlinuz-{version}.hmac")),
            (*devicetree, self.kernel.devicetree_name.clone()),
        ];
        for (file, name) in &named {
            if let Some(file) = *file {
                let object = repo.object(tree, file);
                let object = without_verity(tree, object);
                tree.link(directory, name.as_bytes(), object);
            }
        }
        if let Some(dtb) = *dtb {
            let copy = self.device_trees(tree, dtb);
            tree.link(directory, *b"dtb", copy);
        }
        let link = format!("ostree=/ostree/boot.1/{}/{}/0", self.stateroot, self.bootcsum);
        let init = "init=/ostree/boot.1/{}/{}/0/usr/lib/ostree/ostree-prepare-root";
        let init = init.replacen("{}", self.stateroot, 1).replacen("{}", self.bootcsum, 1);
        let mut options = vec![self.arguments];
        options.extend(initramfs.is_none().then_some(init.as_str()));
        options.push(&link);
        BootEntry {
            title: self.title.to_owned(),
            options: options.join(" "),
            linux: format!("/ostree/{name}/{}", named[0].1),
            initrd: initramfs.map(|_| format!("/ostree/{name}/{}", named[1].1)),
        }
    }

    /// A copy without the image's attributes: what is in /boot is labelled as such.
    fn device_trees(&self, tree: &mut Tree, directory: NodeId) -> NodeId {
        let meta = Meta { mtime: self.time, ..Meta::root(tree.node(directory).meta.mode) };
        let copy = tree.add_directory(meta);
        for (name, node) in tree.children(directory).cloned().unwrap_or_default() {
            let child = match tree.node(node).kind.clone() {
                Kind::Directory(_) => self.device_trees(tree, node),
                Kind::File(content) => {
                    let Meta { uid, gid, mode, .. } = tree.node(node).meta;
                    let meta = Meta { uid, gid, mtime: self.time, ..Meta::root(mode) };
                    tree.add_file(meta, content)
                }
                _ => continue,
            };
            tree.link(copy, name, child);
        }
        copy
    }

    fn subdirectory(&self, tree: &mut Tree, parent: NodeId, name: &str) -> NodeId {
        let directory = tree.add_directory(Meta { mtime: self.time, ..Meta::root(0o755) });
        tree.link(parent, name.as_bytes(), directory);
        directory
    }
}
