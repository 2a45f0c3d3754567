//! Tar files whose members are read in place: one walk over the headers gives
//! each member's offset, and nothing is unpacked. A compressed archive is
//! decompressed to the spool first, because it has no offsets.
//!
//! Ustar, GNU and pax headers. Refused: sparse members, a name that occurs
//! twice, a member past the end of the file. Links are followed inside the
//! archive only.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Seek as _},
    path::{Component, Path},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use tar::EntryType;

use super::{
    manifest::Compression,
    spool::{self, Spool},
    store::{Span, if_there, open_regular},
};

/// How many links may lead from one to the next.
const LINK_HOPS_MAX: usize = 8;

/// A tar file and where its members are.
pub(crate) struct Archive {
    file: Arc<File>,
    members: HashMap<String, Member>,
}

#[derive(Clone, Debug)]
enum Member {
    File { offset: u64, len: u64 },
    Link(String),
    Twice,
    Unreadable(&'static str),
}

impl Archive {
    /// Opens and indexes a tar file.
    pub(crate) fn open(path: &Path, spool: &Spool) -> Result<Self> {
        let (file, _) = open_regular(path)?;
        Self::of(file, spool).with_context(|| format!("reading archive {}", path.display()))
    }

    /// Indexes a tar file that is open.
    pub(crate) fn of(file: File, spool: &Spool) -> Result<Self> {
        let len = file.metadata()?.len();
        let (file, len) = plain(file, len, spool)?;
        let members = index(&file, len)?;
        Ok(Self { file: Arc::new(file), members })
    }

    /// The content of a member, or `None` if there is none of that name.
    pub(crate) fn member_if_there(&self, name: &str) -> Result<Option<Span>> {
        if_there(self.member(name))
    }

    /// The content of a member.
    pub(crate) fn member(&self, name: &str) -> Result<Span> {
        let mut at = name.to_owned();
        for _ in 0..LINK_HOPS_MAX {
            match self.members.get(&at) {
                None => {
                    let missing = io::Error::new(io::ErrorKind::NotFound, format!("no member {at}"));
                    return Err(missing).context("looking into the archive");
                }
                Some(Member::Link(target)) => at.clone_from(target),
                Some(Member::Twice) => bail!("member {at} occurs more than once"),
                Some(Member::Unreadable(what)) => bail!("member {at} is {what}"),
                Some(&Member::File { offset, len }) => {
                    return Ok(Span { file: Arc::clone(&self.file), offset, len });
                }
            }
        }
        bail!("member {name}: more than {LINK_HOPS_MAX} links lead from here")
    }
}

/// The archive without its compression.
fn plain(file: File, len: u64, spool: &Spool) -> Result<(File, u64)> {
    let span = Span { file: Arc::new(file), offset: 0, len };
    let mut start = [0; 6];
    let start = span.read_start(&mut start)?;
    const XZ: &[u8] = b"\xfd7zXZ\0";
    const BZIP2: &[u8] = b"BZh";
    ensure!(
        !start.starts_with(XZ) && !start.starts_with(BZIP2),
        "compressed with xz or bzip2: decompress it first"
    );
    match Compression::of_magic(start) {
        Compression::None => Ok((span.file.try_clone()?, len)),
        compression => spool::decompress(&span, compression, spool),
    }
}

fn index(mut file: &File, file_len: u64) -> Result<HashMap<String, Member>> {
    file.rewind()?;
    let mut members = HashMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let offset = entry.raw_file_position();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = inside("", &name).with_context(|| format!("member {name:?}"))?;
        let Some(member) = member(&entry, &name)? else { continue };
        if let Member::File { len, .. } = member {
            let end = offset.checked_add(len).filter(|end| *end <= file_len);
            ensure!(
                end.is_some(),
                "truncated: member {name} reaches past the end of the file ({file_len} bytes)"
            );
        }
        members.entry(name).and_modify(|old| *old = Member::Twice).or_insert(member);
    }
    ensure!(!members.is_empty(), "no members: this is not a tar archive");
    Ok(members)
}

fn member<R: io::Read>(entry: &tar::Entry<'_, R>, name: &str) -> Result<Option<Member>> {
    let link = || -> Result<String> {
        let target = entry.link_name_bytes().context("link without a target")?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    };
    Ok(Some(match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            Member::File { offset: entry.raw_file_position(), len: entry.size() }
        }
        EntryType::Symlink => {
            let dir = name.rsplit_once('/').map_or("", |(dir, _)| dir);
            Member::Link(inside(dir, &link()?).with_context(|| format!("symlink {name}"))?)
        }
        EntryType::Link => Member::Link(inside("", &link()?).with_context(|| format!("link {name}"))?),
        EntryType::Directory | EntryType::XGlobalHeader => return Ok(None),
        EntryType::GNUSparse => Member::Unreadable("sparse, which is not supported here"),
        _ => Member::Unreadable("not a regular file"),
    }))
}

/// `path` seen from `dir`, without dots; an error if it leaves the archive.
fn inside(dir: &str, path: &str) -> Result<String> {
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().context("name is not UTF-8")?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop().context("path leaves the archive")?),
            Component::RootDir | Component::Prefix(_) => bail!("absolute path"),
        }
    }
    Ok(parts.join("/"))
}
