//! Any text as a blueprint, in each syntax, and as the partition table of an image. Errors are made into
//! text too, with their line and marks.

#![no_main]

use diskwright::blueprint::{Document, Syntax, storage::Declared};
use diskwright_fuzz::seed;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 11] = [
    "name: a\ncustomizations:\n  hostname: h.example\n  kernel: {append: 'a \"b c\"'}\n",
    "customizations:\n  user:\n    - name: anna\n      password: \"$6$abc$defghijklmnopqrstuvwxyz\"\n      groups: [wheel]\n      uid: 0x10\n",
    "customizations:\n  files:\n    - path: /etc/x\n      mode: 0644\n      user: 7\n      data: |\n        text\n        more\n",
    "blueprint: {\"customizations\": {\"user\": [{\"name\": \"b\", \"shel\": 1.5}]}}\n",
    "customizations:\n  timezone: {timezone: Europe/Vienna, ntpservers: [a]}\n  services: {enabled: [a@b]}\n  firewall: {ports: ['1-2:tcp']}\n",
    "name = \"a\"\n[[customizations.user]]\nname = \"b\"\nuid = 0x10\nexpiredate = 2030-01-01\n[customizations.locale]\nlanguages = [\"a\"]\n",
    "[customizations]\nhostname = \"h\"\nkernel.append = 'quiet'\n[[customizations.files]]\npath = \"/etc/a\"\nmode = \"0644\"\n",
    "{\"blueprint\": {\"packages\": [], \"customizations\": {\"group\": [{\"name\": \"a\\u00e9\", \"gid\": 1}], \"fips\": true}}}",
    "customizations:\n  partitioning_mode: auto-lvm\n  filesystem: [{mountpoint: /var/log, minsize: 1 GiB}]\n  cacerts: {pem_certs: ['-----BEGIN CERTIFICATE-----']}\n",
    "mount_configuration: units\npartition_table:\n  type: dos\n  uuid: '0x1234abcd'\n  extra_padding: 4 MiB\n  partitions:\n    - {size: 1 GiB, bootable: true, payload_type: filesystem, payload: {type: vfat, mountpoint: /var/x, uuid: 7B77-95E7}}\n",
    "? [a, !t b]\n: &x >-\n  folded\n...\n---\n*x\n",
];

fuzz_target!(init: seed(SEEDS), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = Declared::read(text, "disk.yaml") {
        drop(error.to_string());
    }
    for syntax in [Syntax::of("-", text), Syntax::Yaml, Syntax::Toml, Syntax::Json] {
        match Document::read_as(syntax, text, "blueprint") {
            Ok(document) => {
                drop(document.blueprint().kernel_arguments());
                let again = document.write(Syntax::Json).expect("a blueprint as JSON");
                let again = Document::read_as(Syntax::Json, &again, "again").expect("what was written is read");
                assert_eq!(again.blueprint(), document.blueprint());
            }
            Err(error) => drop(error.to_string()),
        }
    }
});
