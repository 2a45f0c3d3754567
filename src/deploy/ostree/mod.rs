//! The ostree repository, deployment and sysroot, laid down offline.

pub mod cfs;
pub mod checksum;
mod gvariant;
pub mod object;
pub mod refs;
pub mod repo;
pub mod verity;
