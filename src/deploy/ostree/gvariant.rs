//! GVariant serialization, as much of it as ostree's objects use.
//!
//! ```text
//! array of variable-size elements   element .. element | end of each element
//! tuple                             member .. member   | end of each variable-size member but the last, in reverse
//! string                            bytes NUL
//! variant                           value NUL type string
//! ```
//!
//! Children are aligned within their container, the gaps are zero. An end is
//! 1, 2, 4 or 8 little-endian bytes, by the size of the whole container.
//! Reading checks bounds only; a caller that needs the normal form encodes
//! what it read and compares. Source: the GVariant specification. Left out:
//! maybe types, fixed-size tuples and big-endian containers, which ostree has none of.

use anyhow::{Context, bail, ensure};

/// Alignment of bytes, strings and their arrays.
pub(super) const BYTE: usize = 1;
/// Alignment of `u`.
pub(super) const WORD: usize = 4;
/// Alignment of `t`, `v` and every container of one.
pub(super) const LONG: usize = 8;

/// Appends children, then closes them as a tuple or an array.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    body: Vec<u8>,
    ends: Vec<usize>,
    last_is_fixed: bool,
}

impl Encoder {
    /// Appends a child whose type has a fixed size.
    pub(super) fn fixed(mut self, align: usize, child: &[u8]) -> Self {
        self.append(align, child);
        self.last_is_fixed = true;
        self
    }

    /// Appends a child whose type has no fixed size.
    pub(super) fn variable(mut self, align: usize, child: &[u8]) -> Self {
        self.append(align, child);
        self.ends.push(self.body.len());
        self.last_is_fixed = false;
        self
    }

    /// Appends a string.
    pub(super) fn string(self, text: &[u8]) -> Self {
        let mut child = Vec::with_capacity(text.len() + 1);
        child.extend_from_slice(text);
        child.push(0);
        self.variable(BYTE, &child)
    }

    fn append(&mut self, align: usize, child: &[u8]) {
        self.body.resize(self.body.len().next_multiple_of(align), 0);
        self.body.extend_from_slice(child);
    }

    /// The children as a tuple.
    pub(super) fn tuple(mut self) -> Vec<u8> {
        if !self.last_is_fixed {
            self.ends.pop();
        }
        self.ends.reverse();
        self.close()
    }

    /// The children, all of them of variable size, as an array.
    pub(super) fn array(self) -> Vec<u8> {
        self.close()
    }

    fn close(mut self) -> Vec<u8> {
        let fits = |&width: &usize| offset_width(self.body.len() + width * self.ends.len()) <= width;
        let width = [1, 2, 4].into_iter().find(fits).unwrap_or(8);
        for end in self.ends {
            self.body.extend_from_slice(&(end as u64).to_le_bytes()[..width]);
        }
        self.body
    }
}

/// Bytes of each end in a container of `len` bytes.
const fn offset_width(len: usize) -> usize {
    match len as u64 {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// The type of a tuple's member, as far as its place depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Member {
    /// Alignment and size.
    Fixed(usize, usize),
    /// Alignment.
    Variable(usize),
}

/// The members of a serialized tuple.
pub(super) fn members<const N: usize>(bytes: &[u8], types: [Member; N]) -> anyhow::Result<[&[u8]; N]> {
    let width = offset_width(bytes.len());
    let stored = |index: usize| index + 1 < N && matches!(types[index], Member::Variable(_));
    let stored_count = (0..N).filter(|&index| stored(index)).count();
    let body = bytes.len().checked_sub(width * stored_count).context("tuple too short")?;
    let mut ends = bytes[body..].rchunks_exact(width).map(end_at);
    let mut members = [&bytes[..0]; N];
    let mut at = 0;
    for (index, member) in members.iter_mut().enumerate() {
        let (start, end) = match types[index] {
            Member::Fixed(align, size) => (start(at, align), start(at, align) + size),
            Member::Variable(align) if stored(index) => (start(at, align), ends.next().unwrap_or(body)),
            Member::Variable(align) => (start(at, align), body),
        };
        *member = child(&bytes[..body], start, end)?;
        at = end;
    }
    ensure!(at == body, "tuple longer than its members");
    Ok(members)
}

/// The elements of a serialized array of variable-size elements.
pub(super) fn elements(bytes: &[u8], align: usize) -> anyhow::Result<Vec<&[u8]>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let width = offset_width(bytes.len());
    let last = bytes.len().checked_sub(width).context("array too short")?;
    let body = end_at(&bytes[last..]);
    ensure!(body <= last && (bytes.len() - body).is_multiple_of(width), "array with wrong framing");
    let mut at = 0;
    let element = |offset: &[u8]| {
        let end = end_at(offset);
        let element = child(&bytes[..body], start(at, align), end);
        at = end;
        element
    };
    bytes[body..].chunks_exact(width).map(element).collect()
}

const fn start(at: usize, align: usize) -> usize {
    // Ends are below the container's length: nothing overflows here.
    at.next_multiple_of(align)
}

fn child(body: &[u8], start: usize, end: usize) -> anyhow::Result<&[u8]> {
    body.get(start..end).with_context(|| format!("child from byte {start} to {end} of {}", body.len()))
}

/// An end of any width; one past the address space is past every container too.
fn end_at(offset: &[u8]) -> usize {
    let mut end = [0; 8];
    end[..offset.len()].copy_from_slice(offset);
    usize::try_from(u64::from_le_bytes(end)).unwrap_or(usize::MAX)
}

/// A serialized string: UTF-8 with exactly one NUL, at its end.
pub(super) fn string(bytes: &[u8]) -> anyhow::Result<&str> {
    let (&last, text) = bytes.split_last().context("string without its NUL")?;
    if last != 0 || text.contains(&0) {
        bail!("string without its NUL, or with a second");
    }
    std::str::from_utf8(text).context("string that is not UTF-8")
}

/// A serialized variant: its value and its type string.
pub(super) fn variant(bytes: &[u8]) -> anyhow::Result<(&[u8], &str)> {
    let nul = bytes.iter().rposition(|&byte| byte == 0).context("variant without a type")?;
    let signature = std::str::from_utf8(&bytes[nul + 1..]).context("variant type that is not text")?;
    let known = |byte: u8| b"bynqiuxthdsogvam(){}".contains(&byte);
    ensure!(!signature.is_empty() && signature.bytes().all(known), "variant of unknown type '{signature}'");
    Ok((&bytes[..nul], signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(count: usize, len: usize) -> Vec<u8> {
        let element = vec![b'x'; len];
        (0..count).fold(Encoder::default(), |array, _| array.variable(BYTE, &element)).array()
    }

    #[test]
    fn the_width_of_ends_follows_the_whole_size() {
        for (count, len, size) in [(1, 254, 255), (1, 255, 257), (2, 126, 254), (2, 127, 258), (0, 0, 0)] {
            let bytes = array(count, len);
            assert_eq!(bytes.len(), size, "{count} elements of {len} bytes");
            assert_eq!(elements(&bytes, BYTE).unwrap(), vec![&vec![b'x'; len][..]; count]);
        }
        assert_eq!(array(1, 0xffff - 2).len(), 0xffff);
        assert_eq!(array(1, 0xffff - 1).len(), 0xffff + 3);
    }

    #[test]
    fn ends_of_a_tuple_are_reversed_and_the_last_has_none() {
        let bytes = Encoder::default().string(b"ab").variable(WORD, b"cdef").fixed(LONG, &[7; 8]).tuple();
        assert_eq!(bytes, b"ab\0\0cdef\x07\x07\x07\x07\x07\x07\x07\x07\x08\x03");
        let types = [Member::Variable(BYTE), Member::Variable(WORD), Member::Fixed(LONG, 8)];
        assert_eq!(members(&bytes, types).unwrap(), [&b"ab\0"[..], b"cdef", &[7; 8]]);
        assert_eq!(Encoder::default().string(b"a").string(b"b").tuple(), b"a\0b\0\x02");
    }

    #[test]
    fn hostile_framing_is_an_error() {
        let types = [Member::Variable(BYTE), Member::Fixed(LONG, 8), Member::Variable(BYTE)];
        for bytes in [&[][..], &[0], &[0xff; 3], &[0; 8], &[9; 20], &[0xff; 300]] {
            assert!(members(bytes, types).is_err(), "{bytes:?}");
        }
        for bytes in [&[9][..], &[1, 5, 3, 2], &[0xff; 300]] {
            assert!(elements(bytes, BYTE).is_err(), "{bytes:?}");
        }
        for bytes in [&b""[..], b"x", b"x\0y\0", b"\xff\0"] {
            assert!(string(bytes).is_err(), "{bytes:?}");
        }
        assert!(variant(b"xs").is_err() && variant(b"x\0").is_err() && variant(b"x\0S").is_err());
    }
}
