//! The reference that an installed system updates from, in the forms that
//! origin file, image ref and aleph use.

use anyhow::{Result, ensure};

/// Transports of the containers tools other than a registry.
const TRANSPORTS: [&str; 6] =
    ["oci", "oci-archive", "docker-archive", "docker-daemon", "containers-storage", "dir"];
/// What libostree puts in front of a reference to say how it is verified.
const VERIFICATION: [(&str, &str); 3] = [
    ("ostree-unverified-registry:", "docker://"),
    ("ostree-unverified-image:", ""),
    ("ostree-image-signed:", ""),
];

/// An update target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `docker` for a registry, else one of the other transports.
    transport: String,
    /// What follows the transport.
    name: String,
    /// Upgrades must be signed.
    signed: bool,
}

impl Target {
    /// Parses `docker://NAME`, a bare `NAME`, `TRANSPORT:NAME`, or any of
    /// them behind libostree's `ostree-unverified-...:`.
    ///
    /// # Errors
    /// An empty name.
    pub fn parse(text: &str, enforce_signatures: bool) -> Result<Self> {
        let mut signed = enforce_signatures;
        let mut rest = text.to_owned();
        for (prefix, transport) in VERIFICATION {
            if let Some(inner) = text.strip_prefix(prefix) {
                signed |= prefix == "ostree-image-signed:";
                rest = format!("{transport}{inner}");
            }
        }
        let (transport, name) = match rest.split_once(':') {
            Some(("docker", name)) => ("docker", name.trim_start_matches("//")),
            Some((transport, name)) if TRANSPORTS.contains(&transport) => (transport, name),
            _ => ("docker", rest.as_str()),
        };
        ensure!(!name.is_empty(), "'{text}' names no image to update from");
        let name = if transport == "docker" { without_tag_beside_digest(name) } else { name.to_owned() };
        Ok(Self { transport: transport.to_owned(), name, signed })
    }

    /// Whether a machine elsewhere could reach it.
    #[must_use]
    pub fn is_registry(&self) -> bool {
        self.transport == "docker"
    }

    /// The name without its transport.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The form that the name of the image ref is made of: `docker://NAME` or `TRANSPORT:NAME`.
    #[must_use]
    pub fn image_reference(&self) -> String {
        let slashes = if self.is_registry() { "//" } else { "" };
        format!("{}:{slashes}{}", self.transport, self.name)
    }

    /// The value of `container-image-reference` in the origin file.
    #[must_use]
    pub fn origin(&self) -> String {
        match (self.signed, self.is_registry()) {
            (true, _) => format!("ostree-image-signed:{}", self.image_reference()),
            (false, true) => format!("ostree-unverified-registry:{}", self.name),
            (false, false) => format!("ostree-unverified-image:{}", self.image_reference()),
        }
    }
}

/// `host/name:tag@digest` names the digest only.
fn without_tag_beside_digest(name: &str) -> String {
    let Some((repository, digest)) = name.split_once('@') else { return name.to_owned() };
    let after_slash = repository.rfind('/').map_or(0, |at| at + 1);
    match repository[after_slash..].find(':') {
        Some(colon) => format!("{}@{digest}", &repository[..after_slash + colon]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_registry_is_one_target() {
        for text in [
            "registry.example.com/os:1",
            "docker://registry.example.com/os:1",
            "ostree-unverified-registry:registry.example.com/os:1",
            "ostree-unverified-image:docker://registry.example.com/os:1",
        ] {
            let target = Target::parse(text, false).unwrap();
            assert_eq!(target.origin(), "ostree-unverified-registry:registry.example.com/os:1", "{text}");
            assert_eq!(target.image_reference(), "docker://registry.example.com/os:1");
        }
    }

    #[test]
    fn other_forms_keep_what_they_say() {
        let oci = Target::parse("oci:/srv/os:1", false).unwrap();
        assert_eq!(oci.origin(), "ostree-unverified-image:oci:/srv/os:1");
        let signed = Target::parse("host:5000/os:1@sha256:aa", true).unwrap();
        assert_eq!(signed.origin(), "ostree-image-signed:docker://host:5000/os@sha256:aa");
        assert!(Target::parse("docker://", false).is_err());
    }
}
