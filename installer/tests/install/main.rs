//! The installer against a picture of a machine; the result is judged by qemu-img and sgdisk.

#![expect(clippy::unwrap_used, reason = "a test")]

mod machine;
mod terminal;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
};

use machine::{MIB, Machine, SIZE, judge, run, text};

#[test]
fn an_unattended_installation_fills_the_disk_and_moves_the_backup_table() {
    let machine = Machine::new("version: 1\nunattended: yes\nwipe: yes\ngrow: no\n");
    let target = machine.disk("vda", 100 * MIB, 0xa5);
    machine.succeed("");
    let (disk, payload) = (fs::read(&target).unwrap(), fs::read(machine.path("payload.raw")).unwrap());
    let (start, end) = (MIB as usize, (SIZE - MIB) as usize);
    assert!(disk[start..end] == payload[start..end], "other bytes between the tables");
    let report = judge("gdisk", "sgdisk", &["-v", text(&target)]);
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(report.contains("No problems found"), "{report}");
    let backup = 100 * MIB - 512 + 24;
    File::options().write(true).open(&target).unwrap().write_all_at(&[0xff; 8], backup).unwrap();
    let report = run("gdisk", "sgdisk", &["-v", text(&target)]);
    let report = String::from_utf8_lossy(&[report.stdout, report.stderr].concat()).into_owned();
    assert!(
        report.contains("Invalid") || report.contains("invalid"),
        "sgdisk passes a broken backup: {report}"
    );
}

#[test]
fn a_dos_partition_table_is_copied_as_it_is() {
    let machine = Machine::with("unattended: yes\nwipe: yes\n", "dos", Some("ext4"));
    let target = machine.disk("vda", 100 * MIB, 0xa5);
    let shown = machine.succeed("");
    assert!(shown.contains("a dos partition table is not grown"), "{shown}");
    let (disk, payload) = (fs::read(&target).unwrap(), fs::read(machine.path("payload.raw")).unwrap());
    assert!(disk[..SIZE as usize] == payload[..], "other bytes");
    let verdict = run("fdisk", "sfdisk", &["--verify", text(&target)]);
    assert!(verdict.status.success(), "{verdict:?}");
    let machine = Machine::with("unattended: yes\nwipe: yes\nfresh-ids: yes\n", "dos", Some("ext4"));
    let target = machine.disk("vda", 100 * MIB, 0xa5);
    assert!(machine.fail("").contains("fresh-ids: not with a dos partition table"));
    assert!(fs::read(target).unwrap().iter().all(|&byte| byte == 0xa5));
}

#[test]
fn a_root_in_another_volume_is_copied_and_not_grown() {
    let machine = Machine::with("unattended: yes\nwipe: yes\n", "gpt", None);
    let target = machine.disk("vda", 100 * MIB, 0xa5);
    let shown = machine.succeed("");
    assert!(shown.contains("a root in LVM or LUKS is not grown"), "{shown}");
    let row = |disk| judge("gdisk", "sgdisk", &["-i", "2", text(disk)]).stdout;
    assert!(row(&target) == row(&machine.path("payload.raw")), "the partition is another");
    let verdict = String::from_utf8(judge("gdisk", "sgdisk", &["-v", text(&target)]).stdout).unwrap();
    assert!(verdict.contains("No problems found"), "{verdict}");
    let machine = Machine::with("unattended: yes\nwipe: yes\nssh-keys: [a]\n", "gpt", None);
    let target = machine.disk("vda", 100 * MIB, 0xa5);
    assert!(machine.fail("").contains("ssh-keys: the root is in LVM or LUKS"));
    assert!(fs::read(target).unwrap().iter().all(|&byte| byte == 0xa5));
}

#[test]
fn a_person_chooses_the_disk_and_confirms_what_is_lost() {
    let machine = Machine::new("grow: no\n");
    machine.disk("vda", 80 * MIB, 0);
    let second = machine.disk("vdb", 80 * MIB, 0xa5);
    let shown = machine.succeed("7\n2\nyes\n");
    assert!(shown.contains("'7' is not in the list"), "{shown}");
    assert!(shown.contains("2) ") && shown.contains("serial-vdb: data of an unknown kind"), "{shown}");
    assert!(shown.contains("All on /dev/vdb will be lost"), "{shown}");
    assert_eq!(&fs::read(second).unwrap()[510..520], b"\x55\xaaEFI PART");
}

#[test]
fn without_a_yes_nothing_is_written() {
    let machine = Machine::new("");
    let target = machine.disk("vda", 80 * MIB, 0xa5);
    let shown = machine.fail("1\ny\n");
    assert!(shown.contains("not confirmed; /dev/vda is as it was"), "{shown}");
    assert!(fs::read(target).unwrap().iter().all(|&byte| byte == 0xa5));
}

#[test]
fn unattended_a_disk_with_data_is_refused() {
    let machine = Machine::new("unattended: yes\n");
    let target = machine.disk("vda", 80 * MIB, 0xa5);
    let shown = machine.fail("");
    assert!(shown.contains("holds data of an unknown kind; give `wipe: yes`"), "{shown}");
    assert!(fs::read(target).unwrap().iter().all(|&byte| byte == 0xa5));
}

#[test]
fn unattended_two_disks_are_not_chosen_between_and_a_small_one_is_no_choice() {
    let machine = Machine::new("unattended: yes\n");
    machine.disk("vda", 80 * MIB, 0);
    machine.disk("vdb", 90 * MIB, 0);
    let shown = machine.fail("");
    assert!(shown.contains("several disks could be meant") && shown.contains("/dev/vdb"), "{shown}");
    let machine = Machine::new("unattended: yes\n");
    machine.disk("vda", 40 * MIB, 0);
    let shown = machine.fail("");
    assert!(shown.contains("no disk has the 67108864 bytes that are needed"), "{shown}");
}

#[test]
fn a_damaged_medium_is_found_before_the_disk_is_touched() {
    let machine = Machine::new("unattended: yes\nwipe: yes\n");
    let target = machine.disk("vda", 80 * MIB, 0xa5);
    let iso = fs::read(machine.path("dev/sr0")).unwrap();
    let packed = fs::read(machine.path("iso/diskwright/disk.qcow2")).unwrap();
    let at = iso.windows(512).position(|window| *window == packed[packed.len() * 3 / 4..][..512]).unwrap();
    let medium = File::options().write(true).open(machine.path("dev/sr0")).unwrap();
    medium.write_all_at(&[!iso[at]], at as u64).unwrap();
    let shown = machine.fail("");
    assert!(
        shown.contains("the medium is damaged; the disk is as it was") && shown.contains("corrupt"),
        "{shown}"
    );
    assert!(fs::read(target).unwrap().iter().all(|&byte| byte == 0xa5));
}

#[test]
fn of_a_disk_that_refuses_writes_no_more_is_claimed_than_is_known() {
    let machine = Machine::new("unattended: yes\nwipe: yes\n");
    std::os::unix::fs::symlink("/dev/full", machine.path("dev/vda")).unwrap();
    machine.describe("vda", 80 * MIB);
    let shown = machine.fail("");
    assert!(shown.contains("its old partition table could not be cleared"), "{shown}");
    assert!(!shown.contains("it has no partition table now"), "{shown}");
}
