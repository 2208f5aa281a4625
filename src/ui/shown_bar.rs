//! The one bar that may be on the terminal, so that nothing else is written into it.

use std::io;
use std::sync::Mutex;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, TermLike};

/// The bar on the terminal, if there is one: what else is written there must not run into it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The bar that is on the terminal now.
pub(super) fn shown() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes to standard error with the bar out of the way.
pub(super) fn beside_bar(write: impl FnOnce()) {
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Takes the bar off the terminal for good, before the program ends in the middle of its work.
pub fn clear_bar() {
    if let Some(bar) = shown().take() {
        bar.finish_and_clear();
    }
}

/// Where a bar is drawn.
pub(super) fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Narrower(Term::buffered_stderr())), 20)
}

/// Columns at the end of a line that a bar leaves free.
const FREE_COLUMNS: u16 = 4;

/// The terminal, a little narrower: it shows `^C` where the cursor stands, and behind a bar as wide as
/// the screen that would stand in the next line, from where the bar can no longer be cleared.
#[derive(Debug)]
struct Narrower(Term);

impl TermLike for Narrower {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(FREE_COLUMNS).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.0.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
