//! Any bytes as a layer, upon a layer that is sound, and once more.

#![no_main]

use diskwright_formats::data::Data;
use diskwright_fuzz::{archives, base, seed, with_checksums};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seed(archives()), |data: &[u8]| {
    let mut merged = base();
    for bytes in [data.to_vec(), with_checksums(data), with_checksums(data)] {
        if let Err(error) = merged.add_layer(Data::from_bytes(bytes)) {
            assert!(format!("{error:#}").len() < 4096, "a message of that length helps nobody");
        }
    }
});
