//! A virtual appliance: a tar archive of a description, digests and a
//! streamOptimized VMDK.
//!
//! ```text
//! image.ovf | image.mf | image.vmdk
//! ```
//!
//! The disk is streamed into its place. Its length and digest are known only
//! then, so the members before it are written after it: the manifest has one
//! length whatever it says, and the description is padded to one.
//!
//! Source: DMTF DSP0243, "Open Virtualization Format", 1.1.0, sections 5 to 9.
//! Left out on purpose: certificates, several disks or machines.

mod ovf;

use sha2::{Digest, Sha256};

use super::{
    FormatWriter, Medium, Options, Output, Progress, Spec, Uses,
    parts::{
        append::Append,
        tar::{self, BLOCK, Member},
        vmdk,
    },
};
use crate::{Error, Result, sparse::Sparse};

const OVF: &str = "image.ovf";
const MANIFEST: &str = "image.mf";
const DISK: &str = "image.vmdk";

static SPEC: Spec = Spec {
    name: "ova",
    aliases: &["vsphere-ova"],
    path: "archive/image.ova",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "a virtual appliance for vSphere, VirtualBox and others",
};

/// An appliance.
#[derive(Debug)]
pub struct Ova;

impl FormatWriter for Ova {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn uses(&self) -> Uses {
        Uses::MACHINE_SIZE | Uses::MACHINE
    }

    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        SPEC.check(disk)?;
        let description_len = ovf::render(disk, u64::MAX, options).len();
        let description = Member::file(OVF, description_len as u64, options.time);
        let manifest = Member::file(MANIFEST, manifest(&[0; 32], &[0; 32]).len() as u64, options.time);
        let disk_header = description.space() + manifest.space();

        let mut to = Append::new(out, disk_header + BLOCK, "writing the appliance").hashed();
        vmdk::stream::write(disk, options, &mut to, progress)?;
        let vmdk = Member::file(DISK, to.len(), options.time);
        let digest = to.digest();

        let mut text = ovf::render(disk, vmdk.size, options);
        text.extend(std::iter::repeat_n('\n', description_len - text.len()));
        let sums = manifest_of(&text, &digest);
        put(out, 0, &description, text.as_bytes())?;
        put(out, description.space(), &manifest, sums.as_bytes())?;
        put(out, disk_header, &vmdk, &[])?;
        out.set_len(tar::archive_len(disk_header + vmdk.space()))
            .map_err(Error::io("setting the length of the appliance"))
    }
}

/// Writes a member's header, and its content after it.
fn put(out: &dyn Output, at: u64, member: &Member<'_>, content: &[u8]) -> Result<()> {
    let bytes = [&member.header()?[..], content].concat();
    out.write_all_at(&bytes, at).map_err(Error::io("writing the appliance"))
}

fn manifest_of(description: &str, disk: &[u8; 32]) -> String {
    manifest(&Sha256::digest(description).into(), disk)
}

fn manifest(description: &[u8; 32], disk: &[u8; 32]) -> String {
    let line = |name: &str, digest: &[u8; 32]| {
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("SHA256({name})= {digest}\n")
    };
    line(OVF, description) + &line(DISK, disk)
}
