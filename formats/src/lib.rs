//! Bytes: filesystems, partition tables and disk formats, written offline.
//!
//! Everything that flows is one of a few values. A [`tree::Tree`] is what a
//! filesystem will hold; a [`filesystem::Filesystem`] lays it out as a
//! [`sparse::Sparse`]; [`disk::assemble`] places the filesystems and a
//! partition table into one more `Sparse`; a [`writer::FormatWriter`] writes
//! that out once. File content is never copied on the way: a
//! [`data::Data`] says where bytes come from until a writer reads them.
//!
//! Nothing here knows clocks, randomness, users, containers or ostree, and
//! nothing prints.

pub mod cpio;
pub mod data;
pub mod disk;
pub mod error;
pub mod filesystem;
pub mod partition;
mod qcow2;
pub mod reader;
pub mod sparse;
pub mod tree;
pub mod units;
pub mod verity;
pub mod volume;
pub mod writer;

pub use error::{Error, Fault, Faults, Result};
