//! Kernel modules and programs in an initramfs, read as data: archives in the
//! format `newc` one after the other, the last of them compressed or none.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Cursor, Read},
};

use diskwright_formats::sparse::Sparse;

/// No initramfs unpacks to more.
const LARGEST: u64 = 4 << 30;
/// Longest name of a member, in bytes.
const NAME_MAX: u64 = 4096;
/// Bytes of a member's header, and where in it are the lengths of content and name.
const HEADER: usize = 110;
const CONTENT_LENGTH: usize = 54;
const NAME_LENGTH: usize = 94;
/// What a member starts with.
const MAGIC: &[u8] = b"070701";
/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;
const TRAILER: &[u8] = b"TRAILER!!!";
/// Programs that are looked for.
pub(super) const NETWORKD: &str = "systemd-networkd";
pub(super) const NETWORK_MANAGER: &str = "NetworkManager";
const PROGRAMS: [&str; 2] = [NETWORKD, NETWORK_MANAGER];
/// Suffixes of modules.
const SUFFIXES: [&str; 4] = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];

/// What is in an initramfs.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Modules, as the kernel names them (`_` for `-`).
    pub(super) modules: BTreeSet<String>,
    /// Those of [`PROGRAMS`] that are there.
    pub(super) programs: BTreeSet<&'static str>,
}

impl Contents {
    fn add(&mut self, path: &str) {
        let is_named = |name: &&&str| path.rsplit('/').next() == Some(**name);
        let in_place = path.split('/').any(|part| ["bin", "sbin", "systemd"].contains(&part));
        self.programs.extend(PROGRAMS.iter().filter(|_| in_place).find(is_named));
        self.modules.extend(module_of(path));
    }
}

/// What is in it; `None` for what is no such archive.
pub(super) fn contents(initramfs: &Sparse) -> Option<Contents> {
    let mut found = Contents::default();
    let mut reader = BufReader::with_capacity(BUFFER, initramfs.reader());
    let magic = archives(&mut reader, &mut found).ok()?;
    let rest = Cursor::new(magic.clone()).chain(reader);
    let unpacked: Box<dyn Read + '_> = match magic[..] {
        [] => return Some(found),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(rest).ok()?),
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(rest)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(rest)),
        _ => return None,
    };
    archives(&mut BufReader::with_capacity(BUFFER, unpacked.take(LARGEST)), &mut found).ok()?;
    Some(found)
}

/// The module that a file of this path holds.
pub(super) fn module_of(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let name = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix))?;
    Some(name.replace('-', "_"))
}

/// Reads archives as long as there are any; the first bytes of what is none, which are read too.
fn archives(reader: &mut impl BufRead, found: &mut Contents) -> io::Result<Vec<u8>> {
    loop {
        let mut magic = after_zeros(reader)?;
        if magic != MAGIC {
            return Ok(magic);
        }
        while let Some(name) = member(reader, &magic)? {
            std::str::from_utf8(&name).iter().for_each(|path| found.add(path));
            magic.clear();
        }
    }
}

/// The bytes behind all zeros: as many as a member's magic number has, less at the end.
fn after_zeros(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        let is_end = zeros < buffer.len() || buffer.is_empty();
        reader.consume(zeros);
        if is_end {
            let mut magic = Vec::new();
            reader.take(MAGIC.len() as u64).read_to_end(&mut magic)?;
            return Ok(magic);
        }
    }
}

/// Reads past a member whose `start` is read already; its name, none for the last.
fn member(reader: &mut impl BufRead, start: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER];
    header[..start.len()].copy_from_slice(start);
    reader.read_exact(&mut header[start.len()..])?;
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let number = |at: usize| {
        let text = std::str::from_utf8(&header[at..at + 8]).ok();
        text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or_else(|| bad("no number"))
    };
    if !header.starts_with(MAGIC) {
        return Err(bad("no member"));
    }
    let (content, name_len) = (number(CONTENT_LENGTH)?, number(NAME_LENGTH)?);
    if name_len > NAME_MAX {
        return Err(bad("a name too long"));
    }
    let mut name = vec![0; name_len as usize];
    reader.read_exact(&mut name)?;
    name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
    let padding = |len: u64| len.next_multiple_of(4) - len;
    let rest = padding(HEADER as u64 + name_len) + content + padding(content);
    if io::copy(&mut reader.take(rest), &mut io::sink())? != rest {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((name != TRAILER).then_some(name))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use diskwright_formats::{
        cpio,
        tree::{Meta, Time, Tree},
    };

    use super::*;
    use crate::deploy::bootloader::put;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut tree = Tree::new(Meta::root(0o755));
        let root = tree.root();
        for name in names {
            let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(*b"module"));
            put(&mut tree, root, name, file, Time::default());
        }
        cpio::archive(&tree).unwrap().to_vec().unwrap()
    }

    fn names(bytes: Vec<u8>) -> Option<Vec<String>> {
        contents(&Sparse::from_bytes(bytes)).map(|found| found.modules.into_iter().collect())
    }

    #[test]
    fn programs_are_known_by_name_and_place() {
        let found = |paths: &[&str]| contents(&Sparse::from_bytes(archive(paths))).unwrap().programs;
        let both = ["usr/lib/systemd/systemd-networkd", "usr/sbin/NetworkManager"];
        assert_eq!(found(&both).into_iter().collect::<Vec<_>>(), ["NetworkManager", "systemd-networkd"]);
        assert!(found(&["usr/lib/systemd-networkd.conf", "etc/NetworkManager"]).is_empty());
    }

    #[test]
    fn modules_are_found_in_every_archive() {
        let (plain, packed) = (archive(&["m/a-b.ko", "m/text"]), archive(&["n/c.ko.xz", "n/d.ko.zst"]));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&packed).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&packed).unwrap();
        let zstd = zstd::encode_all(&packed[..], 1).unwrap();
        for second in [packed.clone(), gzip.finish().unwrap(), xz.finish().unwrap(), zstd] {
            let whole = [&plain[..], &[0; 512], &second].concat();
            assert_eq!(names(whole).unwrap(), ["a_b", "c", "d"]);
        }
        assert_eq!(names(plain.clone()).unwrap(), ["a_b"]);
        // an archive that starts anywhere in what is read at once
        for gap in (BUFFER - 520..BUFFER + 8).step_by(4) {
            let whole = [&plain[..], &vec![0; gap - plain.len()], &packed].concat();
            assert_eq!(names(whole).unwrap(), ["a_b", "c", "d"], "{gap}");
        }
    }

    #[test]
    fn what_is_no_archive_is_not_taken_for_an_empty_one() {
        assert_eq!(names(b"initramfs".to_vec()), None);
        assert_eq!(names(vec![0x02, 0x21, 0x4c, 0x18, 0, 0]), None);
        let whole = archive(&["a.ko"]);
        assert_eq!(names(whole[..whole.len() / 4].to_vec()), None);
        assert_eq!(names([&whole[..], &[0x1f, 0x8b, 8, 0, 1]].concat()), None);
    }
}
