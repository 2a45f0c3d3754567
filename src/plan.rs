//! Where partitions lie: arithmetic on numbers, nothing else.

use anyhow::{Result, ensure};
use diskwright_formats::{
    disk::{Layout, Partition},
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

/// A partition before it has a place.
#[derive(Clone, Debug)]
pub struct Wish {
    /// GPT name.
    pub name: String,
    /// Partition type GUID.
    pub type_uuid: Uuid,
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
pub fn plan(wishes: &[Wish], size: DiskSize, multiple: u64, sector_size: u32, uuid: Uuid) -> Result<Layout> {
    let (last, fixed) = wishes.split_last().ok_or_else(|| anyhow::anyhow!("a disk without partitions"))?;
    let mut partitions = Vec::new();
    let mut at = ALIGNMENT;
    for wish in fixed {
        partitions.push(place(wish, at, round_up(wish.size, ALIGNMENT)));
        at += round_up(wish.size, ALIGNMENT);
    }
    let tail = round_up(BACKUP_SECTORS * u64::from(sector_size), ALIGNMENT);
    let sizes = multiple.max(u64::from(sector_size));
    let multiple = multiple.max(ALIGNMENT);
    ensure!(last.comfortable.max(last.size) <= LARGEST, "a disk for {} bytes is too large", last.comfortable);
    let with = |bytes: u64| round_up(at + round_up(bytes.min(LARGEST), ALIGNMENT) + tail, multiple);
    let size = match size {
        DiskSize::Default => with(last.comfortable).max(round_up(DEFAULT_DISK, multiple)),
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
    let end = round_down(size - BACKUP_SECTORS * u64::from(sector_size), ALIGNMENT);
    partitions.push(place(last, at, end - at));
    Ok(Layout { size, sector_size, uuid, partitions })
}

fn place(wish: &Wish, offset: u64, size: u64) -> Partition {
    let Wish { type_uuid, uuid, attributes, .. } = *wish;
    Partition { offset, size, type_uuid, uuid, name: wish.name.clone(), attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(size: u64, comfortable: u64) -> Wish {
        let uuid = Uuid::nil();
        Wish { name: String::new(), type_uuid: uuid, uuid, attributes: 0, size, comfortable }
    }

    #[test]
    fn the_last_partition_takes_the_rest_up_to_the_backup_table() {
        let wishes = [wish(MIB, MIB), wish(MIB / 2, MIB), wish(GIB, 2 * GIB)];
        let layout = plan(&wishes, DiskSize::Default, 512, 512, Uuid::nil()).unwrap();
        assert_eq!(layout.size, 10 * GIB);
        let spans: Vec<_> = layout.partitions.iter().map(|part| (part.offset, part.size)).collect();
        assert_eq!(spans, [(MIB, MIB), (2 * MIB, MIB), (3 * MIB, 10 * GIB - 4 * MIB)]);
        let fit = plan(&wishes, DiskSize::Fit, 512, 512, Uuid::nil()).unwrap();
        assert_eq!(fit.partitions[2].size, GIB);
        let free = plan(&wishes, DiskSize::PlusFree(GIB), 512, 4096, Uuid::nil()).unwrap();
        assert_eq!(free.partitions[2].size, 2 * GIB);
    }

    #[test]
    fn a_disk_that_cannot_hold_the_content_is_refused_with_the_size_it_takes() {
        let error = plan(&[wish(GIB, GIB)], DiskSize::Absolute(GIB), 512, 512, Uuid::nil()).unwrap_err();
        assert!(error.to_string().contains(&(GIB + 2 * MIB).to_string()), "{error}");
        assert!(plan(&[wish(MIB, MIB)], DiskSize::Absolute(GIB + 1), 512, 512, Uuid::nil()).is_err());
    }
}
