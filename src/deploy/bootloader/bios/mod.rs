//! GRUB for BIOS out of the image's own `i386-pc` files: a core image that
//! needs nothing but its configuration, put together here because nothing of
//! the image is run, and the modules beside the configuration for whatever
//! the machine's owner adds to it later; and the same for a disc.

pub mod core_image;
pub mod el_torito;
pub mod modules;
mod ondisk;

use anyhow::{Context, Result};
use diskwright_formats::{
    disk::TableKind,
    sparse::Sparse,
    tree::{Kind, Meta, NodeId, Tree},
};

use super::{Facts, put};
use crate::deploy::{arch::Arch, rootfs::Rootfs};
use core_image::{CoreImage, Parts};
use modules::Dependencies;

/// Where distributions keep GRUB's files for BIOS.
pub(super) const PLACES: [&str; 4] =
    ["usr/lib/grub/i386-pc", "usr/lib/grub2/i386-pc", "usr/share/grub2/i386-pc", "usr/share/grub/i386-pc"];
/// What a core image is made of, besides modules.
const NEEDED: [&str; 5] = ["boot.img", "diskboot.img", "kernel.img", "lzma_decompress.img", "moddep.lst"];
/// What GRUB reads without being told.
const GRUB_CONFIG: &str = "grub.cfg";
/// Where fonts are; GRUB's installer copies one.
const FONTS: [&str; 2] = ["usr/share/grub/unicode.pf2", "usr/share/grub2/unicode.pf2"];
/// Without these nothing boots; the partition table and the filesystem come to them.
const BASE: [&str; 5] = ["biosdisk", "search_fs_uuid", "normal", "linux", "configfile"];
/// What configurations use, where this GRUB has it.
const USEFUL: [&str; 22] = [
    "search",
    "search_label",
    "search_fs_file",
    "test",
    "true",
    "echo",
    "regexp",
    "loadenv",
    "terminal",
    "serial",
    "minicmd",
    "sleep",
    "ls",
    "cat",
    "reboot",
    "halt",
    "boot",
    "gzio",
    "increment",
    "blsuki",
    "blscfg",
    "mdraid1x",
];

/// GRUB for BIOS, found in an image.
#[derive(Clone, Debug)]
pub struct Bios {
    /// The directory of the image that holds it.
    pub place: &'static str,
}

impl Bios {
    /// GRUB for BIOS; `None` where the image has none or the machine no BIOS.
    #[must_use]
    pub fn find(rootfs: &Rootfs<'_>, arch: Arch) -> Option<Self> {
        let whole = |place: &&str| NEEDED.iter().all(|name| rootfs.is_file(&format!("{place}/{name}")));
        let place = PLACES.into_iter().find(whole);
        place.filter(|_| arch == Arch::X86_64).map(|place| Self { place })
    }

    /// Whether GRUB has the module.
    #[must_use]
    pub fn has_module(&self, rootfs: &Rootfs<'_>, name: &str) -> bool {
        rootfs.is_file(&format!("{}/{name}.mod", self.place))
    }

    /// The core image, which finds its configuration (a path below /boot) by the filesystem's UUID.
    ///
    /// # Errors
    /// Files of the image that are damaged or lack something.
    pub fn core_image(&self, rootfs: &Rootfs<'_>, config: &str, facts: &Facts<'_>) -> Result<CoreImage> {
        let needed = [table_module(facts.table), filesystem_module(facts.boot_filesystem)];
        self.assemble(rootfs, needed, early(config, facts))
    }

    /// A core image with the modules of a partition table and a filesystem, that begins with `config` and has its `prefix`.
    fn assemble(
        &self,
        rootfs: &Rootfs<'_>,
        needed: [&str; 2],
        (config, prefix): (String, String),
    ) -> Result<CoreImage> {
        let list = rootfs.read_text(&format!("{}/moddep.lst", self.place))?.unwrap_or_default();
        let modules = Dependencies::parse(&list);
        let useful = USEFUL.into_iter().filter(|name| modules.has(name) && self.has_module(rootfs, name));
        let wanted: Vec<&str> = BASE.into_iter().chain(needed).chain(useful).collect();
        let parts = self.parts(rootfs, &modules.closure(&wanted)?, config, prefix);
        parts.and_then(|parts| parts.assemble()).with_context(|| format!("GRUB for BIOS in /{}", self.place))
    }

    fn read(&self, rootfs: &Rootfs<'_>, name: &str) -> Result<Vec<u8>> {
        rootfs.read(&format!("{}/{name}", self.place))?.with_context(|| format!("no {name}"))
    }

    fn parts(&self, rootfs: &Rootfs<'_>, modules: &[&str], config: String, prefix: String) -> Result<Parts> {
        let read = |name: &str| self.read(rootfs, name);
        Ok(Parts {
            boot: read("boot.img")?,
            diskboot: read("diskboot.img")?,
            decompressor: read("lzma_decompress.img")?,
            kernel: read("kernel.img")?,
            modules: modules.iter().map(|name| read(&format!("{name}.mod"))).collect::<Result<_>>()?,
            config,
            prefix,
        })
    }

    /// What GRUB's installer leaves in `directory` of /boot.
    pub fn fill_boot(
        &self,
        tree: &mut Tree,
        image_root: NodeId,
        directory: NodeId,
        core: &CoreImage,
        facts: &Facts<'_>,
    ) {
        let rootfs = Rootfs { tree, root: image_root };
        let mut files = Vec::new();
        for (name, node) in rootfs.list(self.place) {
            let name = String::from_utf8_lossy(name);
            if is_copied(&name) {
                files.push((format!("i386-pc/{name}"), node));
            }
        }
        files.extend(
            FONTS
                .iter()
                .find_map(|path| rootfs.lookup(path))
                .map(|node| ("fonts/unicode.pf2".to_owned(), node)),
        );
        for (path, node) in files {
            if let Kind::File(content) = &tree.node(node).kind {
                let content = content.clone();
                put_file(tree, directory, &path, content, facts);
            }
        }
        put_file(tree, directory, "i386-pc/core.img", Sparse::from_bytes(core.unplaced()), facts);
    }
}

/// Whether GRUB's installer copies the file: modules, their lists, and what emulates EFI on a BIOS.
fn is_copied(name: &str) -> bool {
    [".mod", ".lst", ".o"].iter().any(|end| name.ends_with(end)) || ["boot.img", "modinfo.sh"].contains(&name)
}

/// What a core image begins with, and its prefix: /boot is found by its filesystem's UUID.
fn early(config: &str, facts: &Facts<'_>) -> (String, String) {
    let boot = if facts.separate_boot { "" } else { "/boot" };
    let (directory, name) = config.rsplit_once('/').unwrap_or_default();
    let (prefix, uuid) = (format!("{boot}/{directory}"), facts.boot_uuid);
    let mut early = format!("search.fs_uuid {uuid} root\nset prefix=($root)'{prefix}'\n");
    if name != GRUB_CONFIG {
        early += &format!("normal ($root)'{boot}/{config}'\n");
    }
    (early, prefix)
}

/// A file of its own: what the deployment shares must not be written to.
fn put_file(tree: &mut Tree, directory: NodeId, path: &str, content: Sparse, facts: &Facts<'_>) {
    let file = tree.add_file(Meta { mtime: facts.time, ..Meta::root(0o644) }, content);
    put(tree, directory, path, file, facts.time);
}

/// What GRUB calls the partition table.
const fn table_module(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Gpt => "part_gpt",
        TableKind::Dos => "part_msdos",
    }
}

/// What GRUB calls the filesystem.
fn filesystem_module(filesystem: &str) -> &str {
    match filesystem {
        "ext4" => "ext2",
        "vfat" => "fat",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use diskwright_formats::tree::Time;
    use uuid::uuid;

    use super::*;
    use crate::deploy::ostree::BootEntry;

    fn image(place: &str, names: &[&str]) -> Tree {
        let mut tree = Tree::new(Meta::root(0o755));
        let root = tree.root();
        for name in names {
            let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(*b"text"));
            put(&mut tree, root, &format!("{place}/{name}"), file, Time::default());
        }
        tree
    }

    fn early_of(config: &str, separate_boot: bool) -> [String; 2] {
        let entry = BootEntry { title: "t".into(), options: "o".into(), linux: "/l".into(), initrd: None };
        let facts = Facts {
            boot_uuid: uuid!("01234567-89ab-cdef-0123-456789abcdef"),
            boot_filesystem: "ext4",
            separate_boot,
            table: TableKind::Gpt,
            entry: &entry,
            time: Time::default(),
            skip_boot_uuid: false,
            console: None,
        };
        early(config, &facts).into()
    }

    #[test]
    fn every_file_is_needed_and_a_machine_with_a_bios() {
        for place in PLACES {
            let tree = image(place, &NEEDED);
            let rootfs = Rootfs { tree: &tree, root: tree.root() };
            assert_eq!(Bios::find(&rootfs, Arch::X86_64).unwrap().place, place);
            assert!(Bios::find(&rootfs, Arch::Aarch64).is_none());
        }
        for missing in NEEDED {
            let rest: Vec<_> = NEEDED.into_iter().filter(|name| *name != missing).collect();
            let tree = image(PLACES[0], &rest);
            assert!(Bios::find(&Rootfs { tree: &tree, root: tree.root() }, Arch::X86_64).is_none());
        }
    }

    #[test]
    fn what_grubs_installer_copies() {
        let names = ["boot.img", "efiemu32.o", "ext2.mod", "fs.lst", "modinfo.sh"];
        assert!(names.into_iter().all(is_copied));
        let names = ["config.h", "diskboot.img", "kernel.img", "kernel.exec", "gmodule.pl"];
        assert!(!names.into_iter().any(is_copied));
    }

    #[test]
    fn the_early_configuration_finds_boot_by_uuid() {
        const SEARCH: &str = "search.fs_uuid 01234567-89ab-cdef-0123-456789abcdef root\n";
        let config = format!("{SEARCH}set prefix=($root)'/grub2'\n");
        assert_eq!(early_of("grub2/grub.cfg", true), [config, "/grub2".to_owned()]);
        let config =
            format!("{SEARCH}set prefix=($root)'/boot/grub'\nnormal ($root)'/boot/grub/entries.cfg'\n");
        assert_eq!(early_of("grub/entries.cfg", false), [config, "/boot/grub".to_owned()]);
    }
}
