//! SHA-256 checksums, the names of ostree objects.

use std::{fmt, str::FromStr};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

/// A SHA-256 checksum; displays as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; Checksum::LEN]);

impl Checksum {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The checksum of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hasher(Sha256::new_with_prefix(bytes))
    }

    /// The checksum of all that `hasher` was given.
    pub(super) fn from_hasher(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The checksum with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The checksum in a serialized object.
    ///
    /// # Errors
    /// If there are not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> anyhow::Result<Self> {
        let found = bytes.len();
        bytes.try_into().map(Self).with_context(|| format!("checksum of {found} bytes instead of 32"))
    }
}

impl FromStr for Checksum {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let digits = text.as_bytes();
        if digits.len() != 2 * Self::LEN {
            bail!("'{text}' is no sha256 checksum: not 64 hexadecimal digits");
        }
        let mut bytes = [0; Self::LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            };
            let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else {
                bail!("'{text}' is no sha256 checksum: not 64 lowercase hexadecimal digits");
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let checksum = Checksum::of(b"\0");
        let text = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(checksum.to_string(), text);
        assert_eq!(text.parse::<Checksum>().unwrap(), checksum);
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        for text in ["", "6e34", &"é".repeat(32), &"A".repeat(64)] {
            text.parse::<Checksum>().unwrap_err();
        }
        Checksum::from_slice(&[0; 31]).unwrap_err();
    }
}
