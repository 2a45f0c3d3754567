//! Manifests, indexes and image configs: OCI image-spec 1.1 (manifest.md,
//! image-index.md, config.md) and Docker's image manifest version 2 schema 2,
//! which is the same with other media types.
//!
//! Parsing is strict where a wrong guess would build a wrong disk: unknown
//! media types, schema 1, documents that are index and manifest at once,
//! foreign layers and encrypted layers are errors. Unknown fields are ignored,
//! as the specification demands.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    digest::Digest,
    error::{Hinted, Kind},
    platform::Platform,
};

/// Manifests, indexes and configs larger than this are refused.
pub const SMALL_BLOB_MAX: u64 = 8 << 20;

const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const SCHEMA1_PREFIX: &str = "application/vnd.docker.distribution.manifest.v1";
const LAYER_PREFIXES: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"];
const FOREIGN_PREFIXES: [&str; 2] = [
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
];
const SCHEMA_VERSION: u64 = 2;

/// What a registry is asked for.
pub(crate) const ACCEPT: [&str; 4] = [INDEX_TYPES[0], INDEX_TYPES[1], MANIFEST_TYPES[0], MANIFEST_TYPES[1]];

/// A reference to a blob, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Annotations of the entry (tags of a layout are here).
    pub annotations: BTreeMap<String, String>,
    /// What machine it is for, in an index.
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Whether this names an index (or Docker's manifest list).
    #[must_use]
    pub fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
    }

    /// Refuses what is neither index nor manifest.
    pub(crate) fn check_is_manifest(&self) -> Result<()> {
        check_manifest_type(&self.media_type)
    }
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878, one or more frames.
    Zstd,
}

impl Compression {
    /// What the first bytes of a blob say.
    #[must_use]
    pub fn of_magic(start: &[u8]) -> Self {
        const GZIP: [u8; 2] = [0x1f, 0x8b];
        const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
        const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18]; // after a first byte of 0x50 to 0x5f
        if start.starts_with(&GZIP) {
            Self::Gzip
        } else if start.starts_with(&ZSTD)
            || (start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == ZSTD_SKIPPABLE)
        {
            Self::Zstd
        } else {
            Self::None
        }
    }

    /// The suffix that OCI media types carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "tar",
            Self::Gzip => "tar+gzip",
            Self::Zstd => "tar+zstd",
        }
    }
}

/// A manifest or an index, checked.
#[derive(Debug)]
pub(crate) enum Document {
    /// Several manifests to choose from.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Manifest),
}

/// An image manifest, checked.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<(Descriptor, Compression)>,
}

/// What this tool reads of an image config.
#[derive(Clone, Debug)]
pub struct ImageConfig {
    /// The machine the image is for.
    pub platform: Platform,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// Labels ("containers.bootc", "ostree.commit", ...).
    pub labels: BTreeMap<String, String>,
    /// When the image was made, as written (RFC 3339).
    pub created: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(flatten)]
    platform: RawPlatform,
    rootfs: RawRootfs,
    #[serde(default)]
    config: Option<RawRuntime>,
    #[serde(default)]
    created: Option<String>,
}

#[derive(Deserialize)]
struct RawRootfs {
    diff_ids: Vec<String>,
}

#[derive(Default, Deserialize)]
struct RawRuntime {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// JSON with the path of the field in the error (`layers[2].digest`).
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = anyhow::Error::new(error.into_inner());
        if path == "." { inner } else { inner.context(format!("field {path}")) }
    })?;
    reader.end()?;
    Ok(value)
}

/// Reads a manifest or index. `declared` is the media type of the descriptor
/// that led here, if one did.
pub(crate) fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Document> {
    let raw: RawDocument = parse_json(bytes)?;
    if raw.fs_layers.is_some() || raw.schema_version == Some(1) {
        return Err(schema1());
    }
    let version = raw.schema_version.context("field schemaVersion is missing")?;
    ensure!(version == SCHEMA_VERSION, "field schemaVersion is {version}, not {SCHEMA_VERSION}");
    for media_type in raw.media_type.as_deref().into_iter().chain(declared) {
        check_manifest_type(media_type)?;
    }
    if let (Some(found), Some(declared)) = (raw.media_type.as_deref(), declared) {
        ensure!(found == declared, "field mediaType is {found}, its descriptor says {declared}");
    }
    let expected = raw.media_type.as_deref().or(declared).map(String::from);
    document(raw, expected.as_deref())
}

fn document(raw: RawDocument, media_type: Option<&str>) -> Result<Document> {
    let is_index = media_type.map(|media_type| INDEX_TYPES.contains(&media_type));
    match (raw.manifests, raw.config, raw.layers) {
        (Some(manifests), None, None) if is_index != Some(false) => {
            ensure!(!manifests.is_empty(), "the index is empty");
            Ok(Document::Index(descriptors("manifests", manifests)?))
        }
        (None, Some(config), Some(layers)) if is_index != Some(true) => manifest(config, layers),
        (Some(_), config, layers) if config.is_some() || layers.is_some() => {
            bail!("fields of an index and of a manifest at once")
        }
        _ => bail!("neither an index (manifests) nor an image manifest (config, layers) as its type says"),
    }
}

fn manifest(config: RawDescriptor, layers: Vec<RawDescriptor>) -> Result<Document> {
    let config = descriptor(config).context("field config")?;
    check_config_type(&config.media_type)?;
    let layers = descriptors("layers", layers)?;
    ensure!(!layers.is_empty(), "the manifest has no layers");
    let count = layers.len();
    let typed = layers.into_iter().enumerate().map(|(at, layer)| {
        let compression = layer_compression(&layer.media_type)
            .with_context(|| format!("layer {} of {count} ({})", at + 1, layer.digest))?;
        Ok((layer, compression))
    });
    Ok(Document::Manifest(Manifest { config, layers: typed.collect::<Result<_>>()? }))
}

fn descriptors(field: &str, raw: Vec<RawDescriptor>) -> Result<Vec<Descriptor>> {
    let one = |(at, raw)| descriptor(raw).with_context(|| format!("field {field}[{at}]"));
    raw.into_iter().enumerate().map(one).collect()
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor> {
    Ok(Descriptor {
        digest: raw.digest.parse()?,
        media_type: raw.media_type,
        size: raw.size,
        annotations: raw.annotations.unwrap_or_default(),
        platform: raw.platform.map(platform),
    })
}

fn platform(raw: RawPlatform) -> Platform {
    Platform {
        os: raw.os,
        architecture: raw.architecture,
        variant: raw.variant.filter(|variant| !variant.is_empty()),
    }
}

fn check_manifest_type(media_type: &str) -> Result<()> {
    if media_type.starts_with(SCHEMA1_PREFIX) {
        return Err(schema1());
    }
    let known = MANIFEST_TYPES.contains(&media_type) || INDEX_TYPES.contains(&media_type);
    ensure!(known, "unknown media type {media_type:?} in place of a manifest or index");
    Ok(())
}

fn check_config_type(media_type: &str) -> Result<()> {
    if CONFIG_TYPES.contains(&media_type) {
        return Ok(());
    }
    let message = format!("config of media type {media_type:?}: this is an artifact, not a container image");
    Err(Hinted::new(Kind::Unsupported, message, "name a bootable container image").into())
}

fn schema1() -> anyhow::Error {
    let message = "image manifest version 2 schema 1 is not supported (deprecated since 2019)";
    let hint = "copy the image to convert it: skopeo copy --format oci docker://NAME oci:DIR";
    Hinted::new(Kind::Unsupported, message, hint).into()
}

fn layer_compression(media_type: &str) -> Result<Compression> {
    if media_type.ends_with("+encrypted") {
        let message = format!("encrypted layer ({media_type}): there are no keys here to open it with");
        let hint = "decrypt it first: skopeo copy --decryption-key KEY docker://NAME oci:DIR";
        return Err(Hinted::new(Kind::Unsupported, message, hint).into());
    }
    if FOREIGN_PREFIXES.iter().any(|prefix| media_type.starts_with(prefix)) {
        let message = format!("foreign layer ({media_type}): its content is not part of the image");
        let hint = "use an image whose layers are all in its registry";
        return Err(Hinted::new(Kind::Unsupported, message, hint).into());
    }
    let suffix = LAYER_PREFIXES.iter().find_map(|prefix| media_type.strip_prefix(prefix));
    match suffix {
        Some("") => Ok(Compression::None),
        Some("+gzip" | ".gzip") => Ok(Compression::Gzip),
        Some("+zstd" | ".zstd") => Ok(Compression::Zstd),
        _ => bail!("unknown layer media type {media_type:?}"),
    }
}

/// Reads an image config.
///
/// # Errors
/// What is not JSON, misses a field, or has digests that are none.
pub fn parse_config(bytes: &[u8]) -> Result<ImageConfig> {
    let raw: RawConfig = parse_json(bytes)?;
    let one =
        |(at, text): (usize, &String)| text.parse().with_context(|| format!("field rootfs.diff_ids[{at}]"));
    Ok(ImageConfig {
        platform: platform(raw.platform),
        diff_ids: raw.rootfs.diff_ids.iter().enumerate().map(one).collect::<Result<_>>()?,
        labels: raw.config.unwrap_or_default().labels.unwrap_or_default(),
        created: raw.created,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(c: char) -> String {
        format!("sha256:{}", String::from(c).repeat(64))
    }

    fn manifest_json(config_type: &str, layer_type: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{config_type}","digest":"{}","size":2}},
            "layers":[{{"mediaType":"{layer_type}","digest":"{}","size":3}}]}}"#,
            hex('a'),
            hex('b')
        )
    }

    fn error(json: &str) -> String {
        format!("{:#}", parse(json.as_bytes(), None).unwrap_err())
    }

    #[test]
    fn both_families_of_media_types_are_read() {
        for (layer, compression) in [
            ("application/vnd.oci.image.layer.v1.tar", Compression::None),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Compression::Gzip),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Compression::Zstd),
            ("application/vnd.docker.image.rootfs.diff.tar", Compression::None),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Compression::Gzip),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::Zstd),
        ] {
            let json = manifest_json(CONFIG_TYPES[1], layer);
            let Document::Manifest(manifest) = parse(json.as_bytes(), Some(MANIFEST_TYPES[1])).unwrap()
            else {
                panic!("{json}")
            };
            assert_eq!(manifest.layers[0].1, compression);
        }
    }

    #[test]
    fn foreign_encrypted_and_unknown_layers_are_refused() {
        let with = |layer: &str| error(&manifest_json(CONFIG_TYPES[0], layer));
        assert!(with("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip").contains("foreign layer"));
        assert!(with("application/vnd.oci.image.layer.nondistributable.v1.tar").contains("foreign layer"));
        assert!(with("application/vnd.oci.image.layer.v1.tar+gzip+encrypted").contains("encrypted layer"));
        assert!(with("application/vnd.oci.image.layer.v1.tar+xz").contains("unknown layer media type"));
        assert!(with("text/plain").contains("layer 1 of 1"));
    }

    #[test]
    fn an_artifact_is_no_image() {
        let json =
            manifest_json("application/vnd.oci.empty.v1+json", "application/vnd.oci.image.layer.v1.tar");
        assert!(error(&json).contains("artifact"));
    }

    #[test]
    fn schema_1_is_refused_in_all_its_forms() {
        assert!(error(r#"{"schemaVersion":1,"fsLayers":[]}"#).contains("schema 1"));
        let json = br#"{"schemaVersion":2}"#;
        let declared = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(format!("{:#}", parse(json, Some(declared)).unwrap_err()).contains("schema 1"));
    }

    #[test]
    fn errors_name_the_field() {
        let json = manifest_json(CONFIG_TYPES[0], LAYER_PREFIXES[0]);
        let text = error(&json.replace(r#""size":3"#, r#""size":-3"#));
        assert!(text.contains("layers[0].size"), "{text}");
        let text = error(&json.replace(&hex('b'), "sha256:../../etc"));
        assert!(text.contains("layers[0]") && text.contains("64"), "{text}");
        assert!(error("not json").contains("line 1"));
        assert!(error(&format!("{json} trailing")).contains("trailing"));
        assert!(error("{}").contains("schemaVersion"));
    }

    #[test]
    fn an_index_that_is_also_a_manifest_is_refused() {
        let json = manifest_json(CONFIG_TYPES[0], LAYER_PREFIXES[0]);
        let both = json.replacen('{', r#"{"manifests":[],"#, 1);
        assert!(error(&both).contains("at once"));
        assert!(error(r#"{"schemaVersion":2,"manifests":[]}"#).contains("empty"));
        let declared = parse(json.as_bytes(), Some(INDEX_TYPES[0])).unwrap_err();
        assert!(format!("{declared:#}").contains("as its type says"));
    }

    #[test]
    fn a_config_without_diff_ids_is_an_error_with_its_field() {
        let error = parse_config(br#"{"architecture":"amd64","os":"linux","rootfs":{}}"#).unwrap_err();
        assert!(format!("{error:#}").contains("diff_ids"), "{error:#}");
        let labels = br#"{"architecture":"amd64","os":"linux","config":{"Labels":{"a":"b"}},"rootfs":{"diff_ids":[]}}"#;
        assert_eq!(parse_config(labels).unwrap().labels["a"], "b");
        let null = br#"{"architecture":"amd64","config":{"Labels":null},"rootfs":{"diff_ids":[]}}"#;
        assert!(parse_config(null).unwrap().labels.is_empty());
    }
}
