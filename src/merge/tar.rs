//! Walks a tar archive and says where each member's content lies.
//!
//! ```text
//!   0 name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | chksum 8 | typeflag 1
//! 157 linkname 100 | magic 6 | version 2 | uname 32 | gname 32 | devmajor 8 | devminor 8
//! 345 prefix 155                       (ustar)
//! 386 4 x {offset 12, bytes 12} | isextended 1 | realsize 12   (old GNU sparse)
//! ```
//!
//! POSIX.1-2024 pax, and the GNU tar manual's appendix for long names and
//! sparse members. Content is never read, only located. Left out on purpose:
//! multi-volume archives and incremental dumps (an error), ACLs as text.

use std::{collections::BTreeMap, str};

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::{
    data::Data,
    sparse::Sparse,
    tree::{Time, Xattrs},
};

/// Bytes of a header and unit of every member's space.
const BLOCK: u64 = 512;
/// Longest name, link target or set of pax records; Go's reader, and with it
/// every container engine, ends at the same.
const MAX_EXTENSION: u64 = 1 << 20;
/// Most records of global headers: they are looked at for every member.
const MAX_GLOBAL: usize = 64;
/// Most numbers in a sparse map.
const MAX_MAP: usize = 4 << 20;
/// Largest file with its holes: as large as ext4 can have one.
const MAX_FILE: u64 = 16 << 40;
/// Longest target of a symbolic link on Linux.
const MAX_TARGET: usize = 4095;
/// Bytes of all records of global headers: each member copies them.
const MAX_GLOBAL_BYTES: u64 = 64 << 10;
/// Bytes of holes in all members of a layer: every one of them is hashed later.
const MAX_HOLES: u64 = 1 << 40;
/// How much is read at once when headers lie close together.
const WINDOW: u64 = 128 << 10;

/// What a member is.
#[derive(Debug)]
pub(super) enum Type {
    File(Sparse),
    Hardlink(Vec<u8>),
    Symlink(Vec<u8>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Directory,
    Fifo,
}

/// One member with everything the extensions before it said.
#[derive(Debug)]
pub(super) struct Entry {
    pub path: Vec<u8>,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    pub xattrs: Xattrs,
    pub kind: Type,
}

/// Records of a pax extended header, by key.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The members of an archive in order.
pub(super) struct Archive {
    data: Data,
    at: u64,
    window: Vec<u8>,
    window_start: u64,
    global: Records,
    /// Bytes of holes so far.
    holes: u64,
}

/// What the extension headers before a member said.
#[derive(Default)]
struct Extensions {
    pax: Records,
    /// `GNU.sparse.offset` and `numbytes`, which repeat in version 0.0.
    sparse: Vec<u64>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Archive {
    pub(super) fn new(data: Data) -> Self {
        Self { data, at: 0, window: Vec::new(), window_start: 0, global: Records::new(), holes: 0 }
    }

    /// The next member, `None` at the end-of-archive blocks or the end of the data.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            let start = self.at;
            let Some(header) =
                self.header().with_context(|| format!("reading tar header at byte {start}"))?
            else {
                return Ok(None);
            };
            if let Some(entry) = self
                .member(&header, &mut extensions)
                .with_context(|| format!("reading tar member at byte {start}"))?
            {
                return Ok(Some(entry));
            }
        }
    }

    /// Reads the header block at the current place and moves past it.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.at + BLOCK > self.data.len() {
            ensure!(self.at == self.data.len(), "archive ends inside a header");
            return Ok(None);
        }
        let block = self.block()?;
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let header = Header(block);
        ensure!(header.checksum_matches()?, "header checksum does not match");
        Ok(Some(header))
    }

    /// The 512 bytes at the current place, through the window.
    fn block(&mut self) -> Result<[u8; BLOCK as usize]> {
        let end = self.window_start + self.window.len() as u64;
        if self.at < self.window_start || self.at + BLOCK > end {
            ensure!(self.at + BLOCK <= self.data.len(), "archive ends inside a member");
            let len = WINDOW.min(self.data.len() - self.at);
            self.window.resize(len as usize, 0);
            self.window_start = self.at;
            self.data.read_exact_at(&mut self.window, self.at).context("reading spooled layer")?;
        }
        let from = (self.at - self.window_start) as usize;
        let mut block = [0; BLOCK as usize];
        block.copy_from_slice(&self.window[from..from + BLOCK as usize]);
        self.at += BLOCK;
        Ok(block)
    }

    /// `size` bytes of content at the current place; moves past their padding.
    fn content(&mut self, size: u64) -> Result<Data> {
        let end = self.at.checked_add(size).filter(|&end| end <= self.data.len());
        let end =
            end.with_context(|| format!("member of {size} bytes reaches past the end of the archive"))?;
        let data = self.data.slice(self.at, size);
        self.at = end.next_multiple_of(BLOCK).min(self.data.len());
        Ok(data)
    }

    fn small_content(&mut self, size: u64) -> Result<Vec<u8>> {
        ensure!(size <= MAX_EXTENSION, "extension header of {size} bytes, {MAX_EXTENSION} are allowed");
        Ok(self.content(size)?.to_vec()?)
    }

    /// A member, or `None` after an extension header was taken in.
    fn member(&mut self, header: &Header, extensions: &mut Extensions) -> Result<Option<Entry>> {
        match header.typeflag() {
            b'x' => {
                let text = self.small_content(header.size()?)?;
                parse_pax(&text, &mut extensions.pax, &mut extensions.sparse)?;
            }
            b'g' => {
                let text = self.small_content(header.size()?)?;
                parse_pax(&text, &mut self.global, &mut Vec::new())?;
                ensure!(self.global.len() <= MAX_GLOBAL, "more than {MAX_GLOBAL} records in global headers");
                let len: usize = self.global.iter().map(|(key, value)| key.len() + value.len()).sum();
                ensure!(
                    len as u64 <= MAX_GLOBAL_BYTES,
                    "global pax records of {len} bytes, {MAX_GLOBAL_BYTES} are allowed"
                );
            }
            b'L' => extensions.name = Some(until_nul(&self.small_content(header.size()?)?).to_vec()),
            b'K' => extensions.link = Some(until_nul(&self.small_content(header.size()?)?).to_vec()),
            _ => return self.entry(header, std::mem::take(extensions)).map(Some),
        }
        Ok(None)
    }

    fn entry(&mut self, header: &Header, mut extensions: Extensions) -> Result<Entry> {
        for (key, value) in &self.global {
            extensions.pax.entry(key.clone()).or_insert_with(|| value.clone());
        }
        extensions.pax.retain(|key, value| !value.is_empty() || key.starts_with(XATTR_PREFIX));
        let pax = &extensions.pax;
        let path = match (pax.get(&b"GNU.sparse.name"[..]), pax.get(&b"path"[..]), &extensions.name) {
            (Some(name), ..) | (None, Some(name), _) | (None, None, Some(name)) => name.clone(),
            _ => header.path(),
        };
        let link = pax.get(&b"linkpath"[..]).or(extensions.link.as_ref());
        let link = link.cloned().unwrap_or_else(|| until_nul(header.field(157, 100)).to_vec());
        ensure!(!path.contains(&0) && !link.contains(&0), "name with a NUL byte");
        let kind = self
            .kind(header, &extensions, &path, link)
            .with_context(|| format!("member '{}'", shown(&path)))?;
        Ok(Entry {
            mode: (header.number(100, 8)? & 0o7777) as u16,
            uid: pax_number(pax, "uid")?.map_or_else(|| header.id(108), id)?,
            gid: pax_number(pax, "gid")?.map_or_else(|| header.id(116), id)?,
            mtime: match pax.get(&b"mtime"[..]) {
                Some(text) => pax_time(text)?,
                None => Time { seconds: header.number(136, 12)?, nanoseconds: 0 },
            },
            xattrs: xattrs(pax)?,
            path,
            kind,
        })
    }

    fn kind(&mut self, header: &Header, ext: &Extensions, path: &[u8], link: Vec<u8>) -> Result<Type> {
        let size = match pax_number(&ext.pax, "size")? {
            Some(size) => size,
            None => header.size()?,
        };
        Ok(match header.typeflag() {
            b'0' | 0 | b'7' if path.ends_with(b"/") => Type::Directory,
            b'0' | 0 | b'7' => {
                let file = self.file(ext, size)?;
                self.count_holes(file)?
            }
            b'S' => {
                let file = self.old_sparse(header, size)?;
                self.count_holes(file)?
            }
            b'1' => {
                self.content(if ext.pax.contains_key(&b"size"[..]) { size } else { 0 })?;
                Type::Hardlink(link)
            }
            b'2' => {
                ensure!(!link.is_empty(), "symbolic link to nothing");
                ensure!(
                    link.len() <= MAX_TARGET,
                    "symbolic link of {} bytes, {MAX_TARGET} are possible",
                    link.len()
                );
                Type::Symlink(link)
            }
            b'3' => Type::CharDevice(header.device(329)?, header.device(337)?),
            b'4' => Type::BlockDevice(header.device(329)?, header.device(337)?),
            b'5' => Type::Directory,
            b'6' => Type::Fifo,
            other => bail!("member type '{}' is not supported", other.escape_ascii()),
        })
    }

    /// The file, unless the layer's holes are past all reason.
    fn count_holes(&mut self, file: Sparse) -> Result<Type> {
        let holes = file.len() - file.data_len();
        self.holes = self.holes.saturating_add(holes);
        ensure!(
            self.holes <= MAX_HOLES,
            "sparse file of {} bytes: holes of a layer may have {MAX_HOLES} bytes in all",
            file.len()
        );
        Ok(Type::File(file))
    }

    /// A regular member: plain, or sparse in one of the three pax ways.
    fn file(&mut self, ext: &Extensions, size: u64) -> Result<Sparse> {
        let pax = &ext.pax;
        let version = (pax_number(pax, "GNU.sparse.major")?, pax_number(pax, "GNU.sparse.minor")?);
        if version == (Some(1), Some(0)) {
            let real = pax_number(pax, "GNU.sparse.realsize")?.context("sparse member without real size")?;
            let content = self.content(size)?;
            let (map, used) = sparse_map_1_0(&content)?;
            return sparse_file(real, &map, &content.slice(used, size - used));
        }
        let map = match pax.get(&b"GNU.sparse.map"[..]) {
            Some(text) => text.split(|&byte| byte == b',').map(decimal).collect::<Result<Vec<u64>>>()?,
            None => ext.sparse.clone(),
        };
        let content = self.content(size)?;
        match pax_number(pax, "GNU.sparse.size")? {
            Some(real) => sparse_file(real, &map, &content),
            None => Ok(Sparse::from_data(content)),
        }
    }

    /// Old GNU sparse: the map is in the header and in blocks that follow it.
    fn old_sparse(&mut self, header: &Header, size: u64) -> Result<Sparse> {
        let real = u64::try_from(header.number(483, 12)?)?;
        let mut map = Vec::new();
        let mut block = header.0;
        let (mut start, mut count, mut more) = (386, 4, 482);
        loop {
            for index in 0..count {
                let entry = Header(block);
                if entry.field(start + index * 24, 24).iter().all(|&byte| byte == 0) {
                    continue;
                }
                map.push(u64::try_from(entry.number(start + index * 24, 12)?)?);
                map.push(u64::try_from(entry.number(start + index * 24 + 12, 12)?)?);
            }
            ensure!(map.len() <= MAX_MAP, "sparse map is too long");
            if block[more] == 0 {
                break;
            }
            block = self.block()?;
            (start, count, more) = (0, 21, 504);
        }
        let content = self.content(size)?;
        sparse_file(real, &map, &content)
    }
}

/// A header block, read field by field.
struct Header([u8; BLOCK as usize]);

impl Header {
    fn field(&self, start: usize, len: usize) -> &[u8] {
        &self.0[start..start + len]
    }

    const fn typeflag(&self) -> u8 {
        self.0[156]
    }

    fn size(&self) -> Result<u64> {
        u64::try_from(self.number(124, 12)?).context("negative size")
    }

    fn id(&self, start: usize) -> Result<u32> {
        u32::try_from(self.number(start, 8)?).context("owner or group out of range")
    }

    fn device(&self, start: usize) -> Result<u32> {
        u32::try_from(self.number(start, 8)?).context("device number out of range")
    }

    /// Octal text, or base 256 with sign when the first bit is set.
    fn number(&self, start: usize, len: usize) -> Result<i64> {
        let field = self.field(start, len);
        if field[0] & 0x80 != 0 {
            let negative = field[0] & 0x40 != 0;
            let first = if negative { i128::from(field[0]) - 0x100 } else { i128::from(field[0] & 0x7f) };
            let value = field[1..].iter().fold(first, |value, &byte| (value << 8) | i128::from(byte));
            return i64::try_from(value).context("number out of range");
        }
        let text = str::from_utf8(until_nul(field)).context("number is not text")?.trim();
        if text.is_empty() {
            return Ok(0);
        }
        i64::from_str_radix(text, 8).with_context(|| format!("'{text}' is not an octal number"))
    }

    /// The name with the ustar prefix; GNU headers have other fields in its place.
    fn path(&self) -> Vec<u8> {
        let name = until_nul(self.field(0, 100));
        let prefix = until_nul(self.field(345, 155));
        if self.field(257, 6) != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    fn checksum_matches(&self) -> Result<bool> {
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (at, &byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        let stored = self.number(148, 8)?;
        Ok(stored == unsigned || stored == signed)
    }
}

/// A name for use in a message: as text, cut in the middle.
pub(super) fn shown(name: &[u8]) -> String {
    const HALF: usize = 120;
    if name.len() <= 2 * HALF {
        return String::from_utf8_lossy(name).into_owned();
    }
    let (start, end) = (&name[..HALF], &name[name.len() - HALF..]);
    format!("{}...{}", String::from_utf8_lossy(start), String::from_utf8_lossy(end))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn id(value: u64) -> Result<u32> {
    u32::try_from(value).context("owner or group out of range")
}

fn decimal(text: &[u8]) -> Result<u64> {
    let text = str::from_utf8(text).context("number is not text")?;
    ensure!(text.bytes().all(|byte| byte.is_ascii_digit()), "'{text}' is not a number");
    text.parse().with_context(|| format!("'{text}' is not a number"))
}

fn pax_number(pax: &Records, key: &str) -> Result<Option<u64>> {
    let value = pax.get(key.as_bytes()).map(|text| decimal(text));
    value.transpose().with_context(|| format!("pax record '{key}'"))
}

/// Decimal seconds with an optional fraction, possibly negative.
fn pax_time(text: &[u8]) -> Result<Time> {
    let text = str::from_utf8(text).context("time is not text")?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().with_context(|| format!("'{text}' is not a time"))?;
    ensure!(fraction.bytes().all(|byte| byte.is_ascii_digit()), "'{text}' is not a time");
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().with_context(|| format!("'{text}' is not a time"))?;
    if whole.starts_with('-') && nanoseconds > 0 {
        let seconds = seconds.checked_sub(1).context("time out of range")?;
        return Ok(Time { seconds, nanoseconds: 1_000_000_000 - nanoseconds });
    }
    Ok(Time { seconds, nanoseconds })
}

/// Records are `LENGTH KEY=VALUE\n`; an empty value stands for "as the header block says".
fn parse_pax(mut text: &[u8], records: &mut Records, sparse: &mut Vec<u64>) -> Result<()> {
    while !text.is_empty() && text[0] != 0 {
        let space = text.iter().position(|&byte| byte == b' ').context("pax record without length")?;
        let len = usize::try_from(decimal(&text[..space])?)?;
        ensure!(len > space + 1 && len <= text.len(), "pax record of {len} bytes does not fit");
        ensure!(text[len - 1] == b'\n', "pax record without newline");
        let record = &text[space + 1..len - 1];
        let equals = record.iter().position(|&byte| byte == b'=').context("pax record without '='")?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key == b"GNU.sparse.offset" || key == b"GNU.sparse.numbytes" {
            sparse.push(decimal(value)?);
        } else {
            records.insert(key.to_vec(), value.to_vec());
        }
        text = &text[len..];
    }
    Ok(())
}

/// Where every tool that writes layers puts extended attributes.
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

fn xattrs(pax: &Records) -> Result<Xattrs> {
    let named = pax.iter().filter_map(|(key, value)| Some((key.strip_prefix(XATTR_PREFIX)?, value)));
    let checked = named.map(|(name, value)| {
        ensure!(!name.is_empty() && !name.contains(&0), "extended attribute without a proper name");
        Ok((name.into(), value.as_slice().into()))
    });
    checked.collect()
}

/// The map of sparse format 1.0: decimal lines in front of the data, padded
/// to a block. Returns the numbers and where the data begins.
fn sparse_map_1_0(content: &Data) -> Result<(Vec<u64>, u64)> {
    let (mut map, mut wanted) = (Vec::new(), None);
    let (mut at, mut line) = (0, Vec::new());
    while wanted.is_none_or(|wanted| map.len() < wanted) {
        ensure!(at + BLOCK <= content.len(), "sparse map ends early");
        for byte in content.slice(at, BLOCK).to_vec()? {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let number = decimal(&line)?;
            line.clear();
            match wanted {
                None => {
                    let count = usize::try_from(number)?;
                    ensure!(count <= MAX_MAP / 2, "sparse map of {count} entries is too long");
                    wanted = Some(2 * count);
                }
                Some(wanted) if map.len() < wanted => map.push(number),
                Some(_) => {}
            }
        }
        ensure!(line.len() as u64 <= BLOCK, "sparse map holds no numbers");
        at += BLOCK;
    }
    Ok((map, at))
}

/// A file of `real` bytes whose data lies packed in `content` as `map` (offset, length, ...) says.
fn sparse_file(real: u64, map: &[u64], content: &Data) -> Result<Sparse> {
    ensure!(map.len().is_multiple_of(2), "sparse map with an odd count of numbers");
    ensure!(real <= MAX_FILE, "sparse member of {real} bytes, {MAX_FILE} are possible");
    let mut file = Sparse::new(real);
    let (mut used, mut end) = (0, 0);
    for pair in map.chunks_exact(2) {
        let (offset, len) = (pair[0], pair[1]);
        ensure!(offset >= end, "sparse map goes back from byte {end} to byte {offset}");
        end = offset.saturating_add(len);
        ensure!(len <= content.len() - used, "sparse map asks for more than there is");
        file.insert(offset, content.slice(used, len)).context("laying out sparse member")?;
        used += len;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_count_forward_from_the_second() {
        assert_eq!(pax_time(b"-1.25").unwrap(), Time { seconds: -2, nanoseconds: 750_000_000 });
        assert_eq!(pax_time(b"7.5").unwrap(), Time { seconds: 7, nanoseconds: 500_000_000 });
        assert!(pax_time(b"x").is_err());
    }

    #[test]
    fn base_256_numbers_have_a_sign() {
        let mut header = Header([0; 512]);
        header.0[136..148].fill(0xff);
        assert_eq!(header.number(136, 12).unwrap(), -1);
        header.0[136..148].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(header.number(136, 12).unwrap(), 1 << 32);
    }

    #[test]
    fn pax_records_that_lie_are_errors() {
        for text in [&b"9 a=b\n"[..], b"x a=b\n", b"6 ab\n", b"6 a=bb", b"2 a"] {
            assert!(parse_pax(text, &mut Records::new(), &mut Vec::new()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sparse_maps_ascend_and_files_have_a_size_that_can_be() {
        let content = Data::from_bytes(vec![1; 20]);
        assert_eq!(sparse_file(100, &[0, 10, 50, 10], &content).unwrap().data_len(), 20);
        assert!(sparse_file(100, &[50, 10, 0, 10], &content).is_err());
        assert!(sparse_file(100, &[0, 10, 5, 10], &content).is_err());
        assert!(sparse_file(MAX_FILE + 1, &[0, 10], &content).is_err());
        assert!(sparse_map_1_0(&Data::from_bytes(vec![b'1'; 2048])).is_err());
    }

    #[test]
    fn attributes_without_a_name_are_refused() {
        let mut records = Records::new();
        records.insert(XATTR_PREFIX.to_vec(), b"x".to_vec());
        assert!(xattrs(&records).is_err());
    }
}
