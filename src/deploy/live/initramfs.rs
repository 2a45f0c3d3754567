//! The initramfs of a system that runs from memory: the image's own, which has
//! to have dracut's modules for it, and behind it, where that one would mount
//! the deployment by composefs, a second one that says otherwise.

use anyhow::{Context, Result, anyhow, ensure};
use diskwright_formats::{
    cpio,
    data::Data,
    sparse::Sparse,
    tree::{Meta, Time, Tree},
    units::round_up,
};

use super::content;
use crate::{
    deploy::{
        bootloader::put, kernel::Kernel, medium::initramfs::texts, rootfs::Rootfs, system::key_file_value,
    },
    error::Hint,
    ids::Ids,
    progress::Progress,
};

/// Modules of dracut that load a root filesystem from a network and start a deployment in it.
const NEEDED: [&str; 3] = ["ostree", "dmsquash-live", "livenet"];
/// Where dracut lists the modules of an initramfs.
const MODULES: &str = "usr/lib/dracut/modules.txt";
const OLD_MODULES: &str = "lib/dracut/modules.txt";
/// Where ostree-prepare-root looks for its configuration, in the order in which it does.
const CONFIGS: [&str; 2] = ["etc/ostree/prepare-root.conf", "usr/lib/ostree/prepare-root.conf"];
/// Archives in an initramfs begin at multiples of this.
const ALIGNMENT: u64 = 512;

/// The initramfs that the kernel gets.
pub(super) fn prepared(rootfs: &Rootfs<'_>, ids: &Ids, progress: &dyn Progress) -> Result<Sparse> {
    let kernel = Kernel::find(rootfs)?;
    let initramfs = kernel.initramfs.and_then(|node| content(rootfs.tree, node));
    let initramfs = initramfs.context("the image has no initramfs, which has to load the root filesystem")?;
    let [etc, usr] = CONFIGS;
    let Some([modules, old_modules, etc, usr]) = texts(&initramfs, [MODULES, OLD_MODULES, etc, usr]) else {
        progress.note(
            "whether the initramfs starts from a network is not known: it is of a kind that is not read",
        );
        return with_second(&initramfs, &without_composefs(""), ids.time());
    };
    let modules = modules.or(old_modules);
    check_modules(&modules.context("the initramfs is not made by dracut: it has no list of modules")?)?;
    let config = etc.or(usr).unwrap_or_default();
    if key_file_value(&config, "composefs", "enabled").as_deref() == Some("no") {
        return Ok(initramfs);
    }
    with_second(&initramfs, &without_composefs(&config), ids.time())
}

fn check_modules(list: &str) -> Result<()> {
    let missing: Vec<_> = NEEDED.into_iter().filter(|name| !list.lines().any(|line| line == *name)).collect();
    let error = || anyhow!("the initramfs has no {}, which starts it from a network", missing.join(", no "));
    ensure!(missing.is_empty(), error().context(hint()));
    Ok(())
}

fn hint() -> Hint {
    let modules = NEEDED.join(" ");
    Hint(format!(
        "in the Containerfile: install dracut-live and dracut-network, put add_dracutmodules+=\" {modules} \" into a \
         file in /usr/lib/dracut/dracut.conf.d, and make the initramfs anew"
    ))
}

/// The configuration with composefs off: what it mounts is no filesystem that lies on an overlay.
fn without_composefs(config: &str) -> String {
    let mut inside = false;
    let other = |line: &&str| {
        if line.trim().starts_with('[') {
            inside = line.trim() == "[composefs]";
        }
        !inside
    };
    let kept: Vec<_> = config.lines().filter(other).collect();
    format!("[composefs]\nenabled = no\n{}\n", kept.join("\n"))
}

/// With an archive behind it that has this configuration in place of the first one's.
fn with_second(initramfs: &Sparse, config: &str, time: Time) -> Result<Sparse> {
    let mut tree = Tree::new(Meta { mtime: time, ..Meta::root(0o755) });
    let root = tree.root();
    let file =
        tree.add_file(Meta { mtime: time, ..Meta::root(0o644) }, Sparse::from_bytes(config.as_bytes()));
    put(&mut tree, root, CONFIGS[0], file, time);
    let second = cpio::archive(&tree)?;
    let start = round_up(initramfs.len(), ALIGNMENT);
    let mut both = Sparse::new(start + second.len());
    both.place(0, initramfs)?;
    if start > initramfs.len() {
        both.insert(initramfs.len(), Data::from_bytes(vec![0; (start - initramfs.len()) as usize]))?;
    }
    both.place(start, &second)?;
    Ok(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_composefs_is_changed() {
        let config =
            "# x\n[sysroot]\nreadonly = true\n[composefs]\nenabled = yes\nkeypath=k\n[etc]\ntransient=1\n";
        let changed = without_composefs(config);
        assert_eq!(
            changed,
            "[composefs]\nenabled = no\n# x\n[sysroot]\nreadonly = true\n[etc]\ntransient=1\n"
        );
        assert_eq!(without_composefs(""), "[composefs]\nenabled = no\n\n");
    }

    #[test]
    fn missing_modules_are_named() {
        assert!(check_modules("bash\nostree\ndmsquash-live\nlivenet\n").is_ok());
        let error = check_modules("bash\nostree\nlivenet-old\n").unwrap_err();
        assert!(format!("{error:#}").contains("has no dmsquash-live, no livenet"), "{error:#}");
    }
}
