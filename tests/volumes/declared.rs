//! Partition tables that images bring.

use crate::{
    disk::{Disk, cat, check_ext4, etc, names},
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

#[test]
fn a_blueprint_stands_before_the_image() {
    let image = Tiny::default().with_file(PLACE, TABLE);
    let disk = Disk::of(&image, "customizations: {filesystem: [{mountpoint: /var/log}]}", &["--size", "fit"]);
    assert_eq!(disk.table()["partitions"].as_array().unwrap().len(), 5);
}

#[test]
fn what_cannot_be_honoured_is_refused_by_its_key() {
    for (text, words) in [
        ("partition_table: {partitions: [{bootable: true}]}", "bootable"),
        ("partition_table: {partitions: [{payload_type: luks}]}", "luks is not supported here"),
        ("partition_table: {extra_padding: 4096}", "extra_padding"),
        (
            "partition_table: {partitions: [{payload_type: filesystem, payload: {mkfs_options: {}}}]}",
            "mkfs_options",
        ),
        ("mount_configuration: autofs", "none of units, fstab, none"),
    ] {
        let said = Disk::refused_of(&Tiny::default().with_file(PLACE, text), "");
        assert!(said.contains(words) && said.contains(PLACE), "{text}: {said}");
    }
}
