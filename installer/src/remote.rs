//! A file on a web server. Whoever reads on where another reader stopped gets the same connection;
//! one that breaks off is taken up again at the byte that is missing.

use std::{
    io::{self, Read as _},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use diskwright_formats::data::ReadAt;

use crate::{
    address::Address,
    http::{self, Body, Failure},
};

/// Connections that are kept: each thread that writes a disk reads at its own place.
const KEPT: usize = 16;
const PAUSE: Duration = Duration::from_millis(500);

/// The file.
pub(crate) struct Remote {
    address: Address,
    len: u64,
    /// How long nothing may come.
    patience: Duration,
    kept: Mutex<Vec<Body>>,
}

impl Remote {
    /// Asks for the file until it comes, because networks appear late; `waiting` is told why it does not.
    ///
    /// # Errors
    /// The server's answer, if it will not change; `patience` is at its end.
    pub(crate) fn open(address: Address, patience: Duration, waiting: &mut dyn FnMut(&str)) -> Result<Self> {
        let deadline = Instant::now() + patience;
        loop {
            match http::get(&address, 0) {
                Ok(body) => {
                    let len = body.len;
                    return Ok(Self { address, len, patience, kept: Mutex::new(vec![body]) });
                }
                Err(Failure::Passing(why)) if Instant::now() < deadline => waiting(&why),
                Err(Failure::Passing(why) | Failure::Final(why)) => return Err(anyhow!(why)),
            }
            thread::sleep(PAUSE);
        }
    }

    /// Length in bytes.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// A connection on which byte `at` comes next, if there is one.
    fn taken(&self, at: u64) -> Option<Body> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let index = kept.iter().position(|body| body.at == at)?;
        Some(kept.swap_remove(index))
    }

    fn keep(&self, body: Body) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(body);
    }

    fn ask(&self, at: u64) -> Result<Body, Failure> {
        let body = http::get(&self.address, at)?;
        if body.len == self.len {
            return Ok(body);
        }
        Err(Failure::Final(format!("{} had {} bytes, and now has {}", self.address, self.len, body.len)))
    }

    /// Fills `buf` as far as one connection gives; how many bytes came, and why no more.
    fn fill(&self, buf: &mut [u8], at: u64) -> (usize, Result<(), Failure>) {
        let mut body = match self.taken(at).map_or_else(|| self.ask(at), Ok) {
            Ok(body) => body,
            Err(failure) => return (0, Err(failure)),
        };
        let mut count = 0;
        while count < buf.len() {
            match body.read(&mut buf[count..]) {
                Ok(more) => count += more,
                Err(why) => return (count, Err(Failure::Passing(format!("{}: {why}", self.address)))),
            }
        }
        self.keep(body);
        (count, Ok(()))
    }
}

impl ReadAt for Remote {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut done, mut deadline) = (0, Instant::now() + self.patience);
        loop {
            let (count, outcome) = self.fill(&mut buf[done..], offset + done as u64);
            done += count;
            if count > 0 {
                deadline = Instant::now() + self.patience;
            }
            match outcome {
                Ok(()) => return Ok(()),
                Err(Failure::Passing(_)) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(Failure::Passing(why) | Failure::Final(why)) => return Err(io::Error::other(why)),
            }
        }
    }
}
