//! What the rows of a query select of the snapshot's graph.

use super::naming::each_named;
use super::result::Snapshot;
use crate::commands::error::{Error, Result};
use crate::graph::{Graph, Names, Selection};
use crate::model::Name;
use crate::report::{Query, Selects};

/// Rows that select nothing are named one by one up to this number.
pub const MOST_SKIPPED: usize = 10;

/// What the rows of a query select.
pub struct Selected {
    /// All of it.
    pub selection: Selection,
    /// Tags in the order of the rows, each once.
    pub tags: Vec<u32>,
    /// Rows read.
    pub rows: u64,
    /// Rows that select nothing.
    pub skipped_count: u64,
    /// The first of them, each with the reason.
    pub skipped: Vec<String>,
}

/// Runs `query` and selects what its rows name; `selects` is what a report declares of them.
pub fn select(
    snapshot: &Snapshot,
    graph: &Graph,
    query: &Query<'_>,
    selects: Option<Selects>,
) -> Result<Selected> {
    if let Some(
        selects @ (Selects::Blobs | Selects::Uploads | Selects::LayerLinks | Selects::TagHistory),
    ) = selects
    {
        return Err(names_what_nothing_shares(query, selects.name()));
    }
    let names = Names::new(graph);
    let mut selected = Selected {
        selection: Selection::nothing(graph),
        tags: Vec::new(),
        rows: 0,
        skipped_count: 0,
        skipped: Vec::new(),
    };
    let mut unshared = None;
    each_named(snapshot, query, selects, &mut |named| {
        selected.rows += 1;
        let Some(name) = named else {
            let text = format!("row {}: a name is missing or not a text", selected.rows);
            return selected.skip(|| text);
        };
        match name {
            Name::Blob { .. } => return unshared = Some("blobs"),
            Name::Upload { .. } => return unshared = Some("uploads"),
            Name::LayerLink { .. } => return unshared = Some("layer links"),
            _ => {}
        }
        if let Name::Tag { .. } = name
            && let Ok(tag) = names.find(&name)
            && !selected.selection.has(tag.kind, tag.at)
        {
            selected.tags.push(tag.at);
        }
        if let Err(reason) = names.select(&mut selected.selection, &name) {
            selected.skip(|| format!("{}: {reason}", name.text()));
        }
    })?;
    match unshared {
        Some(what) => Err(names_what_nothing_shares(query, what)),
        None => Ok(selected),
    }
}

fn names_what_nothing_shares(query: &Query<'_>, what: &str) -> Error {
    Error::new(format!("{} names {what}, which nothing shares", query.name)).with_hint(
        "the rows' own sizes are what they free; --what-if is for tags, revisions, \
         repositories and layers",
    )
}

impl Selected {
    fn skip(&mut self, text: impl FnOnce() -> String) {
        self.skipped_count += 1;
        if self.skipped.len() < MOST_SKIPPED {
            self.skipped.push(text());
        }
    }
}
