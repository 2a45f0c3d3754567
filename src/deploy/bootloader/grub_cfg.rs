//! Configuration for a GRUB that nobody else configures. It finds /boot by
//! the filesystem's UUID and shows the boot entries that libostree manages.

use super::Facts;

/// Both the screen and the first serial port, where there is one.
const CONSOLE: &str = "\
if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
";

/// GRUB has `blscfg` in itself.
pub(super) fn built_in(facts: &Facts<'_>) -> String {
    format!("{}{}", head(facts), blscfg(facts))
}

/// `blscfg` is a module beside the configuration. Under Secure Boot GRUB
/// loads none, so the first deployment has an entry of its own there.
pub(super) fn with_module(module: &str, facts: &Facts<'_>) -> String {
    let (head, entry, blscfg) = (head(facts), entry(facts), blscfg(facts));
    format!("{head}if [ \"$lockdown\" = \"y\" ]; then\n{entry}else\ninsmod {module}\n{blscfg}fi\n")
}

/// GRUB cannot read boot entries.
pub(super) fn fixed(facts: &Facts<'_>) -> String {
    format!("{}{}", head(facts), entry(facts))
}

fn head(facts: &Facts<'_>) -> String {
    let uuid = facts.boot_uuid;
    format!(
        "# written by diskwright\n{CONSOLE}set timeout=1\nsearch --no-floppy --fs-uuid --set=root {uuid}\n"
    )
}

fn blscfg(facts: &Facts<'_>) -> String {
    let boot = if facts.separate_boot { "" } else { "/boot" };
    format!("blscfg --path {boot}/loader/entries\n")
}

fn entry(facts: &Facts<'_>) -> String {
    let boot = if facts.separate_boot { "" } else { "/boot" };
    let entry = facts.entry;
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
