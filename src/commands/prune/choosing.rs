//! What the arguments choose.

use std::collections::HashSet;

use super::PruneArgs;
use super::edit::edit;
use crate::commands::Context;
use crate::commands::error::{Error, Result};
use crate::commands::naming::each_named;
use crate::commands::report::{hint_whole_names, note_notices, query};
use crate::commands::result::Snapshot;
use crate::graph::Graph;
use crate::model::{Digest, Name};
use crate::prune::{CORRUPT_SQL, Chosen, LEFTOVERS_SQL, SkipGroup};
use crate::report::{Catalog, Gathered, Query, Report, Selects, Value, bind_report, bind_untyped};

/// Runs all reports and queries, and reads all targets.
pub fn choose<'a>(
    context: &Context,
    args: &PruneArgs,
    snapshot: &Snapshot,
    graph: &'a Graph,
    is_first: bool,
) -> Result<Chosen<'a>> {
    let mut names = Rows { names: Vec::new(), seen: HashSet::new() };
    let mut chosen = Chosen::nothing(graph);
    chosen.is_garbage_chosen = args.garbage;
    let catalog = Catalog::with_directory(args.catalog.reports.as_deref())?;
    let reports = args
        .names
        .iter()
        .map(|name| catalog.get(name.split_whitespace().next().unwrap_or(name)))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let source_count = args.names.len() + args.file.len() + usize::from(args.sql.is_some());
    // With several, what each of them took.
    let note = |name: &str, took: Took| {
        if is_first && source_count > 1 {
            let rows = if took.rows == 1 { "row" } else { "rows" };
            let new = if took.new == took.rows {
                String::new()
            } else {
                format!(", {} of them new", took.new)
            };
            context.printer.note(&format!("{name} names {} {rows}{new}", took.rows));
        }
    };
    let has_query = args.sql.is_some() || !args.file.is_empty();
    for (words, report) in args.names.iter().zip(&reports) {
        if report.header.selects.is_none() {
            return Err(Error::new(format!("report `{}` selects nothing to delete", report.name))
                .with_hint("regsql report --list says which reports select something"));
        }
        let mut given = params_of(args, report, &reports, has_query);
        // Values of its own, as in 'keep-latest keep=10'; the last one of a name counts.
        let own: Vec<String> = words.split_whitespace().skip(1).map(str::to_owned).collect();
        given.retain(|text| !own.iter().any(|other| param_name(other) == param_name(text)));
        given.extend(own);
        let bound = bind_report(&report.name, &report.header.params, &given)?;
        if is_first {
            note_notices(context, &catalog, snapshot, report, &bound)?;
        }
        let query = query(report, bound);
        let took =
            add_rows(args, snapshot, &query, report.header.selects, &mut chosen, &mut names)?;
        note(&query.name, took);
    }
    if let Some(sql) = &args.sql {
        let took = add_query(args, snapshot, "the query", sql, &mut chosen, &mut names)?;
        note("the query", took);
    }
    for path in &args.file {
        let name = format!("`{}`", path.display());
        let sql = super::read_file(path).map_err(|source| {
            Error::from(anyhow::Error::new(source).context(format!("cannot read {name}")))
        })?;
        let took = add_query(args, snapshot, &name, &sql, &mut chosen, &mut names)?;
        note(&name, took);
    }
    // Worked out again, a plan holds nothing that a person has not seen.
    let names = if args.edit && is_first { edit(names.names)? } else { names.names };
    for name in names {
        chosen.add(name);
    }
    if args.corrupt {
        add_mendings(snapshot, CORRUPT_SQL, &mut chosen, |digest| Name::CorruptBlob {
            blob_digest: digest,
            size_bytes: 0,
        })?;
    }
    if args.leftovers {
        add_mendings(snapshot, LEFTOVERS_SQL, &mut chosen, |path| Name::Leftover { path })?;
    }
    for target in &args.target {
        chosen.add(name_of_target(target)?);
    }
    if chosen.is_empty() && chosen.skipped.is_empty() && args.plan.is_none() {
        context.printer.note("the reports select nothing");
        for report in &reports {
            hint_whole_names(context, report, &args.params.param);
        }
    }
    Ok(chosen)
}

/// What reports and queries name, each once.
struct Rows {
    names: Vec<Name>,
    seen: HashSet<Name>,
}

/// What one of them took.
#[derive(Clone, Copy)]
struct Took {
    rows: u64,
    new: u64,
}

/// The name in `name=value`.
fn param_name(text: &str) -> &str {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    name.strip_prefix(':').unwrap_or(name)
}

/// With several reports each takes the parameters that it declares; what none declares is an error
/// of the first.
fn params_of(args: &PruneArgs, report: &Report, all: &[&Report], has_query: bool) -> Vec<String> {
    let declares =
        |report: &Report, name: &str| report.header.params.iter().any(|param| param.name == name);
    let is_for_it = |text: &&String| {
        let name = param_name(text);
        declares(report, name) || !has_query && !all.iter().any(|other| declares(other, name))
    };
    args.params.param.iter().filter(is_for_it).cloned().collect()
}

/// Adds what the rows of a query with one column name.
fn add_mendings(
    snapshot: &Snapshot,
    sql: &str,
    chosen: &mut Chosen<'_>,
    name: fn(String) -> Name,
) -> Result<()> {
    let query = Query {
        name: "what is to be mended".into(),
        sql,
        bound: Vec::new(),
        columns: &[],
        max_rows: None,
        time_limit: None,
    };
    let mut found = Gathered::default();
    snapshot.run(&query, &mut found)?;
    for row in found.rows {
        if let [Value::Text(text)] = row.as_slice() {
            chosen.add(name(text.clone().into_owned()));
        }
    }
    Ok(())
}

fn add_query(
    args: &PruneArgs,
    snapshot: &Snapshot,
    name: &str,
    sql: &str,
    chosen: &mut Chosen<'_>,
    names: &mut Rows,
) -> Result<Took> {
    let query = Query {
        name: name.to_owned(),
        sql,
        bound: bind_untyped(&args.params.param)?,
        columns: &[],
        // A part of the rows is not what was asked for.
        max_rows: None,
        time_limit: None,
    };
    add_rows(args, snapshot, &query, None, chosen, names)
}

fn add_rows(
    args: &PruneArgs,
    snapshot: &Snapshot,
    query: &Query<'_>,
    selects: Option<Selects>,
    chosen: &mut Chosen<'_>,
    names: &mut Rows,
) -> Result<Took> {
    let mut rows = 0_u64;
    let before = names.names.len();
    let mut missing_option = None;
    each_named(snapshot, query, selects, &mut |named| {
        rows += 1;
        match named {
            None => {
                let row = format!("row {rows} of {}", query.name);
                chosen.skip(
                    SkipGroup::NotThere,
                    Name::Row { row },
                    "a name is missing or not a text",
                );
            }
            Some(Name::Layer { .. }) if !args.images_holding_layers => {
                missing_option = Some((
                    "names layers",
                    "--images-holding-layers deletes every image that holds one of them",
                ));
            }
            Some(name @ Name::Repository { .. })
                if !args.whole_repositories && !is_ghost(chosen.graph(), &name) =>
            {
                missing_option = Some((
                    "names whole repositories",
                    "--whole-repositories deletes each of them with all in it",
                ));
            }
            Some(name) => {
                if names.seen.insert(name.clone()) {
                    names.names.push(name);
                }
            }
        }
    })?;
    match missing_option {
        Some((what, hint)) => Err(Error::new(format!("{} {what}", query.name)).with_hint(hint)),
        None => Ok(Took { rows, new: (names.names.len() - before) as u64 }),
    }
}

/// A repository in which there is nothing to lose.
fn is_ghost(graph: &Graph, name: &Name) -> bool {
    let Name::Repository { repository } = name else {
        return false;
    };
    let repositories = &graph.repositories;
    let at = repositories.binary_search_by(|known| known.name.as_str().cmp(repository));
    at.is_ok_and(|at| repositories[at].tags.is_empty() && repositories[at].revisions.is_empty())
}

/// `REPO@DIGEST`, `DIGEST` or `REPO:TAG`. Nothing is abbreviated where something is deleted.
fn name_of_target(target: &str) -> Result<Name> {
    if let Some((repository, digest)) = target.rsplit_once('@') {
        let (repository, manifest_digest) = (repository.to_owned(), digest.to_owned());
        return Ok(Name::Revision { repository, manifest_digest });
    }
    // Any other name with a colon may be a tag: blobs on disk have sha256 digests.
    if let Ok(Digest::Sha256(_)) = Digest::parse(target) {
        return Ok(Name::Blob { blob_digest: target.to_owned(), size_bytes: 0 });
    }
    match target.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') && !repository.is_empty() => {
            let (repository, tag) = (repository.to_owned(), tag.to_owned());
            Ok(Name::Tag { repository, tag, manifest_digest: None })
        }
        _ => Err(Error::new(format!("`{target}` names no tag, revision or blob"))
            .with_hint("write REPO:TAG, REPO@sha256:… or sha256:… in full")),
    }
}
