//! Random layouts: none makes the planner panic, overlap or leave the disk, and sgdisk and sfdisk
//! read a sample of them as they were meant.

use std::fs::File;

use diskwright::plan::{DiskSize, Frame, Wish, plan};
use diskwright_formats::{
    disk::{Layout, TableKind, assemble},
    units::{GIB, MIB},
};
use uuid::Uuid;

use crate::disk::{judge, text};

const CASES: u64 = 20_000;
/// One in so many is shown to the judges.
const SAMPLE: u64 = 1_000;

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Mostly sizes of partitions, at times anything.
    fn size(&mut self) -> u64 {
        match self.below(20) {
            0 => self.next(),
            1 => 0,
            2 => self.next() >> 8,
            3..=9 => self.below(GIB),
            _ => self.below(64 * GIB) / MIB * MIB,
        }
    }

    fn wish(&mut self, number: u64) -> Wish {
        let size = self.size();
        Wish {
            name: format!("part {number}"),
            type_uuid: Uuid::from_u128(1 + u128::from(self.below(9))),
            dos_type: Some(0x83),
            uuid: Uuid::from_u128(u128::from(number) + 1),
            attributes: 0,
            size,
            comfortable: size.saturating_add(self.size() / 2),
        }
    }

    fn case(&mut self) -> (Vec<Wish>, DiskSize, u64, Frame) {
        let kind = if self.below(3) == 0 { TableKind::Dos } else { TableKind::Gpt };
        let count = self.below(if kind == TableKind::Dos { 5 } else { 12 });
        let wishes = (0..count).map(|number| self.wish(number)).collect();
        let size = match self.below(5) {
            0 => DiskSize::Default,
            1 => DiskSize::Fit,
            2 => DiskSize::PlusFree(self.size()),
            3 => DiskSize::Absolute(self.size()),
            _ => DiskSize::Absolute(self.below(2000) * GIB),
        };
        let multiple = [1, 512, MIB, GIB][self.below(4) as usize];
        let frame = Frame {
            kind,
            sector_size: [512, 4096][self.below(2) as usize],
            start: self.below(9) * MIB,
            floor: (self.below(2) == 0).then(|| self.size()),
            padding: if self.below(4) == 0 { self.size() } else { 0 },
            uuid: Uuid::from_u128(self.next().into()),
        };
        (wishes, size, multiple, frame)
    }
}

fn check(layout: &Layout, wishes: &[Wish], frame: Frame) {
    let mut end = frame.start.max(MIB);
    assert_eq!(layout.partitions.len(), wishes.len());
    for (partition, wish) in layout.partitions.iter().zip(wishes) {
        assert!(partition.offset >= end && partition.offset.is_multiple_of(MIB), "{layout:?}");
        assert!(partition.size >= wish.size.max(1), "{layout:?}");
        end = partition.offset + partition.size;
    }
    let table = if frame.kind == TableKind::Gpt { 33 * u64::from(frame.sector_size) } else { 0 };
    let table = table + frame.padding;
    assert!(end + table <= layout.size, "{layout:?}");
    // the writers of tables look at every number once more
    assemble(layout, &[]).unwrap_or_else(|error| panic!("{error}: {layout:?}"));
}

/// Starts and sizes in bytes, as the judges read them.
fn judged(layout: &Layout) -> Vec<(u64, u64)> {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(layout.size).unwrap();
    for piece in assemble(layout, &[]).unwrap().pieces() {
        std::os::unix::fs::FileExt::write_all_at(&file, &piece.data.to_vec().unwrap(), piece.offset).unwrap();
    }
    if layout.kind == TableKind::Gpt {
        let said = judge("gdisk", "sgdisk", &["-v", text(&path)]);
        assert!(said.contains("No problems found"), "{said}: {layout:?}");
    }
    judge("fdisk", "sfdisk", &["--verify", text(&path)]);
    let table: serde_json::Value =
        serde_json::from_str(&judge("fdisk", "sfdisk", &["--json", text(&path)])).unwrap();
    let rows = table["partitiontable"]["partitions"].as_array().unwrap().iter();
    rows.map(|row| (row["start"].as_u64().unwrap() * 512, row["size"].as_u64().unwrap() * 512)).collect()
}

#[test]
fn random_layouts_lie_on_the_disk_and_the_judges_agree() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut planned, mut shown) = (0, 0);
    for _ in 0..CASES {
        let (wishes, size, multiple, frame) = numbers.case();
        let Ok(layout) = plan(&wishes, size, multiple, frame) else { continue };
        check(&layout, &wishes, frame);
        planned += 1;
        // a sparse file of the host holds 8 TiB; sfdisk reads sectors of 512 bytes
        if planned % (SAMPLE / 10) == 0 && frame.sector_size == 512 && layout.size < 8 << 40 {
            let wanted: Vec<_> = layout.partitions.iter().map(|part| (part.offset, part.size)).collect();
            assert_eq!(judged(&layout), wanted);
            shown += 1;
        }
    }
    assert!(planned > CASES / 10 && shown > 20, "{planned} layouts, {shown} of them shown to the judges");
}
