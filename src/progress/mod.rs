//! What the stages tell a watcher: which stage, how much there is to do, how much is done;
//! and the watchers: bars on a terminal, lines, JSON events. All of them write to standard error.

mod bar;
mod lines;

use std::{
    io::{IsTerminal, stderr},
    sync::Arc,
    time::Duration,
};

use clap::ValueEnum;

/// Hears of the stages of a build. `advance` counts bytes of the current stage.
pub trait Progress: diskwright_formats::writer::Progress {
    /// A stage begins ("merging layers"); `total` bytes are to be done, if that is known.
    fn begin(&self, stage: &str, total: Option<u64>);

    /// Something a user should know that is no error.
    fn note(&self, text: &str);
}

/// Nobody watches.
impl Progress for () {
    fn begin(&self, _stage: &str, _total: Option<u64>) {}
    fn note(&self, _text: &str) {}
}

/// A watcher that also hears how it ended.
pub trait Watcher: Progress + Send {
    /// The last event.
    fn end(&self, end: &End<'_>);
}

/// How it ended.
#[derive(Debug)]
pub enum End<'a> {
    /// Well, with this result.
    Done(&'a serde_json::Value),
    /// Badly.
    Failed {
        /// Name of the [`crate::ErrorKind`].
        kind: &'a str,
        /// The chain of causes on one line.
        message: &'a str,
        /// What may help.
        hints: &'a [String],
    },
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// Bars on a terminal, else lines
    #[default]
    Auto,
    /// Bars
    Term,
    /// Lines, at most one a second for each stage
    #[value(alias = "debug")]
    Verbose,
    /// One JSON object a line
    Json,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Errors only
    #[value(aliases = ["fatal", "panic"])]
    Error,
    /// Warnings too
    #[value(alias = "warning")]
    Warn,
    /// Progress too
    #[default]
    #[value(aliases = ["debug", "trace"])]
    Info,
}

/// The watcher on standard error.
#[must_use]
pub fn watcher(style: Style, level: Level) -> Arc<dyn Watcher> {
    let bars = match style {
        Style::Auto => stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        Style::Term => true,
        Style::Verbose | Style::Json => false,
    };
    if bars && level == Level::Info {
        return Arc::new(bar::Bars::new());
    }
    let format: &'static dyn lines::Format = if style == Style::Json { &lines::Json } else { &lines::Plain };
    Arc::new(lines::Lines::new(format, level, stderr()))
}

/// A failure as people read it.
fn failure(message: &str, hints: &[String]) -> String {
    let hints: String = hints.iter().map(|hint| format!("\nhint: {hint}")).collect();
    format!("error: {message}{hints}")
}

/// `bytes` with a binary unit.
fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// Seconds with one digit.
fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}
