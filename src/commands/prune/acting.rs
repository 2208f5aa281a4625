//! Carrying a plan out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Planned, PruneArgs, SavedPlan, gate, has_skipped, is_counted, make_plan, show};
use crate::commands::{Context, on_interrupt};
use crate::error::{Outcome, Result};
use crate::progress::Progress as _;
use crate::prune::{Act, Counts, Document, Done, LinkRemover, Means, Mode, Phase, Steps, Way};
use crate::storage::StorageWriter;
use crate::trash::{RunSummary, StorageLock, TrashRun};
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
    let before = match &args.acting.before {
        Some(command) => gate::shell(context, "--before", command),
        None => Ok(()),
    };
    let result = before.and_then(|()| act(context, args, planned, saved));
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

fn act(context: &Context, args: &PruneArgs, planned: Planned, saved: Option<&SavedPlan>) -> Result {
    let registry = gate::check(args, &planned.graph)?;
    let storage = super::super::storage::open(context, &crate::cli::StorageArgs::default())?;
    let lock = StorageLock::take(&storage)?;
    let planned = plan_again(context, args, planned, saved, &storage)?;
    let steps = Steps::new(&planned.plan, &planned.graph, &storage);
    let is_stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_stopped);
    on_interrupt(move || stop.store(true, Ordering::Relaxed));

    // Beside pushes everything must be able to come back, so it goes to the trash first.
    let uses_trash = !args.acting.no_trash || args.acting.online;
    let way = if uses_trash {
        Way::Trash(TrashRun::begin(&storage, &lock, jiff::Timestamp::now(), &steps.moves)?)
    } else {
        Way::Direct
    };
    let links = registry.map(gate::ThroughApi);
    let progress = ui::Bar::new(&context.printer);
    progress.phase("delete", Some(steps.moves.len() as u64));
    let is_asked_to_stop = || is_stopped.load(Ordering::Relaxed);
    let advance = |count| progress.advance(count);
    let mut act = Act::new(
        &planned.graph,
        &steps,
        Means {
            storage: &storage,
            way,
            clock: planned.policy.clock,
            links: links.as_ref().map(|links| links as &dyn LinkRemover),
            is_stopped: &is_asked_to_stop,
            advance: &advance,
        },
    );
    let wait = if args.acting.online { args.acting.wait } else { Duration::ZERO };
    act.run(Phase::References);
    pause(context, wait, &is_asked_to_stop);
    act.sweep();
    if !is_asked_to_stop() {
        act.run(Phase::Data);
    }
    if args.acting.online {
        // Also when it was stopped: what has gone must be watched for as long as a push may take.
        pause(context, wait, &|| false);
        act.sweep();
    }
    let (done, way) = act.done();
    progress.finish();
    finish(context, args, &planned, done, way, &lock, &storage)
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
    let summary = super::rescan(context)?;
    if summary.is_unchanged && now_ns >= planned.policy.clock.now_ns {
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
    let until = Instant::now() + wait;
    while Instant::now() < until && !is_stopped() {
        std::thread::sleep(Duration::from_millis(50).min(until - Instant::now()));
    }
}

fn finish(
    context: &Context,
    args: &PruneArgs,
    planned: &Planned,
    done: Done,
    way: Way<'_>,
    lock: &StorageLock,
    storage: &dyn StorageWriter,
) -> Result {
    let run = match &way {
        Way::Trash(run) => {
            run.finish(&RunSummary {
                taken: done.counts,
                size_bytes: done.size_bytes,
                put_back_count: done.put_back_count,
                finished_at: jiff::Timestamp::now(),
            })?;
            Some(run.run().to_owned())
        }
        Way::Direct => None,
    };
    drop(way);
    let mut trash_run = run;
    if args.acting.no_trash
        && let Some(run) = &trash_run
    {
        crate::trash::purge_one(storage, lock, run)?;
        trash_run = None;
    }
    let counts = counts_of(&done);
    let mut skipped = planned.plan.skipped.clone();
    skipped.extend(done.skipped.iter().cloned());
    let document = Document {
        mode: Mode::Deleted,
        counts,
        freed_bytes: done.size_bytes,
        trash_run: trash_run.clone(),
        items: done.names.clone(),
        skipped,
        ..Document::empty(planned.origin.clone())
    };
    tell(context, args, &document, &done, trash_run.as_deref())?;
    // What the database says is no longer so.
    super::rescan(context)?;
    if done.is_interrupted {
        return Err(crate::report::QueryError::Interrupted.into());
    }
    let has_skipped =
        has_skipped(&planned.plan) || done.skipped.iter().any(|skipped| is_counted(skipped.group));
    Ok(if has_skipped { Outcome::Findings } else { Outcome::Done })
}

fn counts_of(done: &Done) -> Counts {
    Counts {
        tags: done.counts.tags,
        revisions: done.counts.revisions,
        layer_links: done.counts.layer_links,
        blobs: done.counts.blobs,
        uploads: done.counts.uploads,
        repositories: done.repositories,
    }
}

fn tell(
    context: &Context,
    args: &PruneArgs,
    document: &Document,
    done: &Done,
    trash_run: Option<&str>,
) -> Result<()> {
    use std::io::Write as _;
    let bytes = ui::bytes(done.size_bytes as i64);
    let mut text = Vec::new();
    show::skipped(&done.skipped, &mut text)?;
    if done.put_back_count > 0 {
        writeln!(text, "Put back {} things that something needs", done.put_back_count)?;
    }
    writeln!(text, "Deleted {}", show::counted(&document.counts))?;
    match trash_run {
        Some(run) => {
            writeln!(text, "Moved to the trash as run {run}: regsql undo {run} puts it back")?;
            writeln!(text, "The space, {bytes}, comes free only with regsql trash purge")?;
        }
        None => writeln!(text, "Freed {bytes}")?,
    }
    if args.format == super::FormatArg::Json {
        for line in String::from_utf8_lossy(&text).lines() {
            context.printer.note(line);
        }
        return show::json(context, document);
    }
    let mut out = context.printer.out();
    out.write_all(&text)?;
    out.flush()?;
    Ok(())
}
