//! Bars on a terminal: the running stage has a bar, a finished one leaves a line with its duration.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use diskwright_formats::writer::Progress as Advance;
use indicatif::{ProgressBar, ProgressStyle};

use super::{End, Progress, Watcher, bytes, failure, seconds};

const WITH_TOTAL: &str =
    "{msg:28!} {wide_bar} {binary_bytes:>10} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
const WITHOUT_TOTAL: &str = "{msg:28!} {spinner} {binary_bytes:>10}, {binary_bytes_per_sec}";
/// How often the bar moves by itself.
const TICK: Duration = Duration::from_millis(125);

/// The bar of the running stage, if one runs.
pub(super) struct Bars {
    running: Mutex<Option<ProgressBar>>,
}

impl Bars {
    pub(super) const fn new() -> Self {
        Self { running: Mutex::new(None) }
    }

    /// Puts another bar (or none) in place of the running one, which leaves its line.
    fn replace(&self, next: Option<ProgressBar>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = std::mem::replace(&mut *running, next) {
            bar.finish_and_clear();
            eprintln!("{}", finished(&bar));
        }
    }

    fn print(&self, text: &str) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match &*running {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

fn finished(bar: &ProgressBar) -> String {
    let (stage, time) = (bar.message(), seconds(bar.elapsed()));
    match bar.position() {
        0 => format!("{stage:<28} {:>10}  {time:>7}", ""),
        done => format!("{stage:<28} {:>10}  {time:>7}", bytes(done)),
    }
}

impl Advance for Bars {
    fn advance(&self, bytes: u64) {
        if let Some(bar) = &*self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.inc(bytes);
        }
    }
}

impl Progress for Bars {
    fn begin(&self, stage: &str, total: Option<u64>) {
        self.replace(None);
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = if total.is_some() { WITH_TOTAL } else { WITHOUT_TOTAL };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(stage.to_owned());
        bar.enable_steady_tick(TICK);
        self.replace(Some(bar));
    }

    fn note(&self, text: &str) {
        self.print(&format!("note: {text}"));
    }
}

impl Watcher for Bars {
    fn end(&self, end: &End<'_>) {
        match end {
            End::Done(_) => self.replace(None),
            End::Failed { message, hints, .. } => {
                if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    bar.abandon();
                }
                eprintln!("{}", failure(message, hints));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [WITH_TOTAL, WITHOUT_TOTAL] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
