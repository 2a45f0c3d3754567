//! Reads a group back, as far as this crate writes one: linear volumes of one
//! segment on one physical volume. Anything else is left out, and said to be.

use super::{
    ondisk::{AREA_MAGIC, LABEL_ID, SECTOR, crc},
    value::Value,
};
use crate::{Faults, data::Data};

/// The label is in one of the first sectors.
const LABEL_SECTORS: u64 = 4;
/// Longest metadata that is read, in bytes.
const TEXT_MAX: u64 = 1 << 20;

/// A logical volume.
#[derive(Clone, Debug)]
pub struct Member {
    /// Group and name: "system/root".
    pub name: String,
    /// Its bytes.
    pub data: Data,
}

/// The logical volumes of a physical one; `None` if that is none.
/// Whatever the bytes are, this ends, and says what is wrong in the faults.
#[must_use]
pub fn read(volume: &Data, faults: &mut Faults) -> Option<Vec<Member>> {
    let label = (0..LABEL_SECTORS).find_map(|sector| {
        let label = sector_at(volume, sector * SECTOR)?;
        label.starts_with(&LABEL_ID).then_some(label)
    })?;
    let text = metadata(volume, &label).map_err(|what| faults.error("LVM metadata", what)).ok();
    let groups = text.and_then(|text| Value::parse(&text));
    if groups.is_none() {
        faults.error("LVM metadata", "cannot be read");
    }
    Some(groups.map(|groups| members(volume, &groups, faults)).unwrap_or_default())
}

fn sector_at(volume: &Data, offset: u64) -> Option<[u8; SECTOR as usize]> {
    let mut sector = [0; SECTOR as usize];
    volume.read_exact_at(&mut sector, offset).ok()?;
    Some(sector)
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The text that the label leads to.
fn metadata(volume: &Data, label: &[u8; SECTOR as usize]) -> Result<String, &'static str> {
    let stored = number(label, 16).map(|both| both as u32);
    if stored != Some(crc(&label[20..])) {
        return Err("the label's checksum is wrong");
    }
    let area = area(label).ok_or("the label names no metadata area")?;
    let header = sector_at(volume, area).ok_or("the metadata area is past the end")?;
    if header[4..20] != AREA_MAGIC || number(&header, 0).map(|both| both as u32) != Some(crc(&header[4..])) {
        return Err("the metadata area's header is damaged");
    }
    let [offset, len, sum] = [40, 48, 56].map(|at| number(&header, at).unwrap_or_default());
    let at = area.checked_add(offset).filter(|_| len <= TEXT_MAX).ok_or("the metadata is too long")?;
    let mut text = vec![0; len as usize];
    volume.read_exact_at(&mut text, at).map_err(|_| "the metadata is past the end")?;
    if sum as u32 != crc(&text) {
        return Err("the metadata's checksum is wrong");
    }
    String::from_utf8(text).map_err(|_| "the metadata is no text")
}

/// Where the first metadata area is: after identifier, size and the list of data areas.
fn area(label: &[u8]) -> Option<u64> {
    let mut at = (number(label, 20)? as u32 as usize).checked_add(40)?;
    while number(label, at)? != 0 {
        at += 16;
    }
    number(label, at + 16).filter(|&offset| offset != 0)
}

fn members(volume: &Data, groups: &Value, faults: &mut Faults) -> Vec<Member> {
    let mut members = Vec::new();
    for (group, value) in groups.sections() {
        for (name, logical) in value.get("logical_volumes").into_iter().flat_map(Value::sections) {
            let name = format!("{group}/{name}");
            match member(volume, value, logical) {
                Some(data) => members.push(Member { name, data }),
                None => faults.warning(name, "a logical volume of this kind is not read"),
            }
        }
    }
    members
}

/// The bytes of a linear volume of one segment.
fn member(volume: &Data, group: &Value, logical: &Value) -> Option<Data> {
    let extent = group.get("extent_size")?.number()?.checked_mul(SECTOR)?;
    let segment = logical.get("segment1").filter(|_| logical.get("segment2").is_none())?;
    let [Value::Text(physical), Value::Number(first)] = segment.get("stripes")?.list()? else { return None };
    let linear = segment.get("type")?.text()? == "striped" && segment.get("stripe_count")?.number()? == 1;
    let volumes =
        group.get("physical_volumes").filter(|volumes| linear && volumes.sections().count() == 1)?;
    let start = volumes.get(physical)?.get("pe_start")?.number()?.checked_mul(SECTOR)?;
    let offset = first.checked_mul(extent)?.checked_add(start)?;
    let len = segment.get("extent_count")?.number()?.checked_mul(extent)?;
    let fits = offset.checked_add(len).is_some_and(|end| end <= volume.len());
    fits.then(|| volume.slice(offset, len))
}
