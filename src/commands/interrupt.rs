//! Ctrl-C: what runs now says what stops it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use super::Context;
use crate::db;
use crate::ui;

type Action = Box<dyn FnMut() + Send>;

static ACTION: Mutex<Option<Action>> = Mutex::new(None);
static INSTALLED: Once = Once::new();
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

/// Runs `action` on Ctrl-C (and on SIGTERM), in place of what was given before: a command may run
/// several things one after another.
pub fn on_interrupt(action: impl FnMut() + Send + 'static) {
    *ACTION.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(action));
    INSTALLED.call_once(|| {
        let installed = ctrlc::set_handler(|| {
            INTERRUPTS.fetch_add(1, Ordering::Relaxed);
            if let Some(action) = &mut *ACTION.lock().unwrap_or_else(PoisonError::into_inner) {
                action();
            }
        });
        // Without it Ctrl-C ends the program the hard way, which loses nothing either.
        drop(installed);
    });
}

/// How often Ctrl-C came since the first [`on_interrupt`], whatever ran then.
pub fn interrupt_count() -> u32 {
    INTERRUPTS.load(Ordering::Relaxed)
}

/// Whether it came at all.
pub fn was_interrupted() -> bool {
    interrupt_count() > 0
}

/// Ctrl-C does not end the program while a pager shows its output: the pager would be left alone with
/// the terminal. What stops the work, if something does, stays.
pub fn outlive_interrupts() {
    if ACTION.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
        on_interrupt(|| ());
    }
}

/// Lets Ctrl-C end the program at once again: what runs now may be stopped at any point, and `stopped`
/// says what that leaves.
pub fn end_on_interrupt(context: &Context, stopped: &'static str) {
    let context = context.clone();
    on_interrupt(move || {
        ui::clear_bar();
        db::remove_unfinished();
        context.printer.warn(stopped);
        context.printer.end_log(130, None);
        #[expect(clippy::exit, reason = "nothing is waiting for what runs now")]
        std::process::exit(130);
    });
}
