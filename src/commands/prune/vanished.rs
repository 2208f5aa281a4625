//! Nothing is garbage while what needs it has merely vanished: a mount that failed, a copy that is
//! not finished.

use std::ops::Range;

use globset::{Glob, GlobSetBuilder};

use super::{Planned, PruneArgs};
use crate::commands::Context;
use crate::commands::error::{Error, Result};
use crate::commands::result::Snapshot;
use crate::db::{self, DatabaseError};
use crate::model::Kind;

/// Refuses when something has vanished since the last scan that is taken for right and
/// `--accept-vanished` does not cover it. A deletion makes what was accepted the new measure.
pub fn refuse(context: &Context, args: &PruneArgs) -> Result<()> {
    let snapshot = Snapshot::open(context, None)?;
    let vanished = db::vanished(&snapshot.connection)
        .map_err(|source| DatabaseError::Sqlite { path: context.db.clone(), source })?;
    drop(snapshot);
    let mut accepted = GlobSetBuilder::new();
    for pattern in &args.guards.accept_vanished {
        accepted.add(Glob::new(pattern)?);
    }
    let accepted = accepted.build()?;
    let (known, open): (Vec<_>, Vec<_>) =
        vanished.into_iter().partition(|vanished| accepted.is_match(name_of(&vanished.path)));
    if open.is_empty() {
        for vanished in &known {
            context.printer.note(&format!("accepted: {}", vanished.detail));
        }
        if args.acting.delete && !known.is_empty() {
            db::accept_vanished(&context.db)?;
        }
        return Ok(());
    }
    let names: Vec<&str> = open.iter().map(|vanished| vanished.detail.as_str()).collect();
    Err(Error::new(names.join("\n       ")).with_hint(
        "nothing is deleted while this is open: see whether a mount failed or a copy is not finished, \
         and scan again; if it was deleted on purpose, add --accept-vanished (or \
         --accept-vanished=NAME for one repository or namespace)",
    ))
}

/// The repository or namespace at a path; `*` for the storage as a whole.
fn name_of(path: &str) -> &str {
    let (_, name) = path.split_once("repositories/").unwrap_or(("", "*"));
    name
}

/// Records what this run is about to delete, so that scans do not miss it. A database that cannot be
/// written, as on a full disk, is no reason to free nothing.
pub fn begin(context: &Context, planned: &Planned) {
    let plan = &planned.plan;
    let has = |kind, range: &Range<u32>| {
        let places = &plan.goes[kind];
        let at = places.partition_point(|place| *place < range.start);
        places.get(at).is_some_and(|place| *place < range.end)
    };
    let names = (0..).zip(&planned.graph.repositories).filter(|(place, repository)| {
        plan.goes[Kind::Repository].contains(place)
            || has(Kind::Tag, &repository.tags)
            || has(Kind::Revision, &repository.revisions)
    });
    let names = names.map(|(_, repository)| repository.name.as_str());
    let now_ns = crate::commands::now().as_nanosecond() as i64;
    if let Err(error) = db::begin_own_removal(&context.db, names, now_ns) {
        context.printer.warn(&format!(
            "{}: the next scan may call what this deletes vanished",
            Error::from(error).messages().join(": ")
        ));
    }
}

/// Records that the run has ended and was scanned: from now on all is watched again.
pub fn end(context: &Context) {
    if let Err(error) = db::end_own_removal(&context.db) {
        context.printer.detail(&Error::from(error).messages().join(": "));
    }
}
