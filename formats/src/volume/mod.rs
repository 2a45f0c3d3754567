//! What lies between a partition and a filesystem, or in a filesystem's place:
//! encryption, groups of logical volumes, swap space. Pure functions from
//! volumes to a volume; what is secret or random comes from the caller.

pub mod luks2;
pub mod lvm2;
pub mod swap;
