//! What an image says of itself: manifest, config, labels.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

/// Media types of Docker's manifests and what OCI calls the same thing.
const OCI_NAMES: [(&str, &str); 4] = [
    ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"),
    ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
];

/// A layer as the deployment records it.
#[derive(Clone, Debug)]
pub struct LayerId {
    /// Digest of the blob in the manifest.
    pub digest: String,
    /// Digest of the uncompressed tar.
    pub diff_id: String,
}

/// Manifest and config of an image, parsed.
#[derive(Clone, Debug)]
pub struct ImageConfig {
    /// The reference it came from, in the transports' syntax.
    pub reference: String,
    /// `sha256:...` of the platform's manifest as the source holds it.
    pub manifest_digest: String,
    /// The manifest with OCI media types.
    pub manifest: Value,
    /// The config.
    pub config: Value,
    /// The config's labels.
    pub labels: BTreeMap<String, String>,
    /// Layers, lowest first.
    pub layers: Vec<LayerId>,
}

impl ImageConfig {
    /// Parses the raw blobs.
    ///
    /// # Errors
    /// Either is no JSON object.
    pub fn parse(
        reference: &str,
        manifest_digest: &str,
        manifest: &[u8],
        config: &[u8],
        layers: Vec<LayerId>,
    ) -> Result<Self> {
        let mut manifest: Value = serde_json::from_slice(manifest).context("parsing image manifest")?;
        let config: Value = serde_json::from_slice(config).context("parsing image config")?;
        to_oci_names(&mut manifest);
        let labels = config.pointer("/config/Labels").and_then(Value::as_object).into_iter().flatten();
        let labels =
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        let reference = reference.to_owned();
        let manifest_digest = manifest_digest.to_owned();
        Ok(Self { reference, manifest_digest, manifest, config, labels, layers })
    }

    /// The OCI name of the architecture ("amd64").
    #[must_use]
    pub fn architecture(&self) -> &str {
        self.config.get("architecture").and_then(Value::as_str).unwrap_or("unknown")
    }

    /// When the image was made, seconds since 1970: the manifest's annotation, else the config.
    #[must_use]
    pub fn created(&self) -> Option<i64> {
        let annotation = self.manifest.pointer("/annotations/org.opencontainers.image.created");
        let text = annotation.or_else(|| self.config.get("created"))?.as_str()?;
        rfc3339(text)
    }

    /// Whether the image claims to be bootable.
    #[must_use]
    pub fn is_bootable(&self) -> bool {
        ["containers.bootc", "ostree.bootable"].iter().any(|label| self.labels.contains_key(*label))
    }
}

/// Replaces Docker's media types; digests stay.
fn to_oci_names(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(name) if key == "mediaType" => {
                        if let Some((_, oci)) = OCI_NAMES.iter().find(|(docker, _)| docker == name) {
                            *name = (*oci).to_owned();
                        }
                    }
                    _ => to_oci_names(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(to_oci_names),
        _ => {}
    }
}

/// Seconds since 1970 of an RFC 3339 time; `None` for anything else.
#[must_use]
pub fn rfc3339(text: &str) -> Option<i64> {
    let parsed: toml::value::Datetime = text.parse().ok()?;
    let (date, time) = (parsed.date?, parsed.time?);
    let offset = match parsed.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes) * 60,
    };
    let of_day =
        i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    Some(days * 86_400 + of_day - offset)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date_1() {
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339("2026-10-04T12:00:00+02:00"), Some(1_791_108_000));
        assert_eq!(rfc3339("2000-02-29T23:59:59.5Z"), Some(951_868_799));
        assert_eq!(rfc3339("yesterday"), None);
    }

    #[test]
    fn docker_media_types_become_oci_ones() {
        let manifest = format!(
            r#"{{"mediaType":"{}","layers":[{{"mediaType":"{}"}}]}}"#,
            OCI_NAMES[0].0, OCI_NAMES[2].0
        );
        let image = ImageConfig::parse("r", "d", manifest.as_bytes(), b"{}", Vec::new()).unwrap();
        assert_eq!(image.manifest["mediaType"], OCI_NAMES[0].1);
        assert_eq!(image.manifest["layers"][0]["mediaType"], OCI_NAMES[2].1);
    }
}
