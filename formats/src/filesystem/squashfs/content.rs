//! Content of files: blocks and fragments, compressed side by side, written in order.

use std::{fs::File, os::unix::fs::FileExt};

use rayon::prelude::*;

use super::{
    Options,
    codec::{Block, block},
    duplicates,
    ondisk::Fragment,
};
use crate::{
    Error, Result,
    sparse::{Sparse, Window},
};

/// Bytes that are compressed at once, all cores together.
const BATCH_BYTES: usize = 16 << 20;

/// Where the content of a file is.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// Its first block.
    pub(super) start: u64,
    /// Lengths of its blocks, as they are written; 0 for zeros.
    pub(super) blocks: Vec<u32>,
    /// Fragment, and where in it.
    pub(super) fragment: Option<(u32, u32)>,
}

/// The content of all files.
pub(super) struct Contents {
    /// By the files' order.
    pub(super) files: Vec<Stored>,
    pub(super) fragments: Vec<Fragment>,
    /// Where the last one ends.
    pub(super) end: u64,
}

/// Writes the content of `files` to `spool`, from `start` on.
pub(super) fn write(
    files: &[&Sparse],
    options: &Options,
    spool: &File,
    start: u64,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<Contents> {
    let originals = duplicates::originals(files)?;
    let own: Vec<usize> = (0..files.len()).filter(|&at| originals[at] == at).collect();
    let copies = (0..files.len()).filter(|&at| originals[at] != at);
    heard(copies.map(|at| files[at].data_len()).sum());
    let stored = vec![Stored::default(); files.len()];
    let mut writer = Writer { files, options, spool, at: start, stored, fragments: Vec::new(), heard };
    let block_bytes = u64::from(options.block_bytes);
    let (large, small): (Vec<usize>, Vec<usize>) =
        own.iter().partition(|&&at| files[at].len() >= block_bytes);
    writer.blocks(&large)?;
    writer.fragments(small)?;
    let Writer { stored, fragments, at, .. } = writer;
    let files = originals.iter().map(|&original| stored[original].clone()).collect();
    Ok(Contents { files, fragments, end: at })
}

struct Writer<'a> {
    files: &'a [&'a Sparse],
    options: &'a Options,
    spool: &'a File,
    at: u64,
    stored: Vec<Stored>,
    fragments: Vec<Fragment>,
    heard: &'a (dyn Fn(u64) + Sync),
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.spool.write_all_at(bytes, self.at).map_err(Error::io("writing the spool"))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Files that are cut into blocks; what no data touches is in none.
    fn blocks(&mut self, files: &[usize]) -> Result<()> {
        let (all, options, heard) = (self.files, self.options, self.heard);
        let bytes = options.block_bytes as usize;
        for &file in files {
            self.stored[file].blocks = vec![0; all[file].len().div_ceil(bytes as u64) as usize];
        }
        let windows =
            files.iter().flat_map(|&file| all[file].windows(bytes).map(move |window| (file, window)));
        let pack = |(file, window): (usize, Window)| {
            let plain = read(all[file], window)?;
            let packed = if is_zero(&plain) { None } else { Some(block(options.compression, plain)?) };
            Ok((file, window, packed))
        };
        let put = |(file, window, packed): (usize, Window, Option<Block>)| {
            heard(window.data);
            let Some(packed) = packed else { return Ok(()) };
            let stored = &mut self.stored[file];
            if stored.start == 0 {
                stored.start = self.at;
            }
            stored.blocks[(window.offset / bytes as u64) as usize] = packed.len;
            self.put(&packed.bytes)
        };
        in_order(windows, bytes, pack, put)
    }

    /// Files that share blocks: as many as fit, in their order.
    fn fragments(&mut self, files: Vec<usize>) -> Result<()> {
        let (all, options, heard) = (self.files, self.options, self.heard);
        let shared = self.share(files);
        let pack = |files: &Vec<usize>| {
            let mut plain = Vec::new();
            for &file in files {
                let content = all[file];
                let whole = Window { offset: 0, len: content.len() as usize, data: content.data_len() };
                plain.extend_from_slice(&read(content, whole)?);
                heard(content.data_len());
            }
            block(options.compression, plain)
        };
        let put = |packed: Block| {
            let (start, len) = (self.at.into(), packed.len.into());
            self.fragments.push(Fragment { start, len, unused: 0.into() });
            self.put(&packed.bytes)
        };
        in_order(shared.iter(), options.block_bytes as usize, pack, put)
    }

    /// The files of each fragment; notes where they will be.
    fn share(&mut self, files: Vec<usize>) -> Vec<Vec<usize>> {
        let mut shared: Vec<Vec<usize>> = Vec::new();
        let (mut used, limit) = (0, self.options.block_bytes);
        for file in files.into_iter().filter(|&file| !self.files[file].is_empty()) {
            let len = self.files[file].len() as u32;
            if shared.is_empty() || used + len > limit {
                shared.push(Vec::new());
                used = 0;
            }
            self.stored[file].fragment = Some((shared.len() as u32 - 1, used));
            used += len;
            shared.last_mut().into_iter().for_each(|files| files.push(file));
        }
        shared
    }
}

fn read(content: &Sparse, window: Window) -> Result<Vec<u8>> {
    let mut bytes = vec![0; window.len];
    content.read_exact_at(&mut bytes, window.offset).map_err(Error::io("reading file content"))?;
    Ok(bytes)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Does the work of all jobs in parallel, and puts what comes of them in the order of the jobs. `bytes` is
/// what a job takes of memory.
fn in_order<J: Send, T: Send>(
    mut jobs: impl Iterator<Item = J>,
    bytes: usize,
    work: impl Fn(J) -> Result<T> + Sync,
    mut put: impl FnMut(T) -> Result<()> + Send,
) -> Result<()> {
    let count = (BATCH_BYTES / bytes).max(rayon::current_num_threads());
    let mut ready = Vec::new();
    loop {
        let batch: Vec<J> = jobs.by_ref().take(count).collect();
        let (stored, done) = rayon::join(
            || ready.drain(..).try_for_each(&mut put),
            || batch.into_par_iter().map(&work).collect::<Result<Vec<_>>>(),
        );
        stored?;
        ready = done?;
        if ready.is_empty() {
            return Ok(());
        }
    }
}
