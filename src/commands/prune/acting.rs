//! Carrying a plan out.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use super::{Planned, PruneArgs, SavedPlan, gate, make_plan, show, time_shown, vanished};
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::measure::{Measure, Measured, beside};
use crate::commands::options::StorageArgs;
use crate::commands::result::Snapshot;
use crate::commands::storage;
use crate::commands::{Context, interrupt_count, on_interrupt, was_interrupted};
use crate::graph::Graph;
use crate::model::progress::Progress;
use crate::prune::{
    self, Clock, Deleted, Document, Environment, Mode, Plan, PlannedDeletion, RunError, RunOptions,
    ServingRegistry, Skipped, now_on,
};
use crate::trash::{Keeping, Trash};
use crate::ui;

/// Refuses what cannot be carried out before anybody is asked, and before `--before` stops anything.
pub fn refuse_early(context: &Context, args: &PruneArgs, planned: &Planned) -> Result<()> {
    if args.acting.via_api.is_some() {
        return Ok(());
    }
    let trash = open(context, args)?;
    // Also whether a bucket keeps what it is to keep.
    trash.keeping()?;
    if !args.acting.no_trash {
        prune::check_room(trash.as_ref(), &planned.plan)?;
    }
    if args.acting.before.is_none() && !args.acting.yes {
        gate::refuse_early(args, &planned.graph)?;
    }
    Ok(())
}

/// Deletes what `planned` says and a person has seen.
pub fn run(
    context: &Context,
    args: &PruneArgs,
    planned: Planned,
    saved: Option<&SavedPlan>,
) -> Result {
    if let Some(url) = &args.acting.via_api {
        vanished::begin(context, &planned);
        let result = super::via_api::run(context, args, &planned, url);
        // Nobody scans here, and what went by then is not missed.
        vanished::end(context);
        return result;
    }
    // From here on Ctrl-C is heeded between two steps, so that `--after` runs.
    on_interrupt(|| ());
    let has_answered = gate::answers(args);
    let before = match &args.acting.before {
        Some(command) => gate::shell(context, "--before", command),
        None => Ok(()),
    };
    let result = stop_if_interrupted()
        .and(before.map_err(|error| {
            if error.is_interrupted() { Error::stopped(NOTHING_DELETED) } else { error }
        }))
        .and_then(|()| act(context, args, planned, saved, has_answered));
    // Also after a failure: it starts the registry again.
    let after = match &args.acting.after {
        Some(command) => gate::shell(context, "--after", command),
        None => Ok(()),
    };
    match (result, after) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
        (Err(error), Err(after)) => {
            context.printer.warn(&after.messages().join(": "));
            Err(error)
        }
    }
}

/// The storage, to be changed as the options say.
fn open(context: &Context, args: &PruneArgs) -> Result<Box<dyn Trash>> {
    storage::open_to_change_as(context, &StorageArgs::default(), args.acting.changing())
}

fn act(
    context: &Context,
    args: &PruneArgs,
    planned: Planned,
    saved: Option<&SavedPlan>,
    has_answered: bool,
) -> Result {
    let registry = gate::check(context, args, &planned.graph, has_answered)?;
    let trash = open(context, args)?;
    let keeping = trash.keeping()?;
    let options = RunOptions {
        keeps_trash: !args.acting.no_trash,
        is_online: args.acting.online,
        wait: args.acting.wait,
        registry: registry.as_ref().map(|registry| registry as &dyn ServingRegistry),
        has_names: args.format == super::FormatArg::Json,
    };
    let measure = Measure::begin(trash.storage());
    let surroundings = Surroundings { context, bar: ui::Bar::new(&context.printer) };
    let deleted = prune::run_in(trash.as_ref(), &options, &surroundings, || {
        plan_again(context, args, planned, saved, trash.as_ref())
    });
    if !matches!(deleted, Err(RunError::Plan(_))) {
        vanished::end(context);
    }
    let deleted = deleted.map_err(|error| match error {
        RunError::Trash(error) => error.into(),
        RunError::Plan(error) => error,
        RunError::Stopped => Error::stopped(NOTHING_DELETED),
    })?;
    let outcome = report(context, args, &deleted, measure.end(trash.storage()), keeping)?;
    if deleted.outcome.is_disk_full {
        context.printer.warn(if args.acting.no_trash {
            "the disk is full, so not everything could go: run this again, which has the room that this one \
             has freed"
        } else {
            "the disk is full, so not everything could go: regsql trash purge --yes frees what did, \
             then run this again, or add --no-trash"
        });
    }
    if was_interrupted() && !deleted.is_recorded && !args.acting.no_trash {
        return Err(Error::stopped(
            "stopped before it was known that nothing needs what went: the next prune --delete puts it back first",
        ));
    }
    if was_interrupted() && is_part(&deleted) {
        return Err(Error::stopped(
            "stopped before the end: what stands above was deleted, and the next run takes the rest",
        ));
    }
    if was_interrupted() {
        return Err(Error::stopped("stopped after the deletion; the database is older than it")
            .with_hint("`regsql scan` reads the storage again"));
    }
    let is_recorded = deleted.is_recorded;
    // A scan takes as much memory as all of this.
    drop(deleted);
    // What the database says is no longer so.
    storage::rescan_opened(context, trash.as_ref())?;
    Ok(if is_recorded { outcome } else { Outcome::Findings })
}

/// Whether something of the plan is still there.
fn is_part(deleted: &Deleted<Planned>) -> bool {
    let planned = deleted.planned.plan.counts();
    let done = &deleted.outcome.counts;
    deleted.outcome.is_interrupted || planned.iter().any(|(kind, count)| done[kind] < *count)
}

/// The person at the terminal.
struct Surroundings<'a> {
    context: &'a Context,
    bar: ui::Bar,
}

impl Environment for Surroundings<'_> {
    fn note(&self, text: &str) {
        self.context.printer.note(text);
    }

    fn warn(&self, text: &str) {
        self.context.printer.warn(text);
    }

    fn detail(&self, text: &str) {
        self.context.printer.detail(text);
    }

    fn progress(&self) -> &dyn Progress {
        &self.bar
    }

    fn stop_count(&self) -> u32 {
        interrupt_count()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

impl PlannedDeletion for Planned {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn clock(&self) -> Clock {
        self.policy.clock
    }
}

/// What a stop before the first step leaves.
const NOTHING_DELETED: &str = "stopped: nothing was deleted";

fn stop_if_interrupted() -> Result<()> {
    if was_interrupted() { Err(Error::stopped(NOTHING_DELETED)) } else { Ok(()) }
}

/// Scans again and works the plan out again, unless nothing has changed since it was shown.
fn plan_again(
    context: &Context,
    args: &PruneArgs,
    planned: Planned,
    saved: Option<&SavedPlan>,
    trash: &dyn Trash,
) -> Result<Planned> {
    let local_ns = crate::commands::now().as_nanosecond() as i64;
    // A time that a test has set holds for the storage too.
    let is_set = std::env::var_os("REGSQL_NOW").is_some();
    let now_ns = match trash.writer() {
        Some(files) if !is_set => now_on(files, local_ns),
        // A clock that is ahead here must make nothing old.
        None if !is_set => trash.now_ns().map_or(local_ns, |now_ns| now_ns.min(local_ns)),
        _ => local_ns,
    };
    // Someone else may have scanned since.
    let is_same_scan = Snapshot::open(context, None)?.origin(context)? == planned.origin;
    let summary = storage::rescan_opened(context, trash).map_err(|error| {
        if error.is_interrupted() { Error::stopped(NOTHING_DELETED) } else { error }
    })?;
    let accepted = vanished::refuse(context, args, Some(&planned.accepted))?;
    if is_same_scan && summary.is_unchanged && now_ns >= planned.policy.clock.now_ns {
        vanished::begin(context, &planned);
        return Ok(planned);
    }
    let seen = planned.plan.names(&planned.graph).collect();
    // The reason is left out: it has an age in it, which changes from second to second.
    let key = |skipped: &Skipped| (skipped.group, skipped.name.clone());
    let shown: BTreeSet<_> = planned.plan.skipped.iter().map(key).collect();
    drop(planned);
    let mut again = make_plan(context, args, saved, now_ns, Some(seen))?;
    again.accepted = accepted;
    let is_new = |skipped: &&Skipped| !shown.contains(&key(skipped));
    again.newly_skipped = again.plan.skipped.iter().filter(is_new).cloned().collect();
    vanished::begin(context, &again);
    Ok(again)
}

/// Where that is which went, and when its space comes free.
fn kept(run: &str, size_bytes: u64, keeping: Keeping, out: &mut Vec<u8>) -> std::io::Result<()> {
    let bytes = ui::bytes(size_bytes);
    // Links alone hold no space to speak of.
    let only_with = (size_bytes > 0)
        .then(|| format!("The space, {bytes}, comes free only with regsql trash purge"));
    match keeping {
        Keeping::Renamed => {
            writeln!(out, "Moved to the trash as run {run}: regsql undo {run} puts it back")?;
            only_with.iter().try_for_each(|line| writeln!(out, "{line}"))
        }
        Keeping::Copied => {
            writeln!(out, "Copied to the trash as run {run}: regsql undo {run} puts it back")?;
            only_with.iter().try_for_each(|line| writeln!(out, "{line}"))
        }
        Keeping::Versions => {
            writeln!(out, "Listed in the trash as run {run}: regsql undo {run} puts it back")?;
            writeln!(out, "The bucket keeps the data as older versions")?;
            only_with.iter().try_for_each(|line| writeln!(out, "{line}"))
        }
        Keeping::Marked { margin_seconds } => {
            writeln!(out, "Listed in the trash as run {run}: regsql undo {run} puts it back")?;
            writeln!(out, "The data of blobs and uploads is marked and stays in the bucket")?;
            let from = match margin_seconds {
                0 => " --offline".to_owned(),
                seconds => format!(", in {} at the earliest", time_shown(seconds)),
            };
            only_with.iter().try_for_each(|line| writeln!(out, "{line}{from}"))
        }
        Keeping::Soft { seconds } => {
            let days = time_shown(seconds);
            writeln!(
                out,
                "Listed in the trash as run {run}: regsql undo {run} puts it back for {days}"
            )?;
            writeln!(
                out,
                "The bucket keeps the data for that time; then the space, {bytes}, comes free"
            )
        }
    }
}

/// Shows what was done, and says whether anything stays that was to go.
fn report(
    context: &Context,
    args: &PruneArgs,
    deleted: &Deleted<Planned>,
    measured: Option<Measured>,
    keeping: Keeping,
) -> Result {
    let Deleted { planned, outcome, trash_run, .. } = deleted;
    let counts = outcome.counts;
    let bytes = ui::bytes(outcome.size_bytes);
    let mut text = Vec::new();
    let mut newly_skipped = planned.newly_skipped.clone();
    newly_skipped.extend(outcome.skipped.iter().cloned());
    show::skipped(&newly_skipped, args.all, &mut text)?;
    match outcome.put_back_count {
        0 => {}
        1 => writeln!(text, "Put back one thing that something needs")?,
        count => writeln!(text, "Put back {count} things that something needs")?,
    }
    writeln!(text, "Deleted {}", show::counted(&counts))?;
    match trash_run {
        Some(run) => kept(run, outcome.size_bytes, keeping, &mut text)?,
        None if outcome.moved == crate::trash::Counts::default() => {}
        None => {
            let measured = beside(outcome.size_bytes, measured, planned.not_freed);
            let at_most = if planned.not_freed.hard_linked_count > 0 { "at most " } else { "" };
            writeln!(text, "Freed {at_most}{bytes}{measured}")?;
            if let Keeping::Soft { seconds } = keeping {
                writeln!(text, "The bucket keeps what was deleted for {}", time_shown(seconds))?;
            }
        }
    }
    let mut skipped = planned.plan.skipped.clone();
    skipped.extend(outcome.skipped.iter().cloned());
    let end = show::outcome(context, &skipped);
    if args.format == super::FormatArg::Json {
        for line in String::from_utf8_lossy(&text).lines() {
            context.printer.note(line);
        }
        let document = Document {
            mode: Mode::Deleted,
            counts,
            freed_bytes: outcome.size_bytes,
            hard_linked_bytes: planned.not_freed.hard_linked_bytes,
            measured_bytes: measured.map(|measured| measured.freed_bytes),
            shared_bytes: planned.plan.shared_bytes,
            min_age_seconds: Some(planned.policy.clock.min_age.as_secs()),
            trash_run: trash_run.clone(),
            items: outcome.names.clone(),
            skipped,
            ..Document::empty(planned.origin.clone())
        };
        show::json(context, &document)?;
    } else {
        context.printer.results(&String::from_utf8_lossy(&text))?;
    }
    Ok(end)
}
