//! Deleting through the registry's API alone, without access to its disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write as _;
use std::ops::ControlFlow;

use super::{Planned, PruneArgs, has_skipped, show};
use crate::commands::{Context, on_interrupt, was_interrupted};
use crate::error::{Error, Outcome, Result};
use crate::model::Digest;
use crate::prune::{Asked, Counts, Document, Mode, Name, Plan, SkipGroup, Skipped};
use crate::registry::delete::{self, DeleteOptions, Item, Outcome as Became, Selection, Stop};
use crate::report::QueryError;

/// Deletes the plan's tags and revisions. Links and blobs are left for a collection of garbage.
pub fn run(context: &Context, args: &PruneArgs, planned: &Planned, url: &str) -> Result {
    let registry = args.acting.registry.connect(url)?;
    let (names, selection, mut skipped) = selection(planned);
    on_interrupt(|| ());
    let report = delete::delete(&registry, &selection, DeleteOptions::default(), |at, became| {
        context.printer.detail(&format!("{}: {}", names[at].text(), told(became)));
        if was_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let mut document = Document {
        mode: Mode::Deleted,
        shared_bytes: planned.plan.shared_bytes,
        min_age_seconds: Some(planned.policy.clock.min_age.as_secs()),
        ..Document::empty(planned.origin.clone())
    };
    for (name, became) in names.into_iter().zip(&report.outcomes) {
        match became {
            Became::Deleted => {
                count(&mut document.counts, &name);
                document.items.push(name);
            }
            Became::NotFound => {
                skipped.push(Skipped::new(SkipGroup::NotThere, name, told(became)));
            }
            Became::Skipped(_) => {
                skipped.push(Skipped::new(SkipGroup::Needed, name, told(became)));
            }
            Became::Failed(_) | Became::NotTried => {
                skipped.push(Skipped::new(SkipGroup::Failed, name, told(became)));
            }
        }
    }
    let is_whole = skipped.is_empty() && !has_skipped(&planned.plan);
    tell(context, args, &mut document, planned, skipped)?;
    if was_interrupted() {
        return Err(QueryError::Interrupted.into());
    }
    // Who may delete nothing at all need not read of each item.
    let failed = report.outcomes.iter().find_map(|became| match became {
        Became::Failed(error) => Some(Stop::Failed(error.clone())),
        _ => None,
    });
    let has_deleted = !document.items.is_empty();
    if let Some(stop) = report.stopped.or(failed.filter(|_| !has_deleted)) {
        let hint = stop.hint();
        let error = Error::from(stop);
        return Err(match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        });
    }
    Ok(if is_whole { Outcome::Done } else { Outcome::Findings })
}

/// Leaves in a plan what the API can delete, and tells what of the rest was asked for. What would
/// come free stays as it is: it is what a collection of garbage frees afterwards.
pub fn restrict(planned: &mut Planned, asked: &Asked) {
    let (_, _, skipped) = selection(planned);
    let staying: HashSet<&Name> = skipped.iter().map(|skipped| &skipped.name).collect();
    let tag_count = planned.plan.tags.len();
    let names = planned.plan.names(&planned.graph).take(tag_count);
    let mut stays = names.map(|name| staying.contains(&name)).collect::<Vec<_>>().into_iter();
    let rest = beyond_api(&mut planned.plan, asked);
    let plan = &mut planned.plan;
    plan.tags.retain(|_| !stays.next().unwrap_or(false));
    plan.skipped.extend(skipped);
    let reason = "the API deletes tags and revisions only";
    let rest = rest.names(&planned.graph);
    plan.skipped.extend(rest.map(|name| Skipped::new(SkipGroup::NotAllowed, name, reason)));
}

/// Takes out of a plan what the API cannot delete; gives what of that was asked for.
fn beyond_api(plan: &mut Plan, asked: &Asked) -> Plan {
    let take = |places: &mut Vec<u32>, is_asked: &[bool]| {
        let mut taken = std::mem::take(places);
        taken.retain(|at| is_asked[*at as usize]);
        taken
    };
    Plan {
        layer_links: take(&mut plan.layer_links, &asked.layer_links),
        uploads: take(&mut plan.uploads, &asked.uploads),
        blobs: take(&mut plan.blobs, &asked.blobs),
        repositories: take(&mut plan.repositories, &asked.repositories),
        // These are nobody's garbage: they never go unless somebody asks.
        corrupt: std::mem::take(&mut plan.corrupt),
        leftovers: std::mem::take(&mut plan.leftovers),
        ..Plan::default()
    }
}

/// What the plan deletes that the API can delete, the tags that stay beside it, and what only the
/// disk can give: the API deletes a tag with its manifest, so a manifest that stays keeps the tag.
fn selection(planned: &Planned) -> (Vec<Name>, Selection, Vec<Skipped>) {
    let graph = &planned.graph;
    let going: HashSet<Name> =
        planned.plan.names(graph).filter(|name| matches!(name, Name::Revision { .. })).collect();
    let (mut names, mut skipped) = (Vec::new(), Vec::new());
    let mut selection = Selection::default();
    let mut staying_by_digest = HashMap::new();
    for name in planned.plan.names(graph) {
        let (repository, tag, digest) = match &name {
            Name::Tag { repository, tag, manifest_digest: Some(digest) } => {
                (repository, Some(tag.clone()), digest)
            }
            Name::Tag { manifest_digest: None, .. } => {
                let reason = "its link cannot be read, and the API deletes a tag with its manifest";
                skipped.push(Skipped::new(SkipGroup::Held, name, reason));
                continue;
            }
            Name::Revision { repository, manifest_digest } => (repository, None, manifest_digest),
            _ => continue,
        };
        let revision =
            Name::Revision { repository: repository.clone(), manifest_digest: digest.clone() };
        if !going.contains(&revision) {
            let staying = staying_by_digest
                .entry(repository.clone())
                .or_insert_with(|| first_tag_by_digest(planned, repository));
            let reason = why_not_alone(staying, digest);
            skipped.push(Skipped::new(SkipGroup::Needed, name, reason));
            continue;
        }
        if let Ok(digest) = Digest::parse(digest) {
            selection.staying_tags.entry(repository.clone()).or_default();
            selection.items.push(Item { repository: repository.clone(), tag, digest });
            names.push(name);
        }
    }
    for repository in &graph.repositories {
        if let Some(staying) = selection.staying_tags.get_mut(&repository.name) {
            *staying = staying_tags(planned, repository);
        }
    }
    (names, selection, skipped)
}

/// Why a tag whose manifest stays cannot go.
fn why_not_alone(staying: &HashMap<String, String>, digest: &str) -> String {
    match staying.get(digest) {
        Some(tag) => {
            format!("the same manifest is also tagged `{tag}`, which would go with it")
        }
        None => "its manifest stays, and the API cannot remove a tag alone".into(),
    }
}

/// The first tag of a repository that stays on each digest.
fn first_tag_by_digest(planned: &Planned, repository: &str) -> HashMap<String, String> {
    let graph = &planned.graph;
    let at = graph.repositories.binary_search_by(|known| known.name.as_str().cmp(repository));
    let staying = at.map(|at| staying_tags(planned, &graph.repositories[at])).unwrap_or_default();
    let mut first = HashMap::new();
    for (tag, digest) in staying {
        first.entry(digest.to_string()).or_insert(tag);
    }
    first
}

fn staying_tags(
    planned: &Planned,
    repository: &crate::removal::RepositoryNode,
) -> BTreeMap<String, Digest> {
    let graph = &planned.graph;
    let stays = |tag: &u32| planned.plan.tags.binary_search(tag).is_err();
    let named = repository.tags.clone().filter(stays).filter_map(|tag| {
        let node = &graph.tags[tag as usize];
        Some((node.name.clone(), graph.blobs[node.target? as usize].digest.clone()))
    });
    named.collect()
}

fn told(became: &Became) -> String {
    match became {
        Became::Deleted => "deleted".into(),
        Became::NotFound => "the registry does not have it".into(),
        Became::Skipped(reason) => reason.to_string(),
        Became::Failed(error) => error.to_string(),
        Became::NotTried => "not tried".into(),
    }
}

fn count(counts: &mut Counts, name: &Name) {
    match name {
        Name::Tag { .. } => counts.tags += 1,
        _ => counts.revisions += 1,
    }
}

fn tell(
    context: &Context,
    args: &PruneArgs,
    document: &mut Document,
    planned: &Planned,
    skipped: Vec<Skipped>,
) -> Result<()> {
    let mut text = Vec::new();
    show::skipped(&skipped, &mut text)?;
    writeln!(text, "Deleted {} through the API", show::counted(&document.counts))?;
    let bytes = crate::ui::bytes(planned.plan.freed_bytes as i64);
    writeln!(
        text,
        "The space, {bytes}, comes free when garbage is collected: regsql prune --garbage"
    )?;
    document.skipped.clone_from(&planned.plan.skipped);
    document.skipped.extend(skipped);
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
