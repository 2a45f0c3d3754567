//! An archive in the format `newc`, which the kernel unpacks as an initramfs:
//!
//! ```text
//! header | name | NUL, to 4 bytes | content, to 4 bytes | ... | TRAILER!!! , to 512 bytes
//! ```
//!
//! Everything belongs to root and has the time of its node; a hard link is
//! stored once for each name. Source: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.

use crate::{
    Error, Result,
    data::Data,
    sparse::Sparse,
    tree::{Kind, Node, Tree},
    units::round_up,
};

/// Names and contents end at multiples of this.
const ALIGNMENT: u64 = 4;
/// The archive ends at a multiple of this.
const BLOCK: u64 = 512;
/// Name of the member that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// The archive of a tree; content stays where it is.
///
/// # Errors
/// [`Error::Limit`] for content of 4 GiB and more, [`Error::Unsupported`] for devices and the like.
pub fn archive(tree: &Tree) -> Result<Sparse> {
    let mut members = Vec::new();
    let mut at = 0;
    let mut serial = 0;
    for (path, id) in tree.walk().filter(|(path, _)| !path.is_empty()) {
        let node = tree.node(id);
        serial += 1;
        let content = content(&path, node)?;
        let head = head(&path, node, serial, content.len());
        let start = at + head.len() as u64;
        members.push((at, Sparse::from_bytes(head)));
        at = round_up(start + content.len(), ALIGNMENT);
        members.push((start, content));
    }
    let trailer = Node { meta: crate::tree::Meta::default(), kind: Kind::Fifo };
    let head = member(TRAILER, 0, &trailer, 0, 0);
    let mut archive = Sparse::new(round_up(at + head.len() as u64, BLOCK));
    for (offset, bytes) in members {
        archive.place(offset, &bytes)?;
    }
    archive.insert(at, Data::from_bytes(head))?;
    Ok(archive)
}

fn content(path: &[u8], node: &Node) -> Result<Sparse> {
    let path = || path.escape_ascii().to_string();
    match &node.kind {
        Kind::Directory(_) => Ok(Sparse::new(0)),
        Kind::Symlink(target) => Ok(Sparse::from_bytes(&target[..])),
        Kind::File(content) if content.len() <= u64::from(u32::MAX) => Ok(content.clone()),
        Kind::File(content) => {
            let what = format!("{}: bytes in an initramfs", path());
            Err(Error::Limit { what, found: content.len(), allowed: u32::MAX.into() })
        }
        _ => Err(Error::Unsupported {
            what: path(),
            why: "an initramfs gets files, directories and links".into(),
        }),
    }
}

fn head(path: &[u8], node: &Node, serial: u32, len: u64) -> Vec<u8> {
    member(path, serial, node, len, node.st_mode())
}

/// Header and name, padded.
fn member(name: &[u8], serial: u32, node: &Node, len: u64, mode: u32) -> Vec<u8> {
    let time = u32::try_from(node.meta.mtime.seconds.max(0)).unwrap_or(u32::MAX);
    let links = if matches!(node.kind, Kind::Directory(_)) { 2 } else { 1 };
    let (len, name_len) = (len as u32, name.len() as u32 + 1);
    let numbers = [serial, mode, 0, 0, links, time, len, 0, 0, 0, 0, name_len, 0];
    let numbers: String = numbers.iter().map(|number| format!("{number:08x}")).collect();
    let mut bytes = [b"070701", numbers.as_bytes(), name].concat();
    bytes.resize(round_up(bytes.len() as u64 + 1, ALIGNMENT) as usize, 0);
    bytes
}
