//! The second initramfs: the installer, and what makes systemd start it in
//! place of `initrd.target`, so that nothing waits for a root filesystem. From
//! a network also what brings that up, and the options.

use diskwright_formats::{
    sparse::Sparse,
    tree::{Meta, Time, Tree},
};

use super::{drivers::NetworkService, file, put};

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

/// Every card by DHCP. Arguments such as `ip=` become files that come before this one by name.
const NETWORK: &str = "\
[Match]
Type=ether
Kind=!*

[Network]
DHCP=yes
";

const WANTS_NETWORKD: &str = "\
[Unit]
Wants=systemd-network-generator.service systemd-networkd.socket systemd-networkd.service systemd-resolved.service
";

const WANTS_NETWORK_MANAGER: &str = "\
[Unit]
Wants=dbus.socket diskwright-network.service nm-initrd.service NetworkManager-initrd.service
";

/// NetworkManager of an initramfs starts where a file says that it is needed, with the connections that
/// its generator makes of the command line.
const NETWORK_SERVICE: &str = "\
[Unit]
Description=Configure the network
DefaultDependencies=no
After=NetworkManager-config-initrd.service
Before=nm-initrd.service NetworkManager-initrd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for it in /usr/libexec/nm-initrd-generator /usr/lib/nm-initrd-generator; do \
    [ ! -x $$it ] || $$it -- rd.neednet=1 $$(cat /proc/cmdline); done; \
    mkdir -p /run/NetworkManager/initrd && : > /run/NetworkManager/initrd/neednet'
";

/// What an installation from a network has more.
pub(super) struct FromNetwork {
    pub(super) service: NetworkService,
    /// The text of `diskwright.yaml`.
    pub(super) options: String,
}

/// The tree of the second initramfs.
pub(super) fn initramfs(installer: &[u8], network: Option<&FromNetwork>, time: Time) -> Tree {
    let mut tree = Tree::new(Meta { mtime: time, ..Meta::root(0o755) });
    let root = tree.root();
    let mut add = |path: &str, mode: u16, content: &[u8]| {
        let node = tree.add_file(Meta { mtime: time, ..Meta::root(mode) }, Sparse::from_bytes(content));
        put(&mut tree, root, path, node, time);
    };
    add(PROGRAM, 0o755, installer);
    for (name, text) in [
        (INSTALL, INSTALL_TARGET),
        ("diskwright-install.service", INSTALL_SERVICE),
        (RESCUE, RESCUE_TARGET),
        ("diskwright-rescue.service", RESCUE_SERVICE),
    ] {
        add(&format!("{UNITS}/{name}"), 0o644, text.as_bytes());
    }
    if let Some(network) = network {
        add(file::PATH, 0o600, network.options.as_bytes());
        for (path, text) in of_service(network.service) {
            add(&path, 0o644, text.as_bytes());
        }
    }
    tree
}

/// Files that have the service start before the installer.
fn of_service(service: NetworkService) -> Vec<(String, &'static str)> {
    let wants = format!("{UNITS}/diskwright-install.service.d/network.conf");
    match service {
        NetworkService::Networkd => {
            vec![(wants, WANTS_NETWORKD), ("usr/lib/systemd/network/zz-diskwright.network".into(), NETWORK)]
        }
        NetworkService::NetworkManager => vec![
            (wants, WANTS_NETWORK_MANAGER),
            (format!("{UNITS}/diskwright-network.service"), NETWORK_SERVICE),
        ],
    }
}
