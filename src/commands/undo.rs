//! `undo`: put back what a run moved to the trash.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;

use super::Context;
use super::report::query;
use super::result::Snapshot;
use super::storage::Now;
use crate::commands::error::{Outcome, Result};
use crate::commands::options::StorageArgs;
use crate::model::text_of;
use crate::prune::NeededAgain;
use crate::report::{Catalog, Gathered, Value, bind_report};
use crate::storage::Storage;
use crate::trash::{Counts, HeldRun, UndoReport};
use crate::ui;

/// Problems of one kind that are named one by one.
const MOST_TOLD: usize = 20;

/// Arguments of `undo`.
#[derive(Args, Debug)]
pub struct UndoArgs {
    /// The run, as `regsql trash list` names it; without it, the newest
    pub run: Option<String>,
    /// Which storage.
    #[command(flatten)]
    pub storage: StorageArgs,
}

/// Puts a run back.
pub fn run(context: &Context, args: &UndoArgs) -> Result {
    let trash = super::storage::open_to_change(context, &args.storage)?;
    let lock = trash.lock()?;
    let run = match &args.run {
        Some(run) => run.clone(),
        None => trash.newest()?,
    };
    let report = trash.undo(&lock, &run)?;
    show(context, &report);
    let mut others = trash.held(false)?;
    let storage = trash.storage();
    others.retain(|held| held.run != report.run);
    let is_anything_back = report.restored != Counts::default() || report.in_place_count > 0;
    if !is_anything_back || report.tags.is_empty() && others.is_empty() {
        tell_what_next(context, &report, false);
        return Ok(if report.is_whole() { Outcome::Done } else { Outcome::Findings });
    }
    let now = super::storage::scan_now(context, storage)?;
    let lies_elsewhere = tell_what_lies_elsewhere(context, storage, &others, &now)?;
    let is_broken = tell_broken(context, &report, &now)?;
    tell_what_next(context, &report, now.is_kept());
    let is_done = report.is_whole() && !lies_elsewhere && !is_broken;
    Ok(if is_done { Outcome::Done } else { Outcome::Findings })
}

/// Warns of the tags that are back and cannot be pulled. Gives whether there is any.
fn tell_broken(context: &Context, report: &UndoReport, now: &Now) -> Result<bool> {
    let tags: BTreeSet<(&str, &str)> =
        report.tags.iter().map(|(repository, tag)| (repository.as_str(), tag.as_str())).collect();
    if tags.is_empty() {
        return Ok(false);
    }
    let catalog = Catalog::with_directory(None)?;
    let broken_images = catalog.get("broken-images")?;
    let bound = bind_report(&broken_images.name, &broken_images.header.params, &[])?;
    let mut found = Gathered::default();
    Snapshot::open(&now.context, None)?.run(&query(broken_images, bound), &mut found)?;
    let mut lines = Vec::new();
    for row in &found.rows {
        let text = |at: usize| match row.get(at) {
            Some(Value::Text(text)) => text.as_ref(),
            _ => "",
        };
        if tags.contains(&(text(0), text(1))) {
            let what = format!("{}:{} is back and cannot be pulled: {}", text(0), text(1), text(2));
            lines.push(format!("{what} {}", text(3)).trim_end().to_owned());
        }
    }
    let is_any = !lines.is_empty();
    warn_of(context, lines.into_iter(), "faults of tags that are back");
    Ok(is_any)
}

/// Warns of what is needed on disk and lies in the trash of other runs, such as a layer that a tag
/// that came back shares with one that was deleted later. Gives whether there is any.
fn tell_what_lies_elsewhere(
    context: &Context,
    storage: &dyn Storage,
    others: &[HeldRun],
    now: &Now,
) -> Result<bool> {
    if others.is_empty() {
        return Ok(false);
    }
    let graph = now.graph()?;
    let needed = NeededAgain::new(&graph, storage, others);
    let mut is_any = false;
    for held in others {
        let run = &held.run;
        let items: Vec<_> = held.moves.iter().filter(|item| needed.has(item)).collect();
        let lines = items.iter().map(|item| {
            format!("`{}` is needed, and lies in the trash of run {run}", shown(&item.path))
        });
        warn_of(context, lines, &format!("of run {run} are needed"));
        if !items.is_empty() {
            context.printer.note(&format!("`regsql undo {run}` puts it back"));
            is_any = true;
        }
    }
    Ok(is_any)
}

/// `3 tags, 1 blob`; `nothing` when there is none.
pub fn counted(counts: &Counts) -> String {
    ui::counted(&[
        (counts.tags, "tag", "tags"),
        (counts.revisions, "revision", "revisions"),
        (counts.layer_links, "layer link", "layer links"),
        (counts.uploads, "upload", "uploads"),
        (counts.blobs, "blob", "blobs"),
        (counts.leftovers, "leftover", "leftovers"),
        (counts.tag_history_entries, "tag history entry", "tag history entries"),
        (counts.directories, "empty directory", "empty directories"),
    ])
}

/// A path in a message.
pub fn shown(path: &Path) -> String {
    text_of(path.as_os_str())
}

/// Warns of each of `lines`, and of how many more there are.
pub fn warn_of(context: &Context, lines: impl ExactSizeIterator<Item = String>, what: &str) {
    let rest = lines.len().saturating_sub(MOST_TOLD);
    for line in lines.take(MOST_TOLD) {
        context.printer.warn(&line);
    }
    if rest > 0 {
        context.printer.warn(&format!("{rest} more {what}"));
    }
}

fn show(context: &Context, report: &UndoReport) {
    let printer = &context.printer;
    let run = &report.run;
    let bytes = ui::bytes(report.restored_bytes);
    printer.note(&format!("put back {} ({bytes}) of run {run}", counted(&report.restored)));
    if report.in_place_count > 0 {
        printer.note(&format!("{} were in their place already", report.in_place_count));
    }
    let conflicts = report.conflicts.iter().map(|item| {
        format!("`{}` stays in the trash: something was put in its place since", shown(&item.path))
    });
    warn_of(context, conflicts, "stay in the trash");
    let failures = report
        .failures
        .iter()
        .map(|failure| format!("cannot put back `{}`: {}", shown(&failure.path), failure.reason));
    warn_of(context, failures, "could not be put back");
    if report.held_back_count > 0 {
        let count = report.held_back_count;
        printer.warn(&format!("{count} more were not tried, as they may need what failed"));
    }
    let missing = report
        .missing
        .iter()
        .map(|item| format!("`{}` is neither in the trash nor in its place", shown(&item.path)));
    warn_of(context, missing, "are neither in the trash nor in their place");
    let leftovers = report.leftovers.iter().map(|path| {
        format!("`{}` is in the run's directory and not in its list: it stays", shown(path))
    });
    warn_of(context, leftovers, "are not in the list");
}

fn tell_what_next(context: &Context, report: &UndoReport, is_scanned: bool) {
    let (printer, run) = (&context.printer, &report.run);
    if report.is_removed {
        printer.note(&format!("run {run} is gone from the trash"));
    } else if !report.failures.is_empty() {
        printer.note(&format!("correct what failed, then run `regsql undo {run}` again"));
    } else if !report.conflicts.is_empty() {
        printer.note(&format!(
            "to have the old ones back, move away what is in their place and `regsql undo {run}`; \
             else `regsql trash purge` frees them"
        ));
    }
    if report.restored != Counts::default() && !is_scanned {
        printer.note("the database is older than this: `regsql scan` reads the storage again");
    }
}
