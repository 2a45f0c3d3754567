//! A complete bootable OCI image of a few kilobytes, made in memory, and every way to break it.
//!
//! ```text
//! Tiny (members, labels, architecture) --write--> Layout (a directory; blobs can still be changed)
//! ```
//!
//! Members are written header by header, because hostile archives are the point: any name, any type,
//! any pax record.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Media type of an image manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Time of every member and of the image, 2026-01-01.
const TIME: u64 = 1_767_225_600;
const BLOCK: usize = 512;

/// A header block of an archive, with what goes before and after it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Path in the archive; more than 100 bytes become a pax record.
    pub(crate) name: Vec<u8>,
    /// Type flag: `b'0'` file, `b'1'` hard link, `b'2'` symbolic link, `b'3'` character device, `b'5'` directory.
    pub(crate) kind: u8,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Target of a link.
    pub(crate) link: Vec<u8>,
    /// Content.
    pub(crate) content: Vec<u8>,
    /// Records of an extended header before it.
    pub(crate) pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Member {
    fn new(kind: u8, mode: u32, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref().to_vec();
        Self { name, kind, mode, link: Vec::new(), content: Vec::new(), pax: Vec::new() }
    }

    /// A regular file.
    pub(crate) fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self { content: content.as_ref().to_vec(), ..Self::new(b'0', 0o644, name) }
    }

    /// A directory.
    pub(crate) fn directory(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', 0o755, name)
    }

    /// A symbolic link.
    pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { link: target.as_ref().to_vec(), ..Self::new(b'2', 0o777, name) }
    }

    /// A hard link.
    pub(crate) fn hardlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { link: target.as_ref().to_vec(), ..Self::new(b'1', 0o644, name) }
    }

    /// A character device, 1:3.
    pub(crate) fn device(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'3', 0o666, name)
    }

    /// With a record in its extended header.
    #[must_use]
    pub(crate) fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Its blocks.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut records = self.pax.clone();
        for (key, value) in [("path", &self.name), ("linkpath", &self.link)] {
            if value.len() > 100 {
                records.push((key.into(), value.clone()));
            }
        }
        let text: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        let extension = if records.is_empty() { Vec::new() } else { blocks(b'x', 0o644, b"pax", b"", &text) };
        [extension, blocks(self.kind, self.mode, &self.name, &self.link, &self.content)].concat()
    }
}

/// `LENGTH KEY=VALUE\n`, the length counting itself.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [format!("{len} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

/// A header and its padded content.
pub(crate) fn blocks(kind: u8, mode: u32, name: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let fields = header.as_gnu_mut().expect("a GNU header");
    let (name, link) = (&name[..name.len().min(100)], &link[..link.len().min(100)]);
    fields.name[..name.len()].copy_from_slice(name);
    fields.linkname[..link.len()].copy_from_slice(link);
    if kind == b'3' {
        fields.set_device_major(1);
        fields.set_device_minor(3);
    }
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(TIME);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// An archive of members.
pub(crate) fn archive(members: &[Member]) -> Vec<u8> {
    let mut bytes: Vec<u8> = members.iter().flat_map(Member::bytes).collect();
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

/// `bytes` compressed, fast.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Bytes that do not compress, the same each time.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(&mut step).take(len).collect()
}

/// What passes for an installer: the head of a static program of amd64 that has no segments.
pub(crate) fn installer() -> Vec<u8> {
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.resize(64, 0);
    head[16..20].copy_from_slice(&[2, 0, 62, 0]);
    (head[52], head[54]) = (64, 56);
    head
}

/// `sha256:...` of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An image that boots as far as any tool can tell without starting it.
#[derive(Clone, Debug)]
pub(crate) struct Tiny {
    /// Members of the first layer, in order.
    pub(crate) members: Vec<Member>,
    /// Further layers, as archives.
    pub(crate) layers: Vec<Vec<u8>>,
    /// Labels of the config.
    pub(crate) labels: Vec<(String, String)>,
    /// Architecture of the config.
    pub(crate) architecture: String,
}

const FILES: &[(&str, &str)] = &[
    ("usr/lib/modules/6.1.0/vmlinuz", "kernel"),
    ("usr/lib/modules/6.1.0/initramfs.img", "initramfs"),
    ("usr/lib/ostree/prepare-root.conf", "[composefs]\nenabled = yes\n"),
    ("usr/lib/os-release", "ID=debian\nPRETTY_NAME=\"Tiny 1\"\n"),
    ("usr/lib/shim/shimx64.efi.signed", "shim"),
    ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "grub /EFI/debian\0"),
    ("usr/lib/bootc/install/00.toml", "[install.filesystem.root]\ntype = \"ext4\"\n"),
    ("etc/passwd", "root:x:0:0:root:/root:/usr/bin/bash\n"),
    ("etc/group", "root:x:0:\nwheel:x:10:\nusers:x:100:\n"),
    ("etc/shadow", "root:*:20000:0:99999:7:::\n"),
    ("etc/login.defs", "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\n"),
];

impl Default for Tiny {
    fn default() -> Self {
        let directories = ["sysroot/", "var/", "boot/", "tmp/", "run/", "proc/", "sys/", "dev/"];
        let mut members: Vec<_> = directories.iter().map(Member::directory).collect();
        members.extend(FILES.iter().map(|(path, content)| Member::file(path, content)));
        members.push(Member { mode: 0o755, ..Member::file("usr/bin/bash", "shell") });
        members.push(Member::symlink("usr/bin/sh", "bash"));
        let links = [("bin", "usr/bin"), ("home", "var/home"), ("root", "var/roothome")];
        members.extend(links.map(|(name, target)| Member::symlink(name, target)));
        let labels = vec![("containers.bootc".to_owned(), "1".to_owned())];
        Self { members, layers: Vec::new(), labels, architecture: "amd64".to_owned() }
    }
}

impl Tiny {
    /// Without every member whose path starts so.
    #[must_use]
    pub(crate) fn without(mut self, path: &str) -> Self {
        self.members.retain(|member| !member.name.starts_with(path.as_bytes()));
        self
    }

    /// With one more member at the end of the first layer.
    #[must_use]
    pub(crate) fn with(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// With a file, which replaces one of that name.
    #[must_use]
    pub(crate) fn with_file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.with(Member::file(path, content))
    }

    /// With GRUB for BIOS, as this machine has it.
    #[must_use]
    pub(crate) fn with_grub_for_bios(self) -> Self {
        const GRUB: &str = "/usr/lib/grub/i386-pc";
        let entries =
            fs::read_dir(GRUB).unwrap_or_else(|error| panic!("{GRUB} (package grub-pc-bin): {error}"));
        let paths = entries.map(|entry| entry.expect("a name").path()).filter(|path| path.is_file());
        paths.fold(self, |tiny, path| {
            let name = path.strip_prefix("/").expect("an absolute path").display().to_string();
            tiny.with_file(&name, fs::read(&path).expect("a module"))
        })
    }

    /// Without anything for UEFI.
    #[must_use]
    pub(crate) fn without_uefi(self) -> Self {
        self.without("usr/lib/shim/").without("usr/lib/grub/x86_64-efi")
    }

    /// With an archive of any bytes as the last layer.
    #[must_use]
    pub(crate) fn with_layer(mut self, archive: impl Into<Vec<u8>>) -> Self {
        self.layers.push(archive.into());
        self
    }

    /// For another architecture, by its OCI name.
    #[must_use]
    pub(crate) fn for_architecture(mut self, name: &str) -> Self {
        self.architecture = name.to_owned();
        self
    }

    /// Without a label of the config.
    #[must_use]
    pub(crate) fn without_labels(mut self) -> Self {
        self.labels.clear();
        self
    }

    /// Every layer as an archive.
    pub(crate) fn archives(&self) -> Vec<Vec<u8>> {
        [vec![archive(&self.members)], self.layers.clone()].concat()
    }

    /// Writes the image as an OCI layout, tagged "v1".
    pub(crate) fn write(&self) -> Layout {
        let layout = Layout { dir: tempfile::tempdir().expect("a temporary directory") };
        fs::create_dir_all(layout.path().join("blobs/sha256")).expect("a directory");
        fs::write(layout.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");
        let archives = self.archives();
        let diff_ids: Vec<_> = archives.iter().map(|archive| digest(archive)).collect();
        let labels: serde_json::Map<_, _> =
            self.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        let config = json!({"architecture": self.architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {"Labels": labels}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let layers: Vec<_> = archives.iter().map(|archive| layout.blob(LAYER, &gzip(archive))).collect();
        let config = layout.blob(CONFIG, config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        layout.set_index(&json!([layout.blob(MANIFEST, manifest.to_string().as_bytes())]));
        layout
    }
}

/// An OCI layout in a temporary directory.
#[derive(Debug)]
pub(crate) struct Layout {
    dir: TempDir,
}

impl Layout {
    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What to write on a command line.
    pub(crate) fn reference(&self) -> String {
        format!("oci:{}:v1", self.path().display())
    }

    /// Stores a blob; its descriptor.
    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        fs::write(self.blob_path(&digest), bytes).expect("a blob");
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Where a blob lies.
    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        self.path().join("blobs").join(digest.replace(':', "/"))
    }

    /// Replaces the index by one of these entries, all tagged "v1".
    pub(crate) fn set_index(&self, entries: &Value) {
        let mut entries = entries.clone();
        for entry in entries.as_array_mut().into_iter().flatten() {
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        fs::write(self.path().join("index.json"), index.to_string()).expect("an index");
    }

    /// The manifest.
    pub(crate) fn manifest(&self) -> Value {
        let index: Value = read_json(&self.path().join("index.json"));
        read_json(&self.blob_path(index["manifests"][0]["digest"].as_str().expect("a digest")))
    }

    /// Changes the manifest; the index follows.
    pub(crate) fn edit_manifest(&self, change: impl FnOnce(&mut Value)) {
        let mut manifest = self.manifest();
        change(&mut manifest);
        self.set_manifest(manifest.to_string().as_bytes());
    }

    /// Replaces the manifest by any bytes.
    pub(crate) fn set_manifest(&self, bytes: &[u8]) {
        self.set_index(&json!([self.blob(MANIFEST, bytes)]));
    }

    /// Changes the config; manifest and index follow.
    pub(crate) fn edit_config(&self, change: impl FnOnce(&mut Value)) {
        let path = self.blob_path(self.manifest()["config"]["digest"].as_str().expect("a digest"));
        let mut config = read_json(&path);
        change(&mut config);
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        self.edit_manifest(|manifest| manifest["config"] = config);
    }

    /// Digest of the blob of a layer.
    pub(crate) fn layer_digest(&self, index: usize) -> String {
        self.manifest()["layers"][index]["digest"].as_str().expect("a digest").to_owned()
    }

    /// Path of the blob of a layer.
    pub(crate) fn layer_path(&self, index: usize) -> PathBuf {
        self.blob_path(&self.layer_digest(index))
    }

    /// Replaces the blob of a layer by any bytes, with digest and size to match.
    pub(crate) fn set_layer(&self, index: usize, bytes: &[u8]) {
        let blob = self.blob(LAYER, bytes);
        self.edit_manifest(|manifest| manifest["layers"][index] = blob);
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a document")).expect("JSON")
}
