//! Rows that name things: which columns do it, and what each row names.

use std::io;

use super::result::Snapshot;
use crate::commands::error::{Error, Result};
use crate::model::Name;
use crate::report::{Column, End, Query, RowSink, Selects, Value};

/// Runs `query` and gives what each row names to `take`, `None` for a row in which a name is
/// missing; `selects` is what a report declares of its rows.
///
/// # Errors
/// When the query fails, or its columns name nothing.
pub fn each_named(
    snapshot: &Snapshot,
    query: &Query<'_>,
    selects: Option<Selects>,
    take: &mut dyn FnMut(Option<Name>),
) -> Result<()> {
    let mut sink = Sink { selects, naming: None, has_no_names: false, take };
    let result = snapshot.run(query, &mut sink);
    if sink.has_no_names {
        let message = format!("the columns of {} do not name what to delete", query.name);
        let hint = match selects {
            Some(selects) => format!("give columns {}", selects.columns().join(" and ")),
            None => "give columns repository and tag, repository and manifest_digest, \
                 layer_digest, blob_digest, repository and upload_id, repository and link_digest, \
                 repository, history_tag and history_digest, \
                 or repository alone"
                .into(),
        };
        return Err(Error::new(message).with_hint(hint));
    }
    result?;
    Ok(())
}

/// Where in a row the names are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Naming {
    what: Selects,
    /// The places of [`Selects::columns`].
    columns: Vec<usize>,
    /// Where a tag's row says what it points at.
    digest: Option<usize>,
}

impl Naming {
    /// The narrowest first: a row that names a part of a repository does not mean the whole.
    const ORDER: [Selects; 8] = [
        Selects::Tags,
        Selects::Revisions,
        Selects::Uploads,
        Selects::LayerLinks,
        Selects::TagHistory,
        Selects::Layers,
        Selects::Blobs,
        Selects::Repositories,
    ];

    fn of(columns: &[Column], selects: Option<Selects>) -> Option<Self> {
        let at = |name: &str| columns.iter().position(|column| column.name == name);
        let naming = |what: Selects| {
            let columns = what.columns().iter().map(|name| at(name)).collect::<Option<Vec<_>>>()?;
            Some(Self { what, columns, digest: at("manifest_digest") })
        };
        if let Some(what) = selects {
            return naming(what);
        }
        let has_part = PARTS.iter().any(|part| at(part).is_some());
        let order = Self::ORDER.into_iter();
        order.filter(|what| *what != Selects::Repositories || !has_part).find_map(naming)
    }

    /// What a row names; a revision where there is no tag. `None` when a name is missing.
    fn name(&self, values: &[Value<'_>]) -> Option<Name> {
        let text = |at: usize| match &values[at] {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        };
        let first = text(self.columns[0])?;
        let second = || text(self.columns[1]);
        let digest = || self.digest.and_then(text);
        Some(match self.what {
            Selects::Tags => match second() {
                Some(tag) => Name::Tag { repository: first, tag, manifest_digest: digest() },
                None => Name::Revision { repository: first, manifest_digest: digest()? },
            },
            Selects::Revisions => Name::Revision { repository: first, manifest_digest: second()? },
            Selects::Repositories => Name::Repository { repository: first },
            Selects::Layers => Name::Layer { layer_digest: first },
            Selects::Blobs => Name::Blob { blob_digest: first, size_bytes: 0 },
            Selects::Uploads => {
                Name::Upload { repository: first, upload_id: second()?, size_bytes: 0 }
            }
            Selects::LayerLinks => Name::LayerLink { repository: first, link_digest: second()? },
            Selects::TagHistory => Name::TagHistory {
                repository: first,
                history_tag: second()?,
                history_digest: text(self.columns[2])?,
            },
        })
    }
}

/// Columns that name a part of a repository.
const PARTS: &[&str] =
    &["tag", "manifest_digest", "upload_id", "link_digest", "history_tag", "digest"];

struct Sink<'a> {
    selects: Option<Selects>,
    naming: Option<Naming>,
    /// The columns say nothing that could be deleted.
    has_no_names: bool,
    take: &'a mut dyn FnMut(Option<Name>),
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.naming = Naming::of(columns, self.selects);
        self.has_no_names = self.naming.is_none();
        // Ends the query; this error is not shown.
        if self.has_no_names { Err(io::Error::other("no names")) } else { Ok(()) }
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        if let Some(naming) = &self.naming {
            (self.take)(naming.name(values));
        }
        Ok(())
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    fn naming(names: &[&str]) -> Option<(Selects, Vec<usize>)> {
        let columns = names.iter().map(|name| Column { name: (*name).into(), unit: Unit::Text });
        let naming = Naming::of(&columns.collect::<Vec<_>>(), None)?;
        Some((naming.what, naming.columns))
    }

    #[test]
    fn the_narrowest_name_counts() {
        let cases: [(&[&str], Selects, &[usize]); 5] = [
            (&["tag", "repository", "manifest_digest"], Selects::Tags, &[1, 0]),
            (&["repository", "blob_digest", "manifest_digest"], Selects::Revisions, &[0, 2]),
            (&["repository", "link_digest", "blob_digest"], Selects::LayerLinks, &[0, 1]),
            (&["layer_digest", "n"], Selects::Layers, &[0]),
            (&["n", "repository"], Selects::Repositories, &[1]),
        ];
        for (names, what, columns) in cases {
            assert_eq!(naming(names), Some((what, columns.to_vec())), "{names:?}");
        }
    }

    #[test]
    fn a_part_of_a_repository_is_not_the_whole() {
        assert_eq!(naming(&["repository", "digest"]), None);
        assert_eq!(naming(&["tag", "digest"]), None);
        assert_eq!(naming(&["upload_id"]), None);
    }
}
