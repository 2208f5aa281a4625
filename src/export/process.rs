//! What a running server says of its own scans, beside the snapshot.

use super::text::{Family, Kind};

const SCANS: &str = "regsql_scans_total";
const LAST_SUCCEEDED: &str = "regsql_last_scan_success";

/// The names that are kept for it.
pub(super) const NAMES: &[&str] = &[SCANS, LAST_SUCCEEDED];

/// The scans that a process made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scans {
    /// How many put a new snapshot in place.
    pub succeeded: u64,
    /// How many did not.
    pub failed: u64,
    /// Whether the last one did; `None` before the first has ended.
    pub last_succeeded: Option<bool>,
}

/// `scans` as metrics.
pub fn render_scans(scans: &Scans) -> String {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let total = Family::new(SCANS, Kind::Counter, "Scans since the server started, by result.")
        .with(&[("result", "success")], count(scans.succeeded))
        .with(&[("result", "failure")], count(scans.failed));
    let mut last = Family::gauge(LAST_SUCCEEDED, "1: the last scan of the server succeeded.");
    if let Some(succeeded) = scans.last_succeeded {
        last.add(&[], i64::from(succeeded));
    }
    let mut text = String::new();
    total.finish(&mut text);
    last.finish(&mut text);
    text
}
