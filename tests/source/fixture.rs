//! Small images written by hand, and the judges that read them too.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use diskwright::source::{CacheChoice, Digest, Hinted, OciImage, Options, Reference};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layout in a temporary directory.
pub(crate) struct Layout {
    pub(crate) dir: TempDir,
}

/// A layer as it is stored.
pub(crate) struct Stored {
    pub(crate) media_type: String,
    pub(crate) blob: Vec<u8>,
    pub(crate) tar: Vec<u8>,
}

impl Layout {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { dir }
    }

    /// Two gzip layers for amd64, tagged "v1".
    pub(crate) fn simple() -> Self {
        let layout = Self::new();
        let layers = [gzip(tar_of(&[("a", b"first")])), gzip(tar_of(&[("b", &noise(300_000))]))];
        let manifest = layout.image("amd64", &layers);
        layout.index(&[tagged(manifest, "v1")]);
        layout
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn reference(&self) -> String {
        format!("oci:{}", self.path().display())
    }

    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        self.path().join("blobs").join(digest.replace(':', "/"))
    }

    /// Stores bytes; the descriptor without a media type.
    pub(crate) fn blob(&self, bytes: &[u8]) -> Value {
        let digest = Digest::sha256(bytes).to_string();
        fs::write(self.blob_path(&digest), bytes).unwrap();
        json!({"digest": digest, "size": bytes.len()})
    }

    pub(crate) fn typed(&self, media_type: &str, bytes: &[u8]) -> Value {
        let mut descriptor = self.blob(bytes);
        descriptor["mediaType"] = media_type.into();
        descriptor
    }

    /// Stores an image; its manifest's descriptor.
    pub(crate) fn image(&self, architecture: &str, layers: &[Stored]) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(&layer.tar).to_string()).collect();
        let config = json!({"architecture": architecture, "os": "linux", "config": {"Labels": {"a": "b"}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let layers: Vec<_> = layers.iter().map(|layer| self.typed(&layer.media_type, &layer.blob)).collect();
        self.manifest(&config, &layers)
    }

    pub(crate) fn manifest(&self, config: &Value, layers: &[Value]) -> Value {
        let config = self.typed(OCI_CONFIG, config.to_string().as_bytes());
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
        self.typed(OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    pub(crate) fn index(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        fs::write(self.path().join("index.json"), index.to_string()).unwrap();
    }

    pub(crate) fn read_index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path().join("index.json")).unwrap()).unwrap()
    }

    pub(crate) fn read_blob(&self, descriptor: &Value) -> Value {
        let path = self.blob_path(descriptor["digest"].as_str().unwrap());
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// The manifest of the first entry of the index.
    pub(crate) fn first_manifest(&self) -> Value {
        self.read_blob(&self.read_index()["manifests"][0])
    }

    /// Replaces the first entry by a changed copy of its manifest.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut manifest = self.first_manifest();
        change(&mut manifest);
        let descriptor = self.typed(OCI_MANIFEST, manifest.to_string().as_bytes());
        self.index(&[tagged(descriptor, "v1")]);
    }

    /// Path of the blob of layer `at` of the first manifest.
    pub(crate) fn layer_path(&self, at: usize) -> PathBuf {
        self.blob_path(self.first_manifest()["layers"][at]["digest"].as_str().unwrap())
    }
}

pub(crate) fn tagged(mut descriptor: Value, tag: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    descriptor
}

pub(crate) fn for_platform(mut descriptor: Value, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
    descriptor
}

pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Bytes that do not compress, the same on each run.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(step).collect()
}

pub(crate) fn gzip_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn plain(tar: Vec<u8>) -> Stored {
    Stored { media_type: OCI_LAYER.into(), blob: tar.clone(), tar }
}

pub(crate) fn gzip(tar: Vec<u8>) -> Stored {
    Stored { media_type: format!("{OCI_LAYER}+gzip"), blob: gzip_bytes(&tar), tar }
}

pub(crate) fn zstd(tar: Vec<u8>) -> Stored {
    let blob = zstd::encode_all(&tar[..], 3).unwrap();
    Stored { media_type: format!("{OCI_LAYER}+zstd"), blob, tar }
}

pub(crate) fn options() -> Options {
    Options { cache: CacheChoice::Off, ..Options::default() }
}

pub(crate) fn for_arch(architecture: &str) -> Options {
    Options { target_arch: Some(architecture.into()), ..options() }
}

pub(crate) fn open_with(reference: &str, options: &Options) -> anyhow::Result<OciImage> {
    let reference: Reference = reference.parse()?;
    diskwright::source::open(&reference, options, &())
}

pub(crate) fn open(reference: &str) -> OciImage {
    open_with(reference, &options()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The error chain of what must fail, and the hint if there is one.
pub(crate) fn error_with(reference: &str, options: &Options) -> String {
    let error = open_with(reference, options).expect_err("must be refused");
    let hint = Hinted::find(&error).map(|hinted| format!(" HINT {}", hinted.hint())).unwrap_or_default();
    format!("{error:#}{hint}")
}

pub(crate) fn error(reference: &str) -> String {
    error_with(reference, &options())
}

#[track_caller]
pub(crate) fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// The uncompressed tars, lowest first.
pub(crate) fn tars(image: &OciImage) -> Vec<Vec<u8>> {
    let read = |layer: &diskwright::source::Layer| {
        let mut bytes = vec![0; usize::try_from(layer.tar_len).unwrap()];
        layer.tar.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(layer.tar.metadata().unwrap().len(), layer.tar_len);
        assert_eq!(Digest::sha256(&bytes).to_string(), layer.diff_id);
        bytes
    };
    image.layers.iter().map(read).collect()
}

/// Runs a judge; one that is missing fails the test with the name of its package.
pub(crate) fn judge(package: &str, command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error} (apt-get install {package})"))
}

pub(crate) fn skopeo(arguments: &[&str]) -> String {
    let output = judge("skopeo", Command::new("skopeo").arg("--insecure-policy").args(arguments));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// What skopeo thinks the manifest's digest is.
pub(crate) fn skopeo_digest(reference: &str, arguments: &[&str]) -> String {
    let mut all = arguments.to_vec();
    all.extend(["inspect", "--no-tags", "--format", "{{.Digest}}", reference]);
    skopeo(&all).trim().to_owned()
}

/// The same over plain HTTP.
pub(crate) fn skopeo_digest_http(reference: &str) -> String {
    let arguments = ["inspect", "--tls-verify=false", "--no-tags", "--format", "{{.Digest}}", reference];
    skopeo(&arguments).trim().to_owned()
}
