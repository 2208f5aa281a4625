//! How fast all threads together may read.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::stop::Stop;

/// The longest sleep before a look at whether to stop.
const NAP: Duration = Duration::from_millis(50);

/// Gives each piece its place in time, one after the other.
#[derive(Debug)]
pub struct RateLimit {
    bytes_per_second: u64,
    /// When the pieces so far are paid for.
    paid_until: Mutex<Instant>,
}

impl RateLimit {
    /// A limit for all threads together.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid_until: Mutex::new(Instant::now()) }
    }

    /// A piece that takes about a twentieth of a second, so that a slow rate is an even one.
    pub fn piece_bytes(&self, most: usize) -> usize {
        usize::try_from(self.bytes_per_second / 20).map_or(most, |bytes| bytes.clamp(1 << 10, most))
    }

    /// Waits until this number of further bytes is within the rate, or until `stop`.
    pub fn pay(&self, bytes: usize, stop: &Stop<'_>) {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let due = {
            let mut paid = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
            // What was not used while nothing was read is not saved up.
            *paid = (*paid).max(Instant::now()) + cost;
            *paid
        };
        while !stop.is_set() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn threads_together_keep_to_the_rate() {
        let limit = RateLimit::new(1_000_000);
        let never = AtomicBool::new(false);
        let stop = Stop::new(&never);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| limit.pay(10_000, &stop)));
            }
        });
        let seconds = began.elapsed().as_secs_f64();
        assert!((0.39..10.0).contains(&seconds), "400 kB at 1 MB/s took {seconds} s");
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let limit = RateLimit::new(1);
        let began = Instant::now();
        limit.pay(1_000_000, &Stop::new(&AtomicBool::new(true)));
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
