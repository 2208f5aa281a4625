//! Nothing is garbage while what needs it has merely vanished: a mount that failed, a copy that is
//! not finished.

use std::ops::Range;

use globset::{Glob, GlobSetBuilder};

use super::{Planned, PruneArgs};
use crate::commands::Context;
use crate::commands::error::{Error, Result};
use crate::commands::result::Snapshot;
use crate::db::{self, DatabaseError, RepositoryThen, Vanished};
use crate::model::Kind;

/// Refuses when something has vanished since the last scan that is taken for right and
/// `--accept-vanished` does not cover it. Gives what it covers, of which a person sees each; `seen` is what that was
/// when the plan was shown, and nothing else is accepted then.
pub fn refuse(
    context: &Context,
    args: &PruneArgs,
    seen: Option<&[Vanished]>,
) -> Result<Vec<Vanished>> {
    let snapshot = Snapshot::open(context, None)?;
    let vanished = db::vanished(&snapshot.connection)
        .map_err(|source| DatabaseError::Sqlite { path: context.db.clone(), source })?;
    drop(snapshot);
    let mut accepted = GlobSetBuilder::new();
    for pattern in &args.guards.accept_vanished {
        accepted.add(Glob::new(pattern)?);
    }
    let accepted = accepted.build()?;
    let (known, open): (Vec<_>, Vec<_>) = vanished.into_iter().partition(|vanished| {
        accepted.is_match(name_of(&vanished.path))
            && seen.is_none_or(|seen| seen.contains(vanished))
    });
    if open.is_empty() {
        if seen.is_none() {
            for vanished in &known {
                context.printer.note(&format!("accepted: {}", vanished.detail));
            }
        }
        return Ok(known);
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

/// Records, right before the first move, that what vanished and was accepted is none any more, and what this run is to
/// leave, so that scans do not miss what it takes. A database that cannot be written, as on a full disk, is no reason
/// to free nothing.
pub fn begin(context: &Context, planned: &Planned) {
    let plan = &planned.plan;
    let taken = |kind, range: &Range<u32>| {
        let places = &plan.goes[kind];
        let before = |end| places.partition_point(|place| *place < end);
        (before(range.end) - before(range.start)) as u64
    };
    let left = (0..).zip(&planned.graph.repositories).filter_map(|(place, repository)| {
        let is_whole = plan.goes[Kind::Repository].binary_search(&place).is_ok();
        let (tags, revisions) =
            (taken(Kind::Tag, &repository.tags), taken(Kind::Revision, &repository.revisions));
        let left = |range: &Range<u32>, taken| {
            if is_whole { 0 } else { (range.len() as u64).saturating_sub(taken) }
        };
        (is_whole || tags + revisions > 0).then(|| RepositoryThen {
            name: repository.name.clone(),
            tag_count: left(&repository.tags, tags),
            revision_count: left(&repository.revisions, revisions),
        })
    });
    let accepted =
        if planned.accepted.is_empty() { Ok(()) } else { db::accept_vanished(&context.db) };
    if let Err(error) = accepted.and_then(|()| db::begin_own_deletion(&context.db, left)) {
        context.printer.warn(&format!(
            "{}: the next scan may call what this deletes vanished",
            Error::from(error).messages().join(": ")
        ));
    }
}

/// Records that the run has ended: from now on all that it left is watched again.
pub fn end(context: &Context) {
    if let Err(error) = db::end_own_deletion(&context.db) {
        context.printer.detail(&Error::from(error).messages().join(": "));
    }
}
