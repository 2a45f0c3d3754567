//! Image sources judged by skopeo, Debian's registry and openssl: what they
//! write is read, what they say about it is compared, and what is broken in
//! one place each is refused with a text that names the place.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its fixtures too")]

mod disks;
mod fixture;
mod local;
mod push;
mod registry;
#[path = "../common/tiny.rs"]
mod tiny;
mod wire;
