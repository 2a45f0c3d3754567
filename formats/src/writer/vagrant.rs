//! A Vagrant box for libvirt: a gzipped tar archive of a QCOW2 disk and what
//! Vagrant wants to know of it. The disk is plain, so that it is compressed
//! once, by the archive.
//!
//! ```text
//! metadata.json | Vagrantfile | box.img
//! ```
//!
//! Source: Vagrant, "Box File Format"; vagrant-libvirt, "Create Box".

use super::{
    FormatWriter, Medium, Options, Output, Progress, Spec, Uses,
    parts::{
        append::Append,
        gzip, qcow2,
        tar::{self, Member},
    },
    progress::Capped,
};
use crate::{Result, sparse::Sparse, units::GIB};

static SPEC: Spec = Spec {
    name: "vagrant",
    aliases: &["vagrant-libvirt"],
    path: "vagrant/libvirt.box",
    size_multiple: 512,
    medium: Medium::Disk,
    about: "a Vagrant box for libvirt",
};

/// A Vagrant box.
#[derive(Debug)]
pub struct Vagrant;

impl FormatWriter for Vagrant {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn uses(&self) -> Uses {
        Uses::MACHINE_SIZE
    }

    fn write(
        &self,
        disk: &Sparse,
        options: &Options,
        out: &dyn Output,
        progress: &dyn Progress,
    ) -> Result<()> {
        SPEC.check(disk)?;
        let image = qcow2::lay_out(disk)?;
        let metadata = text(&format!(
            "{{\"provider\": \"libvirt\", \"format\": \"qcow2\", \"virtual_size\": {}}}\n",
            disk.len().div_ceil(GIB)
        ));
        let vagrantfile = text(&vagrantfile(options));
        let member = |name, content: &Sparse| Member::file(name, content.len(), options.time);
        let archive = tar::archive(&[
            (member("metadata.json", &metadata), &metadata),
            (member("Vagrantfile", &vagrantfile), &vagrantfile),
            (member("box.img", &image), &image),
        ])?;
        let mut to = Append::new(out, 0, "writing the box");
        gzip::write(&archive, &mut to, None, &Capped::new(disk, progress))
    }
}

fn text(text: &str) -> Sparse {
    Sparse::from_bytes(text.as_bytes())
}

/// Defaults that the owner's own Vagrantfile can override.
fn vagrantfile(options: &Options) -> String {
    let mut text = String::from("Vagrant.configure(\"2\") do |config|\n");
    text += "  config.vm.provider :libvirt do |libvirt|\n";
    text += "    libvirt.driver = \"kvm\"\n";
    text += &format!("    libvirt.cpus = {}\n", options.machine.cpus);
    text += &format!("    libvirt.memory = {}\n", options.machine.memory_mib);
    text + "  end\nend\n"
}
