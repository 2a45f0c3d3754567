//! The installer that a medium or a network starts: it finds the payload,
//! chooses or asks for a disk, writes the system to it and starts it.
//!
//! `docs/installer-medium.md` is the contract with who starts it. Nothing of the
//! machine is known but what [`machine`] shows, so that all of it can be tested
//! on a picture of one.

pub mod address;
mod checked;
mod choose;
mod contents;
mod copy;
mod disks;
pub mod file;
mod http;
pub mod install;
mod installed;
mod kernel;
pub mod machine;
mod medium;
mod network;
pub mod options;
mod payload;
mod remote;
pub mod screen;
mod table;

pub use choose::Rule;
