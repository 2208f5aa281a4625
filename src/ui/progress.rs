//! A bar on the terminal, or a line a phase for those who asked for details.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::human;
use super::printer::Printer;
use super::shown_bar::{self, shown};
use crate::model::progress::Progress;

/// How many, and how many a second, once there is one: some phases count nothing.
fn so_far(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // A figure that cannot be written is left out of the line.
        let _ = write!(out, "{} {:.0}/s ", HumanCount(state.pos()), state.per_sec());
    }
}

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
            shown_bar::target()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg:10}") {
            bar.set_style(style);
        }
        Self { shown: bar, printer: printer.clone(), phase: Mutex::new(None) }
    }

    /// Draws it from now on: only one bar is on the terminal at a time.
    fn show(&self) {
        if self.printer.shows_progress() {
            self.shown.reset();
            self.shown.enable_steady_tick(Duration::from_millis(120));
            *shown() = Some(self.shown.clone());
        }
    }

    fn hide(&self) {
        self.shown.disable_steady_tick();
        self.shown.finish_and_clear();
        *shown() = None;
    }

    fn next_phase(&self, next: Option<&'static str>) {
        let mut phase = self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((name, started)) = phase.take() {
            let took = human::duration_ms(started.elapsed().as_millis() as i64);
            self.printer.detail(&format!("{name}: {took}"));
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
            self.shown.set_style(style.with_key("so_far", so_far));
        }
        // The rate and the time left are those of this phase.
        self.shown.reset_eta();
        self.show();
    }
}

impl Progress for Bar {
    fn phase(&self, name: &'static str, total: Option<u64>) {
        let template = match total {
            Some(_) => "{spinner} {msg:10} {wide_bar} {human_pos}/{human_len} {elapsed}",
            None => "{spinner} {msg:10} {so_far}{elapsed}",
        };
        self.begin(name, total, template);
    }

    fn phase_bytes(&self, name: &'static str, total_bytes: u64) {
        let template = "{spinner} {msg:10} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left";
        self.begin(name, Some(total_bytes), template);
    }

    fn waiting(&self, name: &'static str, left: Duration) {
        let left = match left.as_secs() {
            seconds @ ..60 => format!("{seconds} s"),
            seconds => format!("{} min {} s", seconds / 60, seconds % 60),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            self.shown.set_style(style);
        }
        self.shown.set_message(format!("waiting {name}: {left} left"));
        if shown().is_none() {
            self.show();
        }
    }

    fn advance(&self, steps: u64) {
        self.shown.inc(steps);
    }

    fn finish(&self) {
        self.next_phase(None);
        self.hide();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.hide();
    }
}
