//! A system that runs from memory: machines load kernel, initramfs and root
//! filesystem from a network, mount the last one read-only, and an overlay in
//! memory takes what they write.
//!
//! ```text
//! root=live:URL --livenet--> rootfs.img --dmsquash-live--> overlay at /sysroot --ostree--> deployment
//! ```
//!
//! The names are those of dracut's modules, which the image's initramfs has to
//! have. The root is the deployment as it would be on a disk, with its /boot,
//! and without anything that mounts volumes.
//!
//! Sources: dracut.cmdline(7), "Booting live images"; the modules livenet and
//! dmsquash-live of dracut 059 to 110; ostree-prepare-root(1).

mod initramfs;
mod texts;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, NodeId, Tree},
};

pub use self::texts::{Menu, README};
use super::{
    DEFAULT_FILESYSTEM, System, Wishes, customize,
    image::ImageConfig,
    kargs::KernelArguments,
    kernel::Kernel,
    medium::menu::is_plain,
    ostree::{self, LaidDown, Sysroot, repo::RepoConfig},
    rootfs::Rootfs,
};
use crate::{ids::Ids, merge::Merged, progress::Progress};

/// Directories by which dracut knows a root filesystem: before version 110 it does not look for `ostree`.
const SIGNS: [&str; 2] = ["usr", "proc"];
/// What only a filesystem that can be checked needs.
const LOST_FOUND: &[u8] = b"lost+found";
/// How names of attributes begin that are POSIX ACLs.
const ACL: &[u8] = b"system.posix_acl";

/// A system that runs from memory.
#[derive(Debug)]
pub struct Live {
    /// The root filesystem.
    pub root: Tree,
    /// The kernel.
    pub kernel: Sparse,
    /// The initramfs.
    pub initramfs: Sparse,
    /// Shim and GRUB, by their paths; none where the image has nothing for UEFI.
    pub efi: Vec<(String, Sparse)>,
    /// GRUB's menu.
    pub menu: Menu,
}

/// The system of an image whose layers are merged.
///
/// # Errors
/// An image that cannot boot, or whose initramfs lacks what loads a root filesystem from a network.
pub fn live(
    image: &ImageConfig,
    mut merged: Merged,
    wishes: &Wishes<'_>,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Live> {
    // what the image declares is for disks
    let wishes = Wishes { rootfs: Some(DEFAULT_FILESYSTEM), ..wishes.clone() };
    let mut system = System::examine(image, &merged.tree, &wishes)?;
    // and so are its seals
    system.verity = false;
    let rootfs = Rootfs { tree: &merged.tree, root: merged.tree.root() };
    let initramfs = initramfs::prepared(&rootfs, ids, progress)?;
    system.notes.iter().for_each(|note| progress.note(note));
    system.update_warning().iter().for_each(|warning| progress.note(warning));
    let arguments = system.live_arguments(&merged.tree, &wishes, progress)?;
    let efi = system.bootloader.all_files(&merged.tree);
    let config = RepoConfig { fsverity: false, ..system.repository() };
    let imported =
        ostree::import(&mut merged, image, &system.target, config, system.all_paths, ids, progress)?;
    let mut tree = merged.tree;
    let kernel = Kernel::find(&Rootfs { tree: &tree, root: imported.root })?;
    let vmlinuz = content(&tree, kernel.vmlinuz).context("a kernel without content")?;
    let sysroot = Sysroot {
        image,
        target: &system.target,
        stateroot: system.install.stateroot(),
        kernel: &kernel,
        title: system.os.title(),
        arguments: &arguments,
        ids,
        progress,
    };
    let laid_down = sysroot.lay_down(&mut tree, imported, |tree, deployment, etc, var| {
        let system = customize::System { deployment, etc, var };
        if let Some(keys) = wishes.root_ssh_keys {
            customize::authorize_root(tree, &system, keys, ids.time())
                .context("authorizing root's SSH keys")?;
        }
        customize::apply(tree, &system, wishes.blueprint, ids.time(), &ids.bytes("accounts"))
    })?;
    let menu = Menu { name: system.os.title().to_owned(), arguments: laid_down.entry.options.clone() };
    let mut root = root(tree, laid_down, ids);
    drop_acls(&mut root, progress);
    Ok(Live { root, kernel: vmlinuz, initramfs, efi, menu })
}

/// The physical root, complete.
fn root(mut tree: Tree, laid_down: LaidDown, ids: &Ids) -> Tree {
    let LaidDown { root, boot, policy, .. } = laid_down;
    tree.link(root, *b"boot", boot);
    for name in SIGNS {
        let sign = tree.add_directory(Meta { mtime: ids.time(), ..Meta::root(0o755) });
        tree.link(root, name.as_bytes(), sign);
    }
    tree.set_root(root);
    if let Some(policy) = policy {
        policy.label_root(&mut tree, ids.time());
    }
    tree.unlink(root, LOST_FOUND);
    tree.into_subtree(root)
}

/// Takes away what the root's filesystem has no place for, and says so.
fn drop_acls(tree: &mut Tree, progress: &dyn Progress) {
    let is_acl = |name: &[u8]| name.starts_with(ACL);
    let has = |id: &NodeId| tree.node(*id).meta.xattrs.keys().any(|name| is_acl(name));
    let found: Vec<_> = tree.walk().filter(|(_, id)| has(id)).collect();
    let Some((path, _)) = found.first() else { return };
    progress.note(&format!(
        "{} names of files lose their POSIX ACLs, which SquashFS has no place for: /{} and so on",
        found.len(),
        path.escape_ascii()
    ));
    for (_, id) in found {
        let xattrs = &mut tree.node_mut(id).meta.xattrs;
        Arc::make_mut(xattrs).retain(|name, _| !is_acl(name));
    }
}

impl System {
    /// Arguments of a kernel that has no disk, without those that GRUB would change.
    fn live_arguments(&self, tree: &Tree, wishes: &Wishes<'_>, progress: &dyn Progress) -> Result<String> {
        let mut all = KernelArguments::default();
        all.extend(["rw"]);
        self.add_arguments(&mut all, tree, wishes)?;
        for left_out in all.retain(is_plain) {
            progress.note(&format!("the kernel does without '{left_out}': GRUB would change it"));
        }
        let root =
            all.to_string().split(' ').find(|argument| argument.starts_with("root=")).map(str::to_owned);
        ensure!(
            root.is_none(),
            "the kernel argument {} cannot be: the root is loaded",
            root.unwrap_or_default()
        );
        Ok(all.to_string())
    }
}

fn content(tree: &Tree, file: NodeId) -> Option<Sparse> {
    match &tree.node(file).kind {
        Kind::File(content) => Some(content.clone()),
        _ => None,
    }
}
