//! A deletion from end to end: the lock, a second look at the plan, the steps in their order with the
//! waits between them, and what is written down of it.
//!
//! ```text
//! lock ─> plan again ─> list ─> tags, revisions, links ─> wait ─> recheck ─> blobs ─> wait ─> recheck
//!                                                                    └> record ─> purge (no trash)
//! ```
//!
//! Beside a registry that takes pushes both waits are as long as a push may take from checking a
//! manifest to writing it; else there is none.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::{Environment, PlannedDeletion, ServingRegistry, Step};
use super::executor::{Destination, Executor, Outcome, Phase};
use super::plan::Plan;
use super::steps::Steps;
use crate::model::Kind;
use crate::storage::StorageWriter;
use crate::trash::aside::Aside;
use crate::trash::{
    self, BeginOptions, FileTrash, LastRun, RunSummary, StorageLock, Trash, TrashError,
};

const PUTS_ASIDE: &str = "no trash can be used: what goes stays beside its place until it is sure \
                          that nothing needs it";

/// How often a wait looks whether it is to end.
const SLICE: Duration = Duration::from_millis(50);

/// How a deletion is made.
#[derive(Clone, Copy)]
pub struct RunOptions<'a> {
    /// What goes stays in the trash.
    pub keeps_trash: bool,
    /// A registry takes pushes meanwhile.
    pub is_online: bool,
    /// How long to wait for pushes under way, if there may be any.
    pub wait: Duration,
    /// The registry that takes pushes, when it may remember what is removed.
    pub registry: Option<&'a dyn ServingRegistry>,
    /// Whether [`Outcome::names`] is wanted.
    pub has_names: bool,
}

/// A deletion that was made.
#[derive(Debug)]
pub struct Deleted<P> {
    /// The plan that was carried out.
    pub planned: P,
    /// What became of it.
    pub outcome: Outcome,
    /// The run that holds what went, if it is in the trash.
    pub trash_run: Option<String>,
    /// It is known that nothing which went is needed, and written down. If not, the next deletion
    /// looks after it.
    pub is_recorded: bool,
}

/// Why a deletion was not made.
#[derive(Debug)]
pub enum RunError<E> {
    /// The trash or its lock cannot be used.
    Trash(TrashError),
    /// It could not be planned again.
    Plan(E),
    /// A person asked to stop before anything was touched.
    Stopped,
}

impl<E> From<TrashError> for RunError<E> {
    fn from(error: TrashError) -> Self {
        Self::Trash(error)
    }
}

/// Takes the lock, plans again by `plan_again`, and carries that plan out.
///
/// # Errors
/// Only when nothing was touched. What goes wrong later is in the outcome.
pub fn run<P: PlannedDeletion, E>(
    storage: &dyn StorageWriter,
    options: &RunOptions<'_>,
    environment: &dyn Environment,
    plan_again: impl FnOnce() -> Result<P, E>,
) -> Result<Deleted<P>, RunError<E>> {
    run_in(&FileTrash::Of(storage), options, environment, plan_again)
}

/// As [`run`], for a storage of any kind.
///
/// # Errors
/// Only when nothing was touched. What goes wrong later is in the outcome.
pub fn run_in<P: PlannedDeletion, E>(
    trash: &dyn Trash,
    options: &RunOptions<'_>,
    environment: &dyn Environment,
    plan_again: impl FnOnce() -> Result<P, E>,
) -> Result<Deleted<P>, RunError<E>> {
    let lock = trash.lock()?;
    let storage = trash.storage();
    environment.before(Step::Plan);
    let planned = plan_again().map_err(RunError::Plan)?;
    let steps = Steps::new(planned.plan(), planned.graph(), storage);
    if environment.is_stopped() {
        return Err(RunError::Stopped);
    }
    let carried = carry_out(trash, &lock, &planned, &steps, options, environment)?;
    let (outcome, trash_run, is_recorded) = carried;
    record_last(trash, planned.plan(), &outcome, is_recorded, environment);
    if let Some(writer) = trash.writer() {
        trash::fill_reserve(writer);
    }
    Ok(Deleted { planned, outcome, trash_run, is_recorded })
}

/// Makes the steps of a plan. Gives what became of them, the run that holds what went, and whether it is
/// written down that nothing which went is needed.
fn carry_out<P: PlannedDeletion>(
    trash: &dyn Trash,
    lock: &StorageLock,
    planned: &P,
    steps: &Steps,
    options: &RunOptions<'_>,
    environment: &dyn Environment,
) -> Result<(Outcome, Option<String>, bool), TrashError> {
    environment.before(Step::Begin);
    // Beside pushes everything must be able to come back, so it goes to the trash first, or aside.
    // A bucket has no other way.
    let begin_options = BeginOptions {
        now: environment.now(),
        is_fresh: &|time_ns| planned.clock().is_fresh(Some(time_ns)),
        must_be_readable: &|at| {
            let blob = planned.graph().blob_of(steps.items[at]);
            blob.is_some_and(|blob| planned.graph().blobs[blob as usize].may_be_manifest)
        },
    };
    let destination = match trash.writer() {
        Some(_) if !options.keeps_trash && !options.is_online => Destination::Nowhere,
        writer => match (trash.begin(lock, &steps.moves, &begin_options), writer) {
            (Ok(begun), _) => Destination::Trash(begun),
            (Err(error), Some(writer)) if !options.keeps_trash && needs_no_trash(&error) => {
                environment.note(PUTS_ASIDE);
                Destination::Aside(Aside::begin(writer, lock))
            }
            (Err(error), _) => return Err(error),
        },
    };
    environment.progress().phase("delete", Some(steps.moves.len() as u64));
    let attempt = |destination| {
        let registry = options.registry;
        let executor = Executor::new(planned, steps, trash, destination, registry, environment);
        make_steps(executor, options, environment)
    };
    let made = 'made: {
        let made = attempt(destination);
        if let (Some(_), false, Destination::Trash(run), Some(writer)) =
            (&made.unrenamable, options.keeps_trash, &made.destination, trash.writer())
        {
            let run = run.run().to_owned();
            trash.purge_one(lock, &run)?;
            drop(made);
            environment.note(PUTS_ASIDE);
            break 'made attempt(Destination::Aside(Aside::begin(writer, lock)));
        }
        made
    };
    environment.progress().finish();
    let Made { outcome, destination, has_touched, is_sure, unrenamable } = made;
    // A run that took nothing holds nothing to undo, and what is purged needs no record of its end,
    // except in a bucket: there the record says what of the list was left where it was.
    let is_to_purge = is_sure && (!options.keeps_trash || !has_touched || unrenamable.is_some());
    environment.before(Step::Record);
    let needs_record = !is_to_purge || trash.writer().is_none();
    let is_recorded = is_sure && (!needs_record || record(&destination, &outcome, environment));
    let mut trash_run = match &destination {
        Destination::Trash(run) => Some(run.run().to_owned()),
        Destination::Aside(_) | Destination::Nowhere => None,
    };
    drop(destination);
    if let Some(run) = trash_run.take_if(|_| is_to_purge && is_recorded) {
        environment.before(Step::Purge);
        if let Err(error) = trash.purge_one(lock, &run) {
            environment.warn(&with_causes(&error));
            trash_run = Some(run);
        }
    }
    if let Some(path) = unrenamable {
        return Err(TrashError::CannotRename(trash.storage().root().join(path)));
    }
    Ok((outcome, trash_run, is_recorded))
}

struct Made<'a> {
    outcome: Outcome,
    destination: Destination<'a>,
    has_touched: bool,
    /// Whatever was taken is known to be needed by nothing.
    is_sure: bool,
    /// The file system renames nothing into the trash; this is the first thing.
    unrenamable: Option<PathBuf>,
}

/// Whether a deletion that keeps no trash may go on without one.
fn needs_no_trash(error: &TrashError) -> bool {
    match error {
        TrashError::OtherMount { .. } => true,
        TrashError::Write { source, .. } => {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        }
        _ => false,
    }
}

fn make_steps<'a>(
    mut executor: Executor<'a>,
    options: &RunOptions<'_>,
    environment: &dyn Environment,
) -> Made<'a> {
    let is_watch_ended = || environment.stop_count() > 1;
    executor.run(Phase::References);
    if let Some(path) = executor.unrenamable().map(Path::to_owned) {
        let (outcome, destination) = executor.finish(false);
        let (has_touched, unrenamable) = (false, Some(path));
        return Made { outcome, destination, has_touched, is_sure: true, unrenamable };
    }
    if options.is_online {
        wait(options.wait, "before blobs go (1 of 2)", environment, &|| environment.is_stopped());
    }
    environment.before(Step::Recheck);
    executor.recheck();
    if !environment.is_stopped() {
        executor.run(Phase::Data);
    }
    if options.is_online && executor.has_touched() {
        // Also when it was stopped: what has gone must be watched for as long as a push may take.
        if environment.is_stopped() {
            environment.note(
                "stopping; pushes under way are watched to their end first (Ctrl-C again ends \
                 that, and the next prune --delete looks again)",
            );
        }
        wait(options.wait, "after what went (2 of 2)", environment, &is_watch_ended);
        environment.before(Step::Recheck);
        executor.recheck();
    }
    let has_touched = executor.has_touched();
    let is_sure = !executor.is_everything_needed() && !is_watch_ended();
    executor.end_aside(is_sure);
    let unrenamable = executor.unrenamable().map(Path::to_owned);
    let (outcome, destination) = executor.finish(options.has_names);
    Made { outcome, destination, has_touched, is_sure, unrenamable }
}

fn wait(
    duration: Duration,
    when: &str,
    environment: &dyn Environment,
    is_ended: &dyn Fn() -> bool,
) {
    if duration.is_zero() {
        return;
    }
    environment.before(Step::Wait);
    let shown = jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX);
    environment.note(&format!("waiting {shown:#} for pushes under way, {when}"));
    let mut rest = duration;
    let mut shown_seconds = None;
    while !rest.is_zero() && !is_ended() {
        if shown_seconds != Some(rest.as_secs()) {
            shown_seconds = Some(rest.as_secs());
            environment.progress().waiting("for pushes under way", rest);
        }
        let slice = rest.min(SLICE);
        environment.sleep(slice);
        rest -= slice;
    }
    environment.progress().finish();
}

/// Writes down that the run has come to its end. False when that failed.
fn record(destination: &Destination<'_>, outcome: &Outcome, environment: &dyn Environment) -> bool {
    let Destination::Trash(run) = destination else {
        return true;
    };
    let summary = RunSummary {
        taken: outcome.moved,
        size_bytes: outcome.size_bytes,
        put_back_count: outcome.put_back_count,
        finished_at: environment.now(),
    };
    let finished = run.finish(&summary);
    // The disk may be full by now. What was done is reported all the same.
    if let Err(error) = &finished {
        environment.warn(&with_causes(error));
    }
    finished.is_ok()
}

/// Writes down how it ended, for metrics; nothing else depends on it.
fn record_last(
    trash: &dyn Trash,
    plan: &Plan,
    outcome: &Outcome,
    is_recorded: bool,
    environment: &dyn Environment,
) {
    let skipped = plan.skipped.iter().chain(&outcome.skipped);
    let last = LastRun {
        finished_at: environment.now(),
        is_complete: is_recorded && !outcome.is_interrupted,
        counts: outcome.moved,
        size_bytes: outcome.size_bytes,
        skipped_count: skipped.filter(|skipped| skipped.group.is_finding()).count() as u64,
        put_back_count: outcome.put_back_count,
        exit_code: 0,
    };
    if let Err(error) = trash.record_last(&last) {
        environment.detail(&with_causes(&error));
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Whether the trash has room for what a plan takes, as far as the file system says.
///
/// # Errors
/// [`TrashError::NoRoom`].
pub fn check_room(trash: &dyn Trash, plan: &Plan) -> Result<(), TrashError> {
    let count: usize = Kind::ALL.iter().map(|kind| plan.goes[*kind].len()).sum();
    trash.check_room(count as u64)
}
