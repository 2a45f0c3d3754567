//! The second initramfs: the installer, and what makes systemd start it in
//! place of `initrd.target`, so that nothing waits for a root filesystem.

use diskwright_formats::{
    sparse::Sparse,
    tree::{Meta, Time, Tree},
};

use super::put;

/// What the kernel is told to reach instead of `initrd.target`.
pub(super) const INSTALL: &str = "diskwright-install.target";
/// The same, for a shell.
pub(super) const RESCUE: &str = "diskwright-rescue.target";
/// Where units of the initramfs are.
const UNITS: &str = "usr/lib/systemd/system";
/// The installer.
const PROGRAM: &str = "usr/bin/diskwright-install";

const INSTALL_TARGET: &str = "\
[Unit]
Description=Installer
Requires=sysinit.target
Wants=diskwright-install.service
After=sysinit.target
AllowIsolate=yes
";

const INSTALL_SERVICE: &str = "\
[Unit]
Description=Install the system on a disk
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target systemd-udev-trigger.service
Before=diskwright-install.target
OnFailure=diskwright-rescue.target

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory=/
ExecStart=/usr/bin/diskwright-install
StandardInput=null
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=infinity
KillMode=process
";

const RESCUE_TARGET: &str = "\
[Unit]
Description=Rescue shell
Requires=sysinit.target
Wants=diskwright-rescue.service
After=sysinit.target
AllowIsolate=yes
";

const RESCUE_SERVICE: &str = "\
[Unit]
Description=Shell on the console
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target diskwright-install.service

[Service]
WorkingDirectory=/
Environment=HOME=/ TERM=linux
ExecStart=-/bin/sh -i
StandardInput=tty-force
StandardOutput=inherit
StandardError=inherit
TTYPath=/dev/console
TTYReset=yes
KillSignal=SIGHUP
Restart=always
RestartSec=1
";

/// The tree of the second initramfs.
pub(super) fn initramfs(installer: &[u8], time: Time) -> Tree {
    let mut tree = Tree::new(Meta { mtime: time, ..Meta::root(0o755) });
    let root = tree.root();
    let mut add = |path: &str, mode: u16, content: Sparse| {
        let node = tree.add_file(Meta { mtime: time, ..Meta::root(mode) }, content);
        put(&mut tree, root, path, node, time);
    };
    add(PROGRAM, 0o755, Sparse::from_bytes(installer));
    for (name, text) in [
        (INSTALL, INSTALL_TARGET),
        ("diskwright-install.service", INSTALL_SERVICE),
        (RESCUE, RESCUE_TARGET),
        ("diskwright-rescue.service", RESCUE_SERVICE),
    ] {
        add(&format!("{UNITS}/{name}"), 0o644, Sparse::from_bytes(text.as_bytes()));
    }
    tree
}
