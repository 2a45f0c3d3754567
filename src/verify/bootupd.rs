//! bootupd's record of what it installed, `bootupd-state.json` in /boot: every
//! file in it is on an EFI system partition as it was recorded, which is what
//! `bootupctl validate` asks. A file that is not there any more, or another,
//! is one that bootupd would update wrongly.

use std::{collections::BTreeMap, fmt::Write as _};

use diskwright_formats::filesystem::Contents;
use serde::Deserialize;
use sha2::{Digest, Sha512};

use super::{
    filesystems::{ESP_TYPE, Volume, Volumes, read_small},
    report::Findings,
};

const CHECK: &str = "bootloader";
/// Where the record is on the filesystem that holds /boot.
const PLACES: [&str; 2] = ["bootupd-state.json", "boot/bootupd-state.json"];
/// Largest record, largest file in it, most bytes of all of them.
const RECORD_MAX: u64 = 1 << 20;
const FILE_MAX: u64 = 64 << 20;
const TOTAL_MAX: u64 = 1 << 30;

#[derive(Deserialize)]
struct Record {
    installed: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
struct Component {
    filetree: Option<Files>,
}

#[derive(Deserialize)]
struct Files {
    children: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    size: u64,
    sha512: String,
}

/// Compares every record with every EFI system partition.
pub(super) fn check(volumes: &Volumes, findings: &mut Findings) {
    let esps: Vec<_> = volumes.readable().filter(|(volume, _)| volume.entry.type_uuid == ESP_TYPE).collect();
    for (volume, contents) in volumes.readable().filter(|(volume, _)| volume.entry.type_uuid != ESP_TYPE) {
        for path in PLACES {
            let node = contents.tree.lookup(path);
            let Some(text) = node.and_then(|node| read_small(&contents.tree, node, RECORD_MAX)) else {
                continue;
            };
            match serde_json::from_slice::<Record>(&text) {
                Ok(record) => record.check(&esps, findings),
                Err(error) => findings.error(CHECK, volume.at(path), format!("not bootupd's: {error}")),
            }
        }
    }
}

impl Record {
    fn check(&self, esps: &[(&Volume, &Contents)], findings: &mut Findings) {
        let components = self.installed.values().filter_map(|component| component.filetree.as_ref());
        let files: Vec<_> = components.flat_map(|files| &files.children).collect();
        let total = files.iter().fold(0_u64, |sum, (_, file)| sum.saturating_add(file.size));
        for (volume, contents) in esps {
            for (path, file) in files.iter().filter(|_| total <= TOTAL_MAX) {
                if let Some(what) = file.difference(contents, path) {
                    findings.error(CHECK, volume.at(&format!("EFI/{path}")), what);
                }
            }
        }
        if total > TOTAL_MAX {
            findings.error(CHECK, PLACES[0], format!("{total} bytes in bootupd's record"));
        }
    }
}

impl File {
    /// What is wrong with the file below `EFI`.
    fn difference(&self, contents: &Contents, path: &str) -> Option<&'static str> {
        let Some(node) = contents.tree.lookup(format!("EFI/{path}")) else {
            return Some("in bootupd's record, but missing");
        };
        let max = self.size.min(FILE_MAX);
        let same = read_small(&contents.tree, node, max)
            .is_some_and(|bytes| bytes.len() as u64 == self.size && self.sha512 == sum(&bytes));
        (!same).then_some("not the file of bootupd's record")
    }
}

fn sum(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().fold("sha512:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
