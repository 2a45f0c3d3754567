//! Names in one directory: the long name as UTF-16, and the unique short name
//! of eight and three ASCII bytes that goes with it.
//!
//! A name that is already short and upper case needs no long entry. A name
//! that is short in another case keeps itself as short name. All others get a
//! numbered one (`LONGNA~1.TXT`), numbered in the order of the directory.

use std::collections::{HashMap, HashSet};

use super::ondisk::LongEntry;
use crate::{Error, Result, tree::Children};

/// Longest name in UTF-16 units.
const MAX_UNITS: usize = 255;
/// What a long name may not contain, beside control characters.
const FORBIDDEN: &str = "\"*/:<>?\\|";
/// What a short name may contain, beside letters and digits.
const SHORT_SYMBOLS: &[u8] = b"$%'-_@~`!(){}^#&";
/// A short name of spaces.
const BLANK: [u8; 11] = [b' '; 11];
/// Most digits of a number in a short name.
const MAX_DIGITS: usize = 6;

/// The two forms of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// UTF-16 units; empty if the short name says it all.
    pub(super) long: Vec<u16>,
    /// Base and extension, padded with spaces.
    pub(super) short: [u8; 11],
}

impl Name {
    /// Directory entries that the name takes.
    pub(super) const fn slots(&self) -> usize {
        self.long.len().div_ceil(LongEntry::UNITS) + 1
    }
}

/// The names of a directory at `path`, in order.
pub(super) fn assign(path: &str, children: &Children) -> Result<Vec<Name>> {
    let texts = children.keys().map(|name| check(path, name)).collect::<Result<Vec<_>>>()?;
    check_case(path, &texts)?;
    let mut shorts = ShortNames::default();
    let exact: Vec<_> = texts.iter().map(|text| exact(text)).collect();
    shorts.used.extend(exact.iter().flatten());
    texts
        .iter()
        .zip(exact)
        .map(|(text, exact)| {
            let short = match exact {
                Some(short) => short,
                None => shorts.numbered(text).ok_or_else(|| out_of_names(path, text))?,
            };
            let long = if is_plain(text, exact) { Vec::new() } else { text.encode_utf16().collect() };
            Ok(Name { long, short })
        })
        .collect()
}

/// Whether the short name alone reads back as `text`.
fn is_plain(text: &str, exact: Option<[u8; 11]>) -> bool {
    exact.is_some() && !text.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn check<'a>(path: &str, name: &'a [u8]) -> Result<&'a str> {
    let full = || join(path, &String::from_utf8_lossy(name));
    let refuse = |why: &str| Error::Unsupported { what: full(), why: why.into() };
    let text = str::from_utf8(name).map_err(|_| refuse("vfat names are Unicode, this one is not UTF-8"))?;
    let units = text.encode_utf16().count();
    if units > MAX_UNITS {
        let what = format!("{}: name, UTF-16 units", full());
        return Err(Error::Limit { what, found: units as u64, allowed: MAX_UNITS as u64 });
    }
    if let Some(bad) = text.chars().find(|&c| c < ' ' || FORBIDDEN.contains(c)) {
        return Err(refuse(&format!("vfat names cannot hold {bad:?}")));
    }
    if text.is_empty() || text.ends_with(['.', ' ']) {
        return Err(refuse("vfat names cannot be empty or end in a dot or a space"));
    }
    Ok(text)
}

fn check_case(path: &str, texts: &[&str]) -> Result<()> {
    let mut seen = HashMap::with_capacity(texts.len());
    for text in texts {
        let folded: String = text.chars().map(upper).collect();
        if let Some(other) = seen.insert(folded, text) {
            let why = format!("vfat cannot tell it from '{other}', which differs only in case");
            return Err(Error::Unsupported { what: join(path, text), why });
        }
    }
    Ok(())
}

/// Upper case where that is one character, as FAT drivers' tables have it.
fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}/{name}") }
}

fn out_of_names(path: &str, text: &str) -> Error {
    Error::Unsupported { what: join(path, text), why: "no short name is left for it".into() }
}

const fn is_short(byte: u8) -> bool {
    let mut i = 0;
    while i < SHORT_SYMBOLS.len() {
        if SHORT_SYMBOLS[i] == byte {
            return true;
        }
        i += 1;
    }
    byte.is_ascii_alphanumeric()
}

/// The short name that equals `text` but for case, if there is one.
fn exact(text: &str) -> Option<[u8; 11]> {
    let (base, extension) = text.split_once('.').unwrap_or((text, ""));
    let fits = (1..=8).contains(&base.len())
        && extension.len() <= 3
        && base.bytes().chain(extension.bytes()).all(is_short);
    fits.then(|| pad(base.as_bytes(), extension.as_bytes()))
}

fn pad(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut short = BLANK;
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short.make_ascii_uppercase();
    short
}

/// Hands out numbered short names, each in amortised constant time: a counter
/// for each (base cut to make room for the digits, digits, extension).
#[derive(Default)]
struct ShortNames {
    used: HashSet<[u8; 11]>,
    next: HashMap<([u8; 11], usize), u32>,
}

impl ShortNames {
    fn numbered(&mut self, text: &str) -> Option<[u8; 11]> {
        let (base, extension) = basis(text);
        (1..=MAX_DIGITS).find_map(|digits| {
            let cut = &base[..base.len().min(7 - digits)];
            let (first, end) = (10_u32.pow(digits as u32 - 1), 10_u32.pow(digits as u32));
            let next = self.next.entry((pad(cut, &extension), digits)).or_insert(first);
            while *next < end {
                let name = [cut, format!("~{next}").as_bytes()].concat();
                let short = pad(&name, &extension);
                *next += 1;
                if self.used.insert(short) {
                    return Some(short);
                }
            }
            None
        })
    }
}

/// What a numbered short name starts from: at most six and three bytes.
fn basis(text: &str) -> (Vec<u8>, Vec<u8>) {
    let text = text.trim_start_matches(['.', ' ']);
    let (base, extension) = text.rsplit_once('.').unwrap_or((text, ""));
    let reduce = |part: &str, len: usize| -> Vec<u8> {
        let kept = part.chars().filter(|&c| c != ' ' && c != '.').take(len);
        kept.map(|c| u8::try_from(c).ok().filter(|&byte| is_short(byte)).unwrap_or(b'_')).collect()
    };
    let base = reduce(base, 6);
    (if base.is_empty() { b"_".to_vec() } else { base }, reduce(extension, 3))
}

/// The sum of a short name that its long entries carry.
pub(super) fn checksum(short: &[u8; 11]) -> u8 {
    short.iter().fold(0, |sum: u8, &byte| sum.rotate_right(1).wrapping_add(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Meta, Tree};

    fn assign_all(names: &[&[u8]]) -> Result<Vec<Name>> {
        let mut tree = Tree::new(Meta::root(0o755));
        for &name in names {
            let file = tree.add_file(Meta::root(0o644), crate::sparse::Sparse::default());
            tree.link(tree.root(), name, file);
        }
        assign("EFI", tree.children(tree.root()).unwrap())
    }

    fn shorts(names: &[&str]) -> Vec<String> {
        let names: Vec<_> = names.iter().map(|name| name.as_bytes()).collect();
        let names = assign_all(&names).unwrap();
        names.iter().map(|name| String::from_utf8(name.short.to_vec()).unwrap()).collect()
    }

    #[test]
    fn short_names_are_unique_and_exact_ones_come_first() {
        let given =
            ["a.tar.gz", "grubx64.efi", "longfilename.txt", "longfi~1.txt", "shimx64-fedora.efi", "é"];
        let expected =
            ["ATAR~1  GZ ", "GRUBX64 EFI", "LONGFI~2TXT", "LONGFI~1TXT", "SHIMX6~1EFI", "_~1        "];
        assert_eq!(shorts(&given), expected);
    }

    #[test]
    fn numbers_grow_into_the_base() {
        let names: Vec<_> = (0..12).map(|i| format!("kernel-module-{i:02}")).collect();
        let shorts = shorts(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(shorts[8], "KERNEL~9   ");
        assert_eq!(shorts[9], "KERNE~10   ");
    }

    #[test]
    fn only_names_that_differ_from_their_short_form_are_long() {
        let names = assign_all(&[b"BOOTX64.EFI", b"grub.cfg"]).unwrap();
        assert_eq!(names[0].slots(), 1);
        assert_eq!(names[1].slots(), 2);
    }

    #[test]
    fn what_vfat_cannot_hold_is_an_error_with_the_path() {
        let refused: [&[&[u8]]; 7] =
            [&[b"a:b"], &[b"a."], &[b"a "], &[b"\xff"], &[b"a\n"], &[b"Abc", b"aBC"], &[&[b'x'; 256]]];
        for names in refused {
            let error = assign_all(names).unwrap_err().to_string();
            assert!(error.starts_with("EFI/"), "{error}");
        }
        assert!(assign_all(&["é".as_bytes(), "É".as_bytes()]).is_err());
        assert!(assign_all(&["é".repeat(255).as_bytes()]).is_ok());
    }
}
