//! The keys that divide the disk, for the tests of every key.

use diskwright::{
    blueprint::Document,
    deploy::{
        Volume,
        storage::{Content, What},
    },
};

/// A leaf, customizations without it, and the same with it.
pub(crate) const LEAVES: &[(&str, &str, &str)] = &[
    ("filesystem.mountpoint", "{}", "{filesystem: [{mountpoint: /var}]}"),
    (
        "filesystem.minsize",
        "{filesystem: [{mountpoint: /var}]}",
        "{filesystem: [{mountpoint: /var, minsize: 3 GiB}]}",
    ),
    (
        "partitioning_mode",
        "{filesystem: [{mountpoint: /var}]}",
        "{filesystem: [{mountpoint: /var}], partitioning_mode: auto-lvm}",
    ),
    (
        "disk.type",
        "{disk: {partitions: [{mountpoint: /}]}}",
        "{disk: {type: dos, partitions: [{mountpoint: /}]}}",
    ),
    (
        "disk.minsize",
        "{disk: {partitions: [{mountpoint: /}]}}",
        "{disk: {minsize: 5 GiB, partitions: [{mountpoint: /}]}}",
    ),
    (
        "disk.start_offset",
        "{disk: {partitions: [{mountpoint: /}]}}",
        "{disk: {start_offset: 8 MiB, partitions: [{mountpoint: /}]}}",
    ),
    (
        "disk.sector_size",
        "{disk: {partitions: [{mountpoint: /}]}}",
        "{disk: {sector_size: 4096, partitions: [{mountpoint: /}]}}",
    ),
    ("disk.partitions.mountpoint", "{}", "{disk: {partitions: [{mountpoint: /var}]}}"),
    ("disk.partitions.minsize", PLAIN, "{disk: {partitions: [{mountpoint: /var, minsize: 3 GiB}]}}"),
    (
        "disk.partitions.part_type",
        PLAIN,
        "{disk: {partitions: [{mountpoint: /var, part_type: 4d21b016-b534-45c2-a9fb-5c16e091fd2d}]}}",
    ),
    ("disk.partitions.part_label", PLAIN, "{disk: {partitions: [{mountpoint: /var, part_label: x}]}}"),
    (
        "disk.partitions.part_uuid",
        PLAIN,
        "{disk: {partitions: [{mountpoint: /var, part_uuid: 01234567-89ab-cdef-0123-456789abcdef}]}}",
    ),
    ("disk.partitions.label", PLAIN, "{disk: {partitions: [{mountpoint: /var, label: x}]}}"),
    (
        "disk.partitions.fs_type",
        "{disk: {partitions: [{mountpoint: /var/x}]}}",
        "{disk: {partitions: [{mountpoint: /var/x, fs_type: vfat}]}}",
    ),
    ("disk.partitions.type", PLAIN, LOCKED),
    (
        "disk.partitions.passphrase",
        KEY_FILE,
        "{disk: {partitions: [{type: luks, passphrase: p, key_file: KEYFILE, mountpoint: /}]}}",
    ),
    (
        "disk.partitions.key_file",
        LOCKED,
        "{disk: {partitions: [{type: luks, passphrase: p, key_file: KEYFILE, mountpoint: /}]}}",
    ),
    (
        "disk.partitions.tpm2.pcrs",
        "{disk: {partitions: [{type: luks, passphrase: p, mountpoint: /, tpm2: {}}]}}",
        "{disk: {partitions: [{type: luks, passphrase: p, mountpoint: /, tpm2: {pcrs: [7]}}]}}",
    ),
    (
        "disk.partitions.reproducible",
        LOCKED,
        "{disk: {partitions: [{type: luks, passphrase: p, mountpoint: /, reproducible: true}]}}",
    ),
    (
        "disk.partitions.name",
        GROUP,
        "{disk: {partitions: [{type: lvm, name: g, logical_volumes: [{name: a, mountpoint: /var}]}]}}",
    ),
    (
        "disk.partitions.logical_volumes.name",
        GROUP,
        "{disk: {partitions: [{type: lvm, logical_volumes: [{name: b, mountpoint: /var}]}]}}",
    ),
    (
        "disk.partitions.logical_volumes.mountpoint",
        GROUP,
        "{disk: {partitions: [{type: lvm, logical_volumes: [{name: a, mountpoint: /var/x}]}]}}",
    ),
    (
        "disk.partitions.logical_volumes.minsize",
        GROUP,
        "{disk: {partitions: [{type: lvm, logical_volumes: [{name: a, mountpoint: /var, minsize: 3 GiB}]}]}}",
    ),
    (
        "disk.partitions.logical_volumes.label",
        GROUP,
        "{disk: {partitions: [{type: lvm, logical_volumes: [{name: a, mountpoint: /var, label: x}]}]}}",
    ),
    (
        "disk.partitions.logical_volumes.fs_type",
        "{disk: {partitions: [{type: lvm, logical_volumes: [{name: a, mountpoint: /var/x}]}]}}",
        "{disk: {partitions: [{type: lvm, logical_volumes: [{name: a, mountpoint: /var/x, fs_type: vfat}]}]}}",
    ),
];
const PLAIN: &str = "{disk: {partitions: [{mountpoint: /var}]}}";
const LOCKED: &str = "{disk: {partitions: [{type: luks, passphrase: p, mountpoint: /}]}}";
const KEY_FILE: &str = "{disk: {partitions: [{type: luks, key_file: KEYFILE, mountpoint: /}]}}";
const GROUP: &str = "{disk: {partitions: [{type: lvm, logical_volumes: [{name: a, mountpoint: /var}]}]}}";
/// Leaves of which no blueprint makes anything, and one that asks for each.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("disk.partitions.subvolumes.name", "{disk: {partitions: [{type: btrfs, subvolumes: [{name: root}]}]}}"),
    (
        "disk.partitions.subvolumes.mountpoint",
        "{disk: {partitions: [{type: btrfs, subvolumes: [{mountpoint: /}]}]}}",
    ),
];

#[test]
fn what_cannot_be_written_is_refused_when_it_is_read() {
    for (leaf, text) in REFUSED {
        let error = Document::read(&format!("customizations: {text}"), "b.yaml").expect_err(leaf);
        assert_eq!(error.field(), "customizations.disk.partitions[0].type");
        assert!(error.to_string().contains("btrfs cannot be written yet"), "{error}");
    }
}

/// All that is said of a volume beside the files in it.
pub(crate) fn described(volume: &Volume) -> String {
    let Volume { name, type_uuid, dos_type, partition_uuid, attributes, size, what } = volume;
    format!("{name} {type_uuid} {dos_type:?} {partition_uuid} {attributes} {size} {}", content(what))
}

fn content(what: &What<Content>) -> String {
    match what {
        What::BiosBoot | What::Raw | What::Swap { .. } => format!("{what:?}"),
        What::Filesystem(content) => format!("{:?}", content.filesystem),
        What::Group(group) => {
            let members = group.members.iter();
            let members: Vec<_> = members
                .map(|member| {
                    format!("{} {} {} {}", member.name, member.uuid, member.size, content(&member.what))
                })
                .collect();
            format!("{} {} {} {members:?}", group.name, group.uuid, group.physical_uuid)
        }
        What::Locked(locked) => {
            let secrets = (&locked.seed, &locked.secrets, &locked.key_file, &locked.tpm2);
            format!("{} {secrets:?} {}", locked.uuid, content(&locked.what))
        }
    }
}
