//! What must be looked at before anything is planned to be deleted: whose storage it is, and runs
//! that were killed.

use super::PruneArgs;
use crate::commands::error::{Error, Result};
use crate::commands::options::StorageArgs;
use crate::commands::storage::{open_to_change, rescan};
use crate::commands::undo::{shown, warn_of};
use crate::commands::{Context, now};
use crate::graph::Graph;
use crate::prune::{Marked, NeededToUndo};
use crate::scan::is_pull_through;
use crate::trash::{self, RunState, StorageLock, Trash};

/// Refuses the storage of a pull-through cache, and puts back what runs took that were stopped before
/// their end.
pub fn run(context: &Context) -> Result<()> {
    let trash = open_to_change(context, &StorageArgs::default())?;
    let storage = trash.storage();
    if is_pull_through(storage) {
        let root = shown(storage.root());
        return Err(Error::new(format!("`{root}` is the storage of a pull-through cache"))
            .with_hint(
                "its registry removes what has expired by itself; to have \
                 space at once, stop it and empty its storage: it fetches again what is asked for",
            ));
    }
    let aside = trash.writer().filter(|files| trash::aside::is_left(*files));
    if aside.is_none() && trash.held(true)?.is_empty() {
        return Ok(());
    }
    // A run that is under way holds the lock.
    let lock = trash.lock()?;
    if let Some(files) = aside {
        let count = trash::aside::restore(files, &lock).map_err(|source| {
            let message = "cannot put back what a stopped deletion without a trash left";
            Error::from(anyhow::Error::new(source).context(message))
        })?;
        context.printer.warn(&format!(
            "a deletion without a trash was stopped before its end: {count} files were put back"
        ));
    }
    let is_whole = roll_back(context, trash.as_ref(), &lock)?;
    rescan(context, storage.origin())?;
    if is_whole {
        return Ok(());
    }
    Err(Error::new("not all that a stopped run took could be put back")
        .with_hint("correct what the lines above name, then run this again"))
}

/// Undoes every run that was stopped before its end. False when something could not be put back.
pub fn roll_back(context: &Context, trash: &dyn Trash, lock: &StorageLock) -> Result<bool> {
    let mut is_whole = true;
    for held in trash.held(true)? {
        let report = trash.roll_back(lock, &held.run, now())?;
        is_whole &= report.failures.is_empty();
        let what = match report.restored.total() {
            1 => "one thing was put back".to_owned(),
            count => format!("{count} things were put back"),
        };
        let run = &report.run;
        context.printer.warn(&format!("run {run} was stopped before its end: {what}"));
        let failed = report
            .failures
            .iter()
            .map(|left| format!("cannot put back `{}`: {}", shown(&left.path), left.reason));
        warn_of(context, failed, "could not be put back");
        let conflicts = report.conflicts.iter().map(|item| {
            let path = shown(&item.path);
            format!("`{path}` stays in the trash: something was put in its place since")
        });
        warn_of(context, conflicts, "stay in the trash");
    }
    Ok(is_whole)
}

/// What a deletion without a trash must leave, so that what is in the trash can still be undone.
///
/// # Errors
/// When a run in the trash cannot be read: what it needs is not known then.
pub fn needed_to_undo(context: &Context, args: &PruneArgs, graph: &Graph) -> Result<NeededToUndo> {
    if !args.acting.no_trash {
        return Ok(NeededToUndo::default());
    }
    let trash = match open_to_change(context, &StorageArgs::default()) {
        // A plan that is only shown needs no storage.
        Err(_) if !args.acting.delete => return Ok(NeededToUndo::default()),
        trash => trash?,
    };
    for run in trash.list()? {
        if let RunState::Damaged(error) = run.state {
            let message = format!("run {} in the trash cannot be read: {error}", run.run);
            return Err(Error::new(message).with_hint(
                "what an undo of it needs is not known: delete without --no-trash, or move the run \
                 out of `.regsql/trash`",
            ));
        }
    }
    Ok(NeededToUndo::new(graph, trash.storage(), &trash.held(false)?))
}

/// What earlier runs have marked in a bucket.
///
/// # Errors
/// When a list in the trash cannot be read, and something is to be deleted.
pub fn marked(context: &Context, args: &PruneArgs, graph: &Graph) -> Result<Marked> {
    // The API deletes no blob.
    if args.acting.via_api.is_some() {
        return Ok(Marked::default());
    }
    let moves = open_to_change(context, &StorageArgs::default())
        .and_then(|trash| trash.marked().map_err(Into::into));
    match moves {
        // A plan that is only shown needs no storage.
        Err(_) if !args.acting.delete => Ok(Marked::default()),
        moves => Ok(Marked::new(graph, &moves?)),
    }
}
