//! The first serial port of a machine: what it printed so far, and a way to type.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whoever asks sets the terminal up after the question.
const PAUSE: Duration = Duration::from_secs(2);

/// What the console is waited for to say, and what is typed then.
pub(crate) type Typed = (&'static str, &'static str);

/// The port. QEMU writes what is printed to a file and passes on what is typed at a socket.
pub(crate) struct Console {
    log: PathBuf,
    port: Option<UnixStream>,
    /// What is still to be typed, first things first.
    typed: Vec<Typed>,
    /// How much of what was printed is before the last answer.
    answered: usize,
}

impl Console {
    /// The port of a machine whose files are in `scratch`.
    pub(crate) fn new(scratch: &Path, typed: &[Typed]) -> Self {
        Self { log: scratch.join("serial"), port: None, typed: typed.to_vec(), answered: 0 }
    }

    /// QEMU's arguments for it.
    pub(crate) fn arguments(scratch: &Path) -> [String; 4] {
        let log = scratch.join("serial");
        let socket =
            format!("socket,id=serial,server=on,wait=off,path={0}.socket,logfile={0}", log.display());
        ["-chardev".into(), socket, "-serial".into(), "chardev:serial".into()]
    }

    /// What was printed so far; types when it is time.
    pub(crate) fn printed(&mut self) -> String {
        let console = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        self.drain();
        if let Some((prompt, text)) = self.typed.first()
            && console.get(self.answered..).is_some_and(|new| new.contains(prompt))
            && let Some(port) = &mut self.port
        {
            std::thread::sleep(PAUSE);
            if port.write_all(text.as_bytes()).is_ok() {
                self.typed.remove(0);
                self.answered = console.len();
            }
        }
        console
    }

    /// Takes what the port printed, lest it waits for a reader; only the log is looked at.
    fn drain(&mut self) {
        if self.port.is_none() {
            let socket = format!("{}.socket", self.log.display());
            self.port = UnixStream::connect(socket).ok().filter(|port| port.set_nonblocking(true).is_ok());
        }
        let mut buffer = [0; 4096];
        while self.port.as_mut().is_some_and(|port| port.read(&mut buffer).is_ok_and(|count| count > 0)) {}
    }
}
