//! What is asked of the kernel that has no safe form.

#![expect(unsafe_code, reason = "ioctl(2) has no safe form")]

use std::{fs::File, io};

use rustix::ioctl::{self, NoArg, Opcode, Setter};

/// `BLKRRPART` of linux/fs.h.
const REREAD_PARTITIONS: Opcode = ioctl::opcode::none(0x12, 95);
/// `EXT4_IOC_RESIZE_FS` of the kernel's ext4: the new length in blocks.
const EXT4_RESIZE: Opcode = ioctl::opcode::write::<u64>(b'f', 16);

/// Has the kernel read the partition table of a disk anew.
///
/// # Errors
/// The kernel's: `EBUSY` while a partition is in use.
pub(crate) fn reread_partitions(disk: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument and touches no memory of ours.
    unsafe { ioctl::ioctl(disk, NoArg::<REREAD_PARTITIONS>::new()) }.map_err(Into::into)
}

/// Grows the mounted ext4 filesystem that `file` lies in to `blocks` of its blocks.
///
/// # Errors
/// The kernel's: `EPERM`, `ENOSPC` past the partition, `EOPNOTSUPP`.
pub(crate) fn grow_ext4(file: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: the kernel reads one u64 through the pointer, which lives as long as the call.
    unsafe { ioctl::ioctl(file, Setter::<EXT4_RESIZE, u64>::new(blocks)) }.map_err(Into::into)
}
