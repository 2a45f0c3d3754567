//! A bootable image with any bytes as its second layer, up to the volumes and their smallest sizes.

#![no_main]

use std::sync::LazyLock;

use diskwright::{
    blueprint::Blueprint,
    deploy::{
        Wishes,
        arch::Arch,
        deploy,
        image::{ImageConfig, LayerId},
    },
    ids::Ids,
};
use diskwright_formats::{data::Data, filesystem::{Identity, by_name}};
use diskwright_fuzz::{archives, base, documents, seed, with_checksums};
use libfuzzer_sys::fuzz_target;

static IMAGE: LazyLock<ImageConfig> = LazyLock::new(|| {
    let (manifest, config) = documents(2);
    let layers = [1, 2].map(|n| LayerId { digest: format!("sha256:{n:064}"), diff_id: format!("sha256:{n:064}") });
    let digest = format!("sha256:{:064}", 0);
    ImageConfig::parse("oci:x", &digest, &manifest, &config, layers.to_vec()).expect("sound documents")
});

fuzz_target!(init: seed(archives()), |data: &[u8]| {
    let mut merged = base();
    if merged.add_layer(Data::from_bytes(with_checksums(data))).is_err() {
        return;
    }
    let blueprint = Blueprint::from_yaml("customizations: {hostname: h, user: [{name: a}], files: [{path: /etc/a/b}]}", "b")
        .expect("a sound blueprint");
    let target = "registry.example.com/os:1";
    let wishes = Wishes {
        arch: Arch::X86_64,
        rootfs: None,
        kargs: &[],
        default_kargs: true,
        target,
        blueprint: &blueprint,
        skip_bound_images: true,
        root_ssh_keys: Some("ssh-ed25519 AAAA a\n"),
    };
    let ids = Ids::new("sha256:0", b"", 0);
    let Ok(volumes) = deploy(&IMAGE, merged, &wishes, &ids, &()) else { return };
    for volume in volumes {
        let Some(content) = volume.content else { continue };
        let Some(filesystem) = by_name(content.filesystem) else { continue };
        let label = volume.name.to_owned();
        let identity = Identity { uuid: content.uuid, label, time: ids.time(), sector_size: 512, offset: 1 << 20 };
        if let Ok(size) = filesystem.min_size(&content.tree, &identity)
            && let Err(error) = filesystem.mkfs(&content.tree, &identity, size.max(volume.size))
        {
            panic!("{} is measured and then refused: {error}", content.filesystem);
        }
    }
});
