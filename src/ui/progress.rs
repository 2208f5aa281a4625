//! A bar on the terminal, or a line a phase for those who asked for details.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;
use super::printer::Printer;
use crate::progress::Progress;

/// Shows progress on standard error, if it is a terminal.
pub struct Bar {
    shown: ProgressBar,
    printer: Printer,
    phase: Mutex<Option<(&'static str, Instant)>>,
}

impl Bar {
    /// A bar that shows itself only where `printer` says so.
    pub fn new(printer: &Printer) -> Self {
        let target = if printer.shows_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg:10}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { shown: bar, printer: printer.clone(), phase: Mutex::new(None) }
    }

    fn next_phase(&self, next: Option<&'static str>) {
        let mut phase = self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((name, started)) = phase.take() {
            let took = human::duration_ms(started.elapsed().as_millis() as i64);
            self.shown.suspend(|| self.printer.detail(&format!("{name}: {took}")));
        }
        *phase = next.map(|name| (name, Instant::now()));
    }
}

impl Bar {
    fn begin(&self, name: &'static str, total: Option<u64>, template: &str) {
        self.next_phase(Some(name));
        // Each of these may draw: the old position never stands beside the new length.
        self.shown.set_position(0);
        self.shown.set_length(total.unwrap_or(0));
        self.shown.set_message(name);
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.shown.set_style(style);
        }
        // The rate and the time left are those of this phase.
        self.shown.reset_eta();
    }
}

impl Progress for Bar {
    fn phase(&self, name: &'static str, total: Option<u64>) {
        let template = match total {
            Some(_) => "{spinner} {msg:10} {wide_bar} {human_pos}/{human_len} {elapsed}",
            None => "{spinner} {msg:10} {human_pos} {elapsed}",
        };
        self.begin(name, total, template);
    }

    fn phase_bytes(&self, name: &'static str, total_bytes: u64) {
        let template = "{spinner} {msg:10} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left";
        self.begin(name, Some(total_bytes), template);
    }

    fn advance(&self, steps: u64) {
        self.shown.inc(steps);
    }

    fn finish(&self) {
        self.next_phase(None);
        self.shown.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.shown.finish_and_clear();
    }
}
