//! Texts of single arguments to values. What may be named comes from the registries.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use diskwright_formats::{
    filesystem::FILESYSTEMS,
    units::{GIB, KIB, MIB, TIB},
    writer::{Compression, Firmware, Qcow2Version, WRITERS},
};

use crate::build::SizeWish;

/// Filesystems that cannot hold a root: no owners, modes or extended attributes.
const NO_ROOT: [&str; 4] = ["vfat", "fat", "fat32", "iso9660"];

/// Every disk format by name, aliases accepted.
pub(super) fn types() -> PossibleValuesParser {
    let value = |spec: &'static diskwright_formats::writer::Spec| {
        PossibleValue::new(spec.name).aliases(spec.aliases).help(spec.about)
    };
    PossibleValuesParser::new(WRITERS.iter().map(|writer| value(writer.spec())))
}

/// Every filesystem that can hold a root.
pub(super) fn filesystems() -> PossibleValuesParser {
    PossibleValuesParser::new(root_filesystems())
}

/// Names of the filesystems that can hold a root.
pub(super) fn root_filesystems() -> impl Iterator<Item = &'static str> {
    FILESYSTEMS.iter().map(|filesystem| filesystem.name()).filter(|name| !NO_ROOT.contains(name))
}

/// The ways to compress.
pub(super) fn compressions() -> impl TypedValueParser<Value = Compression> {
    let values = [
        PossibleValue::new("zlib").help("read by everything"),
        PossibleValue::new("zstd").help("smaller and faster; for qemu 5.1 and later"),
        PossibleValue::new("none").help("not at all"),
    ];
    PossibleValuesParser::new(values).map(|name| match name.as_str() {
        "zstd" => Compression::Zstd,
        "none" => Compression::None,
        _ => Compression::Zlib,
    })
}

/// The versions of QCOW2.
pub(super) fn qcow2_versions() -> impl TypedValueParser<Value = Qcow2Version> {
    let version = |name: String| if name == "2" { Qcow2Version::V2 } else { Qcow2Version::V3 };
    PossibleValuesParser::new(["2", "3"]).map(version)
}

/// The kinds of firmware.
pub(super) fn firmwares() -> impl TypedValueParser<Value = Firmware> {
    let firmware = |name: String| if name == "bios" { Firmware::Bios } else { Firmware::Efi };
    PossibleValuesParser::new([PossibleValue::new("efi").alias("uefi"), PossibleValue::new("bios")])
        .map(firmware)
}

/// Bytes of a cluster of QCOW2.
pub(super) fn cluster_size(text: &str) -> Result<u64, String> {
    let size = bytes(text)?;
    if size.is_power_of_two() && (4 * KIB..=2 * MIB).contains(&size) {
        return Ok(size);
    }
    Err("a power of two from 4KiB to 2MiB is needed".into())
}

/// Bytes of a machine's memory.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        size if size >= MIB && size % MIB == 0 => Ok(size),
        _ => Err("whole MiB are needed, as in 4GiB".into()),
    }
}

/// `UID[:GID]`, in numbers.
pub(super) fn owner(text: &str) -> Result<(u32, Option<u32>), String> {
    let number = |text: &str| text.parse().map_err(|_| format!("'{text}' is no numeric id"));
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}

/// `KEY=VALUE`; the value may be empty.
pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = parts.ok_or_else(|| "a tag is KEY=VALUE".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `10GiB`, `+5GiB` or `fit`.
pub(super) fn size_wish(text: &str) -> Result<SizeWish, String> {
    match text.strip_prefix('+') {
        _ if text == "fit" => Ok(SizeWish::Fit),
        Some(free) => bytes(free).map(SizeWish::PlusFree),
        None => bytes(text).map(SizeWish::Absolute),
    }
}

/// A number with a unit; a bare letter counts in 1024s, as for qemu-img and truncate.
fn bytes(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => KIB,
        "m" | "mib" => MIB,
        "g" | "gib" => GIB,
        "t" | "tib" => TIB,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(format!("'{unit}' is no unit: B, KiB, MiB, GiB, TiB, kB, MB, GB or TB")),
    };
    let number: u64 = number.parse().map_err(|_| "a size is a whole number and a unit".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "larger than 2^64 bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size_wish("10GiB"), Ok(SizeWish::Absolute(10 * GIB)));
        assert_eq!(size_wish("10 G"), Ok(SizeWish::Absolute(10 * GIB)));
        assert_eq!(size_wish("10GB"), Ok(SizeWish::Absolute(10_000_000_000)));
        assert_eq!(size_wish("+512M"), Ok(SizeWish::PlusFree(512 * MIB)));
        assert_eq!(size_wish("fit"), Ok(SizeWish::Fit));
        for bad in ["", "+", "G", "1.5G", "-1", "99999999999T", "1 furlong", "fitt"] {
            assert!(size_wish(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn owners_are_numbers() {
        assert_eq!(owner("1000"), Ok((1000, None)));
        assert_eq!(owner("1000:5"), Ok((1000, Some(5))));
        for bad in ["", "root", "1:", ":1", "1:2:3", "-1"] {
            assert!(owner(bad).is_err(), "{bad}");
        }
    }
}
