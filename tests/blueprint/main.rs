//! Blueprints: what each key does, judged by the programs whose files are written.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../common/tiny.rs"]
mod tiny;

mod examples;
mod image;
mod keys;
mod layout;
mod others;
mod programs;
mod units;
mod vm;
