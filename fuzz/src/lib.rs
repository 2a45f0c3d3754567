//! What the fuzz targets share: seeds, made by code and written before the corpus is read, and images.

#[path = "../../tests/common/tiny.rs"]
mod tiny;

use std::{env, fs, path::PathBuf};

use diskwright::merge::Merged;
use diskwright_formats::data::Data;
use tiny::{Member, Tiny, archive, blocks};

/// Writes seeds into the directory that `FUZZ_SEEDS` names, if it does.
pub fn seed(seeds: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    let Some(dir) = env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    fs::create_dir_all(&dir).expect("a directory for seeds");
    for (index, seed) in seeds.into_iter().enumerate() {
        fs::write(dir.join(format!("seed-{index}")), seed).expect("a seed");
    }
}

/// Archives with something of everything.
pub fn archives() -> Vec<Vec<u8>> {
    let file = || Member::file("usr/x", [7; 20]);
    let members = [
        vec![file(), Member::hardlink("usr/y", "usr/x"), Member::hardlink("usr/z", "usr/lib/os-release")],
        vec![Member::symlink("link", "usr/lib"), Member::file("link/x", "x"), Member::device("dev/null")],
        vec![Member::directory("etc/"), Member::file("etc/.wh.passwd", ""), Member::file("usr/.wh..wh..opq", "")],
        vec![Member::file("n".repeat(120), ""), Member::symlink("s", "t".repeat(120))],
        vec![file().pax("SCHILY.xattr.user.a", "b").pax("mtime", "1.5").pax("uid", "70000")],
        vec![file().pax("GNU.sparse.size", "100").pax("GNU.sparse.map", "0,10,50,10")],
        vec![
            Member::file("x", "1\n0\n5\n").pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0")
                .pax("GNU.sparse.realsize", "9").pax("GNU.sparse.name", "y"),
        ],
        vec![Member::symlink("boot/efi/EFI/a", "."), Member::file("usr/lib/efi/grub/1/EFI/BOOT/BOOTX64.EFI", "x")],
    ];
    let mut all: Vec<_> = members.iter().map(|members| archive(members)).collect();
    all.push([blocks(b'L', 0o644, b"long", b"", &[b'n'; 200]), archive(&[file()])].concat());
    all.push([blocks(b'g', 0o644, b"pax", b"", b"12 mtime=77\n"), archive(&[file()])].concat());
    all.push(blocks(b'S', 0o644, b"sparse", b"", b"x"));
    all.push(Tiny::default().archives().remove(0));
    all
}

/// The image that layers go upon.
pub fn base() -> Merged {
    let mut merged = Merged::default();
    let layer = Tiny::default().archives().remove(0);
    merged.add_layer(Data::from_bytes(layer)).expect("the unbroken image is merged");
    merged
}

/// Manifest and config of an image with so many layers.
pub fn documents(layers: usize) -> (Vec<u8>, Vec<u8>) {
    let mut image = Tiny::default();
    for _ in 1..layers {
        image = image.with_layer(archive(&[]));
    }
    let layout = image.write();
    let manifest = layout.manifest();
    let config = layout.blob_path(manifest["config"]["digest"].as_str().expect("a digest"));
    (manifest.to_string().into_bytes(), fs::read(config).expect("a config"))
}

/// `data` as an archive whose header checksums are right, so that a changed header is still read.
pub fn with_checksums(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}
