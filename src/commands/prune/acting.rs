//! Carrying a plan out.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::{Planned, PruneArgs, SavedPlan, gate, is_counted, make_plan, show};
use crate::commands::result::Snapshot;
use crate::commands::{Context, interrupt_count, on_interrupt, was_interrupted};
use crate::error::{Error, Outcome, Result};
use crate::progress::Progress as _;
use crate::prune::{Act, Counts, Document, Done, LinkRemover, Means, Mode, Phase, Steps, Way};
use crate::report::QueryError;
use crate::storage::StorageWriter;
use crate::trash::{LastRun, RunSummary, StorageLock, TrashRun, purge_one};
use crate::ui;

/// Deletes what `planned` says and a person has seen.
pub fn run(
    context: &Context,
    args: &PruneArgs,
    planned: Planned,
    saved: Option<&SavedPlan>,
) -> Result {
    if let Some(url) = &args.acting.via_api {
        return super::via_api::run(context, args, &planned, url);
    }
    // From here on Ctrl-C is heeded between two steps, so that `--after` runs.
    on_interrupt(|| ());
    let has_answered = gate::answers(args);
    let before = match &args.acting.before {
        Some(command) => gate::shell(context, "--before", command),
        None => Ok(()),
    };
    let result = stop_if_interrupted()
        .and(before)
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

fn act(
    context: &Context,
    args: &PruneArgs,
    planned: Planned,
    saved: Option<&SavedPlan>,
    has_answered: bool,
) -> Result {
    let registry = gate::check(context, args, &planned.graph, has_answered)?;
    let storage = super::super::storage::open(context, &crate::cli::StorageArgs::default())?;
    let lock = StorageLock::take(&storage)?;
    let planned = plan_again(context, args, planned, saved, &storage)?;
    let steps = Steps::new(&planned.plan, &planned.graph, &storage);
    stop_if_interrupted()?;

    // Beside pushes everything must be able to come back, so it goes to the trash first.
    let uses_trash = !args.acting.no_trash || args.acting.online;
    let way = if uses_trash {
        Way::Trash(Box::new(TrashRun::begin(
            &storage,
            &lock,
            jiff::Timestamp::now(),
            &steps.moves,
        )?))
    } else {
        Way::Direct
    };
    let links = registry.map(gate::ThroughApi);
    let progress = ui::Bar::new(&context.printer);
    progress.phase("delete", Some(steps.moves.len() as u64));
    let advance = |count| progress.advance(count);
    let mut act = Act::new(
        &planned.graph,
        &steps,
        Means {
            storage: &storage,
            way,
            clock: planned.policy.clock,
            links: links.as_ref().map(|links| links as &dyn LinkRemover),
            is_stopped: &was_interrupted,
            advance: &advance,
        },
    );
    let wait = if args.acting.online { args.acting.wait } else { Duration::ZERO };
    act.run(Phase::References);
    pause(context, wait, &was_interrupted);
    act.sweep();
    if !was_interrupted() {
        act.run(Phase::Data);
    }
    if args.acting.online && act.has_touched() {
        // Also when it was stopped: what has gone must be watched for as long as a push may take.
        if was_interrupted() {
            context.printer.note(
                "stopping; pushes under way are watched to their end first (Ctrl-C again ends \
                 that, and the next prune --delete looks again)",
            );
        }
        pause(context, wait, &is_watch_ended);
        act.sweep();
    }
    let has_touched = act.has_touched();
    let is_sure = !act.is_everything_needed() && !is_watch_ended();
    let (done, way) = act.done(args.format == super::FormatArg::Json);
    progress.finish();
    let trash_run = match &way {
        Way::Trash(run) => Some(run.run().to_owned()),
        Way::Direct => None,
    };
    let is_recorded = is_sure && record(context, &done, &way);
    drop(way);
    let trash_run = match trash_run {
        // Unless something of it may be needed. A run without anything is nothing to undo.
        Some(run) if (args.acting.no_trash || !has_touched) && is_recorded => {
            let purged = purge_one(&storage, &lock, &run);
            purged.err().map(|error| {
                context.printer.warn(&Error::from(error).messages().join(": "));
                run
            })
        }
        run => run,
    };
    record_last(context, &planned, &done, is_recorded, &storage);
    let outcome = tell(context, args, &planned, &done, trash_run)?;
    if done.is_interrupted || was_interrupted() {
        return Err(QueryError::Interrupted.into());
    }
    // A scan takes as much memory as all of this.
    drop((done, steps, planned));
    // What the database says is no longer so.
    super::rescan(context)?;
    Ok(if is_recorded { outcome } else { Outcome::Findings })
}

fn stop_if_interrupted() -> Result<()> {
    if was_interrupted() { Err(QueryError::Interrupted.into()) } else { Ok(()) }
}

/// A second Ctrl-C does not wait for pushes under way.
fn is_watch_ended() -> bool {
    interrupt_count() > 1
}

/// Scans again and works the plan out again, unless nothing has changed since it was shown.
fn plan_again(
    context: &Context,
    args: &PruneArgs,
    planned: Planned,
    saved: Option<&SavedPlan>,
    storage: &dyn StorageWriter,
) -> Result<Planned> {
    let now_ns = now_on(storage);
    // Someone else may have scanned since.
    let is_same_scan = Snapshot::open(context, None)?.origin(context)? == planned.origin;
    let summary = super::rescan(context)?;
    if is_same_scan && summary.is_unchanged && now_ns >= planned.policy.clock.now_ns {
        return Ok(planned);
    }
    let seen = planned.plan.names(&planned.graph).collect();
    drop(planned);
    make_plan(context, args, saved, now_ns, Some(seen))
}

/// The time by the clock that stamps the storage's files, or by this machine's if that is earlier.
fn now_on(storage: &dyn StorageWriter) -> i64 {
    let local = crate::commands::now().as_nanosecond() as i64;
    if std::env::var_os("REGSQL_NOW").is_some() {
        return local;
    }
    let file = std::path::Path::new(".regsql/clock");
    // A disk may be too full for it; then this machine's clock must do.
    drop(storage.remove_file(file));
    drop(storage.write_new(file, b""));
    let stamped = storage.stat(file).map(|facts| facts.modified_ns);
    drop(storage.remove_file(file));
    stamped.map_or(local, |stamped| stamped.min(local))
}

fn pause(context: &Context, wait: Duration, is_stopped: &dyn Fn() -> bool) {
    if wait.is_zero() {
        return;
    }
    context.printer.note(&format!(
        "waiting {} for pushes under way",
        ui::duration_ms(wait.as_millis() as i64)
    ));
    let begun = Instant::now();
    while let Some(rest) = wait.checked_sub(begun.elapsed()).filter(|_| !is_stopped()) {
        std::thread::sleep(rest.min(Duration::from_millis(50)));
    }
}

/// Writes down that the run has come to its end. False when it has not: the next one looks after it.
fn record(context: &Context, done: &Done, way: &Way<'_>) -> bool {
    let Way::Trash(run) = way else {
        return true;
    };
    let summary = RunSummary {
        taken: done.counts,
        size_bytes: done.size_bytes,
        put_back_count: done.put_back_count,
        finished_at: jiff::Timestamp::now(),
    };
    match run.finish(&summary) {
        Ok(()) => true,
        // A disk may be full by now. What was done is told all the same.
        Err(error) => {
            context.printer.warn(&Error::from(error).messages().join(": "));
            false
        }
    }
}

/// Writes down how it ended, for metrics; nothing else depends on it.
fn record_last(
    context: &Context,
    planned: &Planned,
    done: &Done,
    is_recorded: bool,
    storage: &dyn StorageWriter,
) {
    let skipped = planned.plan.skipped.iter().chain(&done.skipped);
    let last = LastRun {
        finished_at: jiff::Timestamp::now(),
        is_complete: is_recorded && !done.is_interrupted,
        counts: done.counts,
        size_bytes: done.size_bytes,
        skipped_count: skipped.filter(|skipped| is_counted(skipped.group)).count() as u64,
        put_back_count: done.put_back_count,
    };
    if let Err(error) = crate::trash::record_last(storage, &last) {
        context.printer.detail(&Error::from(error).messages().join(": "));
    }
}

fn counts_of(done: &Done) -> Counts {
    Counts {
        tags: done.counts.tags,
        revisions: done.counts.revisions,
        layer_links: done.counts.layer_links,
        blobs: done.counts.blobs - done.corrupt_blobs,
        uploads: done.counts.uploads,
        repositories: done.repositories,
        corrupt_blobs: done.corrupt_blobs,
        leftovers: done.leftovers,
    }
}

/// Shows what was done, and says whether anything stays that was to go.
fn tell(
    context: &Context,
    args: &PruneArgs,
    planned: &Planned,
    done: &Done,
    trash_run: Option<String>,
) -> Result {
    let counts = counts_of(done);
    let bytes = ui::bytes(done.size_bytes as i64);
    let mut text = Vec::new();
    show::skipped(&done.skipped, &mut text)?;
    match done.put_back_count {
        0 => {}
        1 => writeln!(text, "Put back one thing that something needs")?,
        count => writeln!(text, "Put back {count} things that something needs")?,
    }
    writeln!(text, "Deleted {}", show::counted(&counts))?;
    match &trash_run {
        Some(run) => {
            writeln!(text, "Moved to the trash as run {run}: regsql undo {run} puts it back")?;
            writeln!(text, "The space, {bytes}, comes free only with regsql trash purge")?;
        }
        None if done.counts == crate::trash::Counts::default() => {}
        None => writeln!(text, "Freed {bytes}")?,
    }
    let mut skipped = planned.plan.skipped.clone();
    skipped.extend(done.skipped.iter().cloned());
    let has_skipped = skipped.iter().any(|skipped| is_counted(skipped.group));
    if args.format == super::FormatArg::Json {
        for line in String::from_utf8_lossy(&text).lines() {
            context.printer.note(line);
        }
        let document = Document {
            mode: Mode::Deleted,
            counts,
            freed_bytes: done.size_bytes,
            shared_bytes: planned.plan.shared_bytes,
            min_age_seconds: Some(planned.policy.clock.min_age.as_secs()),
            trash_run,
            items: done.names.clone(),
            skipped,
            ..Document::empty(planned.origin.clone())
        };
        show::json(context, &document)?;
    } else {
        let mut out = context.printer.out();
        out.write_all(&text)?;
        out.flush()?;
    }
    Ok(if has_skipped { Outcome::Findings } else { Outcome::Done })
}
