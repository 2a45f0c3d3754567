//! The objects of an ostree repository: what is stored and what is hashed.
//!
//! ```text
//! kind      type                        contents
//! file      header, then the content    header (uuuusa(ayay)): uid gid mode rdev target xattrs
//! dirtree   (a(say)a(sayay))            files: name, checksum; directories: name, dirtree, dirmeta
//! dirmeta   (uuua(ayay))                uid gid mode xattrs
//! commit    (a{sv}aya(say)sstayay)      metadata parent related subject body timestamp dirtree dirmeta
//! ```
//!
//! Integers are big-endian within little-endian variants; names of xattrs
//! carry their NUL; a file's mode is its whole `st_mode`. Parsing accepts the
//! normal form only, as `ostree fsck` does. Source: ostree's
//! `ostree-core.h`. Left out: `related`, which nothing writes, and signatures.

use std::{fmt, sync::Arc};

use anyhow::{Context, bail, ensure};
use diskwright_formats::tree::Xattrs;
use sha2::{Digest, Sha256};

use super::{
    checksum::Checksum,
    gvariant::{self, BYTE, Encoder, LONG, Member, WORD},
};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const PERMISSIONS: u32 = 0o7777;

/// The kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A regular file or symbolic link, stored as itself.
    File,
    /// Names of a directory.
    DirTree,
    /// Owner, mode and attributes of a directory.
    DirMeta,
    /// A tree with its metadata.
    Commit,
    /// Metadata beside a commit, not covered by its checksum.
    CommitMeta,
}

impl ObjectKind {
    /// The extension of the object's file.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::DirTree => "dirtree",
            Self::DirMeta => "dirmeta",
            Self::Commit => "commit",
            Self::CommitMeta => "commitmeta",
        }
    }

    /// The kind with that extension.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        [Self::File, Self::DirTree, Self::DirMeta, Self::Commit, Self::CommitMeta]
            .into_iter()
            .find(|kind| kind.extension() == extension)
    }

    /// Checks that `bytes` are such an object, in normal form. Files and
    /// detached metadata have no form to check.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn validate(self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::DirTree => DirTree::parse(bytes).map(drop),
            Self::DirMeta => DirMeta::parse(bytes).map(drop),
            Self::Commit => Commit::parse(bytes).map(drop),
            Self::File | Self::CommitMeta => Ok(()),
        }
    }
}

/// The two objects that are a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeIds {
    /// Its names.
    pub dirtree: Checksum,
    /// Its owner, mode and attributes.
    pub dirmeta: Checksum,
}

impl TreeIds {
    /// What `ostree show` calls the content checksum: the same for every commit of the same tree.
    #[must_use]
    pub fn content_checksum(&self) -> Checksum {
        let hasher = Sha256::new_with_prefix(self.dirtree.as_bytes());
        Checksum::from_hasher(hasher.chain_update(self.dirmeta.as_bytes()))
    }
}

/// What precedes a file's content when it is hashed. `mode` is the full `st_mode`.
pub(super) fn file_header(uid: u32, gid: u32, mode: u32, target: &[u8], xattrs: &Xattrs) -> Vec<u8> {
    const RDEV: u32 = 0;
    let header = [uid, gid, mode, RDEV].iter().fold(Encoder::default(), fixed_word);
    let header = header.string(target).variable(BYTE, &encode_xattrs(xattrs)).tuple();
    // Length and four bytes of padding to the variant's alignment.
    let mut bytes = (u64::from(header.len() as u32) << 32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&header);
    bytes
}

fn fixed_word(encoder: Encoder, word: &u32) -> Encoder {
    encoder.fixed(WORD, &word.to_be_bytes())
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// The attributes that libostree sees on a file: it skips those without a value.
pub(super) fn visible_xattrs(xattrs: &Arc<Xattrs>) -> Arc<Xattrs> {
    if xattrs.values().all(|value| !value.is_empty()) {
        return Arc::clone(xattrs);
    }
    let visible = xattrs.iter().filter(|(_, value)| !value.is_empty());
    Arc::new(visible.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// `a(ayay)`: the attributes in the form of file headers and `file-xattrs` objects.
pub(super) fn encode_xattrs(xattrs: &Xattrs) -> Vec<u8> {
    let mut array = Encoder::default();
    for (name, value) in xattrs {
        array = array.variable(BYTE, &Encoder::default().string(name).variable(BYTE, value).tuple());
    }
    array.array()
}

/// The attributes in `a(ayay)`.
///
/// # Errors
/// If the names are not sorted, unique and NUL-terminated, or the bytes are not in normal form.
pub fn parse_xattrs(bytes: &[u8]) -> anyhow::Result<Xattrs> {
    let mut xattrs = Xattrs::new();
    for pair in gvariant::elements(bytes, BYTE).context("reading extended attributes")? {
        let [name, value] = gvariant::members(pair, [Member::Variable(BYTE); 2])?;
        let name = name.strip_suffix(b"\0").filter(|name| !name.is_empty() && !name.contains(&0));
        let name = name.context("extended attribute with an empty or unterminated name")?;
        let sorted = xattrs.last_key_value().is_none_or(|(last, _)| &**last < name);
        ensure!(sorted, "extended attributes not sorted at '{}'", name.escape_ascii());
        xattrs.insert(name.into(), value.into());
    }
    ensure_normal(bytes, &encode_xattrs(&xattrs), "extended attributes")?;
    Ok(xattrs)
}

fn ensure_normal(found: &[u8], normal: &[u8], what: &str) -> anyhow::Result<()> {
    ensure!(found == normal, "{what} not in normal form");
    Ok(())
}

/// Owner, mode and attributes of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirMeta {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits: `0o7777` at most.
    pub mode: u16,
    /// Extended attributes.
    pub xattrs: Arc<Xattrs>,
}

impl DirMeta {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mode = S_IFDIR | u32::from(self.mode);
        let fixed = [self.uid, self.gid, mode].iter().fold(Encoder::default(), fixed_word);
        fixed.variable(BYTE, &encode_xattrs(&self.xattrs)).tuple()
    }

    /// Reads a dirmeta object.
    ///
    /// # Errors
    /// If `bytes` are not one in normal form, or of something else than a directory.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        const U: Member = Member::Fixed(WORD, 4);
        let [uid, gid, mode, xattrs] =
            gvariant::members(bytes, [U, U, U, Member::Variable(BYTE)]).context("reading dirmeta")?;
        let mode = word(mode);
        ensure!(mode & S_IFMT == S_IFDIR && mode & !(S_IFMT | PERMISSIONS) == 0, "dirmeta of mode {mode:o}");
        let xattrs = Arc::new(parse_xattrs(xattrs).context("reading dirmeta")?);
        let mode = (mode & PERMISSIONS) as u16;
        let meta = Self { uid: word(uid), gid: word(gid), mode, xattrs };
        ensure_normal(bytes, &meta.encode(), "dirmeta")?;
        Ok(meta)
    }
}

/// The names in a directory, sorted by bytes within each list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirTree<'a> {
    /// Files and symbolic links.
    pub files: Vec<(&'a str, Checksum)>,
    /// Directories.
    pub directories: Vec<(&'a str, TreeIds)>,
}

impl<'a> DirTree<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let file = |array: Encoder, (name, checksum): &(&str, Checksum)| {
            let entry = Encoder::default().string(name.as_bytes());
            array.variable(BYTE, &entry.variable(BYTE, checksum.as_bytes()).tuple())
        };
        let directory = |array: Encoder, (name, ids): &(&str, TreeIds)| {
            let entry = Encoder::default().string(name.as_bytes()).variable(BYTE, ids.dirtree.as_bytes());
            array.variable(BYTE, &entry.variable(BYTE, ids.dirmeta.as_bytes()).tuple())
        };
        let files = self.files.iter().fold(Encoder::default(), file).array();
        let directories = self.directories.iter().fold(Encoder::default(), directory).array();
        Encoder::default().variable(BYTE, &files).variable(BYTE, &directories).tuple()
    }

    /// Reads a dirtree object.
    ///
    /// # Errors
    /// If `bytes` are not one in normal form, or names are unsorted, not unique or no names of files.
    pub fn parse(bytes: &'a [u8]) -> anyhow::Result<Self> {
        const A: Member = Member::Variable(BYTE);
        let [files, directories] = gvariant::members(bytes, [A; 2]).context("reading dirtree")?;
        let mut tree = Self::default();
        for entry in gvariant::elements(files, BYTE).context("reading dirtree")? {
            let [name, checksum] = gvariant::members(entry, [A; 2])?;
            tree.files.push((gvariant::string(name)?, Checksum::from_slice(checksum)?));
        }
        for entry in gvariant::elements(directories, BYTE).context("reading dirtree")? {
            let [name, dirtree, dirmeta] = gvariant::members(entry, [A; 3])?;
            let dirtree = Checksum::from_slice(dirtree)?;
            let ids = TreeIds { dirtree, dirmeta: Checksum::from_slice(dirmeta)? };
            tree.directories.push((gvariant::string(name)?, ids));
        }
        validate_names(tree.files.iter().map(|(name, _)| *name))?;
        validate_names(tree.directories.iter().map(|(name, _)| *name))?;
        let names: std::collections::HashSet<_> = tree.files.iter().map(|(name, _)| *name).collect();
        if let Some((name, _)) = tree.directories.iter().find(|(name, _)| names.contains(name)) {
            bail!("dirtree with a file and a directory named '{name}'");
        }
        ensure_normal(bytes, &tree.encode(), "dirtree")?;
        Ok(tree)
    }
}

fn validate_names<'a>(names: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let mut last = "";
    for name in names {
        ensure!(!matches!(name, "" | "." | "..") && !name.contains('/'), "dirtree with the name '{name}'");
        ensure!(last < name, "dirtree not sorted at '{name}'");
        last = name;
    }
    Ok(())
}

/// A value of a commit's metadata: serialized, with its type.
#[derive(Clone, PartialEq, Eq)]
pub struct Variant<'a> {
    signature: &'a str,
    value: std::borrow::Cow<'a, [u8]>,
}

impl<'a> Variant<'a> {
    /// A string (`s`).
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        Self { signature: "s", value: value.into() }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if self.signature != "s" {
            return None;
        }
        gvariant::string(&self.value).ok()
    }

    fn encode(&self) -> Vec<u8> {
        [&*self.value, b"\0", self.signature.as_bytes()].concat()
    }

    fn parse(bytes: &'a [u8]) -> anyhow::Result<Self> {
        let (value, signature) = gvariant::variant(bytes)?;
        Ok(Self { signature, value: value.into() })
    }
}

impl fmt::Debug for Variant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Some(text) => write!(f, "{text:?}"),
            None => write!(f, "{} in {} bytes", self.signature, self.value.len()),
        }
    }
}

/// A tree with its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// Keys and values, in the order they are stored.
    pub metadata: Vec<(&'a str, Variant<'a>)>,
    /// The commit before.
    pub parent: Option<Checksum>,
    /// One line for people.
    pub subject: &'a str,
    /// More for people.
    pub body: &'a str,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// The root directory.
    pub root: TreeIds,
}

impl<'a> Commit<'a> {
    const MEMBERS: [Member; 8] = [
        Member::Variable(LONG), // a{sv}
        Member::Variable(BYTE), // ay
        Member::Variable(BYTE), // a(say)
        Member::Variable(BYTE), // s
        Member::Variable(BYTE), // s
        Member::Fixed(LONG, 8), // t
        Member::Variable(BYTE), // ay
        Member::Variable(BYTE), // ay
    ];

    pub(super) fn encode(&self) -> Vec<u8> {
        let pair = |array: Encoder, (key, value): &(&str, Variant<'_>)| {
            let entry = Encoder::default().string(key.as_bytes()).variable(LONG, &value.encode());
            array.variable(LONG, &entry.tuple())
        };
        let metadata = self.metadata.iter().fold(Encoder::default(), pair).array();
        let parent = self.parent.as_ref().map_or(&[][..], |parent| parent.as_bytes());
        Encoder::default()
            .variable(LONG, &metadata)
            .variable(BYTE, parent)
            .variable(BYTE, &[])
            .string(self.subject.as_bytes())
            .string(self.body.as_bytes())
            .fixed(LONG, &self.timestamp.to_be_bytes())
            .variable(BYTE, self.root.dirtree.as_bytes())
            .variable(BYTE, self.root.dirmeta.as_bytes())
            .tuple()
    }

    /// Reads a commit object.
    ///
    /// # Errors
    /// If `bytes` are not one in normal form. The values of the metadata are not looked into.
    pub fn parse(bytes: &'a [u8]) -> anyhow::Result<Self> {
        let [metadata, parent, related, subject, body, timestamp, dirtree, dirmeta] =
            gvariant::members(bytes, Self::MEMBERS).context("reading commit")?;
        ensure!(related.is_empty(), "commit with related objects");
        let parent = if parent.is_empty() { None } else { Some(Checksum::from_slice(parent)?) };
        let timestamp = u64::from_be_bytes(timestamp.try_into()?);
        let root =
            TreeIds { dirtree: Checksum::from_slice(dirtree)?, dirmeta: Checksum::from_slice(dirmeta)? };
        let (subject, body) = (gvariant::string(subject)?, gvariant::string(body)?);
        let metadata = Self::parse_metadata(metadata).context("reading metadata of a commit")?;
        let commit = Self { metadata, parent, subject, body, timestamp, root };
        ensure_normal(bytes, &commit.encode(), "commit")?;
        Ok(commit)
    }

    fn parse_metadata(bytes: &'a [u8]) -> anyhow::Result<Vec<(&'a str, Variant<'a>)>> {
        let entry = |entry| {
            let [key, value] = gvariant::members(entry, [Member::Variable(BYTE), Member::Variable(LONG)])?;
            let key = gvariant::string(key)?;
            ensure!(!key.is_empty(), "empty key");
            Ok((key, Variant::parse(value)?))
        };
        gvariant::elements(bytes, LONG)?.into_iter().map(entry).collect()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Variant<'a>> {
        self.metadata.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattrs(pairs: &[(&str, &[u8])]) -> Xattrs {
        pairs.iter().map(|&(name, value)| (name.as_bytes().into(), value.into())).collect()
    }

    #[test]
    fn known_checksums_of_files() {
        let plain = file_header(0, 0, 0o100_644, b"", &Xattrs::new());
        let words = [0x12, 0, 0, 0, 0x0000_81a4, 0].map(u32::to_be_bytes).concat();
        assert_eq!(plain, [&words[..], &[0, 0x11]].concat());
        let empty = "cc700d46f407c6c5ab2d5dde474366a928b7398277e61162e7f8ec06f469f07e";
        assert_eq!(Checksum::of(&plain).to_string(), empty);

        let link = file_header(0, 0, 0o120_777, b"usr/bin", &Xattrs::new());
        let checksum = "389846c2702216e1367c8dfb68326a6b93ccf5703c89c93979052a9bf359608e";
        assert_eq!(Checksum::of(&link).to_string(), checksum);

        let label = xattrs(&[("security.selinux", b"system_u:object_r:usr_t:s0\0")]);
        let hello = [file_header(0, 0, 0o100_644, b"", &label), b"hello\n".to_vec()].concat();
        let checksum = "8428bf5e7cc4ff7f258dad715c4da28d103dd5d1aa5dfc2e3d7c92f5ca28deee";
        assert_eq!(Checksum::of(&hello).to_string(), checksum);
    }

    #[test]
    fn known_checksums_of_directories() {
        let meta = DirMeta { uid: 0, gid: 0, mode: 0o755, xattrs: Arc::default() }.encode();
        assert_eq!(meta, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xed]);
        let checksum = "446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488";
        assert_eq!(Checksum::of(&meta).to_string(), checksum);
        assert_eq!(DirTree::default().encode(), [0]);
    }

    fn sample_tree() -> Vec<u8> {
        let (one, two) = (Checksum::of(b"1"), Checksum::of(b"2"));
        let ids = TreeIds { dirtree: one, dirmeta: two };
        DirTree { files: vec![("a", one), ("é", two)], directories: vec![("b", ids)] }.encode()
    }

    fn sample_commit() -> Vec<u8> {
        let root = TreeIds { dirtree: Checksum::of(b"1"), dirmeta: Checksum::of(b"2") };
        let value = Variant { signature: "(u)", value: vec![1, 0, 0, 0].into() };
        let metadata = vec![("k", Variant::from_text("v")), ("l", value)];
        let parent = Some(Checksum::of(b"3"));
        Commit { metadata, parent, subject: "s", body: "", timestamp: 1_700_000_000, root }.encode()
    }

    fn sample_meta() -> Vec<u8> {
        let xattrs = Arc::new(xattrs(&[("security.selinux", b"x\0"), ("user.a", b"")]));
        DirMeta { uid: 1, gid: 70_000, mode: 0o1777, xattrs }.encode()
    }

    #[test]
    fn what_is_written_reads_back() {
        let bytes = sample_tree();
        assert_eq!(DirTree::parse(&bytes).unwrap().files[1], ("é", Checksum::of(b"2")));
        let bytes = sample_meta();
        let meta = DirMeta::parse(&bytes).unwrap();
        assert_eq!((meta.uid, meta.gid, meta.mode, meta.xattrs.len()), (1, 70_000, 0o1777, 2));
        let bytes = sample_commit();
        let commit = Commit::parse(&bytes).unwrap();
        assert_eq!(commit.get("k").and_then(Variant::as_text), Some("v"));
        assert_eq!(commit.get("l").and_then(Variant::as_text), None);
        assert_eq!((commit.timestamp, commit.subject), (1_700_000_000, "s"));
    }

    /// Cuts and flips every byte: the parsers return, and what they accept encodes to itself.
    #[test]
    fn hostile_objects_never_panic() {
        let samples = [
            (ObjectKind::DirTree, sample_tree()),
            (ObjectKind::DirMeta, sample_meta()),
            (ObjectKind::Commit, sample_commit()),
        ];
        for (kind, bytes) in samples {
            kind.validate(&bytes).unwrap();
            for at in 0..bytes.len() {
                // Twelve bytes are a directory without attributes.
                let whole = kind == ObjectKind::DirMeta && at == 12;
                assert_eq!(kind.validate(&bytes[..at]).is_ok(), whole, "{kind:?} of {at} bytes");
                for value in [0, 1, 0x7f, 0xff, bytes[at] ^ 1] {
                    let mut hostile = bytes.clone();
                    hostile[at] = value;
                    let _ = kind.validate(&hostile);
                }
            }
        }
    }

    #[test]
    fn what_fsck_refuses_is_refused() {
        let one = Checksum::of(b"1");
        for names in [&["b", "a"][..], &["a", "a"], &["."], &[".."], &[""], &["a/b"]] {
            let files = names.iter().map(|name| (*name, one)).collect();
            let bytes = DirTree { files, directories: Vec::new() }.encode();
            assert!(DirTree::parse(&bytes).is_err(), "{names:?}");
        }
        let ids = TreeIds { dirtree: one, dirmeta: one };
        let both = DirTree { files: vec![("a", one)], directories: vec![("a", ids)] }.encode();
        assert!(DirTree::parse(&both).is_err());
        let file = Encoder::default().fixed(WORD, &[0; 4]).fixed(WORD, &[0; 4]);
        let file = file.fixed(WORD, &0o100_644_u32.to_be_bytes()).variable(BYTE, &[]).tuple();
        assert!(DirMeta::parse(&file).is_err());
    }
}
