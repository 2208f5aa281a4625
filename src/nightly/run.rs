//! A run of the night job: what it needs, and what it has come to.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::config::Config;
use super::log::Log;
use super::record::Record;
use super::serving::Checked;
use super::summary::{PruneFigures, StepReport};
use crate::registry::Registry;

/// Names the job's process to the steps that are regsql itself.
pub const PARENT_VARIABLE: &str = "REGSQL_NIGHTLY_PARENT";

/// What a run needs.
pub struct Job<'a> {
    /// What to do.
    pub config: &'a Config,
    /// The file it came from, for messages.
    pub config_file: &'a Path,
    /// The database.
    pub database: &'a Path,
    /// regsql itself.
    pub program: &'a Path,
    /// The registry, asked with its usual timeout.
    pub registry: Arc<Registry>,
    /// The same for whole pulls, which take long.
    pub puller: Arc<Registry>,
    /// The log.
    pub log: &'a Log<'a>,
    /// Whether a person asked to stop.
    pub is_stopped: &'a dyn Fn() -> bool,
}

/// A run that is under way.
pub(super) struct Run<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) record: Record,
    pub(super) steps: Vec<StepReport>,
    pub(super) began: Timestamp,
    /// Since when the registry is down.
    pub(super) down_since: Option<Instant>,
    pub(super) down: Duration,
    pub(super) is_healed: bool,
    /// The registry was touched, or what it serves.
    pub(super) needs_check: bool,
    pub(super) deleted: Option<PruneFigures>,
    pub(super) purged_bytes: Option<u64>,
    pub(super) check: Option<Checked>,
    pub(super) next: Vec<String>,
}

impl<'a> Run<'a> {
    pub(super) fn new(job: &'a Job<'a>, record: Record) -> Self {
        Self {
            job,
            record,
            steps: Vec::new(),
            began: Timestamp::now(),
            down_since: None,
            down: Duration::ZERO,
            is_healed: false,
            needs_check: false,
            deleted: None,
            purged_bytes: None,
            check: None,
            next: Vec::new(),
        }
    }

    pub(super) fn say(&self, text: &str) {
        self.job.log.line(text);
    }

    pub(super) fn is_stopped(&self) -> bool {
        (self.job.is_stopped)()
    }
}
