//! Content digests as OCI image-spec, descriptor.md "Digests", writes them:
//! `algorithm:hex`. Only the registered algorithms sha256 and sha512 are
//! accepted; a [`Digest`] is therefore always safe as a path component.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256, Sha512};

/// A checked digest string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

/// The registered digest algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256: 64 hexadecimal digits.
    Sha256,
    /// SHA-512: 128 hexadecimal digits.
    Sha512,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl Digest {
    /// The sha256 digest of `bytes`.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The algorithm in front of the colon.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the algorithm ("sha256").
    #[must_use]
    pub const fn algorithm_name(&self) -> &'static str {
        self.algorithm.name()
    }

    /// The lower-case hexadecimal digits after the colon.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// Why a string is not a digest.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// No `algorithm:hex`.
    #[error("{0:?} is not a digest (algorithm:hex)")]
    Shape(String),
    /// An algorithm this tool does not know.
    #[error("{0:?}: digest algorithm is neither sha256 nor sha512")]
    Algorithm(String),
    /// Wrong length, or not lower-case hexadecimal.
    #[error("{digest:?}: a {algorithm} digest has {len} lower-case hexadecimal digits")]
    Hex {
        /// The string.
        digest: String,
        /// Its algorithm.
        algorithm: &'static str,
        /// Digits that belong there.
        len: usize,
    },
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (name, hex) = text.split_once(':').ok_or_else(|| ParseError::Shape(text.into()))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(ParseError::Algorithm(text.into())),
        };
        let len = algorithm.hex_len();
        if hex.len() != len || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ParseError::Hex { digest: text.into(), algorithm: algorithm.name(), len });
        }
        Ok(Self { algorithm, hex: hex.into() })
    }
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::default()),
        })
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes so far.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest { algorithm: Algorithm::Sha256, hex: hex(&state.finalize()) },
            State::Sha512(state) => Digest { algorithm: Algorithm::Sha512, hex: hex(&state.finalize()) },
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_digests_are_the_published_ones() {
        let sha256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::sha256(b"").to_string(), sha256);
        let sha512 = Digest::of(Algorithm::Sha512, b"").to_string();
        assert!(sha512.starts_with("sha512:cf83e1357eefb8bd"), "{sha512}");
        assert_eq!(sha512.parse::<Digest>().unwrap().to_string(), sha512);
    }

    #[test]
    fn strings_that_would_leave_the_blob_directory_are_no_digests() {
        let zeros = "0".repeat(64);
        let dots = format!("sha256:../../{}", "0".repeat(58));
        for bad in [
            "",
            "sha256",
            "sha256:",
            "sha256:/etc/passwd",
            "../sha256:00",
            &dots,
            &format!("sha256:{}", "0".repeat(63)),
            &format!("sha256:{}", "A".repeat(64)),
            &format!("SHA256:{zeros}"),
            &format!("md5:{zeros}"),
            &format!("sha256:{zeros}/"),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
