//! What a run did, for people and for machines.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::serving::Checked;
use crate::export::{NightFigures, NightStep};
use crate::model::Kind;
use crate::ui;

/// RFC 3339, to the millisecond.
fn time_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// It did its work.
    Done,
    /// It did it, and something that was asked for stays; the log has the reasons.
    Findings,
    /// It did not.
    Failed,
    /// It was ended after its time.
    TimedOut,
    /// It was ended because a person asked for it.
    Interrupted,
}

impl StepResult {
    /// As JSON and metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Findings => "findings",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Its name.
    pub step: &'static str,
    /// When it began (UTC).
    #[serde(serialize_with = "time_text")]
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// How it ended.
    pub result: StepResult,
    /// What is to be known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What `prune` says of a plan or a deletion, as far as it is used.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PruneFigures {
    /// How many of each kind.
    pub counts: BTreeMap<String, u64>,
    /// Bytes that come free, after a purge if there is a trash.
    pub freed_bytes: u64,
    /// The run in the trash that holds what went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash_run: Option<String>,
    /// Why nothing may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl PruneFigures {
    /// `2 tags, 1 blob`, or `nothing`.
    pub fn in_words(&self) -> String {
        let parts = Kind::ALL.map(|kind| {
            let (one, many) = kind.words();
            (self.counts.get(&kind.key()).copied().unwrap_or(0), one, many)
        });
        ui::counted(&parts)
    }
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The version of this form.
    pub schema: u32,
    /// As the configuration has it.
    pub storage: String,
    /// When it began (UTC).
    #[serde(serialize_with = "time_text")]
    pub started_at: Timestamp,
    /// When it ended (UTC).
    #[serde(serialize_with = "time_text")]
    pub finished_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// The worst that happened.
    pub result: StepResult,
    /// The process's.
    pub exit_code: u8,
    /// How long the registry was stopped or read-only, in milliseconds.
    pub down_ms: i64,
    /// A run before this one was killed, and its registry was started again.
    pub is_healed: bool,
    /// The steps, in their order.
    pub steps: Vec<StepReport>,
    /// What was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<PruneFigures>,
    /// Bytes that the purge took out of the trash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purged_bytes: Option<u64>,
    /// What the check pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Checked>,
    /// What to do next, for a person.
    pub next: Vec<String>,
}

impl Summary {
    /// Why it ended as it did, in a line.
    pub fn reason(&self) -> String {
        let worst = self.steps.iter().find(|step| step.result == self.result);
        match (self.result, worst) {
            (StepResult::Done, _) | (_, None) => self.result.as_str().to_owned(),
            (result, Some(step)) => {
                let detail =
                    step.detail.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
                format!("{} {}{detail}", step.step, result.as_str())
            }
        }
    }

    /// As metrics.
    pub fn figures(&self) -> NightFigures {
        NightFigures {
            finished_seconds: self.finished_at.as_second(),
            exit_code: self.exit_code,
            duration_ms: self.duration_ms,
            down_ms: self.down_ms,
            deleted_bytes: self.deleted.as_ref().map_or(0, |deleted| deleted.freed_bytes),
            purged_bytes: self.purged_bytes.unwrap_or(0),
            pulled_tags: self.check.as_ref().map_or(0, |check| check.pulled_count),
            failed_tags: self.check.as_ref().map_or(0, |check| check.failures.len() as u64),
            steps: self
                .steps
                .iter()
                .map(|step| NightStep {
                    name: step.step,
                    duration_ms: step.duration_ms,
                    is_done: matches!(step.result, StepResult::Done | StepResult::Findings),
                })
                .collect(),
        }
    }
}
