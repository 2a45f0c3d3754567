//! A tiny image that has everything a blueprint can ask for, and what is made of it.

use std::collections::BTreeMap;

use diskwright::{
    blueprint::Blueprint,
    deploy::{
        Wishes,
        arch::Arch,
        deploy,
        image::{ImageConfig, LayerId},
        storage::Secrets,
    },
    ids::Ids,
    merge::Merged,
};
use diskwright_formats::{
    data::Data,
    tree::{Kind, Meta, NodeId, Tree},
};

use crate::{
    layout::described,
    tiny::{Member, Tiny},
};

/// A key file, as a blueprint names it.
pub(crate) const KEY_FILE: &str = "key";

const WANTED: &str = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
const FILES: &[(&str, &str)] = &[
    ("usr/lib/systemd/system/ssh.service", "[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n"),
    ("usr/lib/systemd/system/getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n"),
    ("usr/lib/systemd/system/crio.service", WANTED),
    ("usr/lib/systemd/system/kubelet.service", WANTED),
    ("usr/lib/systemd/system/cloud-init.service", WANTED),
    ("usr/lib/systemd/system/static.service", "[Service]\nExecStart=/bin/true\n"),
    ("usr/lib/systemd/system/multi-user.target", "[Unit]\n"),
    ("usr/share/zoneinfo/Europe/Vienna", "TZif2"),
    ("usr/share/zoneinfo/UTC", "TZif2"),
    ("etc/chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst\ndriftfile /var/lib/chrony/drift\n"),
    ("usr/lib/locale/de_AT.utf8/LC_CTYPE", "x"),
    ("usr/lib/locale/locale-archive", "\0fr_FR.utf8\0en_US.utf8\0"),
    ("usr/share/kbd/keymaps/xkb/de.map.gz", "x"),
    (
        "usr/lib/firewalld/zones/public.xml",
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<zone>\n  <short>Public</short>\n  <service name=\"ssh\"/>\n</zone>\n",
    ),
    (
        "usr/lib/firewalld/zones/trusted.xml",
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<zone target=\"ACCEPT\">\n</zone>\n",
    ),
    ("usr/lib/firewalld/services/ssh.xml", "<service/>"),
    ("usr/lib/firewalld/services/http.xml", "<service/>"),
    ("etc/firewalld/firewalld.conf", "DefaultZone=public\n"),
    ("etc/services", "imap 143/tcp imap2 # mail\n"),
    ("etc/ssh/sshd_config", "# comment\nInclude /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n"),
    ("etc/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
    ("etc/sudoers.d/README", "x"),
    ("usr/share/crypto-policies/FIPS/openssl.txt", "x"),
    ("usr/bin/cloud-init", "x"),
    ("usr/lib/dracut/modules.d/30ignition/module-setup.sh", "x"),
    ("usr/lib/bootupd/grub2-static/configs.d/05_ignition.cfg", "x"),
];

/// Names of the volumes that every disk has, by their mount points.
const USUAL: [(&str, &str); 3] = [("/", "root"), ("/boot", "boot"), ("/boot/efi", "EFI-SYSTEM")];

/// The image.
pub(crate) fn full() -> Tiny {
    let tiny = FILES.iter().fold(Tiny::default(), |tiny, (path, text)| tiny.with_file(path, text));
    let tiny = tiny.with(Member::directory("etc/systemd/system/"));
    let groups = "root:x:0:\nwheel:x:10:\nvideo:x:44:\nusers:x:100:\ninput:x:101:\n";
    let tiny = tiny.without("etc/group").with_file("etc/group", groups);
    tiny.with(Member::symlink("usr/local", "../var/usrlocal"))
}

/// Path (with the volume's name) to all that is there, of what a deployment of the image with a blueprint makes.
pub(crate) fn deployed(image: &Tiny, blueprint: &Blueprint) -> anyhow::Result<BTreeMap<String, String>> {
    let mut merged = Merged::default();
    let mut layers = Vec::new();
    for (index, archive) in image.archives().into_iter().enumerate() {
        merged.add_layer(Data::from_bytes(archive))?;
        let digest = format!("sha256:{index:064}");
        layers.push(LayerId { digest: digest.clone(), diff_id: digest });
    }
    let config = br#"{"architecture": "amd64", "config": {"Labels": {"containers.bootc": "1"}}}"#;
    let image = ImageConfig::parse("oci:x", "sha256:cc", br#"{"schemaVersion": 2}"#, config, layers)?;
    let key_files = [(KEY_FILE.to_owned(), b"content".to_vec())].into();
    let secrets = Secrets { key_files, ..Secrets::default() };
    let wishes = Wishes {
        arch: Arch::X86_64,
        rootfs: None,
        kargs: &[],
        default_kargs: true,
        target: "registry.example.com/os:1",
        blueprint,
        skip_bound_images: false,
        root_ssh_keys: None,
        secrets: &secrets,
    };
    let mut found = BTreeMap::new();
    let deployed = deploy(&image, merged, &wishes, &Ids::new("sha256:cc", b"", 1_700_000_000), &())?;
    found.insert("table".to_owned(), format!("{:?}", deployed.table));
    for (number, volume) in (1..).zip(&deployed.volumes) {
        found.insert(format!("partition {number}"), described(volume));
        let mut contents = Vec::new();
        volume.what.filesystems(&mut contents);
        for content in contents {
            let place = content.filesystem.mountpoint.as_deref().unwrap_or(&volume.name);
            let name = USUAL.iter().find(|(usual, _)| *usual == place).map_or(place, |(_, name)| name);
            for (path, id) in content.tree.walk() {
                let path = format!("{name}/{}", String::from_utf8_lossy(&path));
                found.insert(path, describe(&content.tree, id));
            }
        }
    }
    Ok(found)
}

fn describe(tree: &Tree, id: NodeId) -> String {
    let node = tree.node(id);
    let Meta { mode, uid, gid, .. } = node.meta;
    let content = match &node.kind {
        Kind::File(content) => String::from_utf8_lossy(&content.to_vec().unwrap()).into_owned(),
        Kind::Symlink(target) => String::from_utf8_lossy(target).into_owned(),
        _ => String::new(),
    };
    format!("{mode:o} {uid}:{gid} {content}")
}

/// The part of a path below the deployment's /etc or the stateroot's /var: "etc/hostname".
pub(crate) fn short(path: &str) -> Option<String> {
    let etc = path.split_once(".0/etc/").map(|(_, rest)| format!("etc/{rest}"));
    etc.or_else(|| path.split_once("/deploy/default/var/").map(|(_, rest)| format!("var/{rest}")))
}
