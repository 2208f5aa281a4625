//! Deleting through the registry's API alone, without access to its disk.

use std::io::Write as _;
use std::ops::ControlFlow;

use super::{Planned, PruneArgs, show};
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::{Context, on_interrupt, was_interrupted};
use crate::prune::{ApiDeletion, Document, Mode, SkipGroup, Skipped};
use crate::registry::delete::{self, Outcome as Became, Stop};

/// Deletes the plan's tags and revisions. Links and blobs are left for a collection of garbage.
pub fn run(context: &Context, args: &PruneArgs, planned: &Planned, url: &str) -> Result {
    let registry = args.acting.registry.connect(url)?;
    let ApiDeletion { names, mut selection, mut skipped } =
        ApiDeletion::of(&planned.plan, &planned.graph);
    selection.is_in_s3 = planned.origin.root.starts_with("s3://");
    on_interrupt(|| ());
    let report = delete::delete(&registry, &selection, |at, became| {
        context.printer.detail(&format!("{}: {}", names[at].text(), shown(became)));
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
                if let Some(kind) = name.kind() {
                    document.counts[kind] += 1;
                }
                document.items.push(name);
            }
            Became::NotFound => {
                skipped.push(Skipped::new(SkipGroup::NotThere, name, shown(became)));
            }
            Became::Skipped(_) => {
                skipped.push(Skipped::new(SkipGroup::Needed, name, shown(became)));
            }
            Became::Failed(_) | Became::NotTried => {
                skipped.push(Skipped::new(SkipGroup::Failed, name, shown(became)));
            }
        }
    }
    let is_whole =
        skipped.is_empty() && !(show::outcome(context, &planned.plan.skipped) == Outcome::Findings);
    report_deleted(context, args, &mut document, planned, skipped)?;
    if was_interrupted() {
        return Err(Error::stopped("stopped: what stands above was deleted, and nothing else"));
    }
    // When nothing at all could be deleted, the first reason stands for all.
    let failed = report.outcomes.iter().find_map(|became| match became {
        Became::Failed(error) => Some(Stop::Failed(error.clone())),
        _ => None,
    });
    let has_deleted = !document.items.is_empty();
    if let Some(stop) = report.stopped.or(failed.filter(|_| !has_deleted)) {
        return Err(stop.into());
    }
    Ok(if is_whole { Outcome::Done } else { Outcome::Findings })
}

fn shown(became: &Became) -> String {
    match became {
        Became::Deleted => "deleted".into(),
        Became::NotFound => "the registry does not have it".into(),
        Became::Skipped(reason) => reason.to_string(),
        Became::Failed(error) => error.to_string(),
        Became::NotTried => "not tried".into(),
    }
}

fn report_deleted(
    context: &Context,
    args: &PruneArgs,
    document: &mut Document,
    planned: &Planned,
    skipped: Vec<Skipped>,
) -> Result<()> {
    let mut text = Vec::new();
    show::skipped(&skipped, args.all, &mut text)?;
    writeln!(text, "Deleted {} through the API", show::counted(&document.counts))?;
    let bytes = crate::ui::bytes(planned.plan.freed_bytes);
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
