//! `customizations.filesystem` and `customizations.disk` on small disks, taken apart by sfdisk,
//! sgdisk, e2fsprogs, dosfstools, mtools, lvm2 and cryptsetup; and what of them is refused.
//! LVM's tools read block devices: needs root and loop devices.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../common/tiny.rs"]
mod tiny;

mod declared;
mod disk;
mod encrypted;
mod layouts;
mod planner;
mod refusals;
