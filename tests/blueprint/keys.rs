//! No key is ignored: with every leaf of the schema, the disk is another one, or the key is refused by name.

use std::collections::BTreeSet;

use diskwright::blueprint::{Blueprint, Document, fields, support};
use diskwright_formats::writer::by_name;

use crate::{
    image::{KEY_FILE, deployed, full},
    layout,
    programs::certificate,
    vm,
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILAF64YtqEUoIpnBWoMjwrS1TLaHViT/qeVG98n9ycdG a@example.com";
/// A leaf, customizations without it, and the same with it.
const LEAVES: &[(&str, &str, &str)] = &[
    ("user.name", "{}", "{user: [{name: a}]}"),
    ("user.description", "{user: [{name: a}]}", "{user: [{name: a, description: b}]}"),
    ("user.password", "{user: [{name: a}]}", "{user: [{name: a, password: b}]}"),
    ("user.key", "{user: [{name: a}]}", "{user: [{name: a, key: KEY}]}"),
    ("user.home", "{user: [{name: a}]}", "{user: [{name: a, home: /var/b}]}"),
    ("user.shell", "{user: [{name: a, shell: /usr/bin/sh}]}", "{user: [{name: a, shell: /usr/bin/bash}]}"),
    ("user.groups", "{user: [{name: a}]}", "{user: [{name: a, groups: [wheel]}]}"),
    ("user.uid", "{user: [{name: a}]}", "{user: [{name: a, uid: 1234}]}"),
    ("user.gid", "{user: [{name: a}]}", "{user: [{name: a, gid: 10}]}"),
    ("user.expiredate", "{user: [{name: a}]}", "{user: [{name: a, expiredate: 2030-01-01}]}"),
    ("user.force_password_reset", "{user: [{name: a}]}", "{user: [{name: a, force_password_reset: true}]}"),
    ("group.name", "{}", "{group: [{name: g}]}"),
    ("group.gid", "{group: [{name: g}]}", "{group: [{name: g, gid: 1234}]}"),
    ("sshkey.user", "{}", "{sshkey: [{user: root, key: KEY}]}"),
    ("sshkey.key", "{}", "{sshkey: [{user: root, key: KEY}]}"),
    ("hostname", "{}", "{hostname: h}"),
    ("kernel.append", "{}", "{kernel: {append: quiet}}"),
    ("directories.path", "{}", "{directories: [{path: /etc/d}]}"),
    ("directories.user", "{directories: [{path: /etc/d}]}", "{directories: [{path: /etc/d, user: 5}]}"),
    ("directories.group", "{directories: [{path: /etc/d}]}", "{directories: [{path: /etc/d, group: users}]}"),
    ("directories.mode", "{directories: [{path: /etc/d}]}", "{directories: [{path: /etc/d, mode: '0700'}]}"),
    ("directories.ensure_parents", "{}", "{directories: [{path: /etc/d/e, ensure_parents: true}]}"),
    ("files.path", "{}", "{files: [{path: /etc/f}]}"),
    ("files.user", "{files: [{path: /etc/f}]}", "{files: [{path: /etc/f, user: 5}]}"),
    ("files.group", "{files: [{path: /etc/f}]}", "{files: [{path: /etc/f, group: users}]}"),
    ("files.mode", "{files: [{path: /etc/f}]}", "{files: [{path: /etc/f, mode: '0600'}]}"),
    ("files.data", "{files: [{path: /etc/f}]}", "{files: [{path: /etc/f, data: x}]}"),
    ("timezone.timezone", "{}", "{timezone: {timezone: Europe/Vienna}}"),
    ("timezone.ntpservers", "{}", "{timezone: {ntpservers: [a.example]}}"),
    ("locale.languages", "{}", "{locale: {languages: [en_US.UTF-8, de_AT.UTF-8]}}"),
    ("locale.keyboard", "{}", "{locale: {keyboard: de}}"),
    ("services.enabled", "{}", "{services: {enabled: [ssh]}}"),
    ("services.disabled", "{}", "{services: {disabled: [ssh]}}"),
    ("services.masked", "{}", "{services: {masked: [ssh]}}"),
    ("firewall.ports", "{}", "{firewall: {ports: ['imap:tcp']}}"),
    ("firewall.services.enabled", "{}", "{firewall: {services: {enabled: [http]}}}"),
    ("firewall.services.disabled", "{}", "{firewall: {services: {disabled: [ssh]}}}"),
    ("firewall.zones.name", "{}", "{firewall: {zones: [{name: trusted, sources: [10.0.0.0/8]}]}}"),
    ("firewall.zones.sources", "{}", "{firewall: {zones: [{name: trusted, sources: [10.0.0.0/8]}]}}"),
    ("sshd.password_authentication", "{}", "{sshd: {password_authentication: false}}"),
    ("sshd.kbd_interactive_authentication", "{}", "{sshd: {kbd_interactive_authentication: false}}"),
    ("sshd.permit_root_login", "{}", "{sshd: {permit_root_login: prohibit-password}}"),
    ("sshd.client_alive_interval", "{}", "{sshd: {client_alive_interval: 5}}"),
    ("fips", "{}", "{fips: true}"),
    ("cacerts.pem_certs", "{}", "{cacerts: {pem_certs: [CERT]}}"),
    ("ignition.embedded.config", "{}", "{ignition: {embedded: {config: '{}'}}}"),
    ("ignition.firstboot.url", "{}", "{ignition: {firstboot: {url: 'https://a.example/c.ign'}}}"),
    ("ignition.firstboot.empty", "{}", "{ignition: {firstboot: {empty: true}}}"),
    ("cloud_init.user_data", "{}", "{cloud_init: {user_data: '#cloud-config'}}"),
    ("cloud_init.meta_data", "{}", "{cloud_init: {meta_data: 'instance-id: a'}}"),
    ("cloud_init.network_config", "{}", "{cloud_init: {network_config: 'version: 2'}}"),
    ("bootloader.grub2.terminal_input", "{}", "{bootloader: {grub2: {terminal_input: [console]}}}"),
    ("bootloader.grub2.terminal_output", "{}", "{bootloader: {grub2: {terminal_output: [console]}}}"),
    ("bootloader.grub2.serial", "{}", "{bootloader: {grub2: {serial: serial --unit=1}}}"),
    ("installer.sudo-nopasswd", "{}", "{installer: {sudo-nopasswd: ['%wheel']}}"),
    ("installer.unattended", "{}", "{installer: {unattended: true}}"),
    ("installer.kickstart.contents", "{}", "{installer: {kickstart: {contents: x}}}"),
    ("installer.modules.enable", "{}", "{installer: {modules: {enable: [x]}}}"),
    ("installer.modules.disable", "{}", "{installer: {modules: {disable: [x]}}}"),
    (
        "installer.bootloader.grub2.menu-timeout",
        "{}",
        "{installer: {bootloader: {grub2: {menu-timeout: 5}}}}",
    ),
    (
        "installer.payload.flatpaks.force.references",
        "{}",
        "{installer: {payload: {flatpaks: {force: [{references: [x]}]}}}}",
    ),
    (
        "installer.payload.flatpaks.force.registry.url",
        "{}",
        "{installer: {payload: {flatpaks: {force: [{registry: {url: x}}]}}}}",
    ),
    (
        "installer.payload.flatpaks.force.registry.remote_name",
        "{}",
        "{installer: {payload: {flatpaks: {force: [{registry: {remote_name: x}}]}}}}",
    ),
    ("iso.volume_id", "{}", "{iso: {volume_id: X}}"),
    ("iso.application_id", "{}", "{iso: {application_id: X}}"),
    ("iso.publisher", "{}", "{iso: {publisher: X}}"),
];
/// Said about the blueprint itself; identifiers derive from its text, so they are not without effect.
const ABOUT: [&str; 3] = ["name", "description", "version"];
fn document(customizations: &str) -> Document {
    let certificate = format!("{:?}", certificate());
    let text = format!("customizations: {customizations}");
    let text = text.replace("KEYFILE", KEY_FILE).replace("KEY", KEY).replace("CERT", &certificate);
    Document::read(&text, "b.yaml").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_leaf_changes_the_disk_or_is_refused_by_name() {
    let (image, disk) = (full(), [by_name("raw").unwrap()]);
    for (leaf, without, with) in LEAVES.iter().chain(layout::LEAVES) {
        let document = document(with);
        let field = format!("customizations.{leaf}");
        if support::refusal(&field, &disk).is_some() {
            let error = document.check_outputs(&disk).expect_err(leaf);
            assert_eq!(error.field().replace("[0]", ""), field);
            assert!(error.to_string().contains("the type raw"), "{error}");
            continue;
        }
        document.check_outputs(&disk).unwrap();
        let made = |blueprint: &Blueprint| {
            deployed(&image, blueprint).unwrap_or_else(|error| panic!("{leaf}: {error:#}"))
        };
        let (before, after) = (made(self::document(without).blueprint()), made(document.blueprint()));
        assert_ne!(before, after, "{leaf} is ignored");
        assert_eq!(after, made(document.blueprint()), "{leaf}");
    }
}

#[test]
fn the_table_of_this_test_has_every_leaf_of_the_schema() {
    let leaves = LEAVES.iter().chain(layout::LEAVES).map(|(leaf, ..)| leaf);
    let leaves = leaves.chain(layout::REFUSED.iter().map(|(leaf, _)| leaf));
    let tested = leaves.map(|leaf| format!("customizations.{leaf}"));
    let tested: BTreeSet<_> = tested.chain(vm::LEAVES.map(|(leaf, _)| format!("vm.{leaf}"))).collect();
    for field in fields() {
        let known = tested.contains(&field.name) || ABOUT.contains(&field.name.as_str());
        assert!(known, "no test for {}", field.name);
        assert!(support::row(&field.name).is_some(), "no row of support for {}", field.name);
        assert!(!field.about.is_empty(), "{} says nothing of itself", field.name);
    }
    let fields: BTreeSet<_> = fields().into_iter().map(|field| field.name).collect();
    for name in &tested {
        assert!(fields.contains(name), "{name} is no field");
    }
    for row in support::TABLE {
        let covers = |field: &&String| field.starts_with(row.field);
        assert!(fields.iter().any(|field| covers(&field)), "{} is the row of no field", row.field);
    }
}

#[test]
fn what_the_image_does_not_have_is_refused_by_name() {
    let bare = crate::tiny::Tiny::default();
    for (key, wish) in [
        ("user: user a", "{user: [{name: a, shell: /bin/none}]}"),
        ("group: group wheel", "{group: [{name: wheel, gid: 11}]}"),
        ("sshkey: user none", "{sshkey: [{user: none, key: KEY}]}"),
        ("directories: /etc/d/e", "{directories: [{path: /etc/d/e}]}"),
        ("timezone: timezone", "{timezone: {timezone: Europe/Vienna}}"),
        ("timezone: ntpservers", "{timezone: {ntpservers: [a.example]}}"),
        ("locale: languages", "{locale: {languages: [de_AT.UTF-8]}}"),
        ("locale: keyboard", "{locale: {keyboard: de}}"),
        ("services: enabled: ssh", "{services: {enabled: [ssh]}}"),
        ("services: disabled: ssh", "{services: {disabled: [ssh]}}"),
        ("firewall", "{firewall: {ports: ['80:tcp']}}"),
        ("sshd", "{sshd: {password_authentication: false}}"),
        ("fips", "{fips: true}"),
        ("cacerts", "{cacerts: {pem_certs: [CERT]}}"),
        ("ignition", "{ignition: {firstboot: {empty: true}}}"),
        ("cloud_init", "{cloud_init: {user_data: '#cloud-config'}}"),
        ("installer.sudo-nopasswd", "{installer: {sudo-nopasswd: [root]}}"),
    ] {
        let error = format!("{:#}", deployed(&bare, document(wish).blueprint()).expect_err(wish));
        assert!(error.contains(&format!("customizations.{key}")), "{wish}: {error}");
    }
    for (part, wish) in [
        ("names nothing that would start it", "{services: {enabled: [static]}}"),
        ("knows no service smtp", "{firewall: {services: {enabled: [smtp]}}}"),
        ("has no zone dmz", "{firewall: {zones: [{name: dmz, sources: [10.0.0.1]}]}}"),
        ("has no smtp/tcp", "{firewall: {ports: ['smtp:tcp']}}"),
        ("neither the image nor the blueprint has %none", "{installer: {sudo-nopasswd: ['%none']}}"),
    ] {
        let error = format!("{:#}", deployed(&full(), document(wish).blueprint()).expect_err(wish));
        assert!(error.contains(part), "{wish}: {error}");
    }
}
