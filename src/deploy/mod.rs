//! From a merged tree to the volumes of a disk.

pub mod bootloader;
pub mod customize;
pub mod ostree;
