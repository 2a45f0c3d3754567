//! The installer that a medium starts: it finds the medium, chooses or asks
//! for a disk, writes the system to it and starts it.
//!
//! `docs/installer-medium.md` is the contract with the medium. Nothing of the
//! machine is known but what [`machine`] shows, so that all of it can be tested
//! on a picture of one.

mod checked;
mod choose;
mod contents;
mod copy;
mod disks;
pub mod file;
pub mod install;
mod installed;
mod kernel;
pub mod machine;
mod medium;
pub mod options;
mod payload;
pub mod screen;
mod table;
mod terminal;

pub use choose::Rule;
