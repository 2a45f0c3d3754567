//! What a person sees and answers: plain lines on every console of the kernel,
//! so that a screen and a serial line show the same and either may answer.

use std::{
    fmt::Arguments,
    fs::File,
    io::{BufRead as _, BufReader, Write},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Columns of a progress bar.
const BAR: usize = 30;
/// Between two states of a progress bar: a serial line is slow.
const PAUSE: Duration = Duration::from_millis(250);

/// The consoles, and what is typed on them.
pub struct Screen {
    outputs: Mutex<Vec<Box<dyn Write + Send>>>,
    lines: Mutex<Receiver<String>>,
    is_verbose: bool,
}

impl Screen {
    /// The terminals at `paths`; those that cannot be opened are left out. None: standard input and output.
    pub fn open(paths: &[PathBuf]) -> Self {
        let (sender, lines) = channel();
        let mut outputs: Vec<Box<dyn Write + Send>> = Vec::new();
        for path in paths {
            let Ok(terminal) = File::options().read(true).write(true).open(path) else { continue };
            let Ok(input) = terminal.try_clone() else { continue };
            outputs.push(Box::new(terminal));
            let sender = sender.clone();
            thread::spawn(move || {
                BufReader::new(input).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        if outputs.is_empty() {
            outputs.push(Box::new(std::io::stdout()));
            thread::spawn(move || {
                std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Self { outputs: Mutex::new(outputs), lines: Mutex::new(lines), is_verbose: false }
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
    /// No console can be typed on any more.
    pub fn ask(&self, question: Arguments<'_>) -> Result<String> {
        self.print(&format!("{question} "));
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.recv().context("no console to answer on; give `unattended` and `disk`")?;
        Ok(line.trim().to_owned())
    }

    /// A console that is gone is no reason to stop.
    fn print(&self, text: &str) {
        for output in self.outputs.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let _ = output.write_all(text.as_bytes());
            let _ = output.flush();
        }
    }
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
            self.screen.print(&format!("\r{}", self.line(done)));
        }
    }

    /// Shows the end of the step.
    pub fn finish(self) {
        self.screen.print(&format!("\r{}\r\n", self.line(self.done.load(Ordering::Relaxed))));
    }

    fn line(&self, done: u64) -> String {
        let share = done as f64 / self.total.max(1) as f64;
        let filled = (share * BAR as f64) as usize;
        let rate = done as f64 / self.start.elapsed().as_secs_f64().max(0.001) / f64::from(1 << 20);
        let bar = format!("{}{}", "#".repeat(filled.min(BAR)), ".".repeat(BAR.saturating_sub(filled)));
        format!("{:<22} [{bar}] {:>3.0} %  {rate:.0} MiB/s ", self.label, share * 100.0)
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
