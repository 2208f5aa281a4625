//! How the last `nightly` went, as metrics.

use super::text::{Family, Kind};

const FINISHED: &str = "regsql_nightly_finished_seconds";
const EXIT_CODE: &str = "regsql_nightly_exit_code";
const DURATION: &str = "regsql_nightly_duration_seconds";
const DOWN: &str = "regsql_nightly_down_seconds";
const DELETED: &str = "regsql_nightly_deleted_bytes";
const PURGED: &str = "regsql_nightly_purged_bytes";
const PULLED: &str = "regsql_nightly_pulled_tags";
const STEP_DURATION: &str = "regsql_nightly_step_duration_seconds";
const STEP_DONE: &str = "regsql_nightly_step_success";

/// The names that are kept for it.
pub(super) const NAMES: &[&str] =
    &[FINISHED, EXIT_CODE, DURATION, DOWN, DELETED, PURGED, PULLED, STEP_DURATION, STEP_DONE];

/// One step of a night.
#[derive(Clone, Debug)]
pub struct NightStep {
    /// Its name.
    pub name: &'static str,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// It did its work.
    pub is_done: bool,
}

/// A night.
#[derive(Clone, Debug, Default)]
pub struct NightFigures {
    /// When it ended, in seconds since 1970.
    pub finished_seconds: i64,
    /// The exit code.
    pub exit_code: u8,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// How long the registry was stopped or read-only, in milliseconds.
    pub down_ms: i64,
    /// Bytes of what was deleted.
    pub deleted_bytes: u64,
    /// Bytes that the purge took out of the trash.
    pub purged_bytes: u64,
    /// Tags that were pulled whole afterwards.
    pub pulled_tags: u64,
    /// Tags that could not be.
    pub failed_tags: u64,
    /// Its steps, each name once.
    pub steps: Vec<NightStep>,
}

/// `night` as metrics.
pub fn render_night(night: &NightFigures) -> String {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut families = vec![
        Family::gauge(FINISHED, "When the last nightly ended, in seconds since 1970.")
            .with(&[], night.finished_seconds),
        Family::gauge(
            EXIT_CODE,
            "Exit code of the last nightly: 0 done, 1 findings, 2 error, 130 stopped.",
        )
        .with(&[], i64::from(night.exit_code)),
        Family::gauge(DURATION, "How long the last nightly took.")
            .with(&[], seconds(night.duration_ms)),
        Family::gauge(DOWN, "How long the last nightly kept the registry stopped or read-only.")
            .with(&[], seconds(night.down_ms)),
        Family::gauge(
            DELETED,
            "Bytes of what the last nightly deleted; with a trash they come free with a purge.",
        )
        .with(&[], count(night.deleted_bytes)),
        Family::gauge(PURGED, "Bytes that the last nightly took out of the trash for good.")
            .with(&[], count(night.purged_bytes)),
        Family::new(
            PULLED,
            Kind::Gauge,
            "Tags that the last nightly pulled at its end, by result.",
        )
        .with(&[("result", "success")], count(night.pulled_tags))
        .with(&[("result", "failure")], count(night.failed_tags)),
    ];
    let mut durations =
        Family::gauge(STEP_DURATION, "How long each step of the last nightly took.");
    let mut done = Family::gauge(STEP_DONE, "1: the step of the last nightly did its work.");
    for step in &night.steps {
        durations.add(&[("step", step.name)], seconds(step.duration_ms));
        done.add(&[("step", step.name)], i64::from(step.is_done));
    }
    families.extend([durations, done]);
    let mut text = String::new();
    for family in families {
        family.finish(&mut text);
    }
    text
}
