//! Partition tables that images bring.

use crate::{
    disk::{Disk, cat, check_ext4, etc, judge, names, text},
    tiny::Tiny,
};

const PLACE: &str = "usr/lib/bootc-image-builder/disk.yaml";
const TABLE: &str = "
mount_configuration: units
partition_table:
  type: gpt
  size: 400 MiB
  policy: {ensure_xbootldr: true}
  partitions:
    - {size: 1 MiB, type: 21686148-6449-6E6F-744E-656564454649, payload_type: raw}
    - {size: 48 MiB, payload_type: filesystem, payload: {type: vfat, mountpoint: /boot/efi}}
    - {size: 64 MiB, payload_type: filesystem, payload: {type: ext4, mountpoint: /boot, label: boot}}
    - size: 64 MiB
      label: the-state
      uuid: 11111111-2222-3333-4444-555555555555
      payload_type: filesystem
      payload: {type: ext4, mountpoint: /var, label: state, fstab_options: 'defaults,noatime', fstab_passno: 0}
    - {size: 8 MiB, payload_type: swap}
    - {size: 100 MiB, payload_type: filesystem, payload: {type: ext4, mountpoint: /, label: root}}
";

#[test]
fn an_image_says_how_its_disk_shall_be() {
    let disk = Disk::of(&Tiny::default().with_file(PLACE, TABLE), "", &[]);
    let table = disk.table();
    let partitions = table["partitions"].as_array().unwrap();
    let name = |index: usize| partitions[index]["name"].as_str().unwrap();
    assert_eq!(partitions.len(), 6);
    assert_eq!((name(3), name(4), name(5)), ("the-state", "swap", "root"));
    let [var, root] = [4, 6].map(|number| disk.extract(number));
    check_ext4(&var);
    check_ext4(&root);
    let units = format!("{}/systemd/system", etc(&root));
    let found = names(&root, &units);
    for name in ["boot.mount", "boot-efi.mount", "var.mount", "local-fs.target.wants", "swap.target.wants"] {
        assert!(found.contains(&name.to_owned()), "no {name}: {found:?}");
    }
    let unit = cat(&root, &format!("{units}/var.mount"));
    assert!(unit.contains("Where=/var\nType=ext4\nOptions=defaults,noatime\n"), "{unit}");
    assert!(!unit.contains("fsck"), "{unit}");
    assert!(
        cat(&root, &format!("{units}/boot-efi.mount"))
            .contains("Requires=systemd-fsck@dev-disk-by\\x2duuid-")
    );
    assert!(!names(&root, &etc(&root)).contains(&"fstab".to_owned()));
}

/// What the judges call the third attribute, and the fiftieth.
const MARKED: &str = "
partition_table:
  uuid: D209C89E-EA5E-4FBD-B161-B461CCE297E0
  extra_padding: 40 MiB
  partitions:
    - {size: 2 MiB, bootable: true, uuid: FAC7F1FB-3E8D-4137-A512-961DE09A5549, type: 21686148-6449-6E6F-744E-656564454649}
    - {size: 48 MiB, attrs: [0], payload_type: filesystem, payload: {type: vfat, mountpoint: /boot/efi, uuid: 7B77-95E7}}
    - {size: 64 MiB, payload_type: filesystem, payload: {type: ext4, mountpoint: /boot, mkfs_options: {verity: false}}}
    - size: 100 MiB
      attrs: [50]
      payload_type: filesystem
      payload: {type: ext4, mountpoint: /, uuid: 0194fdc2-fa2f-4cc0-81d3-ff12045b73c8}
";

#[test]
fn identifiers_attributes_and_padding_are_as_declared() {
    let disk = Disk::of(&Tiny::default().with_file(PLACE, MARKED), "", &["--size", "fit"]);
    judge("gdisk", "sgdisk", &["-v", text(&disk.path)]);
    let table = disk.table();
    let row =
        |number: usize, key: &str| table["partitions"][number - 1][key].as_str().unwrap_or("").to_owned();
    assert_eq!(table["id"], "D209C89E-EA5E-4FBD-B161-B461CCE297E0");
    assert_eq!(row(1, "uuid"), "FAC7F1FB-3E8D-4137-A512-961DE09A5549");
    let attributes = [row(1, "attrs"), row(2, "attrs"), row(3, "attrs"), row(4, "attrs")];
    assert_eq!(attributes, ["LegacyBIOSBootable", "RequiredPartition", "", "GUID:50"]);
    assert_eq!(table["partitions"][0]["size"], 4096);
    let (offset, size) = disk.partition(4);
    let free = std::fs::metadata(&disk.path).unwrap().len() - offset - size;
    assert!((40 << 20..42 << 20).contains(&free), "{free} bytes after the last partition");
    let uuid = |number| {
        judge("util-linux", "blkid", &["-p", "-s", "UUID", "-o", "value", text(&disk.extract(number))])
    };
    assert_eq!(uuid(2).trim(), "7B77-95E7");
    assert_eq!(uuid(4).trim(), "0194fdc2-fa2f-4cc0-81d3-ff12045b73c8");
    assert_eq!(disk.verified(), Vec::<String>::new());
}

#[test]
fn a_dos_table_has_a_signature_and_an_active_partition() {
    let table = "partition_table: {type: dos, uuid: '0x1234abcd', partitions: [{size: 64 MiB, bootable: true, \
                 payload_type: filesystem, payload: {type: ext4, mountpoint: /boot}}]}";
    let disk = Disk::of(&Tiny::default().with_file(PLACE, table), "", &["--size", "fit"]);
    judge("fdisk", "sfdisk", &["--verify", text(&disk.path)]);
    let table = disk.table();
    assert_eq!(table["id"], "0x1234abcd");
    let active: Vec<_> = (0..3).map(|index| table["partitions"][index]["bootable"] == true).collect();
    assert_eq!(active, [false, true, false]);
    assert_eq!(disk.verified(), Vec::<String>::new());
}

#[test]
fn a_blueprint_stands_before_the_image() {
    let image = Tiny::default().with_file(PLACE, TABLE);
    let disk = Disk::of(&image, "customizations: {filesystem: [{mountpoint: /var/log}]}", &["--size", "fit"]);
    assert_eq!(disk.table()["partitions"].as_array().unwrap().len(), 5);
}

#[test]
fn what_cannot_be_honoured_is_refused_by_its_key() {
    for (text, words) in [
        ("partition_table: {partitions: [{attrs: [3]}]}", "3 is no attribute"),
        ("partition_table: {type: dos, partitions: [{attrs: [2]}]}", "a dos table has no attributes"),
        (
            "partition_table: {type: dos, partitions: [{bootable: true, size: 1}, {bootable: true, size: 1}]}",
            "only one partition of a dos table",
        ),
        ("partition_table: {type: dos, uuid: 1-2}", "is no signature"),
        ("partition_table: {uuid: '0x12345678'}", "is no GUID"),
        ("partition_table: {partitions: [{payload: {type: vfat, uuid: 7B7795E7}}]}", "no identifier"),
        ("partition_table: {grain_size: 4096}", "grain_size"),
        ("partition_table: {partitions: [{payload_type: luks}]}", "luks is not supported here"),
        ("partition_table: {partitions: [{payload: {mkfs_options: {verity: true}}}]}", "mkfs_options.verity"),
        ("partition_table: {partitions: [{payload: {mkfs_options: {agcount: 4}}}]}", "mkfs_options.agcount"),
        ("mount_configuration: autofs", "none of units, fstab, none"),
    ] {
        let said = Disk::refused_of(&Tiny::default().with_file(PLACE, text), "");
        assert!(said.contains(words) && said.contains(PLACE), "{text}: {said}");
    }
}
