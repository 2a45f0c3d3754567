//! Files of equal content. Only files that are as long as another are read for it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{Error, Result, sparse::Sparse};

/// Bytes that are read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// For each file, the first one that holds the same.
pub(super) fn originals(files: &[&Sparse]) -> Result<Vec<usize>> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    files.iter().for_each(|file| *counts.entry(file.len()).or_default() += 1);
    let is_candidate = |file: &Sparse| !file.is_empty() && counts.get(&file.len()).is_some_and(|&n| n > 1);
    let digest = |file: &&Sparse| is_candidate(file).then(|| digest(file)).transpose();
    let digests = files.par_iter().map(digest).collect::<io::Result<Vec<_>>>();
    let digests = digests.map_err(Error::io("reading file content"))?;
    let mut first = BTreeMap::new();
    let original = |(at, digest): (usize, Option<[u8; 32]>)| match digest {
        Some(digest) => *first.entry((files[at].len(), digest)).or_insert(at),
        None => at,
    };
    Ok(digests.into_iter().enumerate().map(original).collect())
}

/// A digest of what is not a gap, and of where it is.
fn digest(file: &Sparse) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = Vec::new();
    for window in file.windows(WINDOW_BYTES) {
        buffer.resize(window.len, 0);
        file.read_exact_at(&mut buffer, window.offset)?;
        hash.update(window.offset.to_le_bytes());
        hash.update(&buffer);
    }
    Ok(hash.finalize().into())
}
