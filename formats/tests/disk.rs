//! Partition tables and whole disks, judged by sgdisk, fdisk and mtools.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use std::path::{Path, PathBuf};

use diskwright_formats::{
    Error,
    data::Data,
    disk::{BootCode, Layout, Partition, TableKind, assemble, assemble_with_boot_code},
    filesystem::{self, Identity},
    partition::gpt,
    sparse::Sparse,
    tree::{Meta, Time, Tree},
    units::{GIB, MIB, TIB},
};
use uuid::{Uuid, uuid};

const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
const LEGACY_BOOTABLE: u64 = 1 << 2;
const GROW: u64 = 1 << 59;

fn partition(number: u128, offset: u64, size: u64) -> Partition {
    Partition {
        offset,
        size,
        type_uuid: if number == 1 { ESP } else { LINUX },
        dos_type: None,
        uuid: Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_0000 + number),
        name: if number == 1 { "EFI-SYSTEM".into() } else { "root ü".into() },
        attributes: if number == 1 { LEGACY_BOOTABLE } else { GROW },
    }
}

fn layout(size: u64, sector_size: u32) -> Layout {
    let rest = size - MIB - 64 * MIB - MIB;
    Layout {
        size,
        kind: TableKind::Gpt,
        sector_size,
        uuid: Uuid::from_u128(0xaaaa_bbbb_cccc_dddd_eeee_ffff_0000_1111),
        partitions: vec![partition(1, MIB, 64 * MIB), partition(2, 65 * MIB, rest)],
    }
}

fn esp(sector_size: u32) -> Sparse {
    let identity = Identity {
        uuid: Uuid::from_u128(1 << 96),
        label: "ESP".into(),
        time: Time::default(),
        sector_size,
        offset: MIB,
        on_noise: false,
    };
    let mut tree = Tree::new(Meta::root(0o755));
    let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(*b"content"));
    tree.link(tree.root(), *b"file", file);
    filesystem::by_name("vfat").unwrap().mkfs(&tree, &identity, 64 * MIB).unwrap()
}

fn write(disk: &Sparse, below: &Path) -> PathBuf {
    let path = below.join("disk.raw");
    judge::write("raw", disk, Default::default(), &path);
    path
}

#[test]
fn sgdisk_finds_no_problem_and_all_fields() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = assemble(&layout(GIB, 512), &[(0, esp(512))]).unwrap();
    let path = write(&disk, scratch.path());
    let path = path.to_str().unwrap();
    let report = judge::pass("gdisk", "sgdisk", &["-v", path]);
    assert!(report.contains("No problems found") && !report.contains("corrupt"), "{report}");
    let print = judge::pass("gdisk", "sgdisk", &["-p", "-i", "1", "-i", "2", path]);
    for text in [
        "AAAABBBB-CCCC-DDDD-EEEE-FFFF00001111",
        "11112222-3333-4444-5555-666677770001",
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        "Attribute flags: 0000000000000004",
        "Attribute flags: 0800000000000000",
        "Partition name: 'EFI-SYSTEM'",
        "Partition name: 'root ü'",
        "First sector: 2048 ",
        "holds up to 128 entries",
    ] {
        assert!(print.contains(text), "{text}: {print}");
    }
}

#[test]
fn a_volume_is_where_the_table_says() {
    let scratch = tempfile::tempdir().unwrap();
    let path = write(&assemble(&layout(GIB, 512), &[(0, esp(512))]).unwrap(), scratch.path());
    let image = format!("{}@@1M", path.to_str().unwrap());
    assert_eq!(judge::pass("mtools", "mtype", &["-i", &image, "::file"]), "content");
}

/// fdisk reads 4096-byte sectors from a file by option, so no loop device is needed.
fn fdisk_verify(path: &Path) -> String {
    judge::talk("fdisk", "fdisk", &["-b", "4096", path.to_str().unwrap()], "v\nq\n")
}

#[test]
fn fdisk_verifies_4096_byte_sectors() {
    let scratch = tempfile::tempdir().unwrap();
    let path = write(&assemble(&layout(GIB, 4096), &[(0, esp(4096))]).unwrap(), scratch.path());
    let report = fdisk_verify(&path);
    assert!(report.contains("No errors detected") && !report.contains("corrupt"), "{report}");
    let columns = "Start,End,Sectors,Type-UUID,UUID,Name,Attrs";
    let list = judge::pass("fdisk", "fdisk", &["-b", "4096", "-l", "-o", columns, path.to_str().unwrap()]);
    for text in [
        "Disklabel type: gpt",
        "AAAABBBB-CCCC-DDDD-EEEE-FFFF00001111",
        "  256  16639   16384 C12A7328-F81F-11D2-BA4B-00A0C93EC93B 11112222-3333-4444-5555-666677770001 EFI-SYSTEM",
        "LegacyBIOSBootable",
        "GUID:59",
    ] {
        assert!(list.contains(text), "{text}: {list}");
    }
}

#[test]
fn sgdisk_and_fdisk_say_no_to_a_flipped_byte() {
    let scratch = tempfile::tempdir().unwrap();
    for offset in [512 + 56, 1024 + 40, GIB - 512 + 72] {
        let path = write(&assemble(&layout(GIB, 512), &[]).unwrap(), scratch.path());
        judge::flip(&path, offset);
        let report = judge::run("gdisk", "sgdisk", &["-v", path.to_str().unwrap()]);
        let report = String::from_utf8_lossy(&[report.stdout, report.stderr].concat()).into_owned();
        assert!(report.contains("corrupt") || report.contains("damaged"), "{offset}: {report}");
    }
    for offset in [4096 + 56, 2 * 4096 + 40] {
        let path = write(&assemble(&layout(GIB, 4096), &[]).unwrap(), scratch.path());
        judge::flip(&path, offset);
        let report = fdisk_verify(&path);
        assert!(report.contains("corrupt"), "{offset}: {report}");
    }
}

#[test]
fn the_mbr_protects_the_whole_disk_and_carries_boot_code() {
    let code = [0xab; gpt::BOOT_CODE_BYTES];
    for (size, sectors) in [(GIB, 0x1f_ffff_u32), (3 * TIB, u32::MAX)] {
        let mbr = gpt::table(&layout(size, 512), Some(&code)).unwrap();
        let mut sector = [0; 512];
        mbr.read_exact_at(&mut sector, 0).unwrap();
        assert_eq!(sector[..440], code);
        assert_eq!(sector[446..458], [0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
        assert_eq!(sector[458..462], sectors.to_le_bytes());
        assert_eq!(sector[510..], [0x55, 0xaa]);
    }
}

#[test]
fn a_wrong_layout_is_an_error() {
    let error = |change: &dyn Fn(&mut Layout)| {
        let mut layout = layout(GIB, 512);
        change(&mut layout);
        assemble(&layout, &[]).unwrap_err()
    };
    let overlap = [
        error(&|layout| layout.partitions[1].offset -= 512),
        error(&|layout| layout.partitions[0].offset = 33 * 512),
    ];
    assert!(overlap.iter().all(|error| matches!(error, Error::Overlap { .. })), "{overlap:?}");
    let beyond = error(&|layout| layout.partitions[1].size += MIB);
    assert!(matches!(beyond, Error::Beyond { .. }), "{beyond}");
    let limits = [
        error(&|layout| layout.partitions[0].name = "x".repeat(37)),
        error(&|layout| {
            layout.partitions = (0..129).map(|i| partition(2 + i, (1 + i as u64) * MIB, MIB)).collect();
        }),
    ];
    assert!(limits.iter().all(|error| matches!(error, Error::Limit { .. })), "{limits:?}");
    let unsupported = [
        error(&|layout| layout.partitions[0].offset += 1),
        error(&|layout| layout.partitions[0].size = 0),
        error(&|layout| layout.partitions[0].type_uuid = Uuid::nil()),
        error(&|layout| layout.sector_size = 2048),
        error(&|layout| layout.size += 1),
    ];
    assert!(unsupported.iter().all(|error| matches!(error, Error::Unsupported { .. })), "{unsupported:?}");
    assert!(matches!(error(&|layout| layout.size = 512), Error::TooSmall { .. }));
}

#[test]
fn a_wrong_volume_is_an_error() {
    let layout = layout(GIB, 512);
    let error = |volumes: &[(usize, Sparse)]| assemble(&layout, volumes).unwrap_err();
    assert!(matches!(error(&[(2, Sparse::new(MIB))]), Error::Unsupported { .. }));
    assert!(matches!(error(&[(0, Sparse::new(MIB))]), Error::Unsupported { .. }));
    assert!(matches!(error(&[(0, esp(512)), (0, esp(512))]), Error::Overlap { .. }));
}

#[test]
fn table_fills_the_edges_exactly() {
    for sector in [512, 4096] {
        let usable = gpt::usable(4 * MIB, sector).unwrap();
        let mut layout = layout(GIB, sector);
        layout.size = 4 * MIB;
        layout.partitions = vec![partition(1, usable.start, usable.end - usable.start)];
        let volume = Sparse::from_bytes(vec![1; (usable.end - usable.start) as usize]);
        let disk = assemble(&layout, &[(0, volume)]).unwrap();
        assert_eq!(disk.data_len(), disk.len());
    }
}

/// What sfdisk reads of the disk at `path`.
fn sfdisk(path: &str) -> String {
    judge::pass("fdisk", "sfdisk", &["--json", path])
}

fn dos_layout(count: u64, sector_size: u32) -> Layout {
    let step = 64 * MIB;
    let partitions = (0..count).map(|number| partition(number.into(), MIB + number * step, step));
    let partitions = partitions.map(|partition| Partition { dos_type: None, ..partition }).collect();
    Layout { kind: TableKind::Dos, partitions, ..layout(GIB, sector_size) }
}

#[test]
fn sfdisk_reads_a_dos_table() {
    let scratch = tempfile::tempdir().unwrap();
    let mut layout = dos_layout(4, 512);
    layout.partitions[3].dos_type = Some(0x8e);
    let code = BootCode { code: [0x90; 440], embedded: Some(Data::from_bytes([0xcc; 4096])) };
    let disk = assemble_with_boot_code(&layout, &[(1, esp(512))], Some(&code)).unwrap();
    let path = write(&disk, scratch.path());
    let report = sfdisk(path.to_str().unwrap());
    for text in [
        "\"label\":\"dos\"",
        "\"id\":\"0xddccbbaa\"".replace("ddccbbaa", "bbbbaaaa").as_str(),
        "\"start\":2048, \"size\":131072, \"type\":\"83\"".replace(", ", ",").as_str(),
        "\"type\":\"ef\"",
        "\"type\":\"8e\"",
    ] {
        assert!(report.split_whitespace().collect::<String>().contains(text), "no {text}: {report}");
    }
    judge::pass("fdisk", "sfdisk", &["--verify", path.to_str().unwrap()]);
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes[..440] == [0x90; 440] && bytes[512..4608] == [0xcc; 4096]);
    judge::flip(&path, 510);
    judge::refuse("fdisk", "sfdisk", &["--json", path.to_str().unwrap()]);
}

#[test]
fn a_dos_table_has_four_partitions_and_a_gap_for_code() {
    assert!(matches!(assemble(&dos_layout(5, 512), &[]).unwrap_err(), Error::Limit { found: 5, .. }));
    let code = BootCode { code: [0; 440], embedded: Some(Data::from_bytes(vec![1; MIB as usize])) };
    let error = assemble_with_boot_code(&dos_layout(1, 512), &[], Some(&code)).unwrap_err();
    assert!(matches!(error, Error::Overlap { .. }), "{error}");
    let mut far = dos_layout(1, 512);
    (far.size, far.partitions[0].offset) = (4 * TIB, 3 * TIB);
    assert!(matches!(assemble(&far, &[]).unwrap_err(), Error::Beyond { .. }));
}
