//! Which machine an image is for, and the choice among an index's manifests
//! (OCI image-spec, image-index.md "platform"). Only Linux images boot here.

use std::fmt;

use anyhow::{Result, bail};

use super::{
    error::{Hinted, Kind},
    manifest::Descriptor,
};

/// Operating system and architecture, by their OCI names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Operating system ("linux").
    pub os: String,
    /// Architecture ("amd64", "arm64").
    pub architecture: String,
    /// Architecture variant ("v8"), if there is one.
    pub variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl Platform {
    fn boots_on(&self, architecture: &str) -> bool {
        self.architecture == architecture && (self.os == "linux" || self.os.is_empty())
    }

    /// The generic variant comes before those that only newer machines run.
    fn is_generic(&self) -> bool {
        match self.variant.as_deref() {
            None => true,
            Some(variant) => {
                matches!((self.architecture.as_str(), variant), ("arm64", "v8") | ("amd64", "v1"))
            }
        }
    }
}

/// OCI name of each architecture and the names other tools use.
const ARCHITECTURES: &[(&str, &[&str])] = &[
    ("amd64", &["x86_64", "x86-64"]),
    ("arm64", &["aarch64"]),
    ("riscv64", &[]),
    ("ppc64le", &["powerpc64le"]),
    ("s390x", &[]),
];

/// The OCI name of an architecture given by any of its names.
///
/// # Errors
/// A name that is none of them.
pub fn architecture(name: &str) -> Result<&'static str> {
    let known = ARCHITECTURES.iter().find(|(oci, others)| *oci == name || others.contains(&name));
    if let Some((oci, _)) = known {
        return Ok(oci);
    }
    let names: Vec<_> = ARCHITECTURES.iter().map(|(oci, _)| *oci).collect();
    bail!("unknown architecture {name:?}: known are {}", names.join(", "))
}

/// The OCI name of the architecture this program runs on.
#[must_use]
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        name => architecture(name).unwrap_or(name),
    }
}

/// The entry of an index for `architecture`.
pub(crate) fn choose<'a>(entries: &'a [Descriptor], architecture: &str) -> Result<&'a Descriptor> {
    let fits = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|p| p.boots_on(architecture));
    let generic = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(Platform::is_generic);
    if let Some(entry) = entries.iter().filter(fits).find(generic).or_else(|| entries.iter().find(fits)) {
        return Ok(entry);
    }
    match entries.iter().filter(|entry| entry.platform.is_none()).collect::<Vec<_>>()[..] {
        [only] => Ok(only), // the config's own architecture is checked later
        _ => Err(nothing_for(entries, architecture)),
    }
}

fn nothing_for(entries: &[Descriptor], architecture: &str) -> anyhow::Error {
    let there: Vec<_> =
        entries.iter().filter_map(|entry| entry.platform.as_ref()).map(ToString::to_string).collect();
    let there = if there.is_empty() { "entries without platforms only".into() } else { there.join(", ") };
    let message = format!("no manifest for linux/{architecture}: the index has {there}");
    Hinted::new(Kind::Platform, message, "choose another architecture with --target-arch").into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::source::digest::Digest;

    fn entry(os: &str, architecture: &str, variant: Option<&str>) -> Descriptor {
        let platform =
            Platform { os: os.into(), architecture: architecture.into(), variant: variant.map(String::from) };
        Descriptor {
            media_type: String::new(),
            digest: Digest::sha256(platform.to_string().as_bytes()),
            size: 0,
            annotations: BTreeMap::new(),
            platform: Some(platform),
        }
    }

    #[test]
    fn both_names_of_an_architecture_are_one() {
        assert_eq!(architecture("x86_64").unwrap(), "amd64");
        assert_eq!(architecture("aarch64").unwrap(), "arm64");
        for name in ["amd64", "arm64", "riscv64", "ppc64le", "s390x"] {
            assert_eq!(architecture(name).unwrap(), name);
        }
        assert!(architecture("vax").unwrap_err().to_string().contains("amd64, arm64"));
    }

    #[test]
    fn the_generic_variant_wins_and_attestations_lose() {
        let entries = [
            entry("unknown", "unknown", None),
            entry("windows", "amd64", None),
            entry("linux", "amd64", Some("v3")),
            entry("linux", "amd64", None),
            entry("linux", "arm64", Some("v8")),
        ];
        assert_eq!(choose(&entries, "amd64").unwrap(), &entries[3]);
        assert_eq!(choose(&entries, "arm64").unwrap(), &entries[4]);
        let error = choose(&entries, "s390x").unwrap_err();
        assert!(error.to_string().contains("linux/arm64/v8"), "{error}");
        assert!(Hinted::find(&error).unwrap().hint().contains("--target-arch"));
    }
}
