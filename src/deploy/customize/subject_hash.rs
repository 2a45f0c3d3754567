//! The number by which OpenSSL looks for an authority in a directory: the first four bytes of the
//! SHA-1 of its certificate's subject in canonical form, as `openssl x509 -subject_hash` prints it.
//!
//! ```text
//! certificate: SEQUENCE { SEQUENCE { [0] version?, serial, algorithm, issuer, validity, subject ... } ... }
//! subject:     SEQUENCE of SET of SEQUENCE { attribute type, string }
//! canonical:   the SETs alone; strings in UTF-8, in lower case, white space as one space, none at the ends
//! ```
//!
//! Sources: X.690 and RFC 5280, section 4.1; X509_NAME_hash(3).

use sha1::{Digest as _, Sha1};

const INTEGER: u8 = 0x02;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// The number; `None` for what is no certificate.
pub(super) fn subject_hash(certificate: &[u8]) -> Option<u32> {
    let canonical = canonical(subject(certificate)?)?;
    let digest = Sha1::digest(canonical);
    digest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Takes one element off: its tag and its content.
fn take<'a>(from: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, first], mut rest) = from.split_first_chunk()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        // certificates are far shorter than four bytes of length can say
        let is_short = bytes.len() <= 4;
        len = is_short.then(|| bytes.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)))?;
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(len)?;
    *from = rest;
    Some((tag, content))
}

fn take_as<'a>(tag: u8, from: &mut &'a [u8]) -> Option<&'a [u8]> {
    take(from).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// An element with that content.
fn put(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len().to_be_bytes();
    let len: Vec<u8> = len.iter().copied().skip_while(|byte| *byte == 0).collect();
    let head = match len.as_slice() {
        [] => vec![tag, 0],
        [short] if *short < 0x80 => vec![tag, *short],
        long => [&[tag, 0x80 | long.len() as u8], long].concat(),
    };
    [head, content.to_vec()].concat()
}

fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let mut certificate = take_as(SEQUENCE, &mut &*certificate)?;
    let mut fields = take_as(SEQUENCE, &mut certificate)?;
    if fields.first() == Some(&VERSION) {
        take(&mut fields)?;
    }
    take_as(INTEGER, &mut fields)?;
    for _algorithm_issuer_validity in 0..3 {
        take_as(SEQUENCE, &mut fields)?;
    }
    take_as(SEQUENCE, &mut fields)
}

fn canonical(mut subject: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while !subject.is_empty() {
        let mut set = take_as(SET, &mut subject)?;
        let mut attributes = Vec::new();
        while !set.is_empty() {
            attributes.push(attribute(take_as(SEQUENCE, &mut set)?)?);
        }
        // DER sorts the elements of a set by their bytes
        attributes.sort();
        all.extend(put(SET, &attributes.concat()));
    }
    Some(all)
}

fn attribute(mut content: &[u8]) -> Option<Vec<u8>> {
    let (kind, name) = take(&mut content)?;
    let (tag, value) = take(&mut content)?;
    let value = match text(tag, value) {
        Some(text) => put(UTF8_STRING, folded(&text).as_bytes()),
        None => put(tag, value),
    };
    Some(put(SEQUENCE, &[put(kind, name), value].concat()))
}

/// The text of a string of the kinds that names have; `None` for all else, which stays as it is.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING => String::from_utf8(value.to_vec()).ok(),
        // printable, T61 (taken as Latin 1), IA5 and visible
        0x13 | 0x14 | 0x16 | 0x1a => Some(value.iter().copied().map(char::from).collect()),
        // universal: UTF-32
        0x1c => wide(value, 4),
        // BMP: UTF-16 without surrogates
        0x1e => wide(value, 2),
        _ => None,
    }
}

fn wide(value: &[u8], width: usize) -> Option<String> {
    let unit = |bytes: &[u8]| char::from_u32(bytes.iter().fold(0, |unit, &byte| unit << 8 | u32::from(byte)));
    value.len().is_multiple_of(width).then(|| value.chunks(width).map(unit).collect())?
}

/// In lower case, with single spaces; of other letters than ASCII's nothing is known.
fn folded(text: &str) -> String {
    let words: Vec<_> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_ascii_lowercase()
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    fn openssl(arguments: &[&str]) -> String {
        let output = Command::new("openssl").args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("openssl (package openssl): {error}"));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The hash of a certificate for that subject, by us and by OpenSSL.
    fn hashes(subject: &str, mask: &str) -> (String, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let config = format!("[req]\ndistinguished_name = name\nstring_mask = {mask}\n[name]\n");
        std::fs::write(path("config"), config).unwrap();
        let make =
            ["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-utf8"];
        let names = ["-config", &path("config"), "-keyout", &path("key"), "-out", &path("pem")];
        openssl(&[&make[..], &names, &["-multivalue-rdn", "-subj", subject]].concat());
        let judged = openssl(&["x509", "-in", &path("pem"), "-noout", "-subject_hash"]);
        let pem = std::fs::read_to_string(path("pem")).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let hash = subject_hash(&STANDARD.decode(body).unwrap()).unwrap();
        (format!("{hash:08x}"), judged.trim().to_owned())
    }

    #[test]
    fn numbers_are_those_of_openssl() {
        let long = format!("/CN=Long/O={}", "wide  Words ".repeat(5));
        for (subject, mask) in [
            ("/C=AT/O=Example Ltd./CN=Root 1", "default"),
            ("/C=AT/O=  Two   \t spaces  /CN=\u{dc}ber ALLES", "utf8only"),
            ("/C=AT/O=\u{dc}ber Alles/CN=x", "MASK:0x800"),
            ("/C=AT/O=\u{dc}ber Alles/CN=x", "MASK:0x4"),
            ("/DC=example/emailAddress=A@Example.COM/CN=b+OU=a+O=c", "nombstr"),
            (&long, "default"),
            ("/", "default"),
        ] {
            let (found, judged) = hashes(subject, mask);
            assert_eq!(found, judged, "{subject} {mask}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        for bytes in
            [&b""[..], b"\x30", b"\x30\x82\xff", b"\x30\x84\xff\xff\xff\xff", &[0x30; 64], &[0x80; 9]]
        {
            assert_eq!(subject_hash(bytes), None, "{bytes:x?}");
        }
    }
}
