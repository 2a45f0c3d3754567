//! Any bytes as each configuration file that is read out of an image.

#![no_main]

use diskwright::deploy::{
    arch::Arch,
    bootloader::Bootloader,
    install_config::{InstallConfig, kargs_d},
    rootfs::Rootfs,
    selinux::{Config, Policy},
    system::{OsRelease, composefs_mode},
};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Meta, NodeId, Tree},
};
use diskwright_fuzz::{base, seed};
use libfuzzer_sys::fuzz_target;

const PATHS: [&str; 6] = [
    "usr/lib/bootc/install/00.toml",
    "usr/lib/bootc/kargs.d/00.toml",
    "usr/lib/os-release",
    "usr/lib/ostree/prepare-root.conf",
    "etc/selinux/config",
    "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
];

const SEEDS: [&str; 6] = [
    "[install]\nkargs = [\"a=b\"]\nblock = [\"direct\"]\nmatch-architectures = [\"x86_64\"]\n[install.filesystem.root]\ntype = \"ext4\"\n",
    "kargs = [\"console=ttyS0\"]\nmatch-architectures = [\"x86_64\"]\n",
    "ID=debian\nPRETTY_NAME=\"A \\\"b\\\"\"\nNAME='x'\n",
    "[composefs]\nenabled = yes\n",
    "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
    "/EFI/debian\0blscfg\0",
];

fn put(tree: &mut Tree, path: &str, data: &[u8]) {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().expect("a name");
    let mut at: NodeId = tree.root();
    for part in parts {
        at = tree.child(at, part.as_bytes()).unwrap_or_else(|| {
            let made = tree.add_directory(Meta::root(0o755));
            tree.link(at, part.as_bytes(), made);
            made
        });
    }
    let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(data));
    tree.link(at, name.as_bytes(), file);
}

fuzz_target!(init: seed(SEEDS), |data: &[u8]| {
    let mut tree = base().tree;
    for path in PATHS {
        put(&mut tree, path, data);
    }
    let rootfs = Rootfs { tree: &tree, root: tree.root() };
    let _ = (InstallConfig::read(&rootfs, "x86_64"), kargs_d(&rootfs, "x86_64"));
    let _ = (composefs_mode(&rootfs), Config::read(&rootfs).is_ok(), Policy::read(&rootfs).is_ok());
    let os = OsRelease::read(&rootfs).unwrap_or_default();
    let _ = (os.title(), Bootloader::find(&rootfs, Arch::X86_64, &os).map(|found| found.describe()));
});
