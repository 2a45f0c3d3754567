//! Any text as a blueprint. Errors are made into text too, with their line and marks.

#![no_main]

use diskwright::blueprint::Blueprint;
use diskwright_fuzz::seed;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 5] = [
    "name: a\ncustomizations:\n  hostname: h.example\n  kernel: {append: 'a \"b c\"'}\n",
    "customizations:\n  user:\n    - name: anna\n      password: \"$6$abc$defghijklmnopqrstuvwxyz\"\n      groups: [wheel]\n      uid: 0x10\n",
    "customizations:\n  files:\n    - path: /etc/x\n      mode: 0644\n      user: 7\n      data: |\n        text\n        more\n",
    "blueprint: {\"customizations\": {\"user\": [{\"name\": \"b\", \"shel\": 1.5}]}}\n",
    "? [a, !t b]\n: &x >-\n  folded\n...\n---\n*x\n",
];

fuzz_target!(init: seed(SEEDS), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Blueprint::from_yaml(text, "blueprint.yaml") {
        Ok(blueprint) => drop(blueprint.kernel_arguments()),
        Err(error) => drop(error.to_string()),
    }
});
