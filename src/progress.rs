//! How long work tells how far it is, without knowing who looks.

/// Receives how far a piece of work is. Called from many threads.
pub trait Progress: Sync {
    /// A new phase begins; `total` when it is known how many steps it has.
    fn phase(&self, name: &'static str, total: Option<u64>);
    /// `steps` more are done.
    fn advance(&self, steps: u64);
    /// The work is over.
    fn finish(&self);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hidden;

impl Progress for Hidden {
    fn phase(&self, _: &'static str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}
