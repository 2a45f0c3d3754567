//! Image references in the syntax of containers-transports(5):
//!
//! ```text
//! docker://HOST[:PORT]/NAME[:TAG][@DIGEST]     a registry; docker:// may be left out
//! oci:DIR[:TAG | :@INDEX]                      an OCI layout
//! oci-archive:FILE[:TAG | :@INDEX]             the same in a tar file
//! docker-archive:FILE[:NAME[:TAG] | :@INDEX]   what "docker save" writes
//! ```
//!
//! A path ends at its first colon, as there. Left out on purpose: names
//! without a registry host (no registry is anybody's default here), and the
//! transports that need a container engine's private storage.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{
    digest::Digest,
    error::{Hinted, Kind},
};

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// In a registry.
    Registry(Name),
    /// In a directory with the OCI image layout.
    Layout(PathBuf, Pick),
    /// In a tar file of an OCI image layout.
    OciArchive(PathBuf, Pick),
    /// In a tar file as "docker save" writes it.
    DockerArchive(PathBuf, Pick),
}

/// Which of the images at that place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The only one.
    Only,
    /// The one with this tag or name.
    Tag(String),
    /// The one at this position, counted from 0.
    Index(usize),
}

/// The name of an image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Host, and port if there is one.
    pub registry: String,
    /// Path of the repository below the host.
    pub repository: String,
    /// Tag; "latest" if there is neither tag nor digest.
    pub tag: Option<String>,
    /// Digest of the manifest or index; wins over the tag.
    pub digest: Option<Digest>,
}

/// What the engine-bound transports are answered with.
const COPY_HINT: &str = "copy the image to a layout first: skopeo copy";

impl Reference {
    /// The name of a registry image without its transport ("host/name:tag"),
    /// which is what a deployment's origin records; `None` for local images.
    #[must_use]
    pub fn registry_name(&self) -> Option<String> {
        match self {
            Self::Registry(name) => Some(name.to_string()),
            _ => None,
        }
    }

    /// The image's name without registry, path, tag and extension, for the names of files.
    #[must_use]
    pub fn short_name(&self) -> String {
        let last = match self {
            Self::Registry(name) => name.repository.rsplit('/').next().map(Into::into),
            Self::Layout(path, _) => path.file_name().map(OsStr::to_string_lossy),
            Self::OciArchive(path, _) | Self::DockerArchive(path, _) => {
                path.file_stem().map(OsStr::to_string_lossy)
            }
        };
        last.unwrap_or("image".into()).into_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, pick) = match self {
            Self::Registry(name) => return write!(f, "docker://{name}"),
            Self::Layout(path, pick) => ("oci", path, pick),
            Self::OciArchive(path, pick) => ("oci-archive", path, pick),
            Self::DockerArchive(path, pick) => ("docker-archive", path, pick),
        };
        write!(f, "{transport}:{}", path.display())?;
        match pick {
            Pick::Only => Ok(()),
            Pick::Tag(tag) => write!(f, ":{tag}"),
            Pick::Index(index) => write!(f, ":@{index}"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Hinted;

    fn from_str(text: &str) -> Result<Self, Hinted> {
        if let Some(name) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(name.parse()?));
        }
        match text.split_once(':') {
            Some(("oci", rest)) => local(rest, Self::Layout),
            Some(("oci-archive", rest)) => local(rest, Self::OciArchive),
            Some(("docker-archive", rest)) => local(rest, Self::DockerArchive),
            Some(("containers-storage", rest)) => Err(engine_bound(text, rest)),
            Some(("docker-daemon", rest)) => Err(engine_bound(text, rest)),
            Some(("docker", _)) => Err(refuse(text, "two slashes are missing", "write docker://HOST/NAME")),
            Some(("dir" | "sif" | "ostree" | "tarball" | "atomic" | "registry", _)) => {
                Err(refuse(text, "this transport is not supported", format!("{COPY_HINT} {text} oci:DIR")))
            }
            _ => bare(text),
        }
    }
}

fn refuse(text: &str, why: &str, hint: impl Into<String>) -> Hinted {
    Hinted::new(Kind::Reference, format!("image reference {text:?}: {why}"), hint)
}

fn engine_bound(text: &str, rest: &str) -> Hinted {
    let why = "a container engine's storage is read through the engine only";
    let image = if rest.is_empty() { "IMAGE" } else { rest };
    let transport = text.split(':').next().unwrap_or_default();
    refuse(text, why, format!("{COPY_HINT} {transport}:{image} oci:DIR, then use oci:DIR"))
}

/// `PATH[:WHICH]`.
fn local(rest: &str, make: fn(PathBuf, Pick) -> Reference) -> Result<Reference, Hinted> {
    let (path, which) = rest.split_once(':').map_or((rest, None), |(path, which)| (path, Some(which)));
    if path.is_empty() {
        return Err(refuse(rest, "the path is empty", "write oci:DIR or oci-archive:FILE"));
    }
    let pick = match which {
        None => Pick::Only,
        Some("") => return Err(refuse(rest, "nothing after the last colon", "leave the colon out")),
        Some(which) => match which.strip_prefix('@') {
            None => Pick::Tag(which.into()),
            Some(index) => Pick::Index(index.parse().map_err(|_| {
                refuse(rest, "the position after :@ is not a number", "count images from :@0")
            })?),
        },
    };
    Ok(make(path.into(), pick))
}

/// A registry name without transport, unless it looks like a path.
fn bare(text: &str) -> Result<Reference, Hinted> {
    let path = Path::new(text);
    if path.is_dir() {
        return Err(refuse(text, "this is a directory", format!("did you mean oci:{text}")));
    }
    if path.is_file() {
        let why = "this is a file";
        return Err(refuse(text, why, format!("did you mean oci-archive:{text} or docker-archive:{text}")));
    }
    if text.starts_with(['/', '.', '~']) {
        return Err(refuse(text, "no such file or directory", "write oci:DIR, or HOST/NAME for a registry"));
    }
    text.parse().map(Reference::Registry)
}

impl FromStr for Name {
    type Err = Hinted;

    fn from_str(text: &str) -> Result<Self, Hinted> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(parse_digest(text, digest)?)),
            None => (text, None),
        };
        let (name, mut tag) = split_tag(rest);
        let (registry, repository) = split_host(text, name)?;
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(refuse(text, &format!("{tag:?} is not a tag"), TAG_HINT));
        }
        if tag.is_none() && digest.is_none() {
            tag = Some("latest");
        }
        let tag = tag.map(String::from);
        Ok(Self { registry: registry.into(), repository: repository.into(), tag, digest })
    }
}

const TAG_HINT: &str = "a tag has up to 128 letters, digits, dots, dashes and underscores";
const HOST_HINT: &str =
    "name the registry, as in registry.example.com/name:tag; there is no default registry";
const NAME_HINT: &str =
    "a repository is written in lower-case letters and digits with single separators (. _ - /)";

fn parse_digest(text: &str, digest: &str) -> Result<Digest, Hinted> {
    digest.parse().map_err(|error: super::digest::ParseError| {
        refuse(text, "the part after @ is not a digest", "write NAME@sha256:HEX").caused_by(error)
    })
}

/// The tag is behind the last colon after the last slash.
fn split_tag(rest: &str) -> (&str, Option<&str>) {
    let from = rest.rfind('/').map_or(0, |slash| slash + 1);
    match rest[from..].find(':') {
        Some(colon) => (&rest[..from + colon], Some(&rest[from + colon + 1..])),
        None => (rest, None),
    }
}

/// A first component is a host if it has a dot or a port, or is `localhost`.
fn split_host<'a>(text: &str, name: &'a str) -> Result<(&'a str, &'a str), Hinted> {
    let Some((host, repository)) = name.split_once('/').filter(|(host, _)| looks_like_host(host)) else {
        return Err(refuse(text, "the registry's host name is missing", HOST_HINT));
    };
    if !is_host(host) {
        return Err(refuse(text, &format!("{host:?} is not a host name"), HOST_HINT));
    }
    if !is_repository(repository) {
        return Err(refuse(text, &format!("{repository:?} is not a repository name"), NAME_HINT));
    }
    Ok((host, repository))
}

fn looks_like_host(host: &str) -> bool {
    host == "localhost" || host.contains(['.', ':'])
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let digits = |b: u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
            if address.is_empty() || !address.bytes().all(digits) {
                return false;
            }
            ("v6", port.strip_prefix(':').or(port.is_empty().then_some("0")))
        }
        None => host.split_once(':').map_or((host, Some("0")), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.split('.').all(label) && port.is_some_and(|port| port.parse::<u16>().is_ok())
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_repository(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(is_path_component)
}

/// Lower-case words joined by `.`, `_`, `__` or dashes (distribution-spec, "Pulling manifests").
fn is_path_component(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let inner = part.trim_matches(|c: char| c.is_ascii() && word(c as u8));
    let ends = part.bytes().next().is_some_and(word) && part.bytes().next_back().is_some_and(word);
    let separators = inner.split(|c: char| c.is_ascii() && word(c as u8)).filter(|gap| !gap.is_empty());
    ends && separators
        .into_iter()
        .all(|gap| matches!(gap, "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Reference {
        text.parse().unwrap()
    }

    fn hint(text: &str) -> String {
        let error = text.parse::<Reference>().unwrap_err();
        assert_eq!(error.kind(), Kind::Reference);
        format!("{error}; {}", error.hint())
    }

    #[test]
    fn every_transport_prints_as_it_was_read() {
        let digest = format!("registry.example.com/a@sha256:{}", "0".repeat(64));
        for text in [
            "oci:dir",
            "oci:/a/dir:v1.2",
            "oci:dir:@3",
            "oci-archive:x.tar:latest",
            "docker-archive:x.tar:registry.example.com/name:tag",
            "docker-archive:x.tar:@0",
            "docker://registry.example.com/a/b_c/d.e--f:tag",
            "docker://localhost:5000/a:1",
            "docker://[::1]:5000/a:1",
            &format!("docker://{digest}"),
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
        assert_eq!(parse("registry.example.com/a").to_string(), "docker://registry.example.com/a:latest");
        assert_eq!(
            parse("docker://registry.example.com/a").registry_name().unwrap(),
            "registry.example.com/a:latest"
        );
        assert_eq!(parse(&digest).registry_name().unwrap(), digest);
        assert_eq!(parse("oci:x").registry_name(), None);
    }

    #[test]
    fn a_layout_tag_may_hold_colons() {
        assert_eq!(parse("oci:d:a/b:c"), Reference::Layout("d".into(), Pick::Tag("a/b:c".into())));
    }

    #[test]
    fn a_name_without_a_host_is_refused() {
        for text in ["name", "docker://name:tag", "owner/name", "docker://owner/name"] {
            assert!(hint(text).contains("name the registry"), "{text}: {}", hint(text));
        }
    }

    #[test]
    fn engine_storage_is_refused_with_the_command_that_helps() {
        let text = hint("containers-storage:localhost/x:1");
        assert!(text.contains("skopeo copy containers-storage:localhost/x:1 oci:DIR"), "{text}");
        let text = hint("docker-daemon:x:1");
        assert!(text.contains("skopeo copy docker-daemon:x:1 oci:DIR"), "{text}");
    }

    #[test]
    fn a_path_in_place_of_a_reference_gets_its_transport() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().to_str().unwrap();
        assert!(hint(text).contains(&format!("did you mean oci:{text}")));
        let file = dir.path().join("x.tar");
        std::fs::write(&file, b"").unwrap();
        assert!(hint(file.to_str().unwrap()).contains("did you mean oci-archive:"));
        assert!(hint("/no/such/thing").contains("no such file"));
    }

    #[test]
    fn names_that_no_registry_would_take_are_refused() {
        for name in [
            "registry.example.com/A",
            "registry.example.com/a//b",
            "registry.example.com/",
            "registry.example.com/-a",
            "registry.example.com/a..b",
            "registry.example.com/a/../b",
            "registry.example.com/a:bad tag",
            "registry.example.com/a:",
            "registry.example.com:http/a",
            "registry.example.com:99999/a",
            "user@registry.example.com/a",
            "registry.example.com/a@sha256:12",
            "registry.example.com/a?x=1",
            "regi stry.example.com/a",
            "oci:",
            "oci:dir:",
            "oci:dir:@x",
            "docker:registry.example.com/a",
            "dir:x",
            "",
        ] {
            assert!(name.parse::<Reference>().is_err(), "{name}");
        }
    }
}
