//! A medium that installs another image by Anaconda, which is in this one.
//!
//! ```text
//! images/pxeboot/vmlinuz, initrd.img   the kernel that Anaconda runs on
//! images/install.img                   the image itself, as SquashFS: what the kernel mounts (inst.stage2)
//! container/                           the image to install, as an OCI layout
//! osbuild.ks, osbuild-base.ks          the kickstart: the latter is included by the former
//! boot/grub/grub.cfg                   the menu
//! .discinfo                            by which Anaconda knows its medium
//! ```
//!
//! Nothing of the image runs, so its initramfs has to have Anaconda's module for dracut already.
//!
//! Sources: Anaconda's boot options (`inst.stage2`, `inst.ks`), `.buildstamp` and `.discinfo` as Anaconda and
//! lorax read them; pykickstart's reference.

mod kickstart;
mod runtime;

use anyhow::{Context, Result, anyhow, ensure};
use diskwright_formats::{sparse::Sparse, tree::Tree};

use super::{MENU, Medium, content, menu, text};
use crate::{
    blueprint::Customizations,
    deploy::{
        DEFAULT_FILESYSTEM, System, Wishes, bootloader::CONSOLE, image::ImageConfig, kernel::Kernel,
        rootfs::Rootfs,
    },
    error::Hint,
    ids::Ids,
    progress::Progress,
};
pub use kickstart::check;

/// Where the program is: distributions are moving it.
const PROGRAMS: [&str; 2] = ["usr/sbin/anaconda", "usr/bin/anaconda"];
/// Anaconda's module for dracut.
const MODULE: &str = "anaconda";
/// Where the image to install is, on the medium.
pub const CONTAINER: &str = "container";
/// Where Anaconda's own root filesystem is, on the medium.
pub const RUNTIME: &str = "images/install.img";

/// A medium without its largest parts.
#[derive(Debug)]
pub struct Anaconda {
    /// The medium.
    pub medium: Medium,
    /// What becomes [`RUNTIME`].
    pub runtime: Tree,
}

/// What is installed.
#[derive(Debug)]
pub struct Payload<'a> {
    /// The reference that the installed system updates from.
    pub target: &'a str,
    /// Files of the OCI layout, by their paths in it.
    pub files: Vec<(String, Sparse)>,
}

/// The medium of an image with Anaconda, whose layers are merged; the root of `tree` is that.
///
/// # Errors
/// An image without Anaconda, or wishes that a kickstart cannot say.
pub fn anaconda(
    image: &ImageConfig,
    mut tree: Tree,
    wishes: &Wishes<'_>,
    payload: Payload<'_>,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<Anaconda> {
    let rootfs = Rootfs { tree: &tree, root: tree.root() };
    ensure_anaconda(&rootfs)?;
    // which filesystem Anaconda makes is not this program's concern
    let own = Wishes { rootfs: Some(DEFAULT_FILESYSTEM), ..wishes.clone() };
    let system = System::examine(image, &tree, &own)?;
    let kernel = Kernel::find(&rootfs)?;
    let initramfs = kernel.initramfs.context("the image has no initramfs: Anaconda has to start from one")?;
    let initramfs = content(&tree, initramfs);
    ensure_module(&initramfs)?;
    let asked = &wishes.blueprint.customizations;
    let mut medium = Medium::new(system.os.title(), &asked.iso, ids);
    medium.add("images/pxeboot/vmlinuz", content(&tree, kernel.vmlinuz));
    medium.add("images/pxeboot/initrd.img", initramfs);
    let filesystem = wishes.rootfs.or(system.install.root_filesystem()).unwrap_or(DEFAULT_FILESYSTEM);
    let root = kickstart::Root { filesystem, target: payload.target };
    let kickstart = kickstart::Kickstart::new(wishes, &root, &ids.bytes("accounts"))?;
    medium.add("osbuild-base.ks", text(kickstart.base));
    medium.add("osbuild.ks", text(kickstart.own));
    medium.add(".discinfo", text(discinfo(&system, wishes, ids)));
    medium.add(MENU, text(menu(&medium, asked)));
    for (path, content) in payload.files {
        medium.add(&format!("{CONTAINER}/{path}"), content);
    }
    medium.add_bootloader(&system, &rootfs, progress)?;
    runtime::complete(&mut tree, &system, wishes, ids);
    let root = tree.root();
    Ok(Anaconda { medium, runtime: tree.into_subtree(root) })
}

fn ensure_anaconda(rootfs: &Rootfs<'_>) -> Result<()> {
    let is_there = PROGRAMS.iter().any(|path| rootfs.lookup(path).is_some());
    let hint = "--type iso installs any bootable image by an installer of its own; --type bootc-installer takes the \
                image of Anaconda, and in --installer-payload-ref the one to install";
    ensure!(
        is_there,
        anyhow!("the image has no Anaconda: no {}", PROGRAMS.join(" and no ")).context(Hint(hint.into()))
    );
    Ok(())
}

fn ensure_module(initramfs: &Sparse) -> Result<()> {
    let lists = super::initramfs::texts(initramfs, ["usr/lib/dracut/modules.txt", "lib/dracut/modules.txt"]);
    let lists = lists.context("the initramfs is of a kind that is not read")?;
    let has = lists.iter().flatten().any(|list| list.lines().any(|line| line == MODULE));
    let hint = "in the Containerfile: install anaconda-dracut, and make the initramfs anew with dracut --add anaconda";
    ensure!(
        has,
        anyhow!("the initramfs has no module {MODULE} of dracut, which starts Anaconda")
            .context(Hint(hint.into()))
    );
    Ok(())
}

/// When it was made, of what, and for what: by this Anaconda tells its medium from others.
fn discinfo(system: &System, wishes: &Wishes<'_>, ids: &Ids) -> String {
    let release = system.os.get("VERSION_ID").unwrap_or("1");
    format!("{}.000000\n{} {release}\n{}\n", ids.time().seconds, system.os.title(), wishes.arch.rust())
}

fn menu(medium: &Medium, asked: &Customizations) -> String {
    let Medium { label, name, .. } = medium;
    let fips = if asked.fips == Some(true) { " fips=1" } else { "" };
    let stage = format!("inst.stage2=hd:LABEL={label}");
    let install = format!("{stage} inst.ks=hd:LABEL={label}:/osbuild.ks console=tty0 enforcing=0{fips}");
    let entries = [
        (format!("Install {name}"), format!("{install} inst.text")),
        (format!("Install {name}, in a graphical environment"), format!("{install} inst.graphical")),
        ("Rescue shell".to_owned(), format!("{stage} console=tty0 enforcing=0 inst.rescue inst.text")),
    ];
    let timeout = asked.installer.bootloader.grub2.menu_timeout.unwrap_or(menu::TIMEOUT);
    let mut text = format!("set default=0\nset timeout={timeout}\n{CONSOLE}");
    text += &format!("search --no-floppy --set=root --label {label}\n");
    for (title, arguments) in entries {
        let title: String = title.chars().filter(|&c| c != '\'' && !c.is_control()).collect();
        text += &format!("menuentry '{title}' {{\n  linux /images/pxeboot/vmlinuz {arguments}\n");
        text += "  initrd /images/pxeboot/initrd.img\n}\n";
    }
    text
}
