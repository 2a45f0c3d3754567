//! Disks that QEMU cannot compare as a whole in reasonable time, because it reads their gaps: compared
//! where data is, and read at the edges of everything that could hold data elsewhere.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use diskwright_formats::{
    sparse::Sparse,
    units::{KIB, MIB},
};

use super::{pass, refuse};

const QEMU: &str = "qemu-utils";
/// Bytes that are compared around data: what one table of a VMDK covers, and many blocks of a VHDX.
const WINDOW: u64 = 32 * MIB;
const SECTOR: u64 = 512;

/// Bytes of the disk that have one entry in the table that tells what is allocated: a grain table of
/// VMDK, a block of VHDX. `None` for formats of which QEMU knows the gaps.
pub(crate) fn unit(format: &str) -> Option<u64> {
    match format {
        "vmdk" => Some(512 * 64 * KIB),
        "vhdx" => Some(2 * MIB),
        _ => None,
    }
}

/// That the file holds `disk`, which is in `raw` too: equal windows around all data, and zeros on both
/// sides of each boundary between units elsewhere, so that an entry which is not empty is seen.
pub(crate) fn same(format: &str, file: &Path, raw: &Path, disk: &Sparse, unit: u64) {
    let windows: BTreeSet<u64> = disk.windows(WINDOW as usize).map(|window| window.offset).collect();
    for &offset in &windows {
        let len = WINDOW.min(disk.len() - offset);
        let sides = [(format, file), ("raw", raw)].map(|(format, path)| part(format, path, offset, len));
        pass(QEMU, "qemu-img", &["compare", "--image-opts", &sides[0], &sides[1]]);
    }
    let is_gap = |at: u64| !windows.contains(&(at / WINDOW * WINDOW));
    let boundaries = (unit..disk.len()).step_by(unit as usize);
    let checked: Vec<u64> = boundaries.filter(|&at| is_gap(at) && is_gap(at - SECTOR)).collect();
    assert!(checked.len() as u64 + 16 * WINDOW / unit > disk.len() / unit, "{}", checked.len());
    let all = commands(file, checked.into_iter().map(|at| at - SECTOR));
    pass(QEMU, "sh", &["-euc", &format!("qemu-io -r -f {format} {} < {}", file.display(), all.display())]);
    let first = disk.pieces()[0].offset;
    refuse(QEMU, "qemu-io", &["-r", "-f", format, "-c", &zeros(first), &file.display().to_string()]);
}

/// QEMU's name for a part of a disk.
fn part(format: &str, path: &Path, offset: u64, len: u64) -> String {
    let file = format!("file.driver={format},file.file.driver=file,file.file.filename={}", path.display());
    format!("driver=raw,offset={offset},size={len},{file}")
}

/// A file beside `file` with a command for each place: arguments could not hold so many.
fn commands(file: &Path, places: impl Iterator<Item = u64>) -> PathBuf {
    let mut text = String::new();
    for at in places {
        writeln!(text, "{}", zeros(at)).unwrap();
    }
    let path = file.with_extension("commands");
    fs::write(&path, text).unwrap();
    path
}

/// The command that fails unless two sectors are zero.
fn zeros(at: u64) -> String {
    format!("read -q -P 0 {at} {}", 2 * SECTOR)
}
