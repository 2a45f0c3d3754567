//! OCI layouts and archives.

use std::{fs, os::unix::fs::FileExt as _};

use serde_json::{Value, json};

use crate::fixture::*;

#[test]
fn a_layout_and_its_archives_are_the_image_that_skopeo_sees() {
    let layout = Layout::simple();
    let by_hand = open(&layout.reference());
    assert_eq!(tars(&by_hand), [tar_of(&[("a", b"first")]), tar_of(&[("b", &noise(300_000))])]);
    assert_eq!(by_hand.manifest_digest, skopeo_digest(&layout.reference(), &[]));
    let dir = tempfile::tempdir().unwrap();
    let copy = |from: &str, transport: &str, name: &str, arguments: &[&str]| {
        let to = format!("{transport}:{}/{name}:some/name:v2", dir.path().display());
        skopeo(&[&["copy", "-q"][..], arguments, &[from, &to]].concat());
        let image = open(&to);
        assert_eq!(image.manifest_digest, skopeo_digest(&to, &[]), "{to}");
        assert_eq!(tars(&image), tars(&by_hand), "{to}");
        assert_eq!(image.reference, to);
        assert_eq!(image.image_config().unwrap().labels["a"], "b");
        (to, String::from_utf8(image.manifest).unwrap())
    };
    copy(&layout.reference(), "oci", "gzip", &[]);
    copy(&layout.reference(), "oci-archive", "x.tar", &[]);
    let (decompressed, _) = copy(&layout.reference(), "oci", "plain", &["--dest-decompress"]);
    let (_, manifest) = copy(&decompressed, "oci", "zstd", &["--dest-compress-format", "zstd"]);
    assert!(manifest.contains("tar+zstd"), "{manifest}");
}

#[test]
fn every_compression_gives_the_same_tars() {
    let layout = Layout::new();
    let tar = tar_of(&[("x", &noise(700_000))]);
    let (front, back) = tar.split_at(300_001);
    let members = Stored { blob: [gzip_bytes(front), gzip_bytes(back)].concat(), ..gzip(tar.clone()) };
    let skippable = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..]].concat();
    let frames =
        [skippable, zstd::encode_all(front, 1).unwrap(), zstd::encode_all(back, 9).unwrap()].concat();
    let frames = Stored { blob: frames, ..zstd(tar.clone()) };
    let layers = [plain(tar.clone()), gzip(tar.clone()), zstd(tar.clone()), members, frames];
    layout.index(&[layout.image("amd64", &layers)]);
    let image = open(&layout.reference());
    assert!(tars(&image).iter().all(|found| *found == tar));
    assert_eq!(image.layers.len(), 5);
}

#[test]
fn one_flipped_bit_anywhere_is_noticed() {
    let layout = Layout::simple();
    for entry in fs::read_dir(layout.path().join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            error(&layout.reference());
        }
        fs::write(&path, &bytes).unwrap();
    }
    open(&layout.reference());
}

#[test]
fn one_flipped_bit_in_an_archive_changes_nothing_unnoticed() {
    let layout = Layout::simple();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    for transport in ["oci-archive", "docker-archive"] {
        let to = format!("{transport}:{}", path.display());
        let _ = fs::remove_file(&path);
        skopeo(&["copy", "-q", &layout.reference(), &to]);
        let (whole, expected) = (fs::read(&path).unwrap(), tars(&open(&to)));
        let places = (0..whole.len()).step_by(1021).chain((0..1536).step_by(7));
        for at in places {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            fs::write(&path, &flipped).unwrap();
            if let Ok(image) = open_with(&to, &options()) {
                assert_eq!(tars(&image), expected, "{transport} byte {at}");
            }
        }
    }
}

#[test]
fn sha512_is_a_digest_too() {
    let layout = Layout::simple();
    let path = layout.layer_path(0);
    let bytes = fs::read(&path).unwrap();
    let digest = diskwright::source::Digest::of(diskwright::source::Algorithm::Sha512, &bytes).to_string();
    fs::create_dir(layout.path().join("blobs/sha512")).unwrap();
    fs::rename(&path, layout.blob_path(&digest)).unwrap();
    layout.edit(|manifest| manifest["layers"][0]["digest"] = digest.as_str().into());
    let image = open(&layout.reference());
    assert_eq!(image.layers[0].digest, digest);
    let mut flipped = bytes;
    flipped[20] ^= 1;
    fs::write(layout.blob_path(&digest), flipped).unwrap();
    assert_says(&error(&layout.reference()), &["content is sha512:"]);
}

#[test]
fn the_judge_says_no_to_a_flipped_bit() {
    let layout = Layout::simple();
    let path = layout.layer_path(1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("skopeo");
    command.args(["--insecure-policy", "copy", "-q", &layout.reference()]);
    command.arg(format!("oci:{}/copy", dir.path().display()));
    assert!(!judge("skopeo", &mut command).status.success());
    error(&layout.reference());
}

#[test]
fn truncated_blob() {
    let layout = Layout::simple();
    let path = layout.layer_path(1);
    let len = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len - 1).unwrap();
    assert_says(&error(&layout.reference()), &["layer 2 of 2", "bytes long, its descriptor says"]);
}

#[test]
fn wrong_digest() {
    let layout = Layout::simple();
    let path = layout.layer_path(1);
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"!", 200_000).unwrap();
    assert_says(&error(&layout.reference()), &["layer 2 of 2", "content is sha256:", ", not sha256:"]);
}

#[test]
fn wrong_size() {
    let layout = Layout::simple();
    layout.edit(|manifest| manifest["layers"][0]["size"] = 7.into());
    assert_says(&error(&layout.reference()), &["layer 1 of 2", "its descriptor says 7"]);
    layout.edit(|manifest| manifest["config"]["size"] = (9 << 20).into());
    assert_says(&error(&layout.reference()), &["config", "past the limit"]);
}

#[test]
fn wrong_diff_id() {
    let layout = Layout::new();
    let mut layer = gzip(tar_of(&[("a", b"1")]));
    layer.tar = tar_of(&[("a", b"2")]);
    layout.index(&[layout.image("amd64", &[layer])]);
    assert_says(&error(&layout.reference()), &["layer 1 of 1", "the config's diff_id is sha256:"]);
    let mut layer = plain(tar_of(&[("a", b"1")]));
    layer.tar = tar_of(&[("a", b"2")]);
    layout.index(&[layout.image("amd64", &[layer])]);
    assert_says(&error(&layout.reference()), &["the config's diff_id is sha256:"]);
}

#[test]
fn missing_blob() {
    let layout = Layout::simple();
    fs::remove_file(layout.layer_path(0)).unwrap();
    assert_says(&error(&layout.reference()), &["layer 1 of 2", "opening ", "blobs/sha256", "No such file"]);
}

#[test]
fn truncated_and_padded_gzip() {
    let layout = Layout::new();
    let whole = gzip(tar_of(&[("a", &noise(100_000))]));
    let cut = Stored { blob: whole.blob[..50_000].to_vec(), ..gzip(whole.tar.clone()) };
    layout.index(&[layout.image("amd64", &[cut])]);
    assert_says(&error(&layout.reference()), &["layer 1 of 1", "decompressing tar+gzip"]);
    for garbage in [&b"garbage"[..], &[0; 512]] {
        let padded = Stored { blob: [&whole.blob, garbage].concat(), ..gzip(whole.tar.clone()) };
        layout.index(&[layout.image("amd64", &[padded])]);
        assert_says(&error(&layout.reference()), &["layer 1 of 1", "decompressing tar+gzip"]);
    }
}

#[test]
fn truncated_and_padded_zstd() {
    let layout = Layout::new();
    let whole = zstd(tar_of(&[("a", &noise(100_000))]));
    let cut = Stored { blob: whole.blob[..50_000].to_vec(), ..zstd(whole.tar.clone()) };
    let padded = Stored { blob: [&whole.blob[..], b"garbage"].concat(), ..zstd(whole.tar.clone()) };
    for layer in [cut, padded] {
        layout.index(&[layout.image("amd64", &[layer])]);
        assert_says(&error(&layout.reference()), &["layer 1 of 1", "decompressing tar+zstd"]);
    }
}

#[test]
fn media_type_and_content_disagree() {
    let layout = Layout::new();
    let lying = Stored { media_type: format!("{OCI_LAYER}+zstd"), ..gzip(tar_of(&[])) };
    layout.index(&[layout.image("amd64", &[lying])]);
    assert_says(&error(&layout.reference()), &["media type says tar+zstd, content starts as tar+gzip"]);
}

#[test]
fn unknown_media_types() {
    let layout = Layout::simple();
    layout.edit(|manifest| manifest["layers"][1]["mediaType"] = "application/x-cpio".into());
    assert_says(&error(&layout.reference()), &["layer 2 of 2", "application/x-cpio"]);
    let mut index = layout.read_index();
    index["manifests"][0]["mediaType"] = "text/html".into();
    fs::write(layout.path().join("index.json"), index.to_string()).unwrap();
    assert_says(&error(&layout.reference()), &["unknown media type \"text/html\""]);
}

#[test]
fn foreign_and_encrypted_layers() {
    let layout = Layout::simple();
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    layout.edit(|manifest| {
        manifest["layers"][0]["mediaType"] = foreign.into();
        manifest["layers"][0]["urls"] = json!(["https://registry.example.com/blob"]);
    });
    assert_says(&error(&layout.reference()), &["foreign layer", "HINT"]);
    layout.edit(|manifest| manifest["layers"][0]["mediaType"] = format!("{OCI_LAYER}+gzip+encrypted").into());
    assert_says(&error(&layout.reference()), &["encrypted layer", "HINT decrypt"]);
}

#[test]
fn schema_1() {
    let layout = Layout::new();
    let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    layout.index(&[layout.typed(media_type, br#"{"schemaVersion":1,"fsLayers":[]}"#)]);
    assert_says(&error(&layout.reference()), &["schema 1 is not supported", "HINT"]);
}

#[test]
fn documents_that_are_not_json() {
    let layout = Layout::simple();
    fs::write(layout.path().join("index.json"), "{").unwrap();
    assert_says(&error(&layout.reference()), &["parsing index.json", "line 1"]);
    layout.index(&[layout.typed(OCI_MANIFEST, b"<html>")]);
    assert_says(&error(&layout.reference()), &["parsing manifest sha256:", "line 1"]);
    let layout = Layout::simple();
    layout.edit(|manifest| manifest["config"] = layout.typed(OCI_CONFIG, b"[]"));
    assert_says(&error(&layout.reference()), &["parsing config sha256:"]);
}

#[test]
fn empty_index_and_no_index() {
    let layout = Layout::simple();
    layout.index(&[]);
    assert_says(&error(&layout.reference()), &["the index is empty"]);
    fs::remove_file(layout.path().join("index.json")).unwrap();
    assert_says(&error(&layout.reference()), &["not an OCI layout", "HINT"]);
}

#[test]
fn tags_and_positions() {
    let layout = Layout::new();
    let one = layout.image("amd64", &[gzip(tar_of(&[("one", b"")]))]);
    let two = layout.image("amd64", &[gzip(tar_of(&[("two", b"")]))]);
    layout.index(&[tagged(one.clone(), "v1"), tagged(two.clone(), "v2")]);
    assert_says(&error(&layout.reference()), &["2 images", "v1, v2", "HINT append :TAG"]);
    let with = |what: &str| format!("{}:{what}", layout.reference());
    assert_says(&error(&with("v3")), &["tag \"v3\" not found", "v1, v2"]);
    assert_says(&error(&with("@2")), &["no image at position 2"]);
    assert_eq!(open(&with("v2")).manifest_digest, two["digest"]);
    assert_eq!(open(&with("@0")).manifest_digest, one["digest"]);
    assert_eq!(open(&with("v2")).manifest_digest, skopeo_digest(&with("v2"), &[]));
}

/// An index in the layout's index, with an attestation as build tools add it.
fn multi_platform(layout: &Layout) -> (Value, Value) {
    let amd64 = layout.image("amd64", &[gzip(tar_of(&[("amd64", b"")]))]);
    let arm64 = layout.image("arm64", &[gzip(tar_of(&[("arm64", b"")]))]);
    let mut attestation = for_platform(amd64.clone(), "unknown");
    attestation["platform"]["os"] = "unknown".into();
    let manifests = [attestation, for_platform(arm64.clone(), "arm64"), for_platform(amd64.clone(), "amd64")];
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    layout.index(&[tagged(layout.typed(OCI_INDEX, index.to_string().as_bytes()), "multi")]);
    (amd64, arm64)
}

#[test]
fn the_platform_is_chosen_as_skopeo_chooses_it() {
    let layout = Layout::new();
    let (amd64, arm64) = multi_platform(&layout);
    for (names, oci, descriptor) in
        [(["amd64", "x86_64"], "amd64", amd64), (["arm64", "aarch64"], "arm64", arm64)]
    {
        let image =
            names.map(|name| open_with(&layout.reference(), &for_arch(name)).unwrap().manifest_digest);
        assert!(image.iter().all(|digest| *digest == descriptor["digest"]));
        let raw = skopeo(&["--override-arch", oci, "inspect", "--config", "--raw", &layout.reference()]);
        let config = &layout.read_blob(&descriptor)["config"];
        assert_eq!(serde_json::from_str::<Value>(&raw).unwrap(), layout.read_blob(config));
    }
    let text = error_with(&layout.reference(), &for_arch("s390x"));
    assert_says(&text, &["no manifest for linux/s390x", "linux/arm64, linux/amd64", "HINT"]);
    assert_says(&error_with(&layout.reference(), &for_arch("vax")), &["unknown architecture \"vax\""]);
}

#[test]
fn wrong_architecture_is_found_before_any_layer() {
    let layout = Layout::simple();
    fs::remove_file(layout.layer_path(0)).unwrap();
    let text = error_with(&layout.reference(), &for_arch("aarch64"));
    assert_says(&text, &["the image is for amd64, not for arm64", "HINT"]);
}

#[test]
fn an_index_that_leads_to_itself_ends() {
    let layout = Layout::new();
    let mut inner = layout.image("amd64", &[gzip(tar_of(&[]))]);
    for _ in 0..6 {
        let index = json!({"schemaVersion": 2, "manifests": [inner]});
        inner = layout.typed(OCI_INDEX, index.to_string().as_bytes());
    }
    layout.index(&[inner]);
    assert_says(&error(&layout.reference()), &["more than 4 indexes"]);
}

#[test]
fn layer_counts_of_manifest_and_config_differ() {
    let layout = Layout::simple();
    layout.edit(|manifest| drop(manifest["layers"].as_array_mut().unwrap().pop()));
    assert_says(&error(&layout.reference()), &["1 layers, its config has 2 diff_ids"]);
}

#[test]
fn digests_are_no_paths() {
    let layout = Layout::simple();
    let secret = layout.path().join("secret");
    fs::write(&secret, "x").unwrap();
    let up = format!("sha256:{}../../secret", "../".repeat(17));
    for digest in [up.as_str(), "sha256:/etc/passwd", "../../secret", "sha256:..", "md5:00", ""] {
        layout.edit(|manifest| manifest["layers"][1]["digest"] = digest.into());
        assert_says(&error(&layout.reference()), &["parsing manifest", "layers[1]"]);
    }
}

#[test]
fn a_fifo_or_directory_in_place_of_a_blob() {
    let layout = Layout::simple();
    let path = layout.layer_path(0);
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    assert_says(&error(&layout.reference()), &["layer 1 of 2", "not a regular file"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_says(&error(&layout.reference()), &["layer 1 of 2", "is a directory"]);
}

#[test]
fn a_file_where_a_directory_belongs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_says(
        &error(&format!("oci:{}", file.path().display())),
        &["not a directory", "HINT", "oci-archive:"],
    );
    assert_says(&error("oci:/no/such/dir"), &["opening /no/such/dir", "No such file"]);
}

/// A docker archive by hand.
fn docker_archive(members: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), tar_of(members)).unwrap();
    file
}

fn docker_reference(file: &tempfile::NamedTempFile) -> String {
    format!("docker-archive:{}", file.path().display())
}

#[test]
fn a_docker_archive_has_the_layers_that_skopeo_put_in() {
    let layout = Layout::simple();
    let dir = tempfile::tempdir().unwrap();
    let to = format!("docker-archive:{}/x.tar", dir.path().display());
    skopeo(&["copy", "-q", &layout.reference(), &format!("{to}:registry.example.com/team/image:v1")]);
    let image = open(&to);
    assert_eq!(tars(&image), tars(&open(&layout.reference())));
    let parsed: Value = serde_json::from_slice(&image.manifest).unwrap();
    assert_eq!(parsed["mediaType"], OCI_MANIFEST);
    let config: Value = serde_json::from_str(&skopeo(&["inspect", "--config", "--raw", &to])).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&image.config).unwrap(), config);
    assert_eq!(image.manifest, open(&to).manifest);
    for name in ["registry.example.com/team/image:v1", "team/image:v1", "image:v1", "@0"] {
        assert_eq!(open(&format!("{to}:{name}")).manifest_digest, image.manifest_digest);
    }
    assert_says(&error(&format!("{to}:image")), &["\"image:latest\" not found", "team/image:v1"]);
    assert_says(&error(&format!("{to}:mage:v1")), &["not found"]);
    let oci = to.replace("docker-archive:", "oci-archive:");
    assert_says(&error(&oci), &["not an OCI layout", "HINT", "docker-archive:"]);
    let flipped = dir.path().join("x.tar");
    let mut bytes = fs::read(&flipped).unwrap();
    let at = bytes.windows(5).position(|window| window == b"first").unwrap();
    bytes[at] ^= 1;
    fs::write(&flipped, bytes).unwrap();
    assert_says(&error(&to), &["layer 1 of 2", "content is sha256:"]);
}

#[test]
fn a_docker_archive_with_links_and_compressed_layers() {
    let (one, two) = (tar_of(&[("one", b"1")]), gzip(tar_of(&[("two", b"2")])));
    let ids: Vec<_> = [&one, &two.tar].map(|tar| diskwright::source::Digest::sha256(tar).to_string()).into();
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": ids}}).to_string();
    let items = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["a/layer.tar", "b/layer.tar"]}]);
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    };
    add("manifest.json", items.to_string().as_bytes());
    add("c.json", config.as_bytes());
    add("real.tar", &one);
    add("./b/layer.tar", &two.blob);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "a/layer.tar", "../real.tar").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = builder.into_inner().unwrap();
    fs::write(file.path(), &bytes).unwrap();
    let image = open(&docker_reference(&file));
    assert_eq!(tars(&image), [one, two.tar]);
    assert!(String::from_utf8(image.manifest).unwrap().contains("tar+gzip"));
    fs::write(file.path(), gzip_bytes(&bytes)).unwrap();
    assert_eq!(open(&docker_reference(&file)).manifest_digest, image.manifest_digest);
    fs::write(file.path(), zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
    assert_eq!(open(&docker_reference(&file)).manifest_digest, image.manifest_digest);
}

#[test]
fn broken_docker_archives() {
    let says = |members: &[(&str, &[u8])], parts: &[&str]| {
        assert_says(&error(&docker_reference(&docker_archive(members))), parts);
    };
    let item = br#"[{"Config":"c.json","Layers":["l.tar"]}]"#;
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[]}}"#;
    says(&[("x", b"")], &["not a docker archive", "HINT", "oci-archive"]);
    says(&[("manifest.json", b"[]")], &["manifest.json is empty"]);
    says(&[("manifest.json", b"{")], &["parsing manifest.json"]);
    says(&[("manifest.json", br#"[{"Config":"c"}]"#)], &["Layers"]);
    says(&[("manifest.json", item)], &["reading config c.json", "no member c.json"]);
    says(&[("manifest.json", item), ("c.json", config)], &["1 layers, the config has 0 diff_ids"]);
    says(&[("manifest.json", item), ("c.json", config), ("c.json", b"")], &["c.json occurs more than once"]);
    let two =
        br#"[{"Config":"a","RepoTags":["a:1"],"Layers":[]},{"Config":"b","RepoTags":["b:1"],"Layers":[]}]"#;
    says(&[("manifest.json", two)], &["2 images", "a:1, b:1", "HINT"]);
}

#[test]
fn archives_that_are_cut_or_are_none() {
    let layout = Layout::simple();
    let file = tempfile::NamedTempFile::new().unwrap();
    let to = format!("oci-archive:{}", file.path().display());
    assert_says(&error(&to), &["reading archive", "not a tar archive"]);
    fs::write(file.path(), noise(5000)).unwrap();
    assert_says(&error(&to), &["reading archive"]);
    fs::remove_file(file.path()).unwrap();
    skopeo(&["copy", "-q", &layout.reference(), &to]);
    let whole = fs::read(file.path()).unwrap();
    for len in [whole.len() / 2, 1000, 511] {
        fs::write(file.path(), &whole[..len]).unwrap();
        assert_says(&error(&to), &["reading archive"]);
    }
    fs::write(file.path(), b"\xfd7zXZ\0rest").unwrap();
    assert_says(&error(&to), &["xz or bzip2"]);
    assert_says(&error("oci-archive:/"), &["/ is a directory"]);
}

#[test]
fn archive_members_stay_inside() {
    for name in ["../index.json", "/index.json"] {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(0);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, &[][..]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), builder.into_inner().unwrap()).unwrap();
        let text = error(&format!("oci-archive:{}", file.path().display()));
        assert!(text.contains("leaves the archive") || text.contains("absolute path"), "{text}");
    }
}

#[test]
fn duplicate_members_are_refused() {
    let file = docker_archive(&[("index.json", b"{}"), ("index.json", b"{}")]);
    let text = error(&format!("oci-archive:{}", file.path().display()));
    assert_says(&text, &["member index.json occurs more than once"]);
}

#[test]
fn a_spool_that_cannot_be_written() {
    let layout = Layout::simple();
    let options = diskwright::source::Options { spool_dir: Some("/no/such/dir".into()), ..options() };
    let text = error_with(&layout.reference(), &options);
    assert_says(&text, &["writing to spool directory /no/such/dir", "HINT set TMPDIR or --spool"]);
}

#[test]
fn a_full_spool_is_a_clean_error() {
    let layout = Layout::new();
    let tar = tar_of(&[("zeros", &vec![0; 20 << 20])]);
    layout.index(&[layout.image("amd64", &[gzip(tar.clone()), zstd(tar)])]);
    let dir = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let script = r#"mount -t tmpfs -o size=1m none "$TMPDIR" &&
        exec "$0" --exact local::open_in_a_full_spool --ignored --nocapture"#;
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]).arg(test);
    command.env("TMPDIR", dir.path()).env("TEST_REFERENCE", layout.reference());
    let output = judge("util-linux", &mut command);
    let said = format!("{output:?}");
    let spool = format!("writing to spool directory {}", dir.path().display());
    assert_says(&said, &[&spool, "No space left", "HINT set TMPDIR or --spool", "more free space"]);
}

#[test]
#[ignore = "the body of the child process of another test"]
fn open_in_a_full_spool() {
    if let Ok(reference) = std::env::var("TEST_REFERENCE") {
        println!("{}", error(&reference));
    }
}
