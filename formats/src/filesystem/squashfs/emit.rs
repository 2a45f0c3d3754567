//! All parts in their places. Directories are written from the lowest level up, as an entry has to say
//! where its inode is.

use std::{collections::BTreeMap, fs::File, sync::Arc};

use zerocopy::IntoBytes;

use super::{
    Options, content,
    content::Contents,
    directory::{self, Entry},
    inode::{self, Facts},
    layout::Layout,
    metadata::{Metadata, Place},
    ondisk::{FLAG_DUPLICATES, FLAG_EXPORT, FLAG_NO_XATTRS, MAGIC, MAJOR, NO_TABLE, PADDING, Superblock},
    table::{Table, table},
    xattr,
};
use crate::{
    Error, Result,
    data::Data,
    sparse::Sparse,
    tree::{Kind, NodeId, Tree},
    units::round_up,
};

/// Bytes before the first block.
const START: u64 = size_of::<Superblock>() as u64;

pub(super) fn emit(
    tree: &Tree,
    options: &Options,
    spool: File,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<Sparse> {
    let layout = Layout::new(tree)?;
    let files: Vec<&Sparse> = layout.files.iter().filter_map(|&file| regular(tree, file)).collect();
    let contents = content::write(&files, options, &spool, START, heard)?;
    let mut inodes = Inodes::new(tree, options, &layout, &contents);
    let root = inodes.write_all()?;
    let tables = inodes.finish(root)?;
    let used = contents.end + tables.bytes.len() as u64;
    let mut out = Sparse::new(round_up(used, PADDING));
    let superblock = Superblock { bytes_used: used.into(), ..tables.superblock };
    out.insert(0, Data::from_bytes(superblock.as_bytes()))?;
    out.insert(START, Data::from_source(Arc::new(spool), START, contents.end - START))?;
    out.insert(contents.end, Data::from_bytes(tables.bytes))?;
    Ok(out)
}

fn regular(tree: &Tree, file: NodeId) -> Option<&Sparse> {
    match &tree.node(file).kind {
        Kind::File(content) => Some(content),
        _ => None,
    }
}

/// Inodes and listings under way.
struct Inodes<'a> {
    tree: &'a Tree,
    options: &'a Options,
    layout: &'a Layout,
    contents: &'a Contents,
    /// Where in the order of content each file is.
    files: BTreeMap<NodeId, usize>,
    ids: Ids,
    xattrs: xattr::Sets,
    inodes: Metadata,
    listings: Metadata,
    /// By number, from 1.
    places: Vec<Option<Place>>,
}

/// What comes behind the content, and a superblock that knows where.
struct Tables {
    superblock: Superblock,
    bytes: Vec<u8>,
}

impl<'a> Inodes<'a> {
    fn new(tree: &'a Tree, options: &'a Options, layout: &'a Layout, contents: &'a Contents) -> Self {
        let compression = options.compression;
        Self {
            tree,
            options,
            layout,
            contents,
            files: layout.files.iter().enumerate().map(|(at, &file)| (file, at)).collect(),
            ids: Ids::default(),
            xattrs: xattr::Sets::new(compression),
            inodes: Metadata::new(compression),
            listings: Metadata::new(compression),
            places: vec![None; layout.inode_count as usize + 1],
        }
    }

    /// Writes every inode; the root's place.
    fn write_all(&mut self) -> Result<Place> {
        let mut last = self.inodes.place();
        for &(directory, parent) in self.layout.directories.iter().rev() {
            last = self.directory(directory, parent)?;
        }
        Ok(last)
    }

    /// Writes the inodes of what is in a directory and has none yet, then its own.
    fn directory(&mut self, directory: NodeId, parent: NodeId) -> Result<Place> {
        let tree = self.tree;
        let mut entries = Vec::new();
        for (name, &child) in tree.children(directory).into_iter().flatten() {
            let number = self.layout.number_of(child);
            let place = match self.places[number as usize] {
                Some(place) => place,
                None => self.leaf(child)?,
            };
            entries.push(Entry { name, place, number, kind: inode::kind(tree.node(child)) });
        }
        let listing = directory::write(&entries, &mut self.listings)?;
        let facts = self.facts(directory)?;
        let is_root = directory == self.tree.root();
        let parent = if is_root { self.layout.inode_count + 1 } else { self.layout.number_of(parent) };
        let bytes = inode::directory(tree.node(directory), &facts, &listing, parent);
        self.put(directory, &bytes)
    }

    /// Writes the inode of what is no directory.
    fn leaf(&mut self, id: NodeId) -> Result<Place> {
        let (node, facts) = (self.tree.node(id), self.facts(id)?);
        let bytes = match &node.kind {
            Kind::File(content) => {
                let stored = &self.contents.files[self.files[&id]];
                inode::file(node, &facts, stored, content.len(), self.options.block_bytes)
            }
            _ => inode::other(node, &facts),
        };
        self.put(id, &bytes)
    }

    fn put(&mut self, id: NodeId, bytes: &[u8]) -> Result<Place> {
        let place = self.inodes.place();
        self.places[self.layout.number_of(id) as usize] = Some(place);
        self.inodes.write(bytes)?;
        Ok(place)
    }

    fn facts(&mut self, id: NodeId) -> Result<Facts> {
        let meta = &self.tree.node(id).meta;
        Ok(Facts {
            number: self.layout.number_of(id),
            links: self.layout.links_of(id),
            owner: [self.ids.add(meta.uid)?, self.ids.add(meta.gid)?],
            xattrs: self.xattrs.add(&meta.xattrs)?,
        })
    }

    /// All tables, in the order in which the kernel expects them.
    fn finish(self, root: Place) -> Result<Tables> {
        let (start, compression) = (self.contents.end, self.options.compression);
        let mut bytes = self.inodes.finish()?.bytes;
        let directory_table = start + bytes.len() as u64;
        bytes.extend_from_slice(&self.listings.finish()?.bytes);
        let mut end = start + bytes.len() as u64;
        let mut add = |table: Table| {
            end += table.bytes.len() as u64;
            bytes.extend_from_slice(&table.bytes);
            (table.places, end)
        };
        let none = Table { bytes: Vec::new(), places: NO_TABLE };
        let (_, end) = add(none);
        let (fragment_table, end) = add(table(&self.contents.fragments, &[], compression, end)?);
        let references: Vec<u64> =
            self.places.iter().flatten().map(|place| place.reference().to_le()).collect();
        let (export_table, end) = add(table(&references, &[], compression, end)?);
        let (id_table, end) = add(table(&self.ids.list, &[], compression, end)?);
        let no_xattrs = self.xattrs.is_empty();
        let xattr_table = if no_xattrs { NO_TABLE } else { add(self.xattrs.finish(end)?).0 };
        let flags = FLAG_DUPLICATES | FLAG_EXPORT | if no_xattrs { FLAG_NO_XATTRS } else { 0 };
        let superblock = Superblock {
            magic: MAGIC.into(),
            inode_count: self.layout.inode_count.into(),
            time: inode::seconds(self.options.time).into(),
            block_bytes: self.options.block_bytes.into(),
            fragment_count: (self.contents.fragments.len() as u32).into(),
            compression: compression.number().into(),
            block_log: (self.options.block_bytes.ilog2() as u16).into(),
            flags: flags.into(),
            id_count: (self.ids.list.len() as u16).into(),
            major: MAJOR.into(),
            minor: 0.into(),
            root: root.reference().into(),
            bytes_used: 0.into(),
            id_table: id_table.into(),
            xattr_table: xattr_table.into(),
            inode_table: start.into(),
            directory_table: directory_table.into(),
            fragment_table: fragment_table.into(),
            export_table: export_table.into(),
        };
        Ok(Tables { superblock, bytes })
    }
}

/// Users and groups, each once.
#[derive(Default)]
struct Ids {
    list: Vec<u32>,
    places: BTreeMap<u32, u16>,
}

impl Ids {
    /// The place of an id; there are 65,535 at most.
    fn add(&mut self, id: u32) -> Result<u16> {
        if let Some(&place) = self.places.get(&id) {
            return Ok(place);
        }
        let found = self.list.len() as u64 + 1;
        if found > u64::from(u16::MAX) {
            let what = "SquashFS filesystem: different users and groups".into();
            return Err(Error::Limit { what, found, allowed: u16::MAX.into() });
        }
        let place = self.list.len() as u16;
        self.list.push(id.to_le());
        self.places.insert(id, place);
        Ok(place)
    }
}
