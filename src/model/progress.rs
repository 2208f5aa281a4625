//! How work that takes a while says how far it is, without knowing who looks.

/// Hears of the work's phases, from any thread.
pub trait Progress: Sync {
    /// A phase begins, with as many steps as `total` says, if that is known.
    fn phase(&self, name: &'static str, total: Option<u64>);
    /// A phase begins whose steps are bytes.
    fn phase_bytes(&self, name: &'static str, total_bytes: u64) {
        self.phase(name, Some(total_bytes));
    }
    /// Nothing is done for `left` yet, because of what `name` says.
    fn waiting(&self, _name: &'static str, _left: std::time::Duration) {}
    /// This number of further steps of the phase is done.
    fn advance(&self, steps: u64);
    /// All phases are done.
    fn finish(&self);
}

/// Shows nothing.
pub struct Hidden;

impl Progress for Hidden {
    fn phase(&self, _name: &'static str, _total: Option<u64>) {}
    fn advance(&self, _steps: u64) {}
    fn finish(&self) {}
}
