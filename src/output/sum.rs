//! The SHA-256 of a sparse file: holes are hashed without being read.

use std::{fs::File, io, os::unix::fs::FileExt};

use rustix::fs::{SeekFrom, seek};
use sha2::{Digest, Sha256};

const CHUNK_BYTES: usize = 1 << 20;

/// The digest of all bytes of `file`. Moves its cursor.
pub(super) fn sha256(file: &File) -> io::Result<[u8; 32]> {
    let len = file.metadata()?.len();
    let (mut hash, mut buf, mut at) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
    let zeros = vec![0; CHUNK_BYTES];
    while at < len {
        let (start, end) = next_data(file, at, len)?;
        each_chunk(at, start, |_, len| hash.update(&zeros[..len]));
        let mut failed = None;
        each_chunk(start, end, |at, len| match file.read_exact_at(&mut buf[..len], at) {
            Ok(()) => hash.update(&buf[..len]),
            Err(error) => failed = Some(error),
        });
        if let Some(error) = failed {
            return Err(error);
        }
        at = end;
    }
    Ok(hash.finalize().into())
}

fn each_chunk(start: u64, end: u64, mut take: impl FnMut(u64, usize)) {
    let mut at = start;
    while at < end {
        let len = (end - at).min(CHUNK_BYTES as u64) as usize;
        take(at, len);
        at += len as u64;
    }
}

/// The next bytes from `at` that are no hole; where the system knows of no holes, all that are left.
fn next_data(file: &File, at: u64, len: u64) -> io::Result<(u64, u64)> {
    use rustix::io::Errno;
    match seek(file, SeekFrom::Data(at)) {
        Ok(start) => Ok((start.min(len), seek(file, SeekFrom::Hole(start))?.min(len))),
        Err(Errno::NXIO) => Ok((len, len)),
        Err(Errno::INVAL) => Ok((at, len)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_zeros() {
        let file = tempfile::tempfile().unwrap();
        let mut expected = vec![0; 5_000_000];
        file.set_len(expected.len() as u64).unwrap();
        for (at, bytes) in [(0, &b"first"[..]), (2_000_000, b"middle"), (4_999_999, b"l")] {
            file.write_all_at(bytes, at).unwrap();
            expected[at as usize..][..bytes.len()].copy_from_slice(bytes);
            assert_eq!(sha256(&file).unwrap(), <[u8; 32]>::from(Sha256::digest(&expected)));
        }
        let empty = tempfile::tempfile().unwrap();
        assert_eq!(sha256(&empty).unwrap(), <[u8; 32]>::from(Sha256::digest(b"")));
    }
}
