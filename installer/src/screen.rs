//! What a person sees and answers: plain lines on every console of the kernel,
//! so that a screen and a serial line show the same and either may answer.

use std::{
    fmt::Arguments,
    io::{self, Write as _, stdin, stdout},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::terminal::{Terminal, Typed, listen};

/// Columns of a progress bar at most, and of what is beside it.
const BAR: usize = 30;
const BESIDE: usize = 46;
/// Between two states of a progress bar: a serial line is slow.
const PAUSE: Duration = Duration::from_millis(250);

/// The consoles, and what is typed on them.
pub struct Screen {
    /// None: standard output.
    terminals: Mutex<Vec<Terminal>>,
    typed: Mutex<Receiver<Typed>>,
    is_verbose: bool,
}

impl Screen {
    /// The terminals at `paths`; those that cannot be opened are left out. None: standard input and output.
    pub fn open(paths: &[PathBuf]) -> Self {
        let (sender, typed) = channel();
        let terminals: Vec<_> = paths.iter().filter_map(|path| Terminal::open(path).ok()).collect();
        for terminal in &terminals {
            // one that can only show is a console as well
            let _ = terminal.listen(sender.clone());
        }
        if terminals.is_empty() {
            thread::spawn(move || listen(stdin(), &sender));
        }
        Self { terminals: Mutex::new(terminals), typed: Mutex::new(typed), is_verbose: false }
    }

    /// Whether [`Self::detail`] shows anything.
    pub fn set_verbose(&mut self, is_verbose: bool) {
        self.is_verbose = is_verbose;
    }

    /// Shows a line.
    pub fn say(&self, text: Arguments<'_>) {
        self.print(&format!("{text}\r\n"));
    }

    /// Shows a line to those who want every step.
    pub fn detail(&self, text: Arguments<'_>) {
        if self.is_verbose {
            self.say(format_args!("  {text}"));
        }
    }

    /// Asks, and waits for a line from any of the consoles.
    ///
    /// # Errors
    /// Whoever was asked wants to stop, or no console can be typed on any more.
    pub fn ask(&self, question: Arguments<'_>) -> Result<String> {
        self.print(&format!("{question} "));
        let typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        match typed.recv().context("no console to answer on; give `unattended` and `disk`")? {
            Typed::Line(line) => Ok(line),
            Typed::Stop => bail!("stopped at the keyboard; every disk is as it was"),
        }
    }

    fn print(&self, text: &str) {
        self.draw(|_| text.to_owned());
    }

    /// Shows what fits into so many columns. A console that is gone is no reason to stop.
    fn draw(&self, text: impl Fn(usize) -> String) {
        let mut terminals = self.terminals.lock().unwrap_or_else(PoisonError::into_inner);
        for terminal in terminals.iter_mut() {
            let text = text(terminal.columns());
            let _ = terminal.show(&text);
        }
        if terminals.is_empty() {
            let _ = plain(&text(usize::MAX));
        }
    }
}

fn plain(text: &str) -> io::Result<()> {
    stdout().write_all(text.as_bytes())?;
    stdout().flush()
}

/// A step of known length, as a bar with its rate.
pub struct Bar<'a> {
    screen: &'a Screen,
    label: &'a str,
    total: u64,
    done: AtomicU64,
    start: Instant,
    shown: Mutex<Instant>,
}

impl<'a> Bar<'a> {
    /// A step of `total` bytes.
    pub fn new(screen: &'a Screen, label: &'a str, total: u64) -> Self {
        let start = Instant::now();
        Self { screen, label, total, done: AtomicU64::new(0), start, shown: Mutex::new(start) }
    }

    /// `bytes` more are done.
    pub fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Ok(mut shown) = self.shown.try_lock() else { return };
        if shown.elapsed() >= PAUSE {
            *shown = Instant::now();
            self.screen.draw(|columns| format!("\r{}", self.line(done, columns)));
        }
    }

    /// Shows the end of the step.
    pub fn finish(self) {
        let done = self.done.load(Ordering::Relaxed);
        self.screen.draw(|columns| format!("\r{}\r\n", self.line(done, columns)));
    }

    fn line(&self, done: u64, columns: usize) -> String {
        let share = done as f64 / self.total.max(1) as f64;
        let rate = done as f64 / self.start.elapsed().as_secs_f64().max(0.001) / f64::from(1 << 20);
        let width = columns.saturating_sub(BESIDE).min(BAR);
        let filled = ((share * width as f64) as usize).min(width);
        let bar = format!("{}{}", "#".repeat(filled), ".".repeat(width - filled));
        let line = format!("{:<22} [{bar}] {:>3.0} %  {rate:>4.0} MiB/s ", self.label, share * 100.0);
        // a line that reaches the margin would begin a new one
        line.chars().take(columns - 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_console_shows_the_same() {
        let (one, two) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let screen = Screen::open(&[one.path().into(), "/nonexistent/tty".into(), two.path().into()]);
        screen.say(format_args!("hello"));
        screen.detail(format_args!("not shown"));
        let bar = Bar::new(&screen, "writing", 10);
        bar.add(10);
        bar.finish();
        let text = std::fs::read_to_string(one.path()).unwrap();
        assert!(text.starts_with("hello\r\n\rwriting") && text.contains("100 %"), "{text}");
        assert_eq!(text, std::fs::read_to_string(two.path()).unwrap());
    }
}
