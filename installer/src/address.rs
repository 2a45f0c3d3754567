//! The address of a file on a web server, or of a directory with files.

use std::{fmt, str::FromStr};

use anyhow::{Error, Result, bail, ensure};

/// The only scheme: what is read is checked against a digest, so TLS would add nothing.
const SCHEME: &str = "http://";
const PORT: u16 = 80;

/// `http://HOST[:PORT]/PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or an address; one of IPv6 in brackets.
    host: String,
    port: u16,
    /// From the slash on, with a query if there is one.
    path: String,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(SCHEME);
        let Some(rest) = rest else { bail!("'{text}' {}", why_not(text)) };
        let is_odd = |c: char| !c.is_ascii_graphic() || "\"'\\`$<>{}|^*".contains(c);
        ensure!(!rest.contains(is_odd), "'{text}' holds what has to be written as %XX");
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = split(authority);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = bare.map_or(!host.is_empty() && host.chars().all(is_name), |bare| {
            bare.parse::<std::net::Ipv6Addr>().is_ok()
        });
        ensure!(is_host, "'{text}' names no host");
        let port = port.map_or(Ok(PORT), str::parse);
        let Ok(port) = port else { bail!("'{text}' has no number for its port") };
        Ok(Self { host: host.to_owned(), port, path: path.to_owned() })
    }
}

/// What to say of an address of another kind.
fn why_not(text: &str) -> &'static str {
    match text.split_once("://") {
        Some(("https", _)) => {
            "is not read: there is no TLS here, and the pinned digest guards what comes by http://"
        }
        Some(("tftp", _)) => {
            "is not read: too slow for a disk, and it cannot go on where it broke off; use http://"
        }
        _ => "is no address: http://HOST[:PORT]/PATH/",
    }
}

/// Host and port; a colon in brackets belongs to the host.
fn split(authority: &str) -> (&str, Option<&str>) {
    let (head, tail) = authority.rfind(']').map_or(("", authority), |at| authority.split_at(at + 1));
    match tail.split_once(':') {
        Some((name, port)) => (&authority[..head.len() + name.len()], Some(port)),
        None => (authority, None),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.authority(), self.path)
    }
}

impl Address {
    /// Host and port, as they are written.
    pub(crate) fn authority(&self) -> String {
        if self.port == PORT { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Host and port, as the system resolves them.
    pub(crate) fn socket(&self) -> (&str, u16) {
        (self.host.trim_matches(['[', ']']), self.port)
    }

    /// What a request asks for.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// What `reference` means in a file at this address: it takes the place of all behind the last
    /// slash, or of more if it starts with a slash or a scheme.
    ///
    /// # Errors
    /// No address comes of it.
    pub fn join(&self, reference: &str) -> Result<Self> {
        if reference.contains("://") {
            return reference.parse();
        }
        let path = self.path.split(['?', '#']).next().unwrap_or_default();
        let directory = &path[..path.rfind('/').map_or(0, |at| at + 1)];
        let directory = if reference.starts_with('/') { "" } else { directory };
        format!("{SCHEME}{}{directory}{reference}", self.authority()).parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, reference: &str) -> String {
        base.parse::<Address>().unwrap().join(reference).unwrap().to_string()
    }

    #[test]
    fn files_are_beside_the_address_and_directories_hold_them() {
        for (base, expected) in [
            ("http://boot.example.com", "http://boot.example.com/a.json"),
            ("http://10.0.2.2:8080/os/boot.ipxe", "http://10.0.2.2:8080/os/a.json"),
            ("http://10.0.2.2:80/os/", "http://10.0.2.2/os/a.json"),
            ("http://[fe80::1]:81/x?y=/z/", "http://[fe80::1]:81/a.json"),
        ] {
            assert_eq!(joined(base, "a.json"), expected);
        }
        assert_eq!(joined("http://a/b/c", "/d?e"), "http://a/d?e");
        assert_eq!(joined("http://a/b/c", "http://d:5/e"), "http://d:5/e");
        assert_eq!("http://[::1]:81/".parse::<Address>().unwrap().socket(), ("::1", 81));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, why) in [
            ("https://a/", "there is no TLS here"),
            ("tftp://a/", "too slow"),
            ("a/b", "is no address"),
            ("http:///a", "names no host"),
            ("http://[::1/a", "names no host"),
            ("http://a:b/", "no number for its port"),
            ("http://a/b c", "%XX"),
            ("http://a/${net0/mac}", "%XX"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
    }
}
