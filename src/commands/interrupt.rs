//! Ctrl-C: what runs now says what stops it.

use std::sync::{Mutex, Once, PoisonError};

type Action = Box<dyn FnMut() + Send>;

static ACTION: Mutex<Option<Action>> = Mutex::new(None);
static INSTALLED: Once = Once::new();

/// Runs `action` on Ctrl-C (and on SIGTERM), in place of what was given before: a command may run
/// several things one after another.
pub fn on_interrupt(action: impl FnMut() + Send + 'static) {
    *ACTION.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(action));
    INSTALLED.call_once(|| {
        let installed = ctrlc::set_handler(|| {
            if let Some(action) = &mut *ACTION.lock().unwrap_or_else(PoisonError::into_inner) {
                action();
            }
        });
        // Without it Ctrl-C ends the program the hard way, which loses nothing either.
        drop(installed);
    });
}
