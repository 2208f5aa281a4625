//! A plan, and what became of it, for people and for machines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Planned;
use crate::commands::Context;
use crate::error::Result;
use crate::graph::{Graph, total_bytes};
use crate::prune::{Counts, Document, Plan, SkipGroup, Skipped};
use crate::report::{Column, End, Unit, Value};
use crate::ui::{self, Format, Frame, visible};

/// Repositories and reasons that are shown; all of them are in the JSON.
const MOST_REPOSITORIES: usize = 20;
const MOST_SKIPPED: usize = 5;

/// Writes the plan as JSON.
pub fn json(context: &Context, document: &Document) -> Result<()> {
    let mut out = context.printer.out();
    ui::write_json(&mut out, document)?;
    out.flush()?;
    Ok(())
}

/// Shows a plan to a person: on standard error when standard output is for a machine.
pub fn plan(context: &Context, planned: &Planned, is_json: bool) -> Result<()> {
    let mut text = Vec::new();
    repositories(context, planned, &mut text)?;
    skipped(&planned.plan.skipped, &mut text)?;
    sentences(planned, &mut text)?;
    if is_json {
        for line in String::from_utf8_lossy(&text).lines() {
            context.printer.note(line);
        }
        return Ok(());
    }
    let mut out = context.printer.out();
    out.write_all(&text)?;
    out.flush()?;
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Line {
    tags: u64,
    revisions: u64,
    layer_links: u64,
    uploads: u64,
}

impl Line {
    fn total(self) -> u64 {
        self.tags + self.revisions + self.layer_links + self.uploads
    }
}

fn lines(plan: &Plan, graph: &Graph) -> BTreeMap<u32, Line> {
    let mut lines: BTreeMap<u32, Line> = BTreeMap::new();
    let mut count =
        |places: &[u32], end: fn(&crate::graph::RepositoryNode) -> u32, add: fn(&mut Line)| {
            for &at in places {
                let place = graph.repositories.partition_point(|repository| end(repository) <= at);
                add(lines.entry(place as u32).or_default());
            }
        };
    count(&plan.tags, |repository| repository.tags.end, |line| line.tags += 1);
    count(&plan.revisions, |repository| repository.revisions.end, |line| line.revisions += 1);
    count(&plan.layer_links, |repository| repository.links.end, |line| line.layer_links += 1);
    for &upload in &plan.uploads {
        lines.entry(graph.uploads[upload as usize].repository).or_default().uploads += 1;
    }
    lines
}

fn repositories(context: &Context, planned: &Planned, out: &mut dyn Write) -> io::Result<()> {
    let (plan, graph) = (&planned.plan, &planned.graph);
    let mut lines: Vec<(u32, Line)> = lines(plan, graph).into_iter().collect();
    if lines.is_empty() {
        return Ok(());
    }
    let count = lines.len();
    lines.sort_by_key(|(place, line)| (std::cmp::Reverse(line.total()), *place));
    lines.truncate(MOST_REPOSITORIES);
    let tail = if count > lines.len() {
        vec![format!(
            "and {} more repositories; --format json names everything",
            count - lines.len()
        )]
    } else {
        Vec::new()
    };
    let frame = Frame { title: Some("What goes".into()), tail, ..Frame::default() };
    let mut look = context.printer.look();
    look.color = false;
    let mut sink = ui::sink(Format::Table, out, frame, look);
    let names = ["repository", "tags", "revisions", "layer_links", "uploads"];
    let units = [Unit::Text, Unit::Count, Unit::Count, Unit::Count, Unit::Count];
    let columns: Vec<Column> =
        names.iter().zip(units).map(|(name, unit)| Column { name: (*name).into(), unit }).collect();
    sink.begin(&columns)?;
    for (place, line) in &lines {
        let name = graph.repositories[*place as usize].name.as_str();
        let mut row = vec![Value::Text(name.into())];
        let counts = [line.tags, line.revisions, line.layer_links, line.uploads];
        row.extend(counts.map(|count| Value::Integer(count as i64)));
        sink.row(&row)?;
    }
    sink.end(End { rows: lines.len() as u64, is_cut: false })?;
    drop(sink);
    writeln!(out)
}

/// What stays, by reason, with the first few of each.
pub fn skipped(skipped: &[Skipped], out: &mut dyn Write) -> io::Result<()> {
    let mut groups: BTreeMap<SkipGroup, Vec<&Skipped>> = BTreeMap::new();
    for item in skipped {
        groups.entry(item.group).or_default().push(item);
    }
    for (group, items) in &groups {
        let size_bytes = total_bytes(items.iter().map(|item| item.name.size_bytes()));
        let bytes = match size_bytes {
            0 => String::new(),
            size_bytes => format!(", {}", ui::bytes(size_bytes as i64)),
        };
        let when = match group {
            SkipGroup::NotYet | SkipGroup::Unseen => "; a later run takes them",
            SkipGroup::Spared => "; a run with it stopped takes them",
            _ => "",
        };
        writeln!(out, "Stays: {} {}{bytes}{when}", items.len(), group.text())?;
        // What goes another time by itself needs no names.
        if matches!(group, SkipGroup::NotYet | SkipGroup::Spared | SkipGroup::Unseen) {
            continue;
        }
        // "and 1 more" would take the line that the one takes.
        let most = if items.len() == MOST_SKIPPED + 1 { items.len() } else { MOST_SKIPPED };
        for item in items.iter().take(most) {
            let line = format!("{}: {}", item.name.text(), item.reason);
            writeln!(out, "  {}", visible(&ui::short_digests(&line)))?;
        }
        if items.len() > most {
            let rest = items.len() - most;
            writeln!(out, "  and {rest} more; --format json names all")?;
        }
    }
    Ok(())
}

fn sentences(planned: &Planned, out: &mut dyn Write) -> io::Result<()> {
    let plan = &planned.plan;
    if plan.shared_bytes > 0 {
        let shared = ui::bytes(plan.shared_bytes as i64);
        writeln!(out, "Stays: {shared} that is shared with something that stays")?;
    }
    if plan.is_empty() {
        return writeln!(out, "Nothing to delete");
    }
    let deleted = counted(&Counts::of(plan));
    let freed = ui::bytes(plan.freed_bytes as i64);
    if planned.is_via_api {
        writeln!(out, "Would delete {deleted} through the API")?;
        return writeln!(out, "Would free {freed}, but only when garbage is collected");
    }
    writeln!(out, "Would delete {deleted}")?;
    writeln!(out, "Would free {freed}")
}

/// `13374 blobs, 120 tags`.
pub fn counted(counts: &Counts) -> String {
    ui::counted(&[
        (counts.blobs, "blob", "blobs"),
        (counts.tags, "tag", "tags"),
        (counts.revisions, "revision", "revisions"),
        (counts.layer_links, "layer link", "layer links"),
        (counts.uploads, "upload", "uploads"),
        (counts.repositories, "empty repository", "empty repositories"),
        (counts.corrupt_blobs, "corrupt blob", "corrupt blobs"),
        (counts.leftovers, "leftover", "leftovers"),
    ])
}
