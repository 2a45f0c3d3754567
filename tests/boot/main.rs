//! Machines that boot what the tool makes. One program, so that as many of
//! them run side by side as the host has cores: each is emulated on one.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../common/demo.rs"]
mod demo;
#[path = "../common/qemu.rs"]
mod qemu;

mod aarch64;
mod blueprint;
mod changes;
mod fedora;
mod firmware;
mod formats;
mod install;
mod iso;
mod netboot;
mod selinux;
mod trixie;
mod verity;
mod volumes;
