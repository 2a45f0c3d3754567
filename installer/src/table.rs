//! The partition table for the target: the payload's. Of a GUID partition table the
//! backup moves to the end of the disk and the last partition grows up to it; a dos
//! partition table stays as it is.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::{
    data::Data,
    disk::Layout,
    partition::{BOOT_CODE_BYTES, gpt, mbr},
    sparse::Sparse,
    units::{MIB, round_down},
};
use uuid::Uuid;

/// Bytes at either end of a disk that tables and boot code may take.
pub(crate) const END: u64 = MIB;

/// The table of the target as bytes at both its ends.
pub(crate) struct Table {
    /// The bytes, in pieces; the first begins at 0.
    pub(crate) bytes: Sparse,
    /// First and last byte (exclusive) of the partition with the root, on the target.
    pub(crate) root: std::ops::Range<u64>,
    /// What of the payload's disk lies between the ends.
    pub(crate) between: std::ops::Range<u64>,
    /// Why the disk does not grow, if it should and does not.
    pub(crate) not_grown: Option<&'static str>,
}

/// What may differ from the payload's table.
pub(crate) struct Wishes {
    /// Bytes of the target.
    pub(crate) size: u64,
    /// Whether the partition takes what is free behind it.
    pub(crate) grow: bool,
    /// Whether there is a filesystem straight in it, which can grow too.
    pub(crate) is_plain: bool,
    /// New UUIDs, of the disk first, then of its partitions; none: those of the payload.
    pub(crate) uuids: Option<Box<dyn FnMut() -> Result<Uuid>>>,
}

/// The table of `payload` for a target of another size; partition `root` (from 1) grows.
///
/// # Errors
/// The payload has no partition table or no such partition.
pub(crate) fn table(payload: &Arc<Sparse>, root: usize, wishes: Wishes) -> Result<Table> {
    let disk = Data::from_source(Arc::clone(payload) as _, 0, payload.len());
    let found = gpt::read(&disk);
    if let Some(layout) = found.layout {
        return guid_table(layout, found.boot_code, root, wishes);
    }
    if let Some(layout) = mbr::read(&disk) {
        return dos_table(&disk, &layout, root, &wishes);
    }
    let why: Vec<_> = found.faults.into_iter().map(|fault| fault.what).collect();
    bail!("the payload has no partition table: {}", why.join("; "));
}

/// The first bytes of the disk, as they are.
fn dos_table(disk: &Data, layout: &Layout, root: usize, wishes: &Wishes) -> Result<Table> {
    ensure!(wishes.uuids.is_none(), "fresh-ids: not with a dos partition table");
    let root = &layout.partitions[index(layout, root)?];
    let mut bytes = Sparse::new(layout.size);
    bytes.insert(0, disk.slice(0, END))?;
    let why = "a dos partition table is not grown";
    Ok(Table {
        bytes,
        root: root.offset..root.offset + root.size,
        between: END..layout.size,
        not_grown: wishes.grow.then_some(why),
    })
}

fn index(layout: &Layout, root: usize) -> Result<usize> {
    let index = root.checked_sub(1).filter(|&index| index < layout.partitions.len());
    index.with_context(|| format!("the payload has no partition {root}"))
}

fn guid_table(
    mut layout: Layout,
    boot_code: Option<Box<[u8]>>,
    root: usize,
    wishes: Wishes,
) -> Result<Table> {
    let between = END..layout.size.saturating_sub(END);
    let sector = u64::from(layout.sector_size);
    layout.size = round_down(wishes.size, sector);
    let index = index(&layout, root)?;
    if wishes.grow && wishes.is_plain {
        grow(&mut layout, index)?;
    }
    if let Some(mut fresh) = wishes.uuids {
        layout.uuid = fresh()?;
        for partition in &mut layout.partitions {
            partition.uuid = fresh()?;
        }
    }
    let code = boot_code.map(|code| <[u8; BOOT_CODE_BYTES]>::try_from(&code[..]));
    let code = code.transpose().context("boot code of the payload")?;
    let bytes = gpt::table(&layout, code.as_ref()).context("making the partition table")?;
    let grown = &layout.partitions[index];
    Ok(Table {
        bytes,
        root: grown.offset..grown.offset + grown.size,
        between,
        not_grown: (wishes.grow && !wishes.is_plain).then_some("a root in LVM or LUKS is not grown"),
    })
}

/// A partition with another behind it stays as it is.
fn grow(layout: &mut Layout, index: usize) -> Result<()> {
    let usable = gpt::usable(layout.size, layout.sector_size)?;
    let offset = layout.partitions[index].offset;
    if layout.partitions.iter().any(|other| other.offset > offset) {
        return Ok(());
    }
    let end = round_down(usable.end, MIB);
    let partition = &mut layout.partitions[index];
    ensure!(end >= offset, "the disk ends before its last partition begins");
    partition.size = partition.size.max(end - offset);
    Ok(())
}

#[cfg(test)]
mod tests {
    use diskwright_formats::disk::{BootCode, Partition, TableKind, assemble_with_boot_code};
    use uuid::uuid;

    use super::*;

    const LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

    fn payload() -> Arc<Sparse> {
        let partition = |number: u64| Partition {
            offset: number * MIB,
            size: MIB,
            type_uuid: LINUX,
            dos_type: None,
            uuid: Uuid::from_u128(number.into()),
            name: format!("part{number}"),
            attributes: 0,
        };
        let layout = Layout {
            size: 8 * MIB,
            kind: TableKind::Gpt,
            sector_size: 512,
            uuid: Uuid::from_u128(99),
            partitions: vec![partition(1), partition(2)],
        };
        let boot = BootCode { code: [7; BOOT_CODE_BYTES], embedded: None };
        Arc::new(assemble_with_boot_code(&layout, &[], Some(&boot)).unwrap())
    }

    fn read(table: Table) -> gpt::Table {
        let len = table.bytes.len();
        gpt::read(&Data::from_source(Arc::new(table.bytes), 0, len))
    }

    #[test]
    fn the_backup_moves_to_the_end_and_the_last_partition_grows_up_to_it() {
        let wishes = Wishes { size: 20 * MIB + 300, grow: true, is_plain: true, uuids: None };
        let table = table(&payload(), 2, wishes).unwrap();
        assert_eq!(table.root, 2 * MIB..19 * MIB);
        let found = read(table);
        assert_eq!(found.faults, []);
        let layout = found.layout.unwrap();
        assert_eq!((layout.size, layout.uuid), (20 * MIB, Uuid::from_u128(99)));
        assert_eq!(found.boot_code.unwrap()[..], [7; BOOT_CODE_BYTES]);
    }

    #[test]
    fn a_partition_that_is_not_last_keeps_its_size() {
        let table =
            table(&payload(), 1, Wishes { size: 20 * MIB, grow: true, is_plain: true, uuids: None }).unwrap();
        assert_eq!(table.root, MIB..2 * MIB);
    }

    #[test]
    fn fresh_identifiers_replace_all() {
        let mut next = 1000;
        let fresh = move || {
            next += 1;
            Ok(Uuid::from_u128(next))
        };
        let wishes = Wishes { size: 20 * MIB, grow: false, is_plain: true, uuids: Some(Box::new(fresh)) };
        let layout = read(table(&payload(), 2, wishes).unwrap()).layout.unwrap();
        let uuids: Vec<_> = layout.partitions.iter().map(|partition| partition.uuid.as_u128()).collect();
        assert_eq!((layout.uuid.as_u128(), &uuids[..]), (1001, &[1002, 1003][..]));
    }
}
