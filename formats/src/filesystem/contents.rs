//! What a filesystem holds that was read back: a [`Tree`], and what is wrong
//! with the bytes it came from.

use std::collections::BTreeMap;

use crate::{
    Fault,
    sparse::Sparse,
    tree::{NodeId, Tree},
};

/// A filesystem that was read.
#[derive(Debug)]
pub struct Contents {
    /// Name of the filesystem ("ext4").
    pub filesystem: &'static str,
    /// Its identifier as fstab(5) spells it.
    pub uuid: String,
    /// Volume label.
    pub label: String,
    /// Everything that could be read. Content points into the volume.
    pub tree: Tree,
    /// What is stored of files with fs-verity, past their end too ([`super::ext4::is_sealed`] checks it).
    pub sealed: BTreeMap<NodeId, Sparse>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// Bytes that something has, so that nothing else is read from them: work is
/// bounded by the volume's size whatever its structures say.
#[derive(Debug, Default)]
pub(crate) struct Claims(BTreeMap<u64, u64>);

impl Claims {
    /// Takes `count` units from `first`; false if one of them is taken already.
    pub(crate) fn take(&mut self, first: u64, count: u64) -> bool {
        let end = first.saturating_add(count);
        if let Some((_, taken_end)) = self.0.range_mut(..end).next_back() {
            if *taken_end > first {
                return false;
            }
            if *taken_end == first {
                *taken_end = end;
                return true;
            }
        }
        self.0.insert(first, end);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_twice() {
        let mut claims = Claims::default();
        assert!(claims.take(10, 5) && claims.take(15, 1) && claims.take(0, 10));
        assert!(!claims.take(9, 1) && !claims.take(12, 1) && !claims.take(15, 9) && claims.take(16, 1));
    }
}
