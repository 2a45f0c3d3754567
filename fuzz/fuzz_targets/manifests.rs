//! Any bytes as manifest, index or config.

#![no_main]

use diskwright::{deploy::image::ImageConfig, source};
use diskwright_fuzz::{documents, seed};
use libfuzzer_sys::fuzz_target;

fn seeds() -> Vec<Vec<u8>> {
    let (manifest, config) = documents(2);
    let index = br#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,
        "platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]}"#;
    vec![manifest, config, index.to_vec()]
}

fuzz_target!(init: seed(seeds()), |data: &[u8]| {
    let _ = source::check_manifest(data, None);
    let _ = source::parse_config(data);
    if let Ok(image) = ImageConfig::parse("oci:x", "sha256:0", data, data, Vec::new()) {
        let _ = (image.created(), image.is_bootable(), image.architecture());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<source::Reference>();
    }
});
