//! A finished medium gets other options: the rest of it stays, and xorriso reads the new ones.

use std::{fs, process::Command};

use crate::{Built, image, pass, text};

fn iso(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_diskwright")).arg("iso").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn extracted(medium: &str, path: &str, to: &str) -> String {
    let _ = fs::remove_file(to);
    pass("xorriso", "xorriso", &["-osirrox", "on", "-indev", medium, "-extract", path, to]);
    fs::read_to_string(to).unwrap()
}

/// First and last block (exclusive) of a file, as xorriso finds them.
fn place(medium: &str, path: &str) -> (usize, usize) {
    let found = pass("xorriso", "xorriso", &["-indev", medium, "-find", path, "-exec", "report_lba"]);
    let row = found.lines().find(|line| line.starts_with("File data lba")).unwrap();
    let numbers: Vec<usize> = row.split(&[':', ',']).filter_map(|word| word.trim().parse().ok()).collect();
    (numbers[1] * 2048, (numbers[1] + numbers[2]) * 2048)
}

#[test]
fn options_change_at_their_place_and_nothing_else_does() {
    let built = Built::new(&image().write(), &["-t", "iso"]);
    let medium = built.medium();
    let edited = text(&built.path("edited.iso"));
    let options = [
        "edit",
        "--unattended",
        "yes",
        "--to",
        "serial=A1",
        "--karg",
        "quiet=\"a b\"",
        "--ssh-key",
        "ssh-ed25519 AAAA me",
    ];
    let (code, said) =
        iso(&[&options[..], &["--boot-karg", "console=ttyS1", "-o", &edited, &medium]].concat());
    assert_eq!(code, Some(0), "{said}");
    for row in [
        "target            serial=A1",
        "unattended        yes",
        "kernel arguments  quiet=\"a b\"",
        "console=ttyS1",
    ] {
        assert!(said.contains(row), "'{row}' is not in: {said}");
    }
    assert_eq!(iso(&["inspect", &edited]).1, said);
    let file = text(&built.path("file"));
    let yaml = extracted(&edited, "/diskwright/diskwright.yaml", &file);
    assert!(
        yaml.contains("\ndisk: \"serial=A1\"\n") && yaml.contains("\n  - \"ssh-ed25519 AAAA me\"\n"),
        "{yaml}"
    );
    let menu = extracted(&edited, "/boot/grub/grub.cfg", &file);
    assert!(menu.lines().next().unwrap().ends_with(" console=ttyS1\""), "{menu}");
    let places = ["/diskwright/diskwright.yaml", "/boot/grub/grub.cfg"].map(|path| place(&medium, path));
    let (before, after) = (fs::read(&medium).unwrap(), fs::read(&edited).unwrap());
    let differ = |at: &usize| {
        before[*at] != after[*at] && !places.iter().any(|(start, end)| (start..end).contains(&at))
    };
    assert_eq!(before.len(), after.len());
    assert_eq!((0..before.len()).find(differ), None, "a byte of another file changed");
}

#[test]
fn what_is_no_medium_or_no_option_changes_nothing() {
    let built = Built::new(&image().write(), &["-t", "iso"]);
    let medium = built.medium();
    let before = fs::read(&medium).unwrap();
    for (arguments, word) in [
        (&["--to", "serial="][..], "names no disk"),
        (&["--karg", "a\nb"], "not one line"),
        (&["--boot-karg", "a=$b"], "GRUB would change it"),
        (&["--karg", &"x".repeat(70_000)], "has room for"),
    ] {
        let (code, said) = iso(&[&["edit"], arguments, &[&medium]].concat());
        assert!(code == Some(3) && said.contains(word), "{arguments:?}: {said}");
    }
    assert!(fs::read(&medium).unwrap() == before);
    let other = text(&built.path("other"));
    fs::write(&other, vec![0; 100_000]).unwrap();
    let (code, said) = iso(&["inspect", &other]);
    assert!(code == Some(3) && said.contains("no ISO 9660 medium"), "{said}");
}
