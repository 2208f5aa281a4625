//! `--what-if`: what deleting all that the rows of a result name would free together.

use super::Context;
use super::result::Snapshot;
use super::selecting::{MOST_SKIPPED, Selected, select};
use crate::commands::error::{Outcome, Result};
use crate::graph::{Graph, Removal, Selection, removal};
use crate::model::Kind;
use crate::report::{Column, End, Query, RunError, Selects, Unit, Value};
use crate::ui::{self, Format, Frame};

/// What a policy may do at most, as its author expects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// Bytes that come free.
    pub max_bytes: Option<u64>,
    /// Tags that go.
    pub max_tags: Option<u64>,
}

impl Expected {
    /// What is more than expected, in words.
    fn exceeded(self, found: &Removal) -> Vec<String> {
        let tags = found.goes[Kind::Tag].len() as u64;
        let shown = |bytes: u64| ui::bytes(bytes);
        let bytes = self.max_bytes.filter(|max| found.freed_bytes > *max).map(|max| {
            format!(
                "{} would come free, and --expect-max-bytes is {}",
                shown(found.freed_bytes),
                shown(max)
            )
        });
        let tags = self
            .max_tags
            .filter(|max| tags > *max)
            .map(|max| format!("{tags} tags would go, and --expect-max-tags is {max}"));
        bytes.into_iter().chain(tags).collect()
    }
}

/// Answers for `query`; `frame` is the one that its rows would have.
pub fn run(
    context: &Context,
    snapshot: &Snapshot,
    query: &Query<'_>,
    selects: Option<Selects>,
    format: Format,
    frame: Frame,
    expected: Expected,
) -> Result {
    let graph = snapshot.graph(context)?;
    let selected = select(snapshot, &graph, query, selects)?;
    let found = removal(&graph, &selected.selection);
    let mut notes = vec![sentence(&selected.selection, &found, snapshot.is_at_least())];
    if let Some((limit, how)) = frame.limit
        && limit == selected.rows
    {
        notes.push(format!("The rows were limited to {limit} ({how})."));
    }
    let title = frame.title.map(|title| format!("What if: {title}"));
    // In the formats that have no place for it, a person reads it beside the data.
    if format == Format::Markdown || !format.is_for_people() {
        for note in &notes {
            context.printer.note(note);
        }
    }
    let frame = Frame { title, notes, ..Frame::default() };
    let skipped_count = selected.skipped_count + found.skipped.len() as u64;
    let figures = [
        ("tag_count", Unit::Count, found.goes[Kind::Tag].len() as u64),
        ("revision_count", Unit::Count, found.goes[Kind::Revision].len() as u64),
        ("layer_link_count", Unit::Count, found.goes[Kind::LayerLink].len() as u64),
        ("blob_count", Unit::Count, found.goes[Kind::Blob].len() as u64),
        ("freed_bytes", Unit::Bytes, found.freed_bytes),
        ("shared_bytes", Unit::Bytes, found.shared_bytes()),
        ("logical_bytes", Unit::Bytes, found.logical_bytes),
        ("skipped_count", Unit::Count, skipped_count),
    ];
    snapshot.write(context, format, frame, |sink| {
        let columns = figures.map(|(name, unit, _)| Column { name: name.into(), unit });
        let values = figures.map(|(.., value)| Value::Integer(value as i64));
        let end = End { rows: 1, is_cut: false };
        let mut write = || {
            sink.begin(&columns)?;
            sink.row(&values)?;
            sink.end(end)
        };
        write().map(|()| end).map_err(RunError::Write)
    })?;
    warn_of_skipped(context, &graph, &selected, &found);
    let exceeded = expected.exceeded(&found);
    for line in &exceeded {
        context.printer.warn(line);
    }
    Ok(if exceeded.is_empty() { Outcome::Done } else { Outcome::Findings })
}

fn sentence(selection: &Selection, found: &Removal, is_at_least: bool) -> String {
    let count = |flags: &[bool], (one, many): (&str, &str)| {
        let count = flags.iter().filter(|flag| **flag).count();
        (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
    };
    let chosen = [Kind::Tag, Kind::Revision, Kind::Repository]
        .map(|kind| count(&selection.chosen[kind], kind.words()));
    let layers = ("layer (every image that holds it)", "layers (every image that holds one)");
    let parts = chosen.into_iter().chain([count(&selection.layers, layers)]);
    let parts: Vec<String> = parts.flatten().collect();
    if parts.is_empty() {
        return "Nothing is selected, so nothing would come free.".into();
    }
    let bytes = |bytes: u64| ui::bytes(bytes);
    let at_least = if is_at_least { "at least " } else { "" };
    let kept = match found.shared_bytes() {
        0 => String::new(),
        shared => format!("; something else keeps the other {} of it", bytes(shared)),
    };
    let freed = bytes(found.freed_bytes);
    format!("Deleting {} would free {at_least}{freed}{kept}.", parts.join(" and "))
}

fn warn_of_skipped(context: &Context, graph: &Graph, selected: &Selected, found: &Removal) {
    let kept = found.skipped.iter().map(|skipped| {
        let name = graph.name_of(skipped.item, &[]).text();
        format!("{name}: {}", skipped.reason.text(graph))
    });
    let lines = selected.skipped.iter().cloned().chain(kept).take(MOST_SKIPPED);
    let mut count = 0;
    for line in lines {
        context.printer.warn(&format!("skipped {line}"));
        count += 1;
    }
    let rest = selected.skipped_count + found.skipped.len() as u64 - count;
    if rest > 0 {
        context.printer.warn(&format!("skipped {rest} more"));
    }
}
