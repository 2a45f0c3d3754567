//! What each example blueprint promises of the machine that boots its disk: commands, and what they
//! print there; and who may log in over the network.

use crate::ssh::Way;

/// An example, and all that it asks for.
pub(crate) struct Example {
    /// Of the file in `blueprints`.
    pub(crate) name: &'static str,
    /// A command of root, and what it prints.
    pub(crate) promises: &'static [(&'static str, &'static str)],
    /// User, way, a command and what it prints; nothing where nobody may get in. The first one gets in.
    pub(crate) visits: &'static [(&'static str, Way, &'static str, Option<&'static str>)],
}

pub(crate) const MINIMAL: Example = Example {
    name: "minimal",
    promises: &[("getent passwd admin | cut -d: -f6", "/home/admin"), ("id -nG admin", "admin users")],
    visits: &[
        ("admin", Way::Key, "id -un; id -nG", Some("admin\nadmin users\n")),
        ("admin", Way::Password("admin"), "id", None),
    ],
};

pub(crate) const SERVER: Example = Example {
    name: "server",
    promises: &[
        ("hostname", "server.example.com"),
        ("getent passwd admin | cut -d: -f3,5-", "1200:The administrator:/home/admin:/bin/bash"),
        ("id -nG admin; id -gn deploy; id -u deploy", "admin users\nusers\n1201"),
        (r#"perl -e '$h = (split /:/, `getent shadow admin`)[1]; print crypt("changeme", $h) eq $h'"#, "1"),
        ("getent shadow root | cut -d: -f2", "!"),
        (
            "xargs -n 1 < /proc/cmdline | grep -xE 'console=(tty0|ttyS0,115200n8)'",
            "console=tty0\nconsole=ttyS0,115200n8",
        ),
        ("cat /etc/motd", "Built from server.yaml."),
        (
            "stat -c '%a %U:%G' /etc/motd /etc/ssh/sshd_config.d/10-keys-only.conf",
            "644 root:root\n600 root:root",
        ),
        ("sshd -T | tr A-Z a-z | grep ^passwordauthentication", "passwordauthentication no"),
    ],
    visits: &[
        ("admin", Way::Key, "id -u; hostname; cd; pwd -L", Some("1200\nserver.example.com\n/home/admin\n")),
        ("admin", Way::Password("changeme"), "id", None),
        ("deploy", Way::Key, "id", None),
    ],
};

pub(crate) const KUBERNETES_NODE: Example = Example {
    name: "kubernetes-node",
    promises: &[
        ("grep -c systemd.unified_cgroup_hierarchy=1 /proc/cmdline", "1"),
        ("stat -c '%a %U:%G %F' /etc/kubernetes/manifests", "755 root:root directory"),
        ("cat /etc/modules-load.d/kubernetes.conf; ls -d /sys/module/br_netfilter", LOADED),
        ("sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables", "1\n1"),
        ("systemctl is-enabled crio kubelet swap.target", "enabled\nenabled\nmasked"),
        ("systemctl is-active crio kubelet", "active\nactive"),
        ("grep -o '<port [^/]*\"' /etc/firewalld/zones/public.xml", PORTS),
        ("grep -o '<source .*\"' /etc/firewalld/zones/trusted.xml", "<source address=\"10.244.0.0/16\""),
        ("timedatectl show-timesync -p SystemNTPServers --value", "0.pool.ntp.org 1.pool.ntp.org"),
        (
            "sshd -T | tr A-Z a-z | grep -E '^(permitrootlogin|passwordauthentication) ' | sort",
            "passwordauthentication no\npermitrootlogin no",
        ),
    ],
    visits: &[
        ("core", Way::Key, "id -un; sudo -n id -un", Some("core\nroot\n")),
        ("root", Way::Key, "id", None),
    ],
};
const LOADED: &str = "overlay\nbr_netfilter\n/sys/module/br_netfilter";
const PORTS: &str = "<port port=\"6443\" protocol=\"tcp\"\n<port port=\"10250\" protocol=\"tcp\"\n\
                     <port port=\"30000-32767\" protocol=\"tcp\"";

pub(crate) const EDGE_KIOSK: Example = Example {
    name: "edge-kiosk",
    promises: &[
        ("hostname", "kiosk"),
        ("timedatectl show -p Timezone --value", "Europe/Vienna"),
        ("systemctl show-environment | grep ^LANG", "LANG=de_AT.UTF-8\nLANGUAGE=de_AT:en_US"),
        ("grep -E '^(KEYMAP|XKBLAYOUT)=' /etc/vconsole.conf", "XKBLAYOUT=\"de\"\nKEYMAP=de"),
        ("getent passwd kiosk | cut -d: -f3,4,7", "2000:2000:/bin/bash"),
        ("getent group kiosk; id -nG kiosk | xargs -n 1 | sort | xargs", "kiosk:x:2000:\ninput kiosk video"),
        ("chage -l service | grep 'Account expires' | cut -d: -f2", "Dec 31, 2030"),
        ("systemctl is-enabled kiosk ssh ctrl-alt-del.target", "enabled\ndisabled\nmasked"),
        ("systemctl is-active kiosk ssh; ps -C kiosk -o user=", "active\ninactive\nkiosk"),
        ("ss -Hltn 'sport = :22' | wc -l", "0"),
        (AUTOLOGIN, "logged in"),
        ("grep -cw quiet /proc/cmdline", "1"),
        (
            "grep -rh --include=grub.cfg ^terminal_ /boot | sort -u",
            "terminal_input console\nterminal_output console",
        ),
    ],
    visits: &[],
};

const AUTOLOGIN: &str = "for _ in {1..60}; do pgrep -t tty1 -u kiosk -x bash > /run/shell && break; sleep 1; done; \
                         [ -s /run/shell ] && echo logged in";

pub(crate) const AWS: Example = Example {
    name: "aws",
    promises: &[
        ("cat /etc/cloud/cloud.cfg.d/90-datasource.cfg", "datasource_list: [Ec2, None]"),
        ("stat -c '%a %U:%G' /etc/cloud/cloud.cfg.d/90-datasource.cfg", "644 root:root"),
        ("systemctl is-enabled cloud-init; systemctl is-active cloud-init", "enabled\nactive"),
        ("grep -c 'console=ttyS0,115200n8 nvme_core.io_timeout=4294967295' /proc/cmdline", "1"),
        ("timedatectl show -p Timezone --value", "UTC"),
        ("timedatectl show-timesync -p SystemNTPServers --value", "169.254.169.123"),
        (
            "sshd -T | tr A-Z a-z | grep -E '^(passwordauth|kbdinteractive|clientaliveinterval)' | sort",
            "clientaliveinterval 120\nkbdinteractiveauthentication no\npasswordauthentication no",
        ),
        ("getent passwd | awk -F: '$3 >= 1000 && $3 < 60000' | wc -l", "0"),
    ],
    visits: &[],
};

pub(crate) const DEMO: Example = Example {
    name: "demo",
    promises: &[
        ("hostname", "demo"),
        ("getent passwd demo | cut -d: -f5-", "Demo:/home/demo:/bin/bash"),
        ("id -nG demo", "demo sudo"),
        ("grep -c systemd.show_status=true /proc/cmdline", "1"),
        ("stat -c '%a %U:%G' /etc/motd; grep -c 'Built by diskwright' /etc/motd", "644 root:root\n1"),
    ],
    visits: &[
        ("demo", Way::Password("demo"), "id -un; id -nG", Some("demo\ndemo sudo\n")),
        ("demo", Way::Password("omed"), "id", None),
    ],
};
