//! Identifiers of ECMA-119 for names of any bytes: upper case letters, digits
//! and underscores, unique in their directory. Who reads Rock Ridge never sees
//! them.

use std::collections::HashSet;

/// Longest identifier of a directory, and of a file with its dot, in characters (section 7.5.1, level 2).
const LONGEST: usize = 31;
/// Longest extension that is kept.
const EXTENSION: usize = 8;
/// Characters that make an identifier unique: an underscore and digits in base 36.
const SUFFIX: usize = 7;
/// What every file's identifier ends with.
const VERSION: &[u8] = b";1";
const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Name and extension; ordered as section 9.3 wants it, because every character is more than the
/// space that shorter ones are padded with.
pub(super) type Identifier = (Vec<u8>, Vec<u8>);

/// The identifiers of one directory.
#[derive(Debug, Default)]
pub(super) struct Identifiers {
    used: HashSet<Identifier>,
    count: u64,
}

impl Identifiers {
    /// An identifier that none before it has.
    pub(super) fn unique(&mut self, name: &[u8], is_directory: bool) -> Identifier {
        let mut identifier = plain(name, is_directory);
        let base = identifier.0.clone();
        while self.used.contains(&identifier) {
            let room = LONGEST - SUFFIX - dotted(&identifier.1);
            identifier.0 = [&base[..base.len().min(room)], &suffix(self.count)].concat();
            self.count += 1;
        }
        self.used.insert(identifier.clone());
        identifier
    }
}

/// The bytes in a directory record.
pub(super) fn bytes((name, extension): &Identifier, is_directory: bool) -> Vec<u8> {
    if is_directory {
        return name.clone();
    }
    [name, &b"."[..], extension, VERSION].concat()
}

fn plain(name: &[u8], is_directory: bool) -> Identifier {
    let dot = name.iter().rposition(|&byte| byte == b'.').filter(|&at| at > 0 && !is_directory);
    let (name, extension) = dot.map_or((name, &b""[..]), |at| (&name[..at], &name[at + 1..]));
    let extension = mapped(extension, EXTENSION);
    let room = LONGEST - if is_directory { 0 } else { 1 + extension.len() };
    (mapped(name, room), extension)
}

fn mapped(bytes: &[u8], room: usize) -> Vec<u8> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric();
    bytes.iter().take(room).map(|byte| if allowed(byte) { byte.to_ascii_uppercase() } else { b'_' }).collect()
}

const fn dotted(extension: &[u8]) -> usize {
    1 + extension.len()
}

fn suffix(mut number: u64) -> Vec<u8> {
    let mut text = [b'0'; SUFFIX];
    text[0] = b'_';
    for digit in text[1..].iter_mut().rev() {
        *digit = DIGITS[(number % 36) as usize];
        number /= 36;
    }
    text.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        for (name, is_directory, expected) in [
            ("disk.qcow2", false, "DISK.QCOW2;1"),
            (".hidden", false, "_HIDDEN.;1"),
            ("a.b.c", false, "A_B.C;1"),
            ("usr.d", true, "USR_D"),
            ("x", false, "X.;1"),
        ] {
            let identifier = Identifiers::default().unique(name.as_bytes(), is_directory);
            assert_eq!(bytes(&identifier, is_directory), expected.as_bytes());
        }
    }

    #[test]
    fn no_two_are_the_same_and_none_is_long() {
        let mut identifiers = Identifiers::default();
        let mut seen = HashSet::new();
        for name in ["ab", "AB", "a+", "a-", &"x".repeat(200), &"x".repeat(201), &"x.y".repeat(70)] {
            for is_directory in [true, false] {
                let identifier = identifiers.unique(name.as_bytes(), is_directory);
                assert!(bytes(&identifier, is_directory).len() <= LONGEST + VERSION.len());
                assert!(seen.insert(identifier));
            }
        }
    }
}
