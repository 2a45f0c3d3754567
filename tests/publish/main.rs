//! `publish aws` against a strict stub of EBS and EC2 (tests/publish/stub.py), and against moto.
//!
//! The stub verifies every signature, checksum, count and token by itself, and has tests in which it
//! says no. Bytes of snapshots are compared by cmp(1).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cloud;
mod credentials;
mod failures;
mod judge;
mod moto;
mod permissions;
#[path = "../common/tiny.rs"]
mod tiny;
mod upload;
