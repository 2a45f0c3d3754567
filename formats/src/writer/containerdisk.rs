//! KubeVirt's disk in a container: an OCI archive of an image with one layer,
//! which holds `disk/disk.qcow2` of QEMU's user.
//!
//! ```text
//! layer | config | manifest | index.json | oci-layout
//! ```
//!
//! The disk is plain, so that it is compressed once, by the layer, and nodes
//! run it without decompressing. The layer comes first, because all else has
//! its digest; its own header is written when that is known.
//!
//! Source: KubeVirt user guide, "Disks and Volumes", section "containerDisk";
//! OCI Image Format Specification 1.1.

use sha2::{Digest, Sha256};

use super::{
    FormatWriter, Medium, Options, Output, Progress, Spec, Uses,
    parts::{
        append::Append,
        gzip, qcow2,
        tar::{self, BLOCK, Member},
    },
    progress::Capped,
};
use crate::{Error, Result, sparse::Sparse};

/// User and group that QEMU runs as in KubeVirt.
const QEMU: u32 = 107;

static SPEC: Spec = Spec {
    name: "containerdisk",
    aliases: &["kubevirt"],
    path: "containerdisk/disk.oci.tar",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "KubeVirt's disk in a container, as an OCI archive",
};

/// A container disk.
#[derive(Debug)]
pub struct ContainerDisk;

impl FormatWriter for ContainerDisk {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn uses(&self) -> Uses {
        Uses::PUSH
    }

    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        SPEC.check(disk)?;
        let content = layer(disk, options)?;
        let mut plain = Sha256::new();
        let mut to = Append::new(out, BLOCK, "writing the container disk").hashed();
        gzip::write(&content, &mut to, Some(&mut plain), &Capped::new(disk, progress))?;
        let (len, digest) = (to.len(), hex(&to.digest()));
        let diff_id = hex(&plain.finalize().into());

        let layer = blob_name(&digest);
        let layer = Member::file(&layer, len, options.time);
        out.write_all_at(&layer.header()?, 0).map_err(Error::io("writing the container disk"))?;
        let mut at = layer.space();
        for (name, text) in documents(&digest, len, &diff_id, options) {
            let member = Member::file(&name, text.len() as u64, options.time);
            let bytes = [&member.header()?[..], text.as_bytes()].concat();
            out.write_all_at(&bytes, at).map_err(Error::io("writing the container disk"))?;
            at += member.space();
        }
        out.set_len(tar::archive_len(at)).map_err(Error::io("setting the length of the container disk"))
    }
}

/// The layer before compression.
fn layer(disk: &Sparse, options: &Options) -> Result<Sparse> {
    let image = qcow2::lay_out(disk)?;
    let of_qemu =
        |name, size, mode| Member { mode, uid: QEMU, gid: QEMU, ..Member::file(name, size, options.time) };
    tar::archive(&[
        (of_qemu("disk/", 0, 0o755), &Sparse::new(0)),
        (of_qemu("disk/disk.qcow2", image.len(), 0o440), &image),
    ])
}

/// Names and texts of all that follows the layer.
fn documents(digest: &str, len: u64, diff_id: &str, options: &Options) -> [(String, String); 4] {
    const KIND: &str = "application/vnd.oci.image";
    let architecture: String = options.architecture.chars().filter(char::is_ascii_alphanumeric).collect();
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}}}}"#
    );
    let descriptor = |media: &str, digest: &str, len: u64| {
        format!(r#""mediaType":"{KIND}.{media}","digest":"sha256:{digest}","size":{len}"#)
    };
    let config_digest = sha256(&config);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{KIND}.manifest.v1+json","config":{{{}}},"layers":[{{{}}}]}}"#,
        descriptor("config.v1+json", &config_digest, config.len() as u64),
        descriptor("layer.v1.tar+gzip", digest, len),
    );
    let manifest_digest = sha256(&manifest);
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{KIND}.index.v1+json","manifests":[{{{},"platform":{{"architecture":"{architecture}","os":"linux"}}}}]}}"#,
        descriptor("manifest.v1+json", &manifest_digest, manifest.len() as u64),
    );
    [
        (blob_name(&config_digest), config),
        (blob_name(&manifest_digest), manifest),
        ("index.json".into(), index),
        ("oci-layout".into(), r#"{"imageLayoutVersion":"1.0.0"}"#.into()),
    ]
}

fn blob_name(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text).into())
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
