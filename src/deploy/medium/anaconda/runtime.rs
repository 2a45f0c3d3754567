//! What Anaconda needs around itself in its root filesystem: the account it runs as, the target that starts it, and
//! files that say what it installs. What the image has of them already stays.

use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, Tree},
};

use crate::{
    blueprint::Customizations,
    deploy::{System, Wishes, bootloader::put, rootfs::Rootfs},
    ids::Ids,
};

/// Says what is installed.
const BUILDSTAMP: &str = ".buildstamp";
/// The target that starts Anaconda.
const TARGET: &str = "usr/lib/systemd/system/anaconda.target";
const DEFAULT_TARGET: &str = "etc/systemd/system/default.target";
/// Which of Anaconda's modules start.
const MODULES: &str = "etc/anaconda/conf.d/90-blueprint.conf";
/// Of what /boot holds the kernel and its checksum stay, for FIPS mode.
const KEPT: [&[u8]; 2] = [b"vmlinuz", b".vmlinuz"];
/// The account whose shell is Anaconda: files, and their lines.
const ACCOUNT: [(&str, &str); 2] = [
    ("etc/passwd", "install:x:0:0:root:/var/roothome:/usr/libexec/anaconda/run-anaconda\n"),
    ("etc/shadow", "install::14438:0:99999:7:::\n"),
];

/// Adds to a root filesystem what is missing.
pub(super) fn complete(tree: &mut Tree, system: &System, wishes: &Wishes<'_>, ids: &Ids) {
    let root = tree.root();
    let rootfs = Rootfs { tree, root };
    let (has_stamp, has_target) = (rootfs.is_file(BUILDSTAMP), rootfs.is_file(TARGET));
    let has_default = rootfs.tree.lookup(DEFAULT_TARGET).is_some();
    let mut texts = Vec::new();
    if !has_stamp {
        texts.push((BUILDSTAMP, 0o644, buildstamp(system, wishes, ids)));
    }
    for (path, line) in ACCOUNT {
        let old = rootfs.read_text(path).ok().flatten().unwrap_or_default();
        if !old.lines().any(|line| line.starts_with("install:")) {
            texts.push((path, if path.ends_with("shadow") { 0 } else { 0o644 }, old + line));
        }
    }
    texts.extend(modules(&wishes.blueprint.customizations).map(|text| (MODULES, 0o644, text)));
    for (path, mode, text) in texts {
        let old = tree.lookup(path).map(|node| tree.node(node).meta.clone());
        let meta = old.unwrap_or_else(|| Meta { mtime: ids.time(), ..Meta::root(mode) });
        let node = tree.add_file(meta, Sparse::from_bytes(text.into_bytes()));
        put(tree, root, path, node, ids.time());
    }
    if has_target && !has_default {
        let link = tree.add_symlink(format!("/{TARGET}").into_bytes());
        tree.node_mut(link).meta.mtime = ids.time();
        put(tree, root, DEFAULT_TARGET, link, ids.time());
    }
    empty_boot(tree);
}

/// What the medium has beside is not there twice.
fn empty_boot(tree: &mut Tree) {
    let Some(boot) = tree.lookup("boot") else { return };
    let Kind::Directory(children) = &mut tree.node_mut(boot).kind else { return };
    children.retain(|name, _| KEPT.iter().any(|kept| name.starts_with(kept)));
}

fn buildstamp(system: &System, wishes: &Wishes<'_>, ids: &Ids) -> String {
    let version = system.os.get("VERSION_ID").unwrap_or("1");
    let product = system.os.get("NAME").unwrap_or(system.os.title());
    let uuid = ids.time().seconds;
    let arch = wishes.arch.rust();
    format!(
        "[Main]\nProduct={product}\nVersion={version}\nBugURL=\nIsFinal=True\nUUID={uuid}.{arch}\nVariant=\n"
    )
}

/// Anaconda's configuration, if something is asked of its modules.
fn modules(asked: &Customizations) -> Option<String> {
    let wanted = &asked.installer.modules;
    let list = |key: &str, names: &[String]| {
        let lines: String = names.iter().map(|name| format!("    {name}\n")).collect();
        if names.is_empty() { String::new() } else { format!("{key} =\n{lines}") }
    };
    let mut enable = wanted.enable.clone();
    if !enable.is_empty() {
        enable.push("org.fedoraproject.Anaconda.Modules.*".into());
    }
    let text = list("activatable_modules", &enable) + &list("forbidden_modules", &wanted.disable);
    (!text.is_empty()).then(|| format!("[Anaconda]\n{text}"))
}
