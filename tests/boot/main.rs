//! Machines that boot what the tool makes. One program, so that as many of
//! them run side by side as the host has cores: each is emulated on one.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../common/demo.rs"]
mod demo;
#[path = "../common/qemu.rs"]
mod qemu;
#[path = "../common/ssh.rs"]
mod ssh;

mod aarch64;
mod blueprint;
mod changes;
mod examples;
mod faults;
mod fedora;
mod firmware;
mod formats;
mod install;
mod iso;
mod netboot;
mod promises;
mod pxe;
mod selinux;
mod trixie;
mod verity;
mod volumes;
