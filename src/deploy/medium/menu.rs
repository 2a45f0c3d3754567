//! The medium's menu, for GRUB by UEFI and by BIOS alike.

use anyhow::Result;

use super::{padded, units};
use crate::deploy::{bootloader::CONSOLE, kargs::KernelArguments};

/// Bytes of the file: room to be edited in place.
const BYTES: usize = 16 << 10;

/// Whether GRUB passes the argument on as it is: a variable of its shell is cut into words and quoted anew.
pub(in crate::deploy) fn is_plain(argument: &str) -> bool {
    !argument.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\$`*?[".contains(c))
}

/// Seconds until the first entry starts, if nobody says.
pub(super) const TIMEOUT: u32 = 10;

/// The text of the menu; `timeout` is in seconds.
///
/// # Errors
/// Arguments that fill more than the file.
pub(super) fn text(
    name: &str,
    label: &str,
    arguments: &KernelArguments,
    timeout: Option<u32>,
) -> Result<String> {
    let timeout = timeout.unwrap_or(TIMEOUT);
    let name: String = name.chars().filter(|&c| c != '\'' && !c.is_control()).collect();
    let mut text = format!("set arguments=\"inst.diskwright.medium={label} {arguments}\"\n");
    text += &format!("set default=0\nset timeout={timeout}\n{CONSOLE}");
    text += &format!("search --no-floppy --set=root --label {label}\n");
    let (install, rescue) = (units::INSTALL, units::RESCUE);
    for (title, target, more) in [
        (format!("Install {name}"), install, "quiet"),
        (
            format!("Install {name}, with a verbose log"),
            install,
            "loglevel=7 systemd.show_status=1 inst.diskwright.log=verbose",
        ),
        ("Rescue shell".to_owned(), rescue, ""),
    ] {
        text += &format!("menuentry '{title}' {{\n");
        text += &format!("  linux /boot/vmlinuz rd.systemd.unit={target} {more} $arguments\n");
        text += "  initrd /boot/initramfs.img /boot/installer.img\n}\n";
    }
    padded(text, BYTES)
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
        let text = text("It's\n1", "LABEL", &KernelArguments::default(), None).unwrap();
        assert!(text.contains("menuentry 'Install Its1' {") && text.len() == BYTES, "{text}");
    }
}
