//! The ostree repository, deployment and sysroot, laid down offline.

pub mod checksum;
mod gvariant;
pub mod object;
pub mod refs;
pub mod repo;
