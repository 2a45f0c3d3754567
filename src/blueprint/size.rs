//! Sizes as people write them.

use std::{borrow::Cow, fmt};

use diskwright_formats::units::{GIB, KIB, MIB, TIB};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// A size in bytes: a number, or a text such as "10 GiB" or "1.5 GB".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// The bytes of a text; a fraction of a byte is left out.
    ///
    /// # Errors
    /// What is wrong with it, without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim());
        let unit = match unit {
            "" | "B" => 1,
            "k" | "K" | "kiB" | "KiB" => KIB,
            "M" | "MiB" => MIB,
            "G" | "GiB" => GIB,
            "T" | "TiB" => TIB,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err(format!("`{unit}` is no unit: B, kB, KiB, MB, MiB, GB, GiB, TB or TiB")),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(fraction) || fraction.len() > 9 || number.ends_with('.') {
            return Err("a size is a number and a unit".to_owned());
        }
        let whole: u64 = whole.parse().map_err(|_| "larger than 2^64 bytes".to_owned())?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or_default());
        let part = fraction.parse().unwrap_or(0_u128) * u128::from(unit) / scale;
        let bytes = u128::from(whole) * u128::from(unit) + part;
        u64::try_from(bytes).map(Self).map_err(|_| "larger than 2^64 bytes".to_owned())
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size in bytes, or with a unit as \"10 GiB\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }
        }
        source.deserialize_any(Read)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["integer", "string"], "minimum": 0})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_fractions() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("10 GiB", 10 * GIB),
            ("1.5GiB", 3 * GIB / 2),
            ("2 kB", 2000),
            ("0.25 MB", 250_000),
            ("1 TB", 1_000_000_000_000),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "GiB", "1 furlong", "-1", "1.", ".5", "1.2.3 GB", "99999999999 TB", "1e3"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }
}
