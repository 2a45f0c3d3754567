//! What several formats are made of: the pipelines that read, compress and
//! order a disk, and the layouts that appear inside other layouts (a VMDK in
//! an OVA, a QCOW2 in a container). Formats use these and never each other.

pub(super) mod append;
pub(super) mod blocks;
pub(super) mod chunks;
pub(super) mod copy;
pub(super) mod gzip;
mod ordered;
pub(super) mod plain;
pub(super) mod qcow2;
pub(super) mod sparse_tar;
pub(super) mod tar;
pub(super) mod vmdk;
pub(super) mod xz;
