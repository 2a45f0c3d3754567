//! What firmware starts: the removable-media binary on the EFI system
//! partition and what shim starts after it, GRUB's configuration, which must
//! name filesystems of this disk, and for BIOS the code in MBR and boot partition.

use diskwright_formats::{
    filesystem::Contents,
    tree::{Kind, NodeId},
};

use super::{
    filesystems::{BIOS_BOOT_TYPE, ESP_TYPE, Volume, Volumes, read_small},
    report::Findings,
};

const CHECK: &str = "bootloader";
/// Firmware's names for architectures, as in `BOOTX64.EFI`.
const ARCHITECTURES: [&str; 6] = ["X64", "AA64", "IA32", "RISCV64", "ARM", "LOONGARCH64"];
/// Largest binary or configuration that is looked into.
const BINARY_MAX: u64 = 64 << 20;
const TEXT_MAX: u64 = 1 << 20;
/// Files are sought this deep.
const DEPTH_MAX: usize = 16;
/// Where a PE binary says where its header is, and how the header begins.
const PE_OFFSET_AT: usize = 0x3C;
const PE_SIGNATURE: [u8; 4] = *b"PE\0\0";
/// Where GRUB's boot.img keeps the sector of what it loads.
const GRUB_SECTOR_AT: usize = 0x5C;
/// Characters of a filesystem's UUID.
const UUID_LEN: usize = 36;

/// Checks what the disk can be started with.
pub(super) fn check(volumes: &Volumes, findings: &mut Findings) {
    let esps: Vec<_> = volumes.readable().filter(|(volume, _)| volume.entry.type_uuid == ESP_TYPE).collect();
    for (volume, contents) in &esps {
        system_partition(volume, contents, findings);
    }
    let bios = bios(volumes, findings);
    if esps.is_empty() && !bios {
        findings.error(CHECK, "disk", "nothing to start: no EFI system partition, no code in the MBR");
    }
    for (volume, contents) in volumes.readable() {
        configurations(volumes, volume, contents, findings);
    }
}

fn system_partition(volume: &Volume, contents: &Contents, findings: &mut Findings) {
    let tree = &contents.tree;
    let names: Vec<_> = children(contents, tree.root(), "EFI")
        .into_iter()
        .flat_map(|efi| children(contents, efi, "BOOT"))
        .flat_map(|boot| tree.children(boot).into_iter().flatten())
        .map(|(name, &node)| (String::from_utf8_lossy(name).to_ascii_lowercase(), node))
        .collect();
    let mut found = false;
    for architecture in ARCHITECTURES {
        let name = format!("boot{}.efi", architecture.to_lowercase());
        let Some((_, node)) = names.iter().find(|(other, _)| *other == name) else { continue };
        found = true;
        let place = volume.at(&format!("EFI/BOOT/BOOT{architecture}.EFI"));
        let Some(binary) = read_small(tree, *node, BINARY_MAX).filter(|binary| is_pe(binary)) else {
            findings.error(CHECK, place, "no EFI binary");
            continue;
        };
        let second = format!("grub{}.efi", architecture.to_lowercase());
        let is_shim = contains(&binary, &utf16(&format!("\\{second}")));
        let starts = |wanted: &str| names.iter().any(|(name, _)| *name == wanted);
        if is_shim && !starts(&second) && !names.iter().any(|(name, _)| name.starts_with("fb")) {
            findings.error(
                CHECK,
                place,
                format!("is shim, but EFI/BOOT/{second}, which it starts, is missing"),
            );
        }
    }
    if !found {
        let what = "no BOOT*.EFI: firmware that knows nothing of this disk finds no bootloader";
        findings.error(CHECK, volume.at("EFI/BOOT"), what);
    }
}

/// Children of that name, in any case.
fn children(contents: &Contents, directory: NodeId, name: &str) -> Vec<NodeId> {
    let all = contents.tree.children(directory).into_iter().flatten();
    let same = all.filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
    same.map(|(_, &node)| node).collect()
}

fn is_pe(binary: &[u8]) -> bool {
    let offset = binary.get(PE_OFFSET_AT..).and_then(<[u8]>::first_chunk::<4>);
    let offset = offset.map(|bytes| u32::from_le_bytes(*bytes) as usize);
    binary.starts_with(b"MZ")
        && offset.and_then(|at| binary.get(at..)).is_some_and(|pe| pe.starts_with(&PE_SIGNATURE))
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// GRUB's configurations on the ESP and in /boot: every filesystem they name is here.
fn configurations(volumes: &Volumes, volume: &Volume, contents: &Contents, findings: &mut Findings) {
    let is_esp = volume.entry.type_uuid == ESP_TYPE;
    let tree = &contents.tree;
    let tops = if is_esp { vec!["EFI"] } else { vec!["grub2", "grub", "boot/grub2", "boot/grub"] };
    let tops = tops.into_iter().filter_map(|top| tree.lookup(top).map(|node| (top.to_owned(), node, 0)));
    let mut stack: Vec<(String, NodeId, usize)> = tops.collect();
    let mut found = false;
    while let Some((path, node, depth)) = stack.pop() {
        if let Some(children) = tree.children(node).filter(|_| depth < DEPTH_MAX) {
            let below = |name: &[u8]| format!("{path}/{}", String::from_utf8_lossy(name));
            stack.extend(children.iter().map(|(name, &child)| (below(name), child, depth + 1)));
        } else if path.ends_with(".cfg") && matches!(tree.node(node).kind, Kind::File(_)) {
            found = true;
            let text = read_small(tree, node, TEXT_MAX).unwrap_or_default();
            for uuid in missing(volumes, &String::from_utf8_lossy(&text)) {
                findings.error(CHECK, volume.at(&path), format!("filesystem {uuid} is not on this disk"));
            }
        }
    }
    if is_esp && !found {
        findings.warning(CHECK, volume.at("EFI"), "no configuration (*.cfg) beside a bootloader");
    }
}

/// The UUIDs in a configuration that nothing on the disk has, as far as that can be told.
fn missing<'a>(volumes: &Volumes, text: &'a str) -> Vec<&'a str> {
    // the kernel's arguments name the root, which may be in something encrypted
    let hides_root = volumes.hides_system();
    let lines = text.lines().filter(|line| !(hides_root && line.trim_start().starts_with("linux ")));
    let is_missing = |uuid: &&str| !volumes.has_filesystem(uuid) && !volumes.has_locked(uuid);
    lines.flat_map(uuids).filter(is_missing).collect()
}

/// Words that look like UUIDs.
fn uuids(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    words.filter(|word| word.len() == UUID_LEN && word.bytes().filter(|&byte| byte == b'-').count() == 4)
}

/// Whether the disk starts by BIOS; the MBR's code needs what it loads.
fn bios(volumes: &Volumes, findings: &mut Findings) -> bool {
    let Some(code) = &volumes.boot_code else { return false };
    if volumes.dos {
        // what it loads lies between the table and the partitions
        return true;
    }
    let Some(volume) = volumes.list.iter().find(|volume| volume.entry.type_uuid == BIOS_BOOT_TYPE) else {
        findings.warning(CHECK, "MBR", "has code, but there is no BIOS boot partition");
        return true;
    };
    let mut start = vec![0; volumes.sector_size as usize];
    let read = volume.bytes.read_exact_at(&mut start, 0);
    if read.is_err() || start.iter().all(|&byte| byte == 0) {
        findings.error(CHECK, volume.place(), "empty, though the MBR has code that loads it");
    }
    let sector = code.get(GRUB_SECTOR_AT..).and_then(<[u8]>::first_chunk::<8>);
    let sector = sector.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if contains(code, b"GRUB") && sector.checked_mul(512) != Some(volume.entry.offset) {
        let what = format!("GRUB's code loads sector {sector}, which is not where {} begins", volume.place());
        findings.error(CHECK, "MBR", what);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_words_of_a_configuration() {
        let text = "search --fs-uuid --set=root 0bf7be7c-7f5f-4b34-9d9d-5ed4f1b0f0b1\nset x=\"a-b\"";
        assert_eq!(uuids(text).collect::<Vec<_>>(), ["0bf7be7c-7f5f-4b34-9d9d-5ed4f1b0f0b1"]);
    }
}
