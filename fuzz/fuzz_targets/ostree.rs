//! Any bytes as each kind of ostree object. The parsers themselves write anew what
//! they accept and compare.

#![no_main]

use diskwright::deploy::ostree::object::{Commit, DirMeta, DirTree, parse_xattrs};
use diskwright_fuzz::seed;
use libfuzzer_sys::fuzz_target;

/// A dirmeta without attributes, one with, and a dirtree of one file.
fn seeds() -> Vec<Vec<u8>> {
    let dirmeta = [&[0; 8][..], &0o040_755_u32.to_be_bytes()].concat();
    let xattr = b"user.a\0b\x07".to_vec();
    let xattrs = [&xattr[..], &[xattr.len() as u8]].concat();
    let file = [&b"name\0"[..], &[7; 32], &[5]].concat();
    let files = [&file[..], &[file.len() as u8]].concat();
    let dirtree = [&files[..], &[files.len() as u8]].concat();
    vec![[dirmeta.clone(), xattrs.clone()].concat(), dirmeta, xattrs, dirtree]
}

fuzz_target!(init: seed(seeds()), |data: &[u8]| {
    let _ = (DirMeta::parse(data), parse_xattrs(data));
    if let Ok(tree) = DirTree::parse(data) {
        let files = tree.files.iter().map(|(name, _)| *name);
        let mut names = files.chain(tree.directories.iter().map(|(name, _)| *name));
        assert!(names.all(|name| !name.contains('/') && name != ".."), "{tree:?}");
    }
    if let Ok(commit) = Commit::parse(data) {
        let _ = (commit.get("ostree.importer.version"), commit.metadata.iter().map(|(_, value)| value.as_text()).count());
    }
});
