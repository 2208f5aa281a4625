//! When all threads are to end.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by a person, or when something failed that ends it for all.
#[derive(Debug)]
pub struct Stop<'a> {
    by_person: &'a AtomicBool,
    by_failure: AtomicBool,
}

impl<'a> Stop<'a> {
    /// Not set by a failure yet.
    pub fn new(by_person: &'a AtomicBool) -> Self {
        Self { by_person, by_failure: AtomicBool::new(false) }
    }

    /// Something failed: the rest is not worth its time.
    pub fn fail(&self) {
        self.by_failure.store(true, Ordering::Relaxed);
    }

    /// Whether a person stopped it.
    pub fn is_by_person(&self) -> bool {
        self.by_person.load(Ordering::Relaxed)
    }

    /// Whether to end.
    pub fn is_set(&self) -> bool {
        self.is_by_person() || self.by_failure.load(Ordering::Relaxed)
    }
}
