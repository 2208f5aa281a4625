//! What must be looked at before anything is planned to be deleted: whose storage it is, and runs
//! that were killed.

use crate::cli::StorageArgs;
use crate::commands::result::Snapshot;
use crate::commands::storage::{open, rescan};
use crate::commands::undo::{shown, warn_of};
use crate::commands::{Context, now};
use crate::error::{Error, Result};
use crate::prune::{Rescued, rescue};
use crate::scan::is_pull_through;
use crate::storage::Storage as _;
use crate::trash::{self, StorageLock};

/// Refuses the storage of a pull-through cache, and puts back what something needs of runs that
/// were stopped before their end: nobody looked whether a push relied on what they took.
pub fn run(context: &Context) -> Result<()> {
    let storage = open(context, &StorageArgs::default())?;
    if is_pull_through(&storage) {
        let root = shown(storage.root());
        return Err(Error::new(format!("`{root}` is the storage of a pull-through cache"))
            .with_hint(
                "its registry removes what has expired by itself; to have \
                 space at once, stop it and empty its storage: it fetches again what is asked for",
            ));
    }
    if trash::aside::is_left(&storage) {
        let lock = StorageLock::take(&storage)?;
        let count = trash::aside::restore(&storage, &lock).map_err(|source| {
            let message = "cannot put back what a stopped deletion without a trash left";
            Error::from(anyhow::Error::new(source).context(message))
        })?;
        context.printer.warn(&format!(
            "a deletion without a trash was stopped before its end: {count} files were put back"
        ));
        rescan(context, storage.root())?;
    }
    if trash::held(&storage, true)?.is_empty() {
        return Ok(());
    }
    // A run that is under way holds the lock.
    let lock = StorageLock::take(&storage)?;
    let runs = trash::held(&storage, true)?;
    rescan(context, storage.root())?;
    let graph = Snapshot::open(context, None)?.graph(context)?;
    let rescued = rescue(&storage, &lock, &graph, &runs, now())?;
    for run in &rescued {
        tell(context, run);
    }
    if rescued.iter().any(|run| run.put_back_count > 0) {
        rescan(context, storage.root())?;
    }
    if rescued.iter().any(|run| !run.failed.is_empty()) {
        return Err(Error::new("a run that was stopped took what something needs")
            .with_hint("correct what keeps it from coming back, then run this again"));
    }
    Ok(())
}

fn tell(context: &Context, rescued: &Rescued) {
    let run = &rescued.run;
    let what = match rescued.put_back_count {
        0 => "nothing needs what it took".to_owned(),
        1 => "one thing that something needs was put back".to_owned(),
        count => format!("{count} things that something needs were put back"),
    };
    context.printer.warn(&format!(
        "run {run} was stopped before its end: {what}; `regsql undo {run}` puts back the rest, \
         `regsql trash purge` frees it"
    ));
    let failed = rescued
        .failed
        .iter()
        .map(|(item, reason)| format!("cannot put back `{}`: {reason}", shown(&item.path)));
    warn_of(context, failed, "could not be put back");
}
