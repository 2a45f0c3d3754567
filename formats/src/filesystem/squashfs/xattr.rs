//! Extended attributes: sets of names and values, each set once, found by number.

use std::{collections::HashMap, sync::Arc};

use zerocopy::IntoBytes;

use super::{
    codec::Compression,
    metadata::Metadata,
    ondisk::{NONE, XattrSet, XattrTable},
    table::{Table, table},
};
use crate::{Error, Result, tree::Xattrs};

/// Prefixes of names, and the types that stand for them (`SQUASHFS_XATTR_USER` ...).
const PREFIXES: [(&[u8], u16); 3] = [(b"user.", 0), (b"trusted.", 1), (b"security.", 2)];

/// That all have a place in the format.
pub(super) fn check(xattrs: &Xattrs, path: &dyn Fn() -> String) -> Result<()> {
    let stranger = xattrs.keys().find(|name| split(name).is_none());
    let Some(name) = stranger else { return Ok(()) };
    let why = format!("SquashFS has no place for the extended attribute {}", name.escape_ascii());
    Err(Error::Unsupported { what: path(), why })
}

/// The type that stands for a name's prefix, and the rest.
fn split(name: &[u8]) -> Option<(u16, &[u8])> {
    PREFIXES.iter().find_map(|(prefix, kind)| Some((*kind, name.strip_prefix(*prefix)?)))
}

/// The sets of a filesystem.
pub(super) struct Sets {
    compression: Compression,
    entries: Metadata,
    sets: Vec<XattrSet>,
    by_value: HashMap<Arc<Xattrs>, u32>,
    /// By address: most inodes share few sets, and a set is long to hash.
    by_pointer: HashMap<usize, u32>,
}

impl Sets {
    pub(super) fn new(compression: Compression) -> Self {
        Self {
            compression,
            entries: Metadata::new(compression),
            sets: Vec::new(),
            by_value: HashMap::new(),
            by_pointer: HashMap::new(),
        }
    }

    /// The number of a set.
    pub(super) fn add(&mut self, xattrs: &Arc<Xattrs>) -> Result<u32> {
        if xattrs.is_empty() {
            return Ok(NONE);
        }
        let pointer = Arc::as_ptr(xattrs).addr();
        let known = self.by_pointer.get(&pointer).or_else(|| self.by_value.get(xattrs)).copied();
        let number = known.map_or_else(|| self.write(xattrs), Ok)?;
        self.by_pointer.insert(pointer, number);
        Ok(number)
    }

    fn write(&mut self, xattrs: &Arc<Xattrs>) -> Result<u32> {
        let place = self.entries.place().reference().into();
        let mut bytes = Vec::new();
        for (name, value) in &**xattrs {
            let (kind, name) = split(name).unwrap_or((0, name));
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(value);
        }
        self.entries.write(&bytes)?;
        let (number, count) = (self.sets.len() as u32, xattrs.len() as u32);
        self.sets.push(XattrSet { place, count: count.into(), len: (bytes.len() as u32).into() });
        self.by_value.insert(xattrs.clone(), number);
        Ok(number)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Names and values, then the sets, to be put at `start`.
    pub(super) fn finish(self, start: u64) -> Result<Table> {
        let mut bytes = self.entries.finish()?.bytes;
        let count = (self.sets.len() as u32).into();
        let head = XattrTable { start: start.into(), count, unused: 0.into() };
        let sets = table(&self.sets, head.as_bytes(), self.compression, start + bytes.len() as u64)?;
        bytes.extend_from_slice(&sets.bytes);
        Ok(Table { bytes, places: sets.places })
    }
}
