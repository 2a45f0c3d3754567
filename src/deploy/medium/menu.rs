//! The installer's menu: for GRUB by UEFI and by BIOS alike, and for iPXE.

use anyhow::Result;

use super::{padded, units};
use crate::deploy::bootloader::CONSOLE;

/// Bytes of the file: room to be edited in place.
const BYTES: usize = 16 << 10;

/// Whether GRUB passes the argument on as it is: a variable of its shell is cut into words and quoted anew.
pub(super) fn is_plain(argument: &str) -> bool {
    !argument.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\$`*?[".contains(c))
}

/// Seconds until the first entry starts, if nobody says.
const TIMEOUT: u32 = 10;

/// A menu before it is text.
pub(super) struct Menu<'a> {
    /// What the system calls itself.
    pub(super) name: &'a str,
    /// Seconds until the first entry starts.
    pub(super) timeout: Option<u32>,
    /// What every entry passes to the kernel.
    pub(super) arguments: &'a str,
}

/// An entry: a word for it, its title, the unit to reach, and more arguments.
struct Entry {
    word: &'static str,
    title: String,
    unit: &'static str,
    more: &'static str,
}

impl Menu<'_> {
    /// The menu of a medium with this volume id.
    ///
    /// # Errors
    /// Arguments that fill more than the file.
    pub(super) fn of_medium(&self, label: &str) -> Result<String> {
        let mut text = format!("set arguments=\"{}\"\n", self.arguments);
        text += &self.settings();
        text += &format!("search --no-floppy --set=root --label {label}\n");
        padded(text + &self.grub_entries("/boot"), BYTES)
    }

    /// The menu of a GRUB that came from a server, with `before` for what the arguments want.
    pub(super) fn of_server(&self, before: &str) -> String {
        let arguments = format!("{before}set arguments=\"{}\"\n", self.arguments);
        arguments + &self.settings() + &self.grub_entries("")
    }

    /// The script of iPXE, with `before` for what the arguments want; files are beside the script.
    pub(super) fn of_ipxe(&self, before: &str) -> String {
        let wait = u64::from(self.seconds()) * 1000;
        let mut text = format!("#!ipxe\n{before}set arguments {}\n", self.arguments);
        if wait > 0 {
            // where iPXE was built without menus, the first entry starts
            text += &format!("menu {} || goto install\n", self.title());
            for entry in self.entries() {
                text += &format!("item {} {}\n", entry.word, entry.title);
            }
            text += &format!("choose --default install --timeout {wait} entry || goto install\n");
            text += "goto ${entry}\n";
        }
        for Entry { word, unit, more, .. } in self.entries() {
            text += &format!(
                ":{word}\nkernel vmlinuz initrd=initrd.magic rd.systemd.unit={unit} {more} ${{arguments}}\n"
            );
            text += "goto start\n";
        }
        text + ":start\ninitrd initramfs.img\ninitrd installer.img\nboot\n"
    }

    fn seconds(&self) -> u32 {
        self.timeout.unwrap_or(TIMEOUT)
    }

    fn settings(&self) -> String {
        format!("set default=0\nset timeout={}\n{CONSOLE}", self.seconds())
    }

    /// The name as one word of GRUB's shell and of iPXE's.
    fn title(&self) -> String {
        self.name.chars().filter(|&c| !"'$|&".contains(c) && !c.is_control()).collect()
    }

    fn entries(&self) -> [Entry; 3] {
        let (name, install, rescue) = (self.title(), units::INSTALL, units::RESCUE);
        let verbose = "loglevel=7 systemd.show_status=1 inst.diskwright.log=verbose";
        [
            Entry { word: "install", title: format!("Install {name}"), unit: install, more: "quiet" },
            Entry {
                word: "verbose",
                title: format!("Install {name}, with a verbose log"),
                unit: install,
                more: verbose,
            },
            Entry { word: "rescue", title: "Rescue shell".to_owned(), unit: rescue, more: "" },
        ]
    }

    fn grub_entries(&self, directory: &str) -> String {
        let mut text = String::new();
        for Entry { title, unit, more, .. } in self.entries() {
            text += &format!("menuentry '{title}' {{\n");
            text += &format!("  linux {directory}/vmlinuz rd.systemd.unit={unit} {more} $arguments\n");
            text += &format!("  initrd {directory}/initramfs.img {directory}/installer.img\n}}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_grub_would_change_are_not_plain() {
        assert!(is_plain("console=ttyS0,115200n8") && is_plain("a.b=c/d-e_f"));
        for argument in ["a=\"b c\"", "a=$b", "a\\b", "a b", "a=*"] {
            assert!(!is_plain(argument), "{argument}");
        }
    }

    #[test]
    fn titles_stay_one_word_of_grubs_shell() {
        let menu = Menu { name: "It's\n1", timeout: None, arguments: "a=b" };
        let text = menu.of_medium("LABEL").unwrap();
        assert!(text.contains("menuentry 'Install Its1' {") && text.len() == BYTES, "{text}");
        let text = menu.of_ipxe("isset ${payload}\n");
        assert!(text.starts_with("#!ipxe\nisset ${payload}\nset arguments a=b\nmenu Its1 || goto install\n"));
        assert!(
            text.contains("item verbose Install Its1, with") && text.contains("--timeout 10000 "),
            "{text}"
        );
        // 0 would wait for ever there
        assert!(!Menu { timeout: Some(0), ..menu }.of_ipxe("").contains("choose"));
    }
}
