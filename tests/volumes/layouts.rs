//! Disks of every kind of partition.

use std::path::Path;

use crate::disk::{Disk, cat, check_ext4, etc, judge, names, run, text};

const EVERYTHING: &str = "
customizations:
  user:
    - name: anna
  disk:
    minsize: 700 MiB
    start_offset: 2 MiB
    partitions:
      - mountpoint: /
        minsize: 100 MiB
        part_uuid: 11111111-2222-3333-4444-555555555555
      - mountpoint: /var
        fs_type: ext4
        minsize: 64 MiB
        label: state
        part_label: the state
        part_type: 4d21b016-b534-45c2-a9fb-5c16e091fd2d
      - mountpoint: /var/lib/deep
        minsize: 32 MiB
      - mountpoint: /var/exchange
        fs_type: vfat
        minsize: 40 MiB
        label: EXCHANGE
      - fs_type: swap
        minsize: 16 MiB
        label: slow memory
      - fs_type: none
        minsize: 8 MiB
        part_label: spare
      - mountpoint: /boot
        minsize: 80 MiB
      - mountpoint: /boot/efi
        minsize: 48 MiB
      - type: lvm
        name: group
        logical_volumes:
          - name: home
            mountpoint: /home
            minsize: 30 MiB
          - name: unmounted
            fs_type: ext4
            minsize: 20 MiB
      - type: lvm
        name: second
        minsize: 40 MiB
        logical_volumes:
          - name: srv-data
            mountpoint: /var/srv/data
            minsize: 20 MiB
";

const FIT: [&str; 2] = ["--size", "fit"];

#[test]
fn every_kind_of_partition_on_a_gpt() {
    let disk = Disk::build(EVERYTHING, &[]);
    let said = judge("gdisk", "sgdisk", &["-v", text(&disk.path)]);
    assert!(said.contains("No problems found") && !said.contains("Caution"), "{said}");
    judge("fdisk", "sfdisk", &["--verify", text(&disk.path)]);
    let table = disk.table();
    let row = |number: usize, key: &str| table["partitions"][number - 1][key].to_string();
    let found: Vec<_> = (1..=11).map(|number| row(number, "name")).collect();
    let wanted = [
        "BIOS-BOOT",
        "EFI-SYSTEM",
        "boot",
        "the state",
        "var-lib-deep",
        "EXCHANGE",
        "swap",
        "spare",
        "group",
        "second",
        "root",
    ];
    assert_eq!(found, wanted.map(|name| format!("\"{name}\"")));
    assert_eq!(row(1, "start"), "4096");
    assert_eq!(row(4, "type"), "\"4D21B016-B534-45C2-A9FB-5C16E091FD2D\"");
    assert_eq!(row(9, "type"), "\"E6D6D379-F507-44C2-A23C-238F2A3DF928\"");
    assert_eq!(row(11, "uuid"), "\"11111111-2222-3333-4444-555555555555\"");
    check_content(&disk);
    check_groups(&disk);
    assert!(disk.is_made_again(), "the same build made other bytes");
    assert_eq!(disk.verified(), Vec::<String>::new());
}

fn check_content(disk: &Disk) {
    let [boot, var, deep, root] = [3, 4, 5, 11].map(|number| disk.extract(number));
    for volume in [&boot, &var, &deep, &root] {
        check_ext4(volume);
    }
    // what /var had is on its volume, and the root has a place to mount it
    assert_eq!(names(&root, "/ostree/deploy/default/var"), Vec::<String>::new());
    let found = names(&var, "/");
    for name in [".ostree-selabeled", "exchange", "home", "lib", "srv"] {
        assert!(found.contains(&name.to_owned()), "no {name}: {found:?}");
    }
    assert_eq!(names(&var, "/home"), Vec::<String>::new());
    assert_eq!(names(&deep, "/"), ["lost+found"]);
    let fstab = cat(&root, &format!("{}/fstab", etc(&root)));
    let lines: Vec<Vec<&str>> = fstab.lines().map(|line| line.split(' ').collect()).collect();
    let mounts: Vec<_> = lines.iter().map(|line| (line[1], line[2])).collect();
    let wanted = [
        ("/boot", "auto"),
        ("/boot/efi", "vfat"),
        ("/var", "ext4"),
        ("/var/exchange", "vfat"),
        ("/var/home", "ext4"),
        ("/var/lib/deep", "ext4"),
        ("/var/srv/data", "ext4"),
        ("none", "swap"),
    ];
    assert_eq!(mounts, wanted);
    for (volume, line) in [
        (&boot, 0),
        (&disk.extract(2), 1),
        (&var, 2),
        (&disk.extract(6), 3),
        (&deep, 5),
        (&disk.extract(7), 7),
    ] {
        let uuid = judge("util-linux", "blkid", &["-p", "-s", "UUID", "-o", "value", text(volume)]);
        assert_eq!(format!("UUID={}", uuid.trim()), lines[line][0], "{fstab}");
    }
    judge("dosfstools", "fsck.fat", &["-n", text(&disk.extract(6))]);
    let label = judge("util-linux", "swaplabel", &[text(&disk.extract(7))]);
    assert!(label.contains("slow memory"), "{label}");
}

fn check_groups(disk: &Disk) {
    let device = Loop::new(&disk.extract(9));
    let options = "vg_name,lv_name,seg_pe_ranges";
    let said = device.lvm("lvs", &["--noheadings", "--separator", "|", "-o", options]);
    let lines: Vec<_> = said.lines().map(str::trim).collect();
    let range = |first: u32, last: u32| format!("{}:{first}-{last}", device.0);
    assert_eq!(lines, [format!("group|home|{}", range(0, 7)), format!("group|unmounted|{}", range(8, 12))]);
    device.lvm("vgck", &["group"]);
    let said = device.lvm("pvck", &[&device.0]);
    assert!(!said.contains("error"), "{said}");
    let (offset, _) = disk.partition(9);
    let home = disk.part("home", offset + (1 << 20), 32 << 20);
    check_ext4(&home);
    assert_eq!(names(&home, "/"), ["anna", "lost+found"]);
    check_ext4(&disk.part("unmounted", offset + (33 << 20), 20 << 20));
    let second = Loop::new(&disk.extract(10));
    assert!(second.lvm("lvs", &["--noheadings", "-o", "lv_full_name"]).contains("second/srv-data"));
}

#[test]
fn a_root_on_lvm_takes_what_is_left_of_its_group() {
    let blueprint = "
customizations:
  disk:
    minsize: 900 MiB
    partitions:
      - {mountpoint: /boot, minsize: 64 MiB}
      - {mountpoint: /boot/efi, minsize: 48 MiB}
      - type: lvm
        logical_volumes:
          - {name: root, mountpoint: /, minsize: 40 MiB}
          - {name: swap, fs_type: swap, minsize: 8 MiB}
";
    let disk = Disk::build(blueprint, &["--size", "700MiB"]);
    let (offset, size) = disk.partition(4);
    let device = Loop::new(&disk.extract(4));
    let said =
        device.lvm("lvs", &["--noheadings", "--units", "m", "--nosuffix", "-o", "lv_name,lv_size,vg_free"]);
    let extents = (size - (1 << 20)) / (4 << 20);
    let said: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    let rest = format!("{}.00", (extents - 2) * 4);
    assert_eq!(said, [["root", rest.as_str(), "0"], ["swap", "8.00", "0"]]);
    let plan = disk.plan(&["--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let planned = &plan["disks"][0]["partitions"][3];
    assert_eq!((&planned["offset"], &planned["size"]), (&offset.into(), &size.into()));
    assert_eq!(planned["filesystem"], "lvm");
    let volumes = planned["volumes"].as_array().unwrap();
    let shown: Vec<_> = volumes.iter().map(|volume| (&volume["name"], &volume["size"])).collect();
    let (root, swap) = ((extents - 2) * (4 << 20), 8 << 20);
    assert_eq!(shown, [(&"vg0/root".into(), &root.into()), (&"vg0/swap".into(), &swap.into())]);
    assert_eq!((&volumes[0]["mountpoint"], &volumes[1]["filesystem"]), (&"/".into(), &"swap".into()));
    let text = disk.plan(&[]);
    assert!(text.contains("\n    vg0/root  ext4 ") && text.contains(", mounted at /\n"), "{text}");
    let root = disk.part("root", offset + (1 << 20), (extents - 2) * (4 << 20));
    check_ext4(&root);
    let boot = disk.extract(3);
    let entry = cat(&boot, "/loader.1/entries/ostree-1.conf");
    assert!(entry.contains(" rd.lvm.lv=vg0/root "), "{entry}");
    assert_eq!(disk.verified(), Vec::<String>::new());
}

#[test]
fn mount_points_on_lvm_as_the_mode_says() {
    let filesystems =
        "filesystem: [{mountpoint: /boot, minsize: 64 MiB}, {mountpoint: /var/log, minsize: 20 MiB}]";
    let build =
        |mode| Disk::build(&format!("customizations: {{partitioning_mode: {mode}, {filesystems}}}"), &FIT);
    let disk = build("auto-lvm");
    let device = Loop::new(&disk.extract(4));
    let said = device.lvm("lvs", &["--noheadings", "-o", "lv_full_name"]);
    let names: Vec<_> = said.split_whitespace().collect();
    assert_eq!(names, ["rootvg/rootlv", "rootvg/var_loglv"]);
    let entry = cat(&disk.extract(3), "/loader.1/entries/ostree-1.conf");
    assert!(entry.contains(" rd.lvm.lv=rootvg/rootlv "), "{entry}");
    assert_eq!(disk.verified(), Vec::<String>::new());
    assert_eq!(build("raw").table()["partitions"].as_array().unwrap().len(), 5);
}

#[test]
fn filesystems_alone_stand_beside_the_usual_partitions() {
    let blueprint = "
customizations:
  filesystem:
    - {mountpoint: /var/log, minsize: 50 MiB}
    - {mountpoint: /, size: 100 MiB}
    - {mountpoint: /boot, minsize: 60 MiB}
";
    let disk = Disk::build(blueprint, &["--size", "fit"]);
    let table = disk.table();
    let sizes: Vec<_> =
        (0..5).map(|index| table["partitions"][index]["size"].as_u64().unwrap() / 2048).collect();
    assert_eq!(sizes, [1, 501, 60, 50, 100]);
    check_ext4(&disk.extract(4));
}

#[test]
fn a_dos_table() {
    let blueprint = "
customizations:
  disk:
    type: dos
    partitions:
      - {mountpoint: /, minsize: 64 MiB}
      - {mountpoint: /boot, minsize: 64 MiB}
      - {mountpoint: /var, minsize: 16 MiB, part_type: '07'}
";
    let disk = Disk::build(blueprint, &["--size", "fit"]);
    judge("fdisk", "sfdisk", &["--verify", text(&disk.path)]);
    let table = disk.table();
    assert_eq!(table["label"], "dos");
    let types: Vec<_> =
        (0..4).map(|index| table["partitions"][index]["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["ef", "83", "7", "83"]);
    for number in [2, 3, 4] {
        check_ext4(&disk.extract(number));
    }
    judge("dosfstools", "fsck.fat", &["-n", text(&disk.extract(1))]);
    assert_eq!(disk.verified(), Vec::<String>::new());
}

#[test]
fn sectors_of_4096_bytes() {
    let blueprint = "
customizations:
  disk:
    sector_size: 4096
    partitions:
      - {mountpoint: /, minsize: 64 MiB}
      - {mountpoint: /boot, minsize: 64 MiB}
";
    let disk = Disk::build(blueprint, &["--size", "fit"]);
    let said = judge("fdisk", "fdisk", &["-b", "4096", "-l", "-o", "Start,Sectors,Type", text(&disk.path)]);
    assert!(said.contains("Disklabel type: gpt") && said.contains("   256  128256 EFI System"), "{said}");
    let esp = disk.part("esp", 1 << 20, 501 << 20);
    judge("dosfstools", "fsck.fat", &["-n", text(&esp)]);
    let said = judge("util-linux", "blkid", &["-p", text(&esp)]);
    assert!(said.contains("EFI-SYSTEM"), "{said}");
    check_ext4(&disk.part("boot", 502 << 20, 64 << 20));
    check_ext4(&disk.part("root", 566 << 20, 64 << 20));
    let damaged = run("fdisk", "sfdisk", &["--json", text(&disk.path)]);
    assert!(!String::from_utf8_lossy(&damaged.stdout).contains("EFI"), "sectors of 512 bytes show the same");
}

/// A loop device as long as it lives.
struct Loop(String);

impl Loop {
    fn new(path: &Path) -> Self {
        Self(judge("mount", "losetup", &["--find", "--show", text(path)]).trim().to_owned())
    }

    /// What LVM says of this device alone.
    #[track_caller]
    fn lvm(&self, program: &str, arguments: &[&str]) -> String {
        let config = format!(
            "devices{{use_devicesfile=0 scan_lvs=0 filter=[\"a|^{}$|\",\"r|.*|\"]}} \
             global{{event_activation=0}} backup{{backup=0 archive=0}}",
            self.0
        );
        judge("lvm2", program, &[&["--config", &config], arguments].concat())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("mount", "losetup", &["-d", &self.0]);
    }
}

/// An error that only the image can tell.
#[test]
fn mount_points_that_the_image_does_not_have() {
    for (mountpoints, words) in [
        ("{mountpoint: /home}, {mountpoint: /var/home}", ["/home", "/var/home"]),
        ("{mountpoint: /data}", ["/data", "read-only image"]),
    ] {
        let said = Disk::refused(&format!("customizations: {{filesystem: [{mountpoints}]}}"));
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}
