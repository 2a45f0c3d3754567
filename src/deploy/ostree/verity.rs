//! fs-verity digests as checksums.

use std::io;

use diskwright_formats::{sparse::Sparse, verity::Merkle};

use super::checksum::Checksum;

/// The fs-verity digest of `content`, which is read once, in order.
///
/// # Errors
/// The content's read error.
pub fn digest(content: &Sparse) -> io::Result<Checksum> {
    Ok(Checksum::from_bytes(Merkle::of(content)?.digest()))
}
