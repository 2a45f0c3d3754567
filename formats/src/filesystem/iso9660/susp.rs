//! System use entries (SUSP 1.12) with the fields of Rock Ridge (RRIP 1.12):
//! POSIX mode, links, owner, serial number, name, target of a link, device
//! number and times. They lie behind a directory record; what it has no room
//! for goes to continuation areas.

use zerocopy::IntoBytes;

use super::{
    ondisk::{Both32, SECTOR},
    time,
};
use crate::tree::{Kind, Node};

/// Bytes of an entry's head: signature, length, version.
const HEAD: usize = 4;
/// Longest entry, in bytes.
const ENTRY_MAX: usize = 255;
/// Bytes of the entry that leads to a continuation area.
const CE_BYTES: usize = 28;
/// `NM` and `SL`: another entry of the kind follows.
const CONTINUE: u8 = 1;
/// `TF`: modification, access and attribute change.
const TF_TIMES: u8 = 0x02 | 0x04 | 0x08;
/// `TF`: the form of 17 bytes.
const TF_LONG: u8 = 0x80;
/// Component flags of `SL`.
const SL_CURRENT: u8 = 2;
const SL_PARENT: u8 = 4;
const SL_ROOT: u8 = 8;
/// Identifier of RRIP 1.12.
const RRIP: &[u8] = b"IEEE_1282";

/// What a record says of a node, beside the node itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// Its name; `.` and `..` have none.
    pub(super) name: &'a [u8],
    /// Number of names, and of `.` and `..` in directories.
    pub(super) links: u32,
    /// The same for every name of a node.
    pub(super) serial: u32,
    /// Whether this is `.` of the root.
    pub(super) is_root: bool,
}

/// The entries of a node.
pub(super) fn entries(node: &Node, facts: &Facts<'_>) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    if facts.is_root {
        entries.push(entry(b"SP", &[0xbe, 0xef, 0]));
    }
    entries.push(posix(node, facts));
    entries.push(times(node));
    match &node.kind {
        Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
            entries.push(entry(b"PN", &device(*major, *minor).map(Both32::from).concat_bytes()));
        }
        _ => {}
    }
    entries.extend(name(facts.name));
    if let Kind::Symlink(target) = &node.kind {
        entries.extend(link(target));
    }
    if facts.is_root {
        entries.push(entry(b"ER", &[&[RRIP.len() as u8, 0, 0, 1], RRIP].concat()));
    }
    entries
}

/// Entries by where they go.
#[derive(Debug)]
pub(super) struct Packed {
    /// Behind the record.
    pub(super) inline: Vec<u8>,
    /// One after the other; each, but the last, ends with room for a `CE`.
    pub(super) areas: Vec<Vec<u8>>,
}

/// Packs entries into `room` bytes behind a record, the rest into areas of a sector at most.
pub(super) fn pack(entries: &[Vec<u8>], room: usize) -> Packed {
    let (mut spaces, mut room) = (vec![Vec::new()], room);
    for (index, entry) in entries.iter().enumerate() {
        let rest: usize = entries[index..].iter().map(Vec::len).sum();
        let current = spaces.last().map_or(0, Vec::len);
        if current + rest > room && current + entry.len() + CE_BYTES > room {
            spaces.push(Vec::new());
            room = SECTOR as usize;
        }
        if let Some(space) = spaces.last_mut() {
            space.extend_from_slice(entry);
        }
    }
    let last = spaces.len() - 1;
    for space in &mut spaces[..last] {
        space.resize(space.len() + CE_BYTES, 0);
    }
    let areas = spaces.split_off(1);
    Packed { inline: spaces.remove(0), areas }
}

impl Packed {
    /// Fills in where the areas are: sector, and offset in it.
    pub(super) fn connect(&mut self, places: &[(u32, u32)]) {
        let lengths: Vec<u32> = self.areas.iter().map(|area| area.len() as u32).collect();
        let spaces = std::iter::once(&mut self.inline).chain(&mut self.areas);
        for ((space, &(sector, offset)), len) in spaces.zip(places).zip(lengths) {
            let fields = [sector, offset, len].map(Both32::from);
            let at = space.len() - CE_BYTES;
            space[at..].copy_from_slice(&entry(b"CE", &fields.concat_bytes()));
        }
    }
}

fn entry(signature: &[u8; 2], body: &[u8]) -> Vec<u8> {
    let length = HEAD + body.len();
    debug_assert!(length <= ENTRY_MAX, "an entry's length is one byte");
    [&signature[..], &[length as u8, 1], body].concat()
}

fn posix(node: &Node, facts: &Facts<'_>) -> Vec<u8> {
    let fields = [node.st_mode(), facts.links, node.meta.uid, node.meta.gid, facts.serial];
    entry(b"PX", &fields.map(Both32::from).concat_bytes())
}

/// High and low half of a device number: the old 16 bits where they do, else major and minor, as
/// Linux reads them.
const fn device(major: u32, minor: u32) -> [u32; 2] {
    if major < 1 << 8 && minor < 1 << 8 { [0, major << 8 | minor] } else { [major, minor] }
}

fn times(node: &Node) -> Vec<u8> {
    let time = node.meta.mtime;
    if time::is_short(time) {
        return entry(b"TF", &[&[TF_TIMES][..], &time::short(time).repeat(3)].concat());
    }
    entry(b"TF", &[&[TF_TIMES | TF_LONG][..], &time::long(time).repeat(3)].concat())
}

fn name(name: &[u8]) -> Vec<Vec<u8>> {
    let chunks: Vec<_> = name.chunks(ENTRY_MAX - HEAD - 1).collect();
    let flagged = |(index, chunk): (usize, &&[u8])| {
        let flags = if index + 1 < chunks.len() { CONTINUE } else { 0 };
        entry(b"NM", &[&[flags], *chunk].concat())
    };
    chunks.iter().enumerate().map(flagged).collect()
}

/// `SL` entries: component records, cut where an entry is full. The cut is inside a component where
/// that can be, because libarchive forgets the slash between two entries.
fn link(target: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Bodies(vec![Vec::new()]);
    let rest = target.strip_prefix(b"/");
    if rest.is_some() {
        bodies.special(SL_ROOT);
    }
    let parts: Vec<_> =
        rest.unwrap_or(target).split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
    for (index, part) in parts.iter().enumerate() {
        match *part {
            b"." => bodies.special(SL_CURRENT),
            b".." => bodies.special(SL_PARENT),
            text => bodies.text(text, index + 1 == parts.len()),
        }
    }
    let last = bodies.0.len() - 1;
    let flagged = |(index, body): (usize, &Vec<u8>)| {
        let flags = if index < last { CONTINUE } else { 0 };
        entry(b"SL", &[&[flags], &body[..]].concat())
    };
    bodies.0.iter().enumerate().map(flagged).collect()
}

/// Component records by the entry that holds them.
struct Bodies(Vec<Vec<u8>>);

impl Bodies {
    /// Bytes of a component record's head.
    const HEAD: usize = 2;

    fn room(&self) -> usize {
        ENTRY_MAX - HEAD - 1 - self.0.last().map_or(0, Vec::len)
    }

    fn record(&mut self, flags: u8, text: &[u8]) {
        if let Some(body) = self.0.last_mut() {
            body.extend_from_slice(&[flags, text.len() as u8]);
            body.extend_from_slice(text);
        }
    }

    fn special(&mut self, flags: u8) {
        if self.room() < Self::HEAD {
            self.0.push(Vec::new());
        }
        self.record(flags, b"");
    }

    fn text(&mut self, text: &[u8], is_last: bool) {
        let next = if is_last || text.len() == 1 { 0 } else { Self::HEAD + 1 };
        if Self::HEAD + text.len() + next <= self.room() {
            return self.record(0, text);
        }
        let first = (text.len() - 1).min(self.room().saturating_sub(Self::HEAD));
        if first > 0 {
            self.record(CONTINUE, &text[..first]);
        }
        self.0.push(Vec::new());
        self.text(&text[first..], is_last);
    }
}

/// Bytes of an array of numbers.
trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl<const N: usize> ConcatBytes for [Both32; N] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_and_the_rest_is_chained() {
        let entries: Vec<_> = (0..30).map(|_| entry(b"XX", &[7; 196])).collect();
        let mut packed = pack(&entries, 240);
        assert_eq!(packed.inline.len(), 200 + CE_BYTES);
        assert_eq!(packed.areas.iter().map(Vec::len).collect::<Vec<_>>(), [2028, 2028, 1800]);
        packed.connect(&[(9, 0), (10, 4), (11, 8)]);
        assert_eq!(packed.inline[200..204], *b"CE\x1c\x01");
        assert_eq!(packed.areas[1][2000 + 4..2000 + 8], 11_u32.to_le_bytes());
        assert_eq!(packed.areas[1][2000 + 12..2000 + 16], 8_u32.to_le_bytes());
        let one = pack(&entries[..1], 200);
        assert!(one.areas.is_empty() && one.inline.len() == 200);
    }

    #[test]
    fn paths_become_components() {
        assert_eq!(link(b"/a/../.").concat(), b"SL\x0e\x01\x00\x08\x00\x00\x01a\x04\x00\x02\x00");
        let long = link(&[b'x'; 600]);
        assert_eq!(long.iter().map(|entry| entry[4]).collect::<Vec<_>>(), [1, 1, 0]);
        assert_eq!(long.iter().map(|entry| entry[5]).collect::<Vec<_>>(), [1, 1, 0]);
    }

    #[test]
    fn entries_are_cut_inside_components() {
        for part in ["ab", "abc", "abcd", "12345678"] {
            let target = [part; 300].join("/");
            let entries = link(target.as_bytes());
            let joined: String = entries.iter().map(|entry| text(&entry[5..])).collect();
            assert_eq!(joined, target);
        }
    }

    /// Component records as libarchive reads them.
    fn text(mut records: &[u8]) -> String {
        let mut text = String::new();
        while let [flags, len, rest @ ..] = records {
            let (part, rest) = rest.split_at(usize::from(*len));
            text += std::str::from_utf8(part).unwrap();
            if *flags == 0 && !rest.is_empty() {
                text.push('/');
            }
            records = rest;
        }
        text
    }
}
