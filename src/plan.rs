//! Where partitions lie: arithmetic on numbers, nothing else.

use anyhow::{Result, ensure};
use diskwright_formats::{
    disk::{Layout, Partition, TableKind},
    units::{GIB, MIB, round_down, round_up},
};
use uuid::Uuid;

/// The smallest disk when nothing is asked: room to work in.
pub const DEFAULT_DISK: u64 = 10 * GIB;
/// Partitions begin and end at multiples of this.
const ALIGNMENT: u64 = MIB;
/// No volume or free space is larger: far past every filesystem, and its sums are still numbers.
const LARGEST: u64 = 1 << 62;
/// Sectors that the backup partition table takes at the end.
const BACKUP_SECTORS: u64 = 33;

/// How large the disk should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskSize {
    /// 10 GiB, or more where the content asks for it; the last partition grows to the end.
    #[default]
    Default,
    /// Exactly this many bytes.
    Absolute(u64),
    /// As small as the content, with this many free bytes in the last partition.
    PlusFree(u64),
    /// As small as the content.
    Fit,
}

/// What surrounds the partitions.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The kind of table.
    pub kind: TableKind,
    /// Bytes per sector.
    pub sector_size: u32,
    /// Where the first partition begins, a multiple of 1 MiB.
    pub start: u64,
    /// Bytes the disk has at least when nothing is asked; `None` is the usual size.
    pub floor: Option<u64>,
    /// Bytes before its end that stay free.
    pub padding: u64,
    /// GUID of the disk.
    pub uuid: Uuid,
}

impl Frame {
    /// Bytes at the end of the disk that are the table's, or stay free.
    fn tail(&self) -> u64 {
        let table = match self.kind {
            TableKind::Gpt => BACKUP_SECTORS * u64::from(self.sector_size),
            TableKind::Dos => 0,
        };
        table + self.padding
    }
}

/// A partition before it has a place.
#[derive(Clone, Debug)]
pub struct Wish {
    /// GPT name.
    pub name: String,
    /// Partition type GUID.
    pub type_uuid: Uuid,
    /// Partition type in a dos table, where that is not the one of the same meaning.
    pub dos_type: Option<u8>,
    /// Unique partition GUID.
    pub uuid: Uuid,
    /// GPT attribute bits.
    pub attributes: u64,
    /// Bytes it has at least; exactly, for all but the last.
    pub size: u64,
    /// Bytes that should be there when nothing is asked (at least `size`).
    pub comfortable: u64,
}

/// Places `wishes` in order; the last one gets what is left.
///
/// # Errors
/// No partitions, or a disk too small for them; the text says what is needed.
pub fn plan(wishes: &[Wish], size: DiskSize, multiple: u64, frame: Frame) -> Result<Layout> {
    let (last, fixed) = wishes.split_last().ok_or_else(|| anyhow::anyhow!("a disk without partitions"))?;
    let largest = wishes.iter().map(|wish| wish.comfortable.max(wish.size)).max().unwrap_or(0);
    let largest = largest.max(frame.start).max(frame.floor.unwrap_or(0)).max(frame.padding);
    ensure!(largest <= LARGEST, "a disk for {largest} bytes is too large");
    let mut partitions = Vec::new();
    let mut at = frame.start.max(ALIGNMENT);
    for wish in fixed {
        partitions.push(place(wish, at, round_up(wish.size.max(1), ALIGNMENT)));
        at += round_up(wish.size.max(1), ALIGNMENT);
        ensure!(at <= LARGEST, "a disk for more than {LARGEST} bytes is too large");
    }
    let size = disk_size(size, multiple, at, last, &frame)?;
    let end = round_down(size - frame.tail(), ALIGNMENT);
    partitions.push(place(last, at, end - at));
    let Frame { kind, sector_size, uuid, .. } = frame;
    Ok(Layout { size, kind, sector_size, uuid, partitions })
}

/// Size of the disk whose last partition begins at `at`.
fn disk_size(size: DiskSize, multiple: u64, at: u64, last: &Wish, frame: &Frame) -> Result<u64> {
    let sizes = multiple.max(u64::from(frame.sector_size));
    let multiple = multiple.max(ALIGNMENT);
    let tail = round_up(frame.tail(), ALIGNMENT);
    let with = |bytes: u64| round_up(at + round_up(bytes.clamp(1, LARGEST), ALIGNMENT) + tail, multiple);
    let size = match size {
        DiskSize::Default => {
            with(last.comfortable).max(round_up(frame.floor.unwrap_or(DEFAULT_DISK), multiple))
        }
        DiskSize::Absolute(bytes) => bytes,
        DiskSize::PlusFree(bytes) => {
            ensure!(bytes <= LARGEST, "a disk with {bytes} free bytes is too large");
            with(last.size + bytes)
        }
        DiskSize::Fit => with(last.size),
    };
    let needed = with(last.size);
    ensure!(
        size >= needed,
        "a disk of {size} bytes is too small: the content needs {needed} ({:.1} GiB)",
        needed as f64 / GIB as f64
    );
    ensure!(size % sizes == 0, "a disk of {size} bytes is not a multiple of {sizes} bytes");
    let counted = u64::from(u32::MAX) * u64::from(frame.sector_size);
    ensure!(
        frame.kind == TableKind::Gpt || size <= counted,
        "a dos table counts {counted} bytes, and the disk has {size}; use gpt"
    );
    Ok(size)
}

fn place(wish: &Wish, offset: u64, size: u64) -> Partition {
    let Wish { type_uuid, dos_type, uuid, attributes, .. } = *wish;
    Partition { offset, size, type_uuid, dos_type, uuid, name: wish.name.clone(), attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(size: u64, comfortable: u64) -> Wish {
        let uuid = Uuid::nil();
        Wish { name: String::new(), type_uuid: uuid, dos_type: None, uuid, attributes: 0, size, comfortable }
    }

    fn frame(sector_size: u32) -> Frame {
        Frame { kind: TableKind::Gpt, sector_size, start: MIB, floor: None, padding: 0, uuid: Uuid::nil() }
    }

    #[test]
    fn the_last_partition_takes_the_rest_up_to_the_backup_table() {
        let wishes = [wish(MIB, MIB), wish(MIB / 2, MIB), wish(GIB, 2 * GIB)];
        let layout = plan(&wishes, DiskSize::Default, 512, frame(512)).unwrap();
        assert_eq!(layout.size, 10 * GIB);
        let spans: Vec<_> = layout.partitions.iter().map(|part| (part.offset, part.size)).collect();
        assert_eq!(spans, [(MIB, MIB), (2 * MIB, MIB), (3 * MIB, 10 * GIB - 4 * MIB)]);
        let fit = plan(&wishes, DiskSize::Fit, 512, frame(512)).unwrap();
        assert_eq!(fit.partitions[2].size, GIB);
        let free = plan(&wishes, DiskSize::PlusFree(GIB), 512, frame(4096)).unwrap();
        assert_eq!(free.partitions[2].size, 2 * GIB);
    }

    #[test]
    fn a_disk_that_cannot_hold_the_content_is_refused_with_the_size_it_takes() {
        let error = plan(&[wish(GIB, GIB)], DiskSize::Absolute(GIB), 512, frame(512)).unwrap_err();
        assert!(error.to_string().contains(&(GIB + 2 * MIB).to_string()), "{error}");
        assert!(plan(&[wish(MIB, MIB)], DiskSize::Absolute(GIB + 1), 512, frame(512)).is_err());
    }
}
