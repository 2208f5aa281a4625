//! `trash`: see what deletions left in the trash, and free it for good.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use super::measure::{Measure, Measured, beside};
use super::storage::Changing;
use super::undo::{counted, shown, warn_of};
use super::{Context, end_on_interrupt, on_interrupt};
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::options::{OutputArgs, StorageArgs, parse_duration};
use crate::graph::total_bytes;
use crate::prune::{NeededAgain, NotFreed};
use crate::report::{Column, End, RowSink, Unit, Value};
use crate::trash::{
    Counts, Keeping, PurgeOptions, PurgeReport, RunInfo, RunState, Trash, TrashError,
};
use crate::ui::{self, Format, Frame};

/// Arguments of `trash`.
#[derive(Args, Debug)]
pub struct TrashArgs {
    #[command(subcommand)]
    command: TrashCommand,
}

#[derive(Debug, Subcommand)]
enum TrashCommand {
    /// Show the runs in the trash and what a purge of each frees
    List(ListArgs),
    /// Remove runs from the trash for good
    ///
    /// Only this frees the space of what was deleted, and it cannot be undone. A run that was stopped
    /// before its end stays, because it was not checked whether something needs what it took, and so do all
    /// that began after a run that stays: they may hold what they share with it. The next
    /// `regsql prune --delete` puts such a run back. The storage is scanned first: what something needs again, such as a blob that
    /// a later push relied on, stays and is named. Exit code 1: something stays that was to go.
    Purge(PurgeArgs),
}

#[derive(Args, Debug)]
struct ListArgs {
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct PurgeArgs {
    #[command(flatten)]
    storage: StorageArgs,
    /// Only runs that began longer ago, such as 24h or 7d
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    older_than: Duration,
    /// Put back first what runs took that were stopped before their end, so that all that began after
    /// them can go. A prune takes it again
    #[arg(long)]
    unfinished: bool,
    /// Your word that no registry writes to the storage now: in a bucket, data that is only marked is
    /// deleted whatever its age, and without a copy
    #[arg(long)]
    offline: bool,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; needed where there is no terminal to ask on
    #[arg(short, long)]
    yes: bool,
}

/// Lists or purges.
pub fn run(context: &Context, args: &TrashArgs) -> Result {
    match &args.command {
        TrashCommand::List(args) => list(context, args),
        TrashCommand::Purge(args) => purge(context, args),
    }
}

fn list(context: &Context, args: &ListArgs) -> Result {
    let trash = super::storage::open_to_change(context, &args.storage)?;
    let runs = trash.list()?;
    let format: Format = args.output.format;
    let footer = if runs.iter().any(|run| run.size_bytes > 0) {
        vec!["regsql trash purge frees it; regsql undo RUN puts it back".into()]
    } else {
        Vec::new()
    };
    let frame = Frame {
        title: Some("Runs in the trash".into()),
        footer,
        totals: vec!["size_bytes".into()],
        may_hide: true,
        ..Frame::default()
    };
    let mut out = context.paged();
    if runs.is_empty() && format.is_for_people() {
        writeln!(out, "The trash is empty")?;
        return out.finish().map(|()| Outcome::Done).map_err(Into::into);
    }
    {
        let mut sink = ui::sink(format, &mut out, frame, context.printer.look());
        write_rows(sink.as_mut(), &runs)?;
    }
    out.finish()?;
    for run in &runs {
        if let RunState::Damaged(error) = &run.state {
            context.printer.warn(&with_cause(&run.run, error));
        }
    }
    warn_of_future(context, &runs);
    Ok(Outcome::Done)
}

fn write_rows(sink: &mut dyn RowSink, runs: &[RunInfo]) -> io::Result<()> {
    let columns = [
        ("run", Unit::Text),
        ("started_at", Unit::Time),
        ("state", Unit::Text),
        ("size_bytes", Unit::Bytes),
        ("tag_count", Unit::Count),
        ("revision_count", Unit::Count),
        ("layer_link_count", Unit::Count),
        ("upload_count", Unit::Count),
        ("blob_count", Unit::Count),
    ];
    sink.begin(&columns.map(|(name, unit)| Column { name: name.into(), unit }))?;
    for run in runs {
        let state = match run.state {
            RunState::Finished => "finished",
            RunState::Unfinished => "unfinished",
            RunState::NotBegun => "not begun",
            RunState::Damaged(_) => "damaged",
        };
        let started = run.started_at.map(|time| time.to_string());
        let counts = &run.counts;
        let numbers = [
            run.size_bytes,
            counts.tags,
            counts.revisions,
            counts.layer_links,
            counts.uploads,
            counts.blobs,
        ];
        let mut row = vec![
            Value::Text(run.run.as_str().into()),
            started.map_or(Value::Null, |time| Value::Text(time.into())),
            Value::Text(state.into()),
        ];
        row.extend(numbers.map(|number| Value::Integer(number as i64)));
        sink.row(&row)?;
    }
    sink.end(End { rows: runs.len() as u64, is_cut: false })
}

fn purge(context: &Context, args: &PurgeArgs) -> Result {
    let changing = Changing { is_quiet: args.offline, ..Changing::default() };
    let trash = super::storage::open_to_change_as(context, &args.storage, changing)?;
    let storage = trash.storage();
    let options = PurgeOptions {
        started_before: started_before(super::now(), args.older_than),
        includes_unfinished: args.unfinished,
    };
    let mut measure = None;
    let report = if args.dry_run {
        let needed = needed_again(context, trash.as_ref())?;
        trash.purge_preview(&options, &|item| needed.has(item))?
    } else {
        end_on_interrupt(context, "stopped: nothing was removed from the trash");
        ask(context, args, trash.as_ref(), &options)?;
        let lock = trash.lock()?;
        measure = Some(Measure::begin(storage));
        if args.unfinished {
            super::prune::recover::roll_back(context, trash.as_ref(), &lock)?;
        }
        let needed = needed_again(context, trash.as_ref())?;
        // What is left is purged the next time. In a bucket data is deleted first, and then it is looked
        // whether a push relied on it: that must come to its end.
        if trash.writer().is_some() {
            end_on_interrupt(
                context,
                "stopped: what is left in the trash goes with the next purge",
            );
        } else {
            on_interrupt(|| ());
        }
        let report = trash.purge(&lock, &options, &|item| needed.has(item))?;
        if !report.runs.is_empty() {
            super::storage::refresh(context, storage);
        }
        report
    };
    let measured = measure.and_then(|measure| measure.end(storage));
    if !report.is_of_nothing() {
        tell(context, &report, args.dry_run, measured);
    }
    tell_soft(context, trash.as_ref(), &report);
    tell_younger(context, args, trash.as_ref(), &report, &options)?;
    let is_whole = report.failed.is_empty()
        && report.unfinished.is_empty()
        && report.held_back.is_empty()
        && report.runs.iter().all(|run| run.kept.is_empty() && run.leftovers.is_empty());
    Ok(if is_whole { Outcome::Done } else { Outcome::Findings })
}

/// A time in the future says that a clock was wrong.
fn warn_of_future(context: &Context, runs: &[RunInfo]) {
    let now = super::now();
    for run in runs {
        if let Some(started_at) = run.started_at.filter(|time| *time > now) {
            context.printer.warn(&format!(
                "run {} says that it began at {started_at}, which is in the future: a clock was ahead. \
                 No --older-than reaches it before that, nor the runs that began after it",
                run.run
            ));
        }
    }
}

/// Whether a purge is about a run, as far as its age goes; one of unknown age it looks at.
fn is_meant(run: &RunInfo, options: &PurgeOptions) -> bool {
    run.started_at.is_none_or(|time| time < options.started_before)
}

/// Why a trash that `trash list` shows gives nothing.
fn tell_younger(
    context: &Context,
    args: &PurgeArgs,
    trash: &dyn Trash,
    report: &PurgeReport,
    options: &PurgeOptions,
) -> Result<()> {
    if args.older_than.is_zero() && !report.is_of_nothing() {
        return Ok(());
    }
    let runs = trash.list()?;
    if !args.older_than.is_zero() {
        warn_of_future(context, &runs);
    }
    let nothing = if report.is_of_nothing() { "nothing to purge: " } else { "" };
    let younger: Vec<&RunInfo> = runs.iter().filter(|run| !is_meant(run, options)).collect();
    if !younger.is_empty() {
        let what = ui::counted(&[(younger.len() as u64, "run is", "runs are")]);
        let bytes = ui::bytes(total_bytes(younger.iter().map(|run| run.size_bytes)));
        context.printer.note(&format!("{nothing}{what} younger than --older-than, {bytes}"));
    } else if runs.is_empty() && report.is_of_nothing() {
        context.printer.note("nothing to purge: the trash is empty");
    }
    Ok(())
}

/// Nothing brings back what is purged.
fn ask(
    context: &Context,
    args: &PurgeArgs,
    trash: &dyn Trash,
    options: &PurgeOptions,
) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let mut runs = trash.list()?;
    runs.retain(|run| is_meant(run, options));
    if runs.is_empty() {
        return Ok(());
    }
    let bytes = ui::bytes(total_bytes(runs.iter().map(|run| run.size_bytes)));
    let what = ui::counted(&[(runs.len() as u64, "run", "runs")]);
    if !io::stdin().is_terminal() {
        return Err(Error::new(format!(
            "nothing was removed: purging {what} ({bytes}) cannot be undone, and there is no terminal \
             to ask on"
        ))
        .with_hint("add --yes to purge without a question; --dry-run shows what would go"));
    }
    let held = counted(&runs.iter().fold(Counts::default(), |sum, run| sum.and(&run.counts)));
    let question =
        format!("Remove {what} from the trash ({held}, {bytes})? This CANNOT BE UNDONE.");
    if context.printer.says_yes(&question)? {
        return Ok(());
    }
    Err(Error::new("nothing was removed: the answer was not yes"))
}

/// What of the trash something on disk needs now. An empty trash takes no scan.
fn needed_again(context: &Context, trash: &dyn Trash) -> Result<NeededAgain> {
    let runs = trash.held(false)?;
    let storage = trash.storage();
    if runs.is_empty() {
        return Ok(NeededAgain::default());
    }
    let graph = super::storage::scan_now(context, storage)?.graph()?;
    Ok(NeededAgain::new(&graph, storage, &runs))
}

/// Without an age all runs are meant, also those whose clock was ahead.
fn started_before(now: Timestamp, age: Duration) -> Timestamp {
    if age.is_zero() {
        return Timestamp::MAX;
    }
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

fn tell(context: &Context, report: &PurgeReport, is_dry_run: bool, measured: Option<Measured>) {
    let printer = &context.printer;
    let mut size_bytes = 0_u64;
    let mut not_freed = NotFreed::default();
    for run in &report.runs {
        not_freed.hard_linked_bytes += run.hard_linked_bytes;
        not_freed.sparse_bytes += run.sparse_bytes;
        let verb = if is_dry_run { "would remove" } else { "removed" };
        let bytes = ui::bytes(run.size_bytes);
        // The reason below says that the run stays.
        let has_failed = report.failed.iter().any(|(failed, _)| *failed == run.run);
        if !has_failed || run.counts != Counts::default() {
            printer.note(&format!("{verb} {} ({bytes}) of run {}", counted(&run.counts), run.run));
        }
        size_bytes = size_bytes.saturating_add(run.size_bytes);
        let kept = run
            .kept
            .iter()
            .map(|item| format!("`{}` stays in the trash: it is needed again", shown(&item.path)));
        warn_of(context, kept, "stay in the trash");
        if !run.kept.is_empty() {
            let run = &run.run;
            printer.note(&format!("`regsql undo {run}` puts back what is left of the run"));
        }
        let leftovers = run.leftovers.iter().map(|path| {
            format!("`{}` is in the run's directory and not in its list: it stays", shown(path))
        });
        warn_of(context, leftovers, "are not in the list");
    }
    for run in &report.unfinished {
        printer.warn(&format!(
            "run {run} was stopped before its end and stays: `regsql undo {run}` puts it back, and so \
             do the next `regsql prune --delete` and `regsql trash purge --unfinished`"
        ));
    }
    let held_back = report.held_back.iter().map(|run| {
        format!("run {run} stays: an undo of an earlier run, which stays, may need what it holds")
    });
    warn_of(context, held_back, "stay for an earlier one");
    for (run, error) in &report.failed {
        printer.warn(&with_cause(run, error));
        if let Some(hint) = error.hint() {
            printer.note(&format!("hint: {hint}"));
        }
    }
    let freed = if is_dry_run { "would free" } else { "freed" };
    let at_most = if not_freed.hard_linked_bytes > 0 { "at most " } else { "" };
    let measured = beside(size_bytes, measured, not_freed);
    printer.note(&format!("{freed} {at_most}{}{measured}", ui::bytes(size_bytes)));
}

/// A bucket that keeps what was deleted frees it by itself, and later.
fn tell_soft(context: &Context, trash: &dyn Trash, report: &PurgeReport) {
    if trash.writer().is_some() || report.runs.iter().all(|run| run.size_bytes == 0) {
        return;
    }
    if let Ok(Keeping::Soft { seconds }) = trash.keeping() {
        let hours = seconds.div_ceil(3600);
        context.printer.note(&format!(
            "the bucket keeps what was deleted for {hours} hours by itself: its space comes free then"
        ));
    }
}

fn with_cause(run: &str, error: &TrashError) -> String {
    let source = std::error::Error::source(error);
    let because = source.map(|source| format!(": {source}")).unwrap_or_default();
    format!("run {run}: {error}{because}")
}
