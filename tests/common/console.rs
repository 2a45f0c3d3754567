//! The first serial port of a machine: what it printed so far, and somebody at a terminal who answers.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

use super::qmp::Monitor;

/// Whoever asks sets the terminal up after the question.
const PAUSE: Duration = Duration::from_secs(2);

/// What is done at the machine.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Keys are pressed; none: what was printed is only noted.
    Type(&'static str),
    /// The device of this name is pulled out.
    Remove(&'static str),
}

/// What the console is waited for to say, and what is done then.
pub(crate) type Cue = (&'static str, Act);

/// The port. QEMU writes what is printed to a file, and to a pseudo terminal where keys are pressed.
pub(crate) struct Console {
    scratch: PathBuf,
    hands: Option<Hands>,
    /// What is still to be done, first things first.
    cues: Vec<Cue>,
    /// How much of what was printed is up to the last cue.
    answered: usize,
}

/// What reaches into the machine.
struct Hands {
    monitor: Monitor,
    terminal: File,
}

impl Console {
    /// The port of a machine whose files are in `scratch`.
    pub(crate) fn new(scratch: &Path, cues: &[Cue]) -> Self {
        Self { scratch: scratch.into(), hands: None, cues: cues.to_vec(), answered: 0 }
    }

    /// QEMU's arguments for it.
    pub(crate) fn arguments(scratch: &Path) -> [String; 4] {
        let port = format!("pty,id=serial,logfile={}", scratch.join("serial").display());
        ["-chardev".into(), port, "-serial".into(), "chardev:serial".into()]
    }

    /// What was printed so far; acts when it is time.
    pub(crate) fn printed(&mut self) -> String {
        let printed = fs::read(self.scratch.join("serial")).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        let Some(&(prompt, act)) = self.cues.first() else { return printed };
        if self.hands.is_none() {
            self.hands = Hands::open(&self.scratch);
        }
        if let Some(at) = printed.get(self.answered..).and_then(|new| new.find(prompt))
            && let Some(hands) = &mut self.hands
            && hands.act(act).is_some()
        {
            self.cues.remove(0);
            self.answered += at + prompt.len();
        }
        printed
    }
}

impl Hands {
    fn open(scratch: &Path) -> Option<Self> {
        let mut monitor = Monitor::open(scratch)?;
        let path = monitor.terminal("serial")?;
        let flags = OFlags::NOCTTY.bits() as i32;
        let terminal = File::options().read(true).write(true).custom_flags(flags).open(path).ok()?;
        let mut shown = terminal.try_clone().ok()?;
        // lest the machine waits for a reader; only the log is looked at
        thread::spawn(move || io::copy(&mut shown, &mut io::sink()));
        Some(Self { monitor, terminal })
    }

    fn act(&mut self, act: Act) -> Option<()> {
        match act {
            Act::Type("") => Some(()),
            Act::Type(keys) => {
                thread::sleep(PAUSE);
                self.terminal.write_all(keys.as_bytes()).ok()
            }
            Act::Remove(device) => self.monitor.remove(device),
        }
    }
}
