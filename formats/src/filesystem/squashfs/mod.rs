//! SquashFS 4.0: a compressed filesystem that is only read, for systems that run from memory.
//!
//! ```text
//! superblock | blocks of files | fragments | inodes | directories | fragment table | export table
//! 96 bytes   | 96 ...          |           |        |             | ids | extended attributes, to 4 KiB
//! ```
//!
//! A file of a block or more is cut into blocks; smaller ones share blocks, as fragments. Files of equal
//! content are stored once. All else is metadata, in blocks of 8 KiB that are compressed too; inodes are
//! found by the place of their block and their offset in it, so every number here comes out of compressing.
//! Blocks are compressed side by side and laid down in the order of paths: the bytes do not depend on how
//! many cores there are.
//!
//! Sources: Linux, `fs/squashfs/squashfs_fs.h` and its readers; `Documentation/filesystems/squashfs.rst`.
//! Left out on purpose: POSIX ACLs, fs-verity (errors: the format has no place for them), times outside
//! 1970 to 2106 (moved to the nearest one inside), `chattr +i` (nothing can be changed anyway).

mod codec;
mod content;
mod directory;
mod duplicates;
mod emit;
mod inode;
mod layout;
mod metadata;
mod ondisk;
mod table;
mod xattr;

use std::fs::File;

pub use self::codec::Compression;
use crate::{
    Error, Result,
    sparse::Sparse,
    tree::{Time, Tree},
    units::{KIB, MIB},
};

/// What there is to choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How blocks are compressed.
    pub compression: Compression,
    /// Bytes of a block: a power of two from 4 KiB to 1 MiB.
    pub block_bytes: u32,
    /// When it was made.
    pub time: Time,
}

/// A filesystem that holds `tree`; a multiple of 4 KiB. What is compressed goes to `spool`, a new file without
/// a name, which the result reads; `heard` is told how many more bytes of content are done.
///
/// # Errors
/// [`Error::Limit`] and [`Error::Unsupported`] for what the format cannot hold; reading content and
/// writing the spool.
pub fn write(tree: &Tree, options: &Options, spool: File, heard: &(dyn Fn(u64) + Sync)) -> Result<Sparse> {
    let bytes = u64::from(options.block_bytes);
    if !bytes.is_power_of_two() || !(4 * KIB..=MIB).contains(&bytes) {
        let why = "a power of two from 4096 to 1048576".into();
        return Err(Error::Unsupported { what: format!("SquashFS block of {bytes} bytes"), why });
    }
    emit::emit(tree, options, spool, heard)
}
