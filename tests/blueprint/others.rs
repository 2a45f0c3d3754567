//! Blueprints of the kinds that the test sets of image-builder and bootc-image-builder hold, in their
//! own syntaxes: each is deployed, or refused by the key that stands in the way.

use diskwright::blueprint::Document;
use diskwright_formats::writer::by_name;

use crate::image::{deployed, full};

const KEY: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA==";

/// A name that shows the syntax, the text, and the key that is refused (none: it is deployed).
const SET: &[(&str, &str, &str)] = &[
    ("empty.json", "{}", ""),
    ("empty.toml", "name = \"empty\"\nversion = \"1.0\"\n", ""),
    (
        "wrapped.json",
        r#"{"blueprint": {"name": "a", "packages": [], "modules": [], "groups": [], "distro": ""}}"#,
        "",
    ),
    (
        "user.toml",
        "[[customizations.user]]\nname = \"alice\"\npassword = \"bob\"\ngroups = [\"wheel\"]\n",
        "",
    ),
    (
        "root.json",
        r#"{"customizations": {"user": [{"name": "root", "key": "KEY", "home": "/var/roothome"}]}}"#,
        "",
    ),
    (
        "groups.json",
        r#"{"customizations": {"group": [{"name": "a", "gid": 1002}, {"name": "b"}],
        "user": [{"name": "u", "uid": 1001, "gid": 1002, "groups": ["b"], "home": "/home/other", "shell": "/bin/sh"}]}}"#,
        "",
    ),
    (
        "files.json",
        r#"{"customizations": {"directories": [{"path": "/etc/systemd/system/own.service.d"}, {"path": "/etc/own", "mode": "0770", "user": 1020, "group": 1050}],
        "files": [{"path": "/etc/systemd/system/own.service", "data": "[Install]\nWantedBy=multi-user.target\n"}, {"path": "/etc/empty", "user": 0, "group": 0}],
        "services": {"enabled": ["own.service"]}}}"#,
        "",
    ),
    (
        "firewall.json",
        r#"{"customizations": {"firewall": {"ports": ["1080:tcp"], "services": {"enabled": ["ssh"], "disabled": ["http"]}}}}"#,
        "",
    ),
    ("locale.json", r#"{"customizations": {"locale": {"languages": ["en_US.UTF-8"]}}}"#, ""),
    (
        "zone.toml",
        "[customizations.timezone]\ntimezone = \"Europe/Vienna\"\nntpservers = [\"time.example.com\"]\n",
        "",
    ),
    ("fips.json", r#"{"customizations": {"fips": true}}"#, ""),
    ("masked.toml", "[customizations.services]\nmasked = [\"nvmefc-boot-connections.service\"]\n", ""),
    (
        "unattended.toml",
        "[customizations.installer]\nunattended = true\nsudo-nopasswd = [\"user\", \"%wheel\"]\n",
        "customizations.installer.unattended",
    ),
    (
        "kickstart.toml",
        "[customizations.installer.kickstart]\ncontents = \"text --non-interactive\"\n",
        "customizations.installer.kickstart.contents",
    ),
    (
        "anaconda.json",
        r#"{"customizations": {"installer": {"modules": {"enable": ["org.x"], "disable": ["org.y"]}}}}"#,
        "customizations.installer.modules.enable[0]",
    ),
    ("iso.toml", "[customizations.iso]\nvolume_id = \"A\"\n", "customizations.iso.volume_id"),
    ("packages.json", r#"{"packages": [{"name": "bash", "version": "*"}]}"#, "packages"),
    ("modules.toml", "[[enabled_modules]]\nname = \"nodejs\"\nstream = \"18\"\n", "enabled_modules"),
    ("groups.toml", "[[groups]]\nname = \"core\"\n", "groups"),
    ("containers.toml", "[[containers]]\nsource = \"registry.example.com/a\"\n", "containers"),
    (
        "kernel.json",
        r#"{"customizations": {"kernel": {"name": "kernel-debug"}}}"#,
        "customizations.kernel.name",
    ),
    (
        "device.json",
        r#"{"customizations": {"installation_device": "/dev/vda"}}"#,
        "customizations.installation_device",
    ),
    ("repositories.toml", "[[customizations.repositories]]\nid = \"foo\"\n", "customizations.repositories"),
    (
        "rpm.json",
        r#"{"customizations": {"rpm": {"import_keys": {"files": ["/etc/k"]}}}}"#,
        "customizations.rpm",
    ),
    (
        "dnf.json",
        r#"{"customizations": {"dnf": {"config": {"set_releasever": true}}}}"#,
        "customizations.dnf",
    ),
    (
        "rhsm.json",
        r#"{"customizations": {"rhsm": {"config": {"dnf_plugins": {}}, "x": 1}}}"#,
        "customizations.rhsm",
    ),
    ("oscap.json", r#"{"customizations": {"openscap": {"profile_id": "x"}}}"#, "customizations.openscap"),
    ("fdo.toml", "[customizations.fdo]\nmanufacturing_server_url = \"http://a\"\n", "customizations.fdo"),
    (
        "firstboot.toml",
        "[[customizations.firstboot.scripts]]\ntype = \"custom\"\ncontents = \"#!\"\n",
        "customizations.firstboot",
    ),
    (
        "uri.json",
        r#"{"customizations": {"files": [{"path": "/etc/o", "uri": "file:///etc/os-release"}]}}"#,
        "customizations.files[0].uri",
    ),
    (
        "storage.toml",
        "[customizations.containers-storage]\ndestination-path = \"/usr/share/c\"\n",
        "customizations.containers-storage",
    ),
];

#[test]
fn each_is_deployed_or_refused_by_name() {
    let (image, types) = (full(), [by_name("qcow2").unwrap()]);
    for (name, text, refused) in SET {
        let read = Document::read(&text.replace("KEY", KEY), name);
        let read = read.and_then(|document| document.check_outputs(&types).map(|()| document));
        match read {
            Ok(document) if refused.is_empty() => {
                deployed(&image, document.blueprint()).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            }
            Ok(_) => panic!("{name} is not refused"),
            Err(error) => assert_eq!(error.field(), *refused, "{error}"),
        }
    }
}
