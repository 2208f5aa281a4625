//! A bar on the terminal, or a line a phase for those who asked for details.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::human;
use super::printer::Printer;
use super::shown_bar::{self, shown};
use crate::model::progress::Progress;

/// What is shown of a phase that has no figures yet.
const NAME_ALONE: &str = "{spinner} {msg:10}";

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
        if let Ok(style) = ProgressStyle::with_template(NAME_ALONE) {
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
        // Each of these may draw, and so may the ticker between two: the figures of one phase never stand in the form of
        // another.
        if let Ok(style) = ProgressStyle::with_template(NAME_ALONE) {
            self.shown.set_style(style);
        }
        self.shown.set_message(name);
        self.shown.set_position(0);
        self.shown.set_length(total.unwrap_or(0));
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
        let total = total.filter(|total| *total > 0);
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use indicatif::TermLike;

    use super::*;
    use crate::ui::{Color, LogTime, Verbosity};

    /// Keeps all that was ever drawn.
    #[derive(Clone, Debug, Default)]
    struct Drawn(Arc<Mutex<String>>);

    impl TermLike for Drawn {
        fn width(&self) -> u16 {
            100
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(&format!("{line}\n"))
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.write_line("")
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_phase_shows_figures_in_the_form_of_another() {
        let drawn = Drawn::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(drawn.clone()), 255);
        let bar = Bar {
            shown: ProgressBar::with_draw_target(None, target),
            printer: Printer::new(Verbosity::Quiet, Color::Never, LogTime::Never),
            phase: Mutex::new(None),
        };
        bar.phase("manifests", Some(10));
        bar.advance(10);
        bar.phase("graph", None);
        bar.advance(3);
        bar.phase("database", Some(7));
        bar.advance(1);
        bar.phase("nothing", Some(0));
        bar.phase_bytes("content", 2048);
        bar.advance(1024);
        let drawn = drawn.0.lock().unwrap().clone();
        for shown in ["10/10", "graph", "1/7", "nothing", "1.00 KiB/2.00 KiB"] {
            assert!(drawn.contains(shown), "{shown}: {drawn}");
        }
        for never in ["0/0", "10/7", "3/7", "/2,048"] {
            assert!(!drawn.contains(never), "{never}: {drawn}");
        }
    }
}
