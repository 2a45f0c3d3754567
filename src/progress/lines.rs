//! Progress as lines, for logs ([`Plain`]) and for programs ([`Json`]; docs/progress.md has the schema).

use std::{
    io::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use diskwright_formats::writer::Progress as Advance;
use serde_json::{Value, json};

use super::{End, Level, Progress, Watcher, bytes, failure, seconds};

/// At most one progress line in this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// One thing that happened.
pub(super) enum Event<'a> {
    Begin { stage: &'a Stage },
    Progress { stage: &'a Stage, done: u64 },
    Finished { stage: &'a Stage, done: u64 },
    Note(&'a str),
    End(&'a End<'a>),
}

impl Event<'_> {
    const fn level(&self) -> Level {
        match self {
            Self::Begin { .. } | Self::Progress { .. } | Self::Finished { .. } => Level::Info,
            Self::Note(_) => Level::Warn,
            Self::End(_) => Level::Error,
        }
    }
}

/// A stage that runs.
pub(super) struct Stage {
    name: String,
    total: Option<u64>,
    since: Instant,
}

/// How an event is written: `None` if it is not.
pub(super) trait Format: Sync {
    fn line(&self, event: &Event<'_>, elapsed: Duration) -> Option<String>;
}

/// Writes one line an event.
pub(super) struct Lines<W> {
    format: &'static dyn Format,
    level: Level,
    start: Instant,
    done: AtomicU64,
    /// Milliseconds after `start` at which the next progress line is due.
    due: AtomicU64,
    running: Mutex<Option<Stage>>,
    out: Mutex<W>,
}

impl<W: Write + Send> Lines<W> {
    pub(super) fn new(format: &'static dyn Format, level: Level, out: W) -> Self {
        let (done, due) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            format,
            level,
            start: Instant::now(),
            done,
            due,
            running: Mutex::new(None),
            out: Mutex::new(out),
        }
    }

    fn tell(&self, event: &Event<'_>) {
        if event.level() > self.level {
            return;
        }
        if let Some(line) = self.format.line(event, self.start.elapsed()) {
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(out, "{line}"); // nobody to tell when standard error is closed
        }
    }

    fn replace(&self, next: Option<Stage>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.done.swap(0, Ordering::Relaxed);
        if let Some(stage) = std::mem::replace(&mut *running, next) {
            self.tell(&Event::Finished { stage: &stage, done });
        }
        if let Some(stage) = &*running {
            self.due.store(self.after(INTERVAL), Ordering::Relaxed);
            self.tell(&Event::Begin { stage });
        }
    }

    fn after(&self, wait: Duration) -> u64 {
        millis(self.start.elapsed() + wait)
    }

    /// Whether a progress line is due; true for one caller only.
    fn is_due(&self) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        let next = self.after(INTERVAL);
        self.after(Duration::ZERO) >= due
            && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl<W: Write + Send> Advance for Lines<W> {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.is_due()
            && let Some(stage) = &*self.running.lock().unwrap_or_else(PoisonError::into_inner)
        {
            self.tell(&Event::Progress { stage, done });
        }
    }
}

impl<W: Write + Send> Progress for Lines<W> {
    fn begin(&self, stage: &str, total: Option<u64>) {
        self.replace(Some(Stage { name: stage.to_owned(), total, since: Instant::now() }));
    }

    fn note(&self, text: &str) {
        self.tell(&Event::Note(text));
    }
}

impl<W: Write + Send> Watcher for Lines<W> {
    fn end(&self, end: &End<'_>) {
        if matches!(end, End::Done(_)) {
            self.replace(None);
        }
        self.tell(&Event::End(end));
    }
}

/// For logs.
pub(super) struct Plain;

impl Format for Plain {
    fn line(&self, event: &Event<'_>, elapsed: Duration) -> Option<String> {
        let text = match event {
            Event::Begin { stage } => format!("{} ...", stage.name),
            Event::Progress { stage, done } => progress(stage, *done),
            Event::Finished { stage, done } => finished(stage, *done),
            Event::Note(text) => return Some(format!("note: {text}")),
            Event::End(End::Done(_)) => return None,
            Event::End(End::Failed { message, hints, .. }) => return Some(failure(message, hints)),
        };
        Some(format!("[{:>7}] {text}", seconds(elapsed)))
    }
}

fn progress(stage: &Stage, done: u64) -> String {
    let rate = done as f64 / stage.since.elapsed().as_secs_f64().max(0.001);
    let rate = bytes(rate as u64);
    match stage.total {
        Some(total) if total > 0 => {
            let percent = u128::from(done) * 100 / u128::from(total);
            format!("{}: {} of {} ({percent} %), {rate}/s", stage.name, bytes(done), bytes(total))
        }
        _ => format!("{}: {}, {rate}/s", stage.name, bytes(done)),
    }
}

fn finished(stage: &Stage, done: u64) -> String {
    let time = seconds(stage.since.elapsed());
    match done {
        0 => format!("{}: done in {time}", stage.name),
        done => format!("{}: {} in {time}", stage.name, bytes(done)),
    }
}

/// For programs.
pub(super) struct Json;

impl Format for Json {
    fn line(&self, event: &Event<'_>, elapsed: Duration) -> Option<String> {
        let mut object = match event {
            Event::Begin { stage } => json!({"event": "stage", "stage": stage.name, "total": stage.total}),
            Event::Progress { stage, done } => {
                json!({"event": "progress", "stage": stage.name, "done": done, "total": stage.total})
            }
            Event::Finished { stage, done } => {
                let time = millis(stage.since.elapsed());
                json!({"event": "finished", "stage": stage.name, "done": done, "duration_ms": time})
            }
            Event::Note(text) => json!({"event": "note", "message": text}),
            Event::End(End::Done(result)) => json!({"event": "done", "result": result}),
            Event::End(End::Failed { kind, message, hints }) => {
                json!({"event": "error", "kind": kind, "message": message, "hints": hints})
            }
        };
        object["elapsed_ms"] = Value::from(millis(elapsed));
        Some(object.to_string())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use diskwright_formats::writer::Progress as _;

    use super::*;

    fn told(format: &'static dyn Format, level: Level) -> Vec<String> {
        let lines = Lines::new(format, level, Vec::new());
        lines.begin("merging layers", Some(4096));
        for _ in 0..1000 {
            lines.advance(4);
        }
        lines.note("no initramfs");
        lines.begin("writing", None);
        lines.end(&End::Done(&json!({"x": 1})));
        lines.end(&End::Failed { kind: "input", message: "a: b", hints: &["try c".into()] });
        let out = lines.out.into_inner().unwrap();
        String::from_utf8(out).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn json_events_are_in_order_and_parse() {
        let events: Vec<Value> =
            told(&Json, Level::Info).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["stage", "note", "finished", "stage", "finished", "done", "error"]);
        assert_eq!(events[0]["total"], 4096);
        assert_eq!(events[2]["done"], 4000);
        assert!(events[3]["total"].is_null());
        assert!(events.iter().all(|event| event["elapsed_ms"].is_u64()));
    }

    #[test]
    fn plain_lines_are_few() {
        let lines = told(&Plain, Level::Info);
        assert_eq!(lines.len(), 7, "{lines:#?}");
        assert_eq!(lines[1], "note: no initramfs");
        assert_eq!(lines[5..], ["error: a: b", "hint: try c"]);
    }

    #[test]
    fn levels_hide() {
        assert_eq!(told(&Plain, Level::Warn), ["note: no initramfs", "error: a: b", "hint: try c"]);
        assert_eq!(told(&Plain, Level::Error), ["error: a: b", "hint: try c"]);
    }

    #[test]
    fn a_progress_line_comes_when_due_and_counts() {
        let lines = Lines::new(&Plain, Level::Info, Vec::new());
        lines.begin("writing", Some(200));
        lines.due.store(0, Ordering::Relaxed);
        lines.advance(50);
        lines.advance(50);
        let out = String::from_utf8(lines.out.into_inner().unwrap()).unwrap();
        assert_eq!(out.matches("50 B of 200 B (25 %)").count(), 1, "{out}");
        assert_eq!(out.lines().count(), 2, "{out}");
    }
}
