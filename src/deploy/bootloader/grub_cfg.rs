//! Configuration for a GRUB that nobody else configures. It finds /boot by
//! the filesystem's UUID and shows the boot entries that libostree manages.
//!
//! Where GRUB has no `blscfg`, or Secure Boot does not let its module in, the
//! configuration reads the entries itself: an entry is a list of words that
//! can be run as GRUB's own commands, and libostree writes `options` before
//! `linux`. A function of that name gets the whole command line, finds the
//! kernel by the checksum in its `ostree=`, and starts it. libostree's own
//! way for such a GRUB, `sysroot.bootloader=grub2`, is not used: it runs
//! `grub-mkconfig`, which fails where the root filesystem is composefs.
//!
//! Left out on purpose: arguments with a `$` or a backslash, which GRUB would take for its own.

use super::{Console, Facts, Menu};

/// Both the screen and the first serial port, where there is one.
pub(in crate::deploy) const CONSOLE: &str = "\
if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
";

/// Runs the entries. `BOOT` is the path of /boot on its filesystem.
const FUNCTIONS: &str = r#"# a boot entry is a list of commands; the one with the arguments knows all there is
function title {
  set title="$*"
}
function version {
  set version="$*"
}
function options {
  regexp --set=1:stateroot --set=2:checksum 'ostree=/ostree/boot[.][01]/([^/ ]+)/([0-9a-f]+)/' "$*"
  for file in BOOT/ostree/$stateroot-$checksum/vmlinuz-*; do
    linux "$file" "$@"
  done
  for file in BOOT/ostree/$stateroot-$checksum/initramfs-*; do
    if [ -f "$file" ]; then
      initrd "$file"
    fi
  done
  boot
}
"#;

/// One menu entry for each boot entry, the newest first.
const ENTRIES: &str = r#"set found=
for number in 9 8 7 6 5 4 3 2 1; do
  for file in BOOT/loader/entries/ostree-$number.conf BOOT/loader/entries/ostree-$number-*.conf; do
    if [ -f "$file" ]; then
      set found=1
      menuentry TITLE" (ostree-$number)" "$file" {
        source "$2"
      }
    fi
  done
done
"#;

/// The configuration for a GRUB of this kind.
pub(super) fn text(menu: &Menu, facts: &Facts<'_>) -> String {
    let head = head(facts);
    match menu {
        Menu::Bootupd | Menu::BuiltIn => format!("{head}{}", blscfg(facts)),
        Menu::Scripted => format!("{head}{}{}", functions(facts), scripted(facts)),
        Menu::Module(module) => {
            let (functions, scripted, blscfg) = (functions(facts), scripted(facts), blscfg(facts));
            format!(
                "{head}{functions}if [ \"$lockdown\" = \"y\" ]; then\n{scripted}else\ninsmod {module}\n{blscfg}fi\n"
            )
        }
    }
}

fn head(facts: &Facts<'_>) -> String {
    let uuid = facts.boot_uuid;
    let console = facts.console.as_ref().map_or(CONSOLE, Console::text);
    format!(
        "# written by diskwright\n{console}set timeout=1\nsearch --no-floppy --fs-uuid --set=root {uuid}\n"
    )
}

const fn boot(facts: &Facts<'_>) -> &'static str {
    if facts.separate_boot { "" } else { "/boot" }
}

fn blscfg(facts: &Facts<'_>) -> String {
    format!("blscfg --path {}/loader/entries\n", boot(facts))
}

fn functions(facts: &Facts<'_>) -> String {
    FUNCTIONS.replace("BOOT", boot(facts))
}

/// The entries that there are; should GRUB find none, the one that the disk was made with.
fn scripted(facts: &Facts<'_>) -> String {
    let title = quoted(&facts.entry.title);
    let entries = ENTRIES.replace("BOOT", boot(facts)).replace("TITLE", &title);
    format!("{entries}if [ -z \"$found\" ]; then\n{}fi\n", entry(facts))
}

fn entry(facts: &Facts<'_>) -> String {
    let (boot, entry) = (boot(facts), facts.entry);
    let initrd = entry.initrd.as_ref().map(|path| format!("  initrd {boot}{path}\n")).unwrap_or_default();
    format!(
        "menuentry {} {{\n  linux {boot}{} {}\n{initrd}}}\n",
        quoted(&entry.title),
        entry.linux,
        entry.options.replace('$', "\\$")
    )
}

/// One word of GRUB's shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', ""))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use diskwright_formats::tree::Time;
    use uuid::uuid;

    use super::*;
    use crate::deploy::ostree::BootEntry;

    fn texts(separate_boot: bool) -> Vec<String> {
        let entry = BootEntry {
            title: "It's Debian".into(),
            options: "root=UUID=1 price=$5 words=\"two words\" ostree=/ostree/boot.1/default/00/0".into(),
            linux: "/ostree/default-00/vmlinuz-1".into(),
            initrd: Some("/ostree/default-00/initramfs-1.img".into()),
        };
        let facts = Facts {
            boot_uuid: uuid!("01234567-89ab-cdef-0123-456789abcdef"),
            boot_filesystem: "ext4",
            separate_boot,
            table: diskwright_formats::disk::TableKind::Gpt,
            entry: &entry,
            time: Time::default(),
            skip_boot_uuid: false,
            console: None,
        };
        [Menu::BuiltIn, Menu::Module("blsuki"), Menu::Scripted]
            .iter()
            .map(|menu| text(menu, &facts))
            .collect()
    }

    fn is_grub_script(text: &str) -> bool {
        let check = Command::new("grub-script-check").stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut check =
            check.unwrap_or_else(|error| panic!("grub-script-check (package grub-common): {error}"));
        check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        check.wait().unwrap().success()
    }

    #[test]
    fn every_configuration_is_grub_script_and_half_of_one_is_not() {
        for text in texts(true).into_iter().chain(texts(false)) {
            assert!(is_grub_script(&text), "{text}");
        }
        let text = texts(true).pop().unwrap();
        assert!(!is_grub_script(&text[..text.len() - 4]));
    }

    #[test]
    fn paths_follow_the_filesystem_that_holds_boot() {
        for text in texts(true) {
            assert!(!text.contains("BOOT") && !text.contains(" /boot/"), "{text}");
        }
        for text in texts(false) {
            assert!(!text.contains("BOOT") && text.contains(" /boot/loader/entries"), "{text}");
        }
        assert!(texts(true)[2].contains("  linux /ostree/default-00/vmlinuz-1 root=UUID=1 price=\\$5 "));
    }
}
