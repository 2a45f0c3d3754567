//! Any bytes as a policy's file contexts and substitutions, and paths looked up in them.

#![no_main]

use diskwright::deploy::selinux::{FileContexts, Texts};
use diskwright_fuzz::seed;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 3] = [
    "/.*\tsystem_u:object_r:default_t:s0\n/usr/bin/x\t--\tsystem_u:object_r:bin_t:s0\n/proc/.*\t<<none>>\n",
    "/home/[^/]+/(a|b)?\\.c{1,3}\t-d\tu:r:t:s0\n# comment\n",
    "/run /var/run\n/lib64 /usr/lib\n",
];

fuzz_target!(init: seed(SEEDS), |data: &[u8]| {
    let texts = Texts { contexts: vec![("file_contexts".into(), data.to_vec())], subs: data.to_vec(), subs_dist: data.to_vec() };
    let Ok(contexts) = FileContexts::parse(&texts) else { return };
    for path in [&b"/"[..], b"/usr/bin/x", b"/home/anna/a.c", data] {
        let _ = contexts.lookup(path, 0o100_644);
    }
});
