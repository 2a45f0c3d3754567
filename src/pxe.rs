//! A system that runs from memory as an archive: its root filesystem
//! compressed, and all that loads it beside that.

use std::{collections::BTreeSet, fs::File};

use anyhow::{Context, Result};
use diskwright_formats::{
    filesystem::squashfs::{self, Compression},
    sparse::Sparse,
    tree::{Kind, Tree},
    writer::pxe::{Entry, archive},
};

use crate::{
    deploy::live::{Live, README},
    ids::Ids,
    progress::Progress,
};

/// What a running system reads at once: longer blocks would be smaller, and slower to read from.
const BLOCK_BYTES: u32 = 128 << 10;

/// The archive before it is compressed; the root filesystem goes to `spool`, a new file without a name.
///
/// # Errors
/// A root that the filesystem cannot hold; reading content and writing the spool.
pub fn lay_out(live: Live, spool: File, ids: &Ids, progress: &dyn Progress) -> Result<Sparse> {
    let rootfs = root_filesystem(&live.root, spool, ids, progress)?;
    let text = |text: &str| Sparse::from_bytes(text.as_bytes());
    let mut entries = directories(&live.efi);
    entries.extend(live.efi.into_iter().map(|(path, content)| file(&path, 0o644, content)));
    entries.push(file("README", 0o644, text(README)));
    entries.push(file("grub.cfg", 0o644, text(&live.menu.text())));
    entries.push(file("initrd.img", 0o644, live.initramfs));
    entries.push(file("rootfs.img", 0o644, rootfs));
    entries.push(file("vmlinuz", 0o755, live.kernel));
    Ok(archive(&entries, ids.time().seconds)?)
}

/// A root filesystem that is only read; what is compressed goes to `spool`, a new file without a name.
///
/// # Errors
/// A tree that the filesystem cannot hold; reading content and writing the spool.
pub fn root_filesystem(tree: &Tree, spool: File, ids: &Ids, progress: &dyn Progress) -> Result<Sparse> {
    progress.begin("compressing the root filesystem", Some(data_len(tree)));
    let options =
        squashfs::Options { compression: Compression::Xz, block_bytes: BLOCK_BYTES, time: ids.time() };
    let made = squashfs::write(tree, &options, spool, &|bytes| progress.advance(bytes));
    made.context("making the root filesystem")
}

fn file(name: &str, mode: u32, content: Sparse) -> Entry {
    Entry { name: name.to_owned(), mode, content }
}

/// The directories of these files, outer ones first.
fn directories(files: &[(String, Sparse)]) -> Vec<Entry> {
    let parents =
        |path: &str| path.match_indices('/').map(|(at, _)| path[..=at].to_owned()).collect::<Vec<_>>();
    let all: BTreeSet<_> = files.iter().flat_map(|(path, _)| parents(path)).collect();
    all.iter().map(|path| file(path, 0o755, Sparse::default())).collect()
}

/// Bytes of all files, each once.
fn data_len(tree: &Tree) -> u64 {
    let mut seen = BTreeSet::new();
    let content = |(_, id)| match &tree.node(id).kind {
        Kind::File(content) if seen.insert(id) => content.data_len(),
        _ => 0,
    };
    tree.walk().map(content).sum()
}
