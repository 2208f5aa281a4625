//! Rows that name things: which columns do it, and what of the snapshot they select.

use std::io;

use super::result::Snapshot;
use crate::error::{Error, Result};
use crate::removal::{Names, Row, Selection, StoredGraph};
use crate::report::{Column, End, Query, RowSink, Selects, Value};

/// So many rows that select nothing are told one by one.
pub const MOST_TOLD: usize = 10;

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
    graph: &StoredGraph,
    query: &Query<'_>,
    selects: Option<Selects>,
) -> Result<Selected> {
    if let Some(selects @ (Selects::Blobs | Selects::Uploads | Selects::LayerLinks)) = selects {
        let message = format!("{} names {}, which nothing shares", query.name, selects.name());
        return Err(Error::new(message).with_hint(
            "the rows' own sizes are what they free; --what-if is for tags, revisions, \
             repositories and layers",
        ));
    }
    let mut sink = Sink {
        names: Names::new(graph),
        selects,
        naming: None,
        has_no_names: false,
        selected: Selected {
            selection: Selection::nothing(graph),
            tags: Vec::new(),
            rows: 0,
            skipped_count: 0,
            skipped: Vec::new(),
        },
    };
    let result = snapshot.run(query, &mut sink);
    if sink.has_no_names {
        let message = format!("the columns of {} do not name what to delete", query.name);
        let hint = match selects {
            Some(selects) => format!("give columns {}", selects.columns().join(" and ")),
            None => "give columns repository and tag, repository and manifest_digest, \
                 layer_digest, or repository alone"
                .into(),
        };
        return Err(Error::new(message).with_hint(hint));
    }
    result?;
    Ok(sink.selected)
}

/// Where in a row the names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// The revision counts where there is no tag.
    Tag {
        repository: usize,
        tag: usize,
        digest: Option<usize>,
    },
    Revision {
        repository: usize,
        digest: usize,
    },
    Layer {
        digest: usize,
    },
    Repository {
        repository: usize,
    },
}

impl Naming {
    fn of(columns: &[Column], selects: Option<Selects>) -> Option<Self> {
        let at = |name: &str| columns.iter().position(|column| column.name == name);
        let digest = at("manifest_digest").or_else(|| at("digest"));
        let tag = || Some(Self::Tag { repository: at("repository")?, tag: at("tag")?, digest });
        let revision = || Some(Self::Revision { repository: at("repository")?, digest: digest? });
        let layer = || Some(Self::Layer { digest: at("layer_digest")? });
        let whole = || Some(Self::Repository { repository: at("repository")? });
        match selects {
            Some(Selects::Tags) => tag(),
            Some(Selects::Revisions) => revision(),
            Some(Selects::Layers) => layer(),
            Some(Selects::Repositories) => whole(),
            Some(Selects::Blobs | Selects::Uploads | Selects::LayerLinks) => None,
            // Who names a part of a repository does not mean the whole.
            None => tag().or_else(revision).or_else(layer).or_else(|| {
                let parts = ["tag", "blob_digest", "upload_id", "link_digest"];
                whole().filter(|_| parts.iter().all(|name| at(name).is_none()))
            }),
        }
    }
}

struct Sink<'a> {
    names: Names<'a>,
    selects: Option<Selects>,
    naming: Option<Naming>,
    /// The columns say nothing that could be deleted.
    has_no_names: bool,
    selected: Selected,
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.naming = Naming::of(columns, self.selects);
        self.has_no_names = self.naming.is_none();
        // Ends the query; nobody sees this error.
        if self.has_no_names { Err(io::Error::other("no names")) } else { Ok(()) }
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        let Some(naming) = self.naming else {
            return Ok(());
        };
        let text = |at: usize| match &values[at] {
            Value::Text(text) => Some(text.as_ref()),
            _ => None,
        };
        let revision = |repository: usize, digest: usize| {
            Some(Row::Revision { repository: text(repository)?, digest: text(digest)? })
        };
        let row = match naming {
            Naming::Tag { repository, tag, digest } => match (text(repository), text(tag)) {
                (Some(repository), Some(tag)) => Some(Row::Tag { repository, tag }),
                _ => digest.and_then(|digest| revision(repository, digest)),
            },
            Naming::Revision { repository, digest } => revision(repository, digest),
            Naming::Layer { digest } => text(digest).map(|digest| Row::Layer { digest }),
            Naming::Repository { repository } => {
                text(repository).map(|repository| Row::Repository { repository })
            }
        };
        let selected = &mut self.selected;
        selected.rows += 1;
        let Some(row) = row else {
            let told = format!("row {}: a name is missing or not a text", selected.rows);
            selected.skip(|| told);
            return Ok(());
        };
        if let Row::Tag { repository, tag } = row
            && let Ok(place) = self.names.tag(repository, tag)
            && !selected.selection.tags[place as usize]
        {
            selected.tags.push(place);
        }
        if let Err(reason) = self.names.select(&mut selected.selection, row) {
            selected.skip(|| format!("{}: {reason}", called(row)));
        }
        Ok(())
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        Ok(())
    }
}

impl Selected {
    fn skip(&mut self, told: impl FnOnce() -> String) {
        self.skipped_count += 1;
        if self.skipped.len() < MOST_TOLD {
            self.skipped.push(told());
        }
    }
}

fn called(row: Row<'_>) -> String {
    match row {
        Row::Tag { repository, tag } => format!("{repository}:{tag}"),
        Row::Revision { repository, digest } => format!("{repository}@{digest}"),
        Row::Layer { digest } => digest.to_owned(),
        Row::Repository { repository } => repository.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    fn naming(names: &[&str]) -> Option<Naming> {
        let columns = names.iter().map(|name| Column { name: (*name).into(), unit: Unit::Text });
        Naming::of(&columns.collect::<Vec<_>>(), None)
    }

    #[test]
    fn the_narrowest_name_counts() {
        assert_eq!(
            naming(&["tag", "repository", "digest"]),
            Some(Naming::Tag { repository: 1, tag: 0, digest: Some(2) })
        );
        assert_eq!(
            naming(&["repository", "digest", "manifest_digest"]),
            Some(Naming::Revision { repository: 0, digest: 2 })
        );
        assert_eq!(naming(&["layer_digest", "n"]), Some(Naming::Layer { digest: 0 }));
        assert_eq!(naming(&["n", "repository"]), Some(Naming::Repository { repository: 1 }));
    }

    #[test]
    fn a_part_of_a_repository_is_not_the_whole() {
        for part in ["upload_id", "link_digest", "blob_digest"] {
            assert_eq!(naming(&["repository", part]), None);
        }
        assert_eq!(naming(&["tag", "digest"]), None);
    }
}
