//! What is to be known of bootupd's program without running it: when it was
//! made, and its version, where the packager noted that in it. Both are what
//! bootupd records as those of the configuration that it brings.
//!
//! ```text
//! 4 bytes of owner   4 bytes of text   type 0xcafe1a7e   "FDO\0"   text: {"name":…,"version":"0.2.35-1.fc44",…}
//! ```
//!
//! Source: UAPI group, "Package Metadata for Executable Files"; coreos/bootupd, `bootupd.rs`. Nothing
//! parses the version, so that a program without a note is recorded as "unknown".

use diskwright_formats::tree::Time;
use serde::Deserialize;

use super::{Metadata, timestamp};
use crate::deploy::rootfs::Rootfs;

/// One file, under two names.
const PROGRAMS: [&str; 2] = ["usr/libexec/bootupd", "usr/bin/bootupctl"];
/// Type and owner of a package note, little-endian as all machines with UEFI are.
const NOTE: [u8; 8] = *b"\x7e\x1a\xfe\xcaFDO\0";
/// Largest text of a note.
const NOTE_MAX: usize = 4096;

/// What of a note is needed.
#[derive(Deserialize)]
struct Note {
    version: String,
}

/// What bootupd says of its static configuration; `time` is that of an unknown program.
pub(super) fn metadata(rootfs: &Rootfs<'_>, time: Time) -> Metadata {
    let program = PROGRAMS.into_iter().find(|path| rootfs.is_file(path));
    let node = program.and_then(|path| rootfs.lookup(path));
    let time = node.map_or(time, |node| rootfs.tree.node(node).meta.mtime);
    let bytes = program.and_then(|path| rootfs.read(path).ok().flatten());
    let version = bytes.and_then(|bytes| version(&bytes)).unwrap_or_else(|| "unknown".to_owned());
    Metadata { timestamp: timestamp(time), version, versions: None }
}

/// The packaged version, without epoch and release.
fn version(program: &[u8]) -> Option<String> {
    let starts = program.windows(NOTE.len()).enumerate().filter(|(_, window)| **window == NOTE);
    let notes = starts.filter_map(|(at, _)| {
        let len = program.get(at.checked_sub(4)?..at)?.first_chunk().copied().map(u32::from_le_bytes)?;
        let text = program.get(at + NOTE.len()..)?.get(..len as usize)?;
        let text = text.get(..NOTE_MAX.min(text.len()))?.split(|&byte| byte == 0).next()?;
        serde_json::from_slice::<Note>(text).ok()
    });
    let packaged = notes.map(|note| note.version).next()?;
    let upstream = packaged.rsplit_once('-').map_or(&packaged[..], |(version, _)| version);
    let upstream = upstream.rsplit_once(':').map_or(upstream, |(_, version)| version);
    (!upstream.is_empty()).then(|| upstream.to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// An object of nothing, into which the linker writes a note.
    fn program(text: &str) -> Vec<u8> {
        let scratch = tempfile::tempdir().unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let done = Command::new(program).args(arguments).current_dir(scratch.path()).status();
            assert!(done.unwrap_or_else(|error| panic!("{program} (package binutils): {error}")).success());
        };
        run("as", &["-o", "nothing.o", "/dev/null"]);
        run("ld", &["-shared", "-o", "program", "nothing.o", &format!("--package-metadata={text}")]);
        std::fs::read(scratch.path().join("program")).unwrap()
    }

    #[test]
    fn the_packager_notes_the_version() {
        let fedora = r#"{"type":"rpm","name":"rust-bootupd","version":"0.2.35-1.fc44","architecture":"x86_64","osCpe":"cpe:/o:fedoraproject:fedora:44"}"#;
        assert_eq!(version(&program(fedora)).as_deref(), Some("0.2.35"));
        let other = r#"{"type":"deb","name":"bootupd","version":"1:0.2.29"}"#;
        assert_eq!(version(&program(other)).as_deref(), Some("0.2.29"));
    }

    #[test]
    fn a_program_without_a_whole_note_has_no_version() {
        let whole = program(r#"{"version":"0.2.35-1"}"#);
        let note = whole.windows(NOTE.len()).position(|window| *window == NOTE).unwrap();
        let end = note + NOTE.len() + r#"{"version":"0.2.35-1"}"#.len();
        for end in note..end {
            assert_eq!(version(&whole[..end]), None, "{end}");
        }
        for text in ["x", "{}", "{\"version\":1}", "{\"version\":\"\"}"] {
            assert_eq!(version(&program(text)), None, "{text}");
        }
    }
}
