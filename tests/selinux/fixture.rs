//! A small bootable image of two layers that carries Debian's policy.

use std::{collections::BTreeSet, fs, path::Path};

use diskwright::{
    blueprint::Blueprint,
    deploy::{
        Volume, Wishes,
        arch::Arch,
        deploy,
        image::{ImageConfig, LayerId},
    },
    ids::Ids,
    merge::Merged,
};
use diskwright_formats::data::Data;
use serde_json::json;
use tar::EntryType;

use crate::judge::POLICY;

pub(crate) const DIGESTS: [&str; 2] = ["sha256:aa", "sha256:bb"];
/// What the first layer holds beside the policy.
const BASE: &[(&str, &[u8])] = &[
    ("usr/bin/sudo", b"sudo"),
    ("usr/bin/mount", b"mount"),
    ("usr/bin/sh", b"shell"),
    ("usr/share/doc/readme", b"text"),
    ("usr/share/empty", b""),
    ("usr/lib/debug/x", b"no label of its own"),
    ("usr/lib/modules/6.1/vmlinuz", b"kernel"),
    ("usr/lib/modules/6.1/initramfs.img", b"initramfs"),
    ("usr/lib/ostree/prepare-root.conf", b"[composefs]\nenabled = yes\n"),
    ("usr/lib/os-release", b"ID=debian\nPRETTY_NAME=Debian\n"),
    ("usr/lib/shim/shimx64.efi.signed", b"shim"),
    ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", b"grub\0blscfg\0"),
    ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
    ("etc/group", b"root:x:0:\nusers:x:100:\n"),
    ("etc/shadow", b"root:*:19000::::::\n"),
    ("etc/gshadow", b"root:*::\n"),
    ("etc/login.defs", b"UID_MIN 1000\nUSERGROUPS_ENAB yes\n"),
    ("etc/init.d/thing", b"by substitution"),
    ("var/log/lastlog", b"log"),
    ("var/lib/dpkg/status", b"status"),
    ("opt/thing/file", b"beside /usr"),
];
const DIRECTORIES: [&str; 6] = ["sysroot", "proc", "run", "tmp", "root", "dev"];
const BLUEPRINT: &str = "\
customizations:
  user:
    - name: demo
      key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILAF64YtqEUoIpnBWoMjwrS1TLaHViT/qeVG98n9ycdG admin@example.com
  files:
    - path: /etc/ssh/sshd_config
      data: x
";

/// What is changed of the fixture.
#[derive(Clone, Copy, Default)]
pub(crate) struct Change {
    /// Text of /etc/selinux/config; Debian's if not given.
    pub(crate) config: Option<&'static str>,
    /// A file of the policy's `contexts/files` that is left out.
    pub(crate) without: &'static str,
}

/// The volumes of the image.
pub(crate) fn volumes(change: Change) -> anyhow::Result<Vec<Volume>> {
    let mut merged = Merged::default();
    merged.add_layer(Data::from_bytes(base(change)))?;
    merged.add_layer(Data::from_bytes(derived()))?;
    let layers = DIGESTS.map(|digest| LayerId { digest: digest.into(), diff_id: digest.into() });
    let config = json!({"architecture": "amd64", "config": {"Labels": {"containers.bootc": "1"}}});
    let manifest = json!({"schemaVersion": 2}).to_string();
    let image = ImageConfig::parse(
        "oci:x",
        "sha256:cc",
        manifest.as_bytes(),
        config.to_string().as_bytes(),
        layers.into(),
    )?;
    let blueprint = Blueprint::from_yaml(BLUEPRINT, "blueprint.yaml")?;
    let wishes = Wishes {
        arch: Arch::X86_64,
        rootfs: None,
        kargs: &[],
        default_kargs: true,
        target: "registry.example.com/os:1",
        blueprint: &blueprint,
        skip_bound_images: false,
        root_ssh_keys: None,
    };
    deploy(&image, merged, &wishes, &Ids::new("sha256:cc", b"", 1_700_000_000), &())
}

fn base(change: Change) -> Vec<u8> {
    let mut tar = Layer::default();
    for (path, content) in BASE {
        tar.file(path, content);
    }
    DIRECTORIES.iter().for_each(|path| tar.directory(path));
    for (name, target) in [("ostree", "sysroot/ostree"), ("bin", "usr/bin"), ("home", "var/home")] {
        tar.link(EntryType::Symlink, name, target);
    }
    tar.link(EntryType::Link, "usr/lib/also-mount", "usr/bin/mount");
    tar.policy(change);
    tar.0.into_inner().unwrap()
}

fn derived() -> Vec<u8> {
    let mut tar = Layer::default();
    tar.file("usr/bin/passwd", b"passwd");
    tar.file("usr/share/doc/.wh.readme", b"");
    tar.link(EntryType::Symlink, "usr/bin/link", "sudo");
    tar.file("etc/sudoers", b"sudoers");
    tar.0.into_inner().unwrap()
}

struct Layer(tar::Builder<Vec<u8>>, BTreeSet<String>);

impl Default for Layer {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()), BTreeSet::new())
    }
}

impl Layer {
    fn header(kind: EntryType, mode: u32, size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header
    }

    fn file(&mut self, path: &str, content: &[u8]) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        let mode = if path.contains("/bin/") { 0o755 } else { 0o644 };
        self.0
            .append_data(&mut Self::header(EntryType::Regular, mode, content.len()), path, content)
            .unwrap();
    }

    fn directory(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        if self.1.insert(path.to_owned()) {
            self.0.append_data(&mut Self::header(EntryType::Directory, 0o755, 0), path, &[][..]).unwrap();
        }
    }

    fn link(&mut self, kind: EntryType, path: &str, target: &str) {
        self.0.append_link(&mut Self::header(kind, 0o777, 0), path, target).unwrap();
    }

    fn policy(&mut self, change: Change) {
        let files = Path::new(POLICY).join("contexts/files");
        for entry in fs::read_dir(&files).expect("install the package selinux-policy-default").flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name != change.without {
                self.file(
                    &format!("etc/selinux/default/contexts/files/{name}"),
                    &fs::read(entry.path()).unwrap(),
                );
            }
        }
        self.file("etc/selinux/default/policy/policy.33", b"never read");
        let config = change.config.unwrap_or("SELINUX=permissive\nSELINUXTYPE=default\n");
        self.file("etc/selinux/config", config.as_bytes());
    }
}
