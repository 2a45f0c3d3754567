//! A terminal of the machine: what is shown on it, and what is typed there.
//!
//! Its keys cannot kill: a signal in the middle of writing would leave a disk
//! that starts nothing. ^C and ^D are answers instead, see [`Typed::Stop`].
//! Source: termios(3), "Canonical and noncanonical mode".

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt as _},
    path::Path,
    sync::mpsc::Sender,
    thread,
};

use rustix::{
    fs::OFlags,
    termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
    },
};

/// What ^C types.
const INTERRUPT: u8 = 3;
/// Columns of a terminal that does not know its own, as serial lines.
const COLUMNS: usize = 80;

/// What a person typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A line, without its end.
    Line(String),
    /// ^C, or ^D at the start of a line.
    Stop,
}

/// The terminal; its modes are as they were when this goes.
pub(crate) struct Terminal {
    file: File,
    modes: Option<Termios>,
}

impl Terminal {
    /// Opens `path`; it does not become the terminal that may send signals.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::NOCTTY.bits() as i32;
        let file = File::options().read(true).write(true).custom_flags(flags).open(path)?;
        let modes = tcgetattr(&file).ok();
        if let Some(mut modes) = modes.clone() {
            modes.local_modes.remove(LocalModes::ISIG);
            modes.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
            tcsetattr(&file, OptionalActions::Now, &modes)?;
        }
        Ok(Self { file, modes })
    }

    /// Sends what is typed from now on.
    pub(crate) fn listen(&self, sender: Sender<Typed>) -> io::Result<()> {
        let input = self.file.try_clone()?;
        thread::spawn(move || listen(input, &sender));
        Ok(())
    }

    /// How many characters fit into a line at this moment.
    pub(crate) fn columns(&self) -> usize {
        let columns = tcgetwinsize(&self.file).map_or(0, |size| size.ws_col);
        if columns == 0 { COLUMNS } else { columns.into() }
    }

    /// Shows `text`.
    pub(crate) fn show(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(modes) = &self.modes {
            let _ = tcsetattr(&self.file, OptionalActions::Now, modes);
        }
    }
}

/// Sends what `input` gives until it ends; the end of a terminal's input is a key, and more may follow.
pub(crate) fn listen(mut input: impl Read + AsFd, sender: &Sender<Typed>) {
    let (mut bytes, mut line) = ([0; 4096], Vec::new());
    loop {
        let typed = match input.read(&mut bytes) {
            Ok(0) if isatty(&input) => vec![Typed::Stop],
            Ok(0) => return,
            Ok(count) => {
                line.extend_from_slice(&bytes[..count]);
                typed(&mut line)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if typed.into_iter().any(|typed| sender.send(typed).is_err()) {
            return;
        }
    }
}

/// Takes what is complete out of `bytes`.
fn typed(bytes: &mut Vec<u8>) -> Vec<Typed> {
    let mut found = Vec::new();
    while let Some(end) = bytes.iter().position(|&byte| byte == b'\n' || byte == INTERRUPT) {
        let line: Vec<u8> = bytes.drain(..=end).collect();
        found.push(match line[end] {
            INTERRUPT => Typed::Stop,
            _ => Typed::Line(String::from_utf8_lossy(&line[..end]).trim().to_owned()),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_when_they_are_complete_and_an_interrupt_drops_its_own() {
        let mut bytes = b"one\r\ntw\x03three\nfou".to_vec();
        let line = |text: &str| Typed::Line(text.into());
        assert_eq!(typed(&mut bytes), [line("one"), Typed::Stop, line("three")]);
        assert_eq!(bytes, b"fou");
    }
}
