//! QCOW2, versions 2 and 3.
//!
//! L1 and L2 tables are read when the disk is opened. Neighbouring plain
//! clusters become one piece; so do neighbouring compressed ones, each of which
//! is decompressed when it is read, and the last few are kept.
//!
//! Source: QEMU, `docs/interop/qcow2.txt`. Refused: backing files, external
//! data files, encryption, extended L2 entries, disks that are dirty or marked
//! corrupt. Left out on purpose: snapshots (the active state is read),
//! reference counts, extensions of the header.

mod compressed;

use std::{
    collections::HashSet,
    fs::File,
    io::{Seek, SeekFrom},
    sync::Arc,
};

use zerocopy::{FromBytes, FromZeros, IntoBytes, big_endian::U64};

use self::compressed::{Compressed, Entry, Method};
use super::damaged;
use crate::{
    Error, Result,
    data::{Data, ReadAt},
    qcow2::ondisk::{
        Header, INCOMPAT_COMPRESSION, OFFSET_MASK, OFLAG_COMPRESSED, OFLAG_ZERO, REFUSED_FEATURES,
    },
    sparse::Sparse,
    units::round_up,
};

/// First bytes of a QCOW2 file.
pub(super) const MAGIC: [u8; 4] = Header::MAGIC;
/// As QEMU's.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// As QEMU's: 32 MiB.
const MAX_L1_ENTRIES: u64 = (32 << 20) / 8;
const SECTOR: u64 = 512;

/// The disk in `file`.
///
/// # Errors
/// As [`super::open`].
pub fn open(mut file: File) -> Result<Sparse> {
    let len = file.seek(SeekFrom::End(0)).map_err(Error::io("measuring the qcow2 file"))?;
    read(&(Arc::new(file) as Arc<dyn ReadAt>), len)
}

/// The disk in a qcow2 file of `len` bytes, wherever they are.
///
/// # Errors
/// As [`super::open`].
pub fn read(file: &Arc<dyn ReadAt>, len: u64) -> Result<Sparse> {
    let disk = Disk::read(&**file, len)?;
    let mut sparse = Sparse::new(round_up(disk.size, SECTOR));
    let mut runs = Runs { disk: &disk, file, sparse: &mut sparse, run: Run::None };
    disk.each_cluster(&**file, |cluster, entry| runs.add(cluster, entry))?;
    runs.flush()?;
    Ok(sparse)
}

/// What the header says, checked.
struct Disk {
    /// Length of the file.
    len: u64,
    version: u32,
    cluster_bits: u32,
    size: u64,
    l1: Vec<U64>,
    method: Method,
}

impl Disk {
    fn read(file: &dyn ReadAt, len: u64) -> Result<Self> {
        let header = read_header(file, len)?;
        refuse(&header)?;
        let cluster_bits = header.cluster_bits.get();
        if !CLUSTER_BITS.contains(&cluster_bits) {
            return Err(damaged("qcow2 header", format!("clusters of 2^{cluster_bits} bytes")));
        }
        let size = header.size.get();
        let per_l1 = 1u64 << (2 * cluster_bits - 3);
        let (l1_entries, needed) = (u64::from(header.l1_size.get()), size.div_ceil(per_l1));
        if needed > MAX_L1_ENTRIES {
            let allowed = MAX_L1_ENTRIES.saturating_mul(per_l1);
            return Err(Error::Limit { what: "qcow2 disk: bytes".into(), found: size, allowed });
        }
        if l1_entries < needed {
            return Err(damaged(
                "qcow2 header",
                format!("an L1 table of {l1_entries} entries, {needed} are needed"),
            ));
        }
        let mut l1 = vec![U64::ZERO; needed as usize];
        let offset = header.l1_table_offset.get();
        check_span("qcow2 L1 table", offset, needed * 8, len)?;
        file.read_exact_at(l1.as_mut_bytes(), offset).map_err(Error::io("reading the qcow2 L1 table"))?;
        let method = if header.compression_type == 1 { Method::Zstd } else { Method::Deflate };
        Ok(Self { len, version: header.version.get(), cluster_bits, size, l1, method })
    }

    const fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Calls `found` with every cluster that has an entry, ascending.
    fn each_cluster(&self, file: &dyn ReadAt, mut found: impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
        let per_table = self.cluster() / 8;
        let cluster_count = self.size.div_ceil(self.cluster());
        let mut table = vec![U64::ZERO; per_table as usize];
        // Tables are apart, so there are no more of them than the file has clusters.
        let mut seen = HashSet::new();
        for (index, entry) in self.l1.iter().enumerate() {
            let offset = entry.get() & OFFSET_MASK;
            if offset == 0 {
                continue;
            }
            self.check_offset("qcow2 L2 table", offset)?;
            if !seen.insert(offset) {
                return Err(damaged("qcow2 L2 table", format!("two L1 entries refer to byte {offset}")));
            }
            check_span("qcow2 L2 table", offset, self.cluster(), self.len)?;
            file.read_exact_at(table.as_mut_bytes(), offset)
                .map_err(Error::io("reading a qcow2 L2 table"))?;
            let first = index as u64 * per_table;
            for (cluster, entry) in (first..cluster_count).zip(&table) {
                if entry.get() != 0 {
                    found(cluster, entry.get())?;
                }
            }
        }
        Ok(())
    }

    fn check_offset(&self, what: &str, offset: u64) -> Result<()> {
        if offset.is_multiple_of(self.cluster()) {
            return Ok(());
        }
        Err(damaged(what, format!("at byte {offset}, which is no boundary of a cluster")))
    }
}

fn check_span(what: &str, offset: u64, len: u64, end: u64) -> Result<()> {
    if offset.checked_add(len).is_some_and(|last| last <= end) {
        return Ok(());
    }
    Err(damaged(what, format!("{len} bytes at byte {offset}, past the end of the file ({end})")))
}

fn read_header(file: &dyn ReadAt, len: u64) -> Result<Header> {
    let mut bytes = [0; size_of::<Header>()];
    let have = len.min(bytes.len() as u64) as usize;
    file.read_exact_at(&mut bytes[..have], 0).map_err(Error::io("reading the qcow2 header"))?;
    let mut header = Header::read_from_bytes(&bytes).unwrap_or_default();
    let length = match header.version.get() {
        2 => Header::LENGTH_2,
        3 => header.header_length.get() as usize,
        other => return Err(damaged("qcow2 header", format!("version {other}, not 2 or 3"))),
    };
    let least = if header.version.get() == 2 { Header::LENGTH_2 } else { Header::LENGTH_3 };
    if have < least || length < least {
        return Err(damaged("qcow2 header", "it is cut off"));
    }
    if let Some(beyond) = header.as_mut_bytes().get_mut(length..) {
        beyond.zero();
    }
    Ok(header)
}

/// What a header can say that is not read here.
fn refuse(header: &Header) -> Result<()> {
    let refused = |why: &str| Err(damaged("qcow2 disk", why));
    if header.backing_file_offset.get() != 0 {
        return refused("it has a backing file; make it independent with `qemu-img rebase -b ''`");
    }
    if header.crypt_method.get() != 0 {
        return refused("it is encrypted; decrypt it with `qemu-img convert`");
    }
    let mut features = header.incompatible_features.get();
    for (bit, why) in REFUSED_FEATURES {
        if features & bit != 0 {
            return refused(why);
        }
        features &= !bit;
    }
    if features & !INCOMPAT_COMPRESSION != 0 {
        return refused("it has features that are not known");
    }
    let is_marked = features & INCOMPAT_COMPRESSION != 0;
    match (is_marked, header.compression_type) {
        (false, 0) | (true, 1) => Ok(()),
        _ => refused("its compression is not known"),
    }
}

/// Neighbours that become one piece.
enum Run {
    None,
    Plain { start: u64, end: u64, host: u64 },
    Compressed { start: u64, entries: Vec<Entry> },
}

struct Runs<'a> {
    disk: &'a Disk,
    file: &'a Arc<dyn ReadAt>,
    sparse: &'a mut Sparse,
    run: Run,
}

impl Runs<'_> {
    fn add(&mut self, cluster: u64, entry: u64) -> Result<()> {
        if entry & OFLAG_COMPRESSED != 0 {
            return self.add_compressed(cluster, entry);
        }
        let host = entry & OFFSET_MASK;
        let is_zero = self.disk.version >= 3 && entry & OFLAG_ZERO != 0;
        if host == 0 || is_zero {
            return Ok(());
        }
        self.disk.check_offset("qcow2 cluster", host)?;
        let size = self.disk.cluster();
        match &mut self.run {
            Run::Plain { start, end, host: first }
                if *end == cluster && *first + (cluster - *start) * size == host =>
            {
                *end += 1;
                Ok(())
            }
            _ => {
                self.flush()?;
                self.run = Run::Plain { start: cluster, end: cluster + 1, host };
                Ok(())
            }
        }
    }

    fn add_compressed(&mut self, cluster: u64, entry: u64) -> Result<()> {
        let found = Entry::new(entry, self.disk.cluster_bits);
        if found.offset >= self.disk.len {
            check_span("qcow2 compressed cluster", found.offset, 1, self.disk.len)?;
        }
        match &mut self.run {
            Run::Compressed { start, entries } if *start + entries.len() as u64 == cluster => {
                entries.push(found);
            }
            _ => {
                self.flush()?;
                self.run = Run::Compressed { start: cluster, entries: vec![found] };
            }
        }
        Ok(())
    }

    /// Puts the run in its place. The last cluster may reach past the disk.
    fn flush(&mut self) -> Result<()> {
        let size = self.disk.cluster();
        match std::mem::replace(&mut self.run, Run::None) {
            Run::None => Ok(()),
            Run::Plain { start, end, host } => {
                let offset = start * size;
                let len = ((end - start) * size).min(self.sparse.len() - offset);
                // QEMU reads zeros where a file ends inside its last cluster.
                let stored = len.min(self.disk.len.saturating_sub(host));
                if stored + size <= len || stored == 0 {
                    check_span("qcow2 cluster", host, len, self.disk.len)?;
                }
                let source = Arc::clone(self.file);
                self.sparse.insert(offset, Data::from_source(source, host, stored))
            }
            Run::Compressed { start, entries } => {
                let offset = start * size;
                let len = (entries.len() as u64 * size).min(self.sparse.len() - offset);
                let (file, end) = (Arc::clone(self.file), self.disk.len);
                let source = Compressed::new(file, end, self.disk.cluster_bits, self.disk.method, entries);
                self.sparse.insert(offset, Data::from_source(Arc::new(source), 0, len))
            }
        }
    }
}
