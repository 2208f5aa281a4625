//! What is exported: every public view, and who reaches what.

use std::ops::Range;

use rusqlite::Connection;

use crate::db;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number.
    Integer,
    /// Yes or no.
    Boolean,
    /// Microseconds since 1970 UTC.
    Time,
    /// The 32 bytes of a sha256 digest; a column `other_…` beside it has digests of other algorithms.
    Digest,
    /// Text in UTF-8.
    Text,
}

impl Type {
    /// What the name of a column says: the public columns keep to it.
    fn of_column_named(name: &str) -> Self {
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if begins(&["other_"]) {
            Self::Text
        } else if ends(&["digest"]) {
            Self::Digest
        } else if ends(&["_at", "_since", "_until"]) || name == "since" {
            Self::Time
        } else if begins(&["is_", "has_", "was_"]) || name == "complete" {
            Self::Boolean
        } else if ends(&["_bytes", "_count", "_ms", "_number"])
            || ends(&["_id"]) && name != "upload_id"
            || ["count", "of", "line", "position", "value"].contains(&name)
        {
            Self::Integer
        } else {
            Self::Text
        }
    }
}

/// Texts or facts that rows hold the number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The name of a repository.
    Repository,
    /// A media type.
    MediaType,
    /// A build command.
    BuildStep,
    /// Whether a blob, or what the registry resolves its digest to, is on disk.
    Availability,
    /// A blob's sha256 digest.
    Digest,
    /// A blob's digest of another algorithm.
    OtherDigest,
    /// A blob's bytes on disk.
    Size,
}

impl Lookup {
    const NAMES: [(&'static str, Self); 7] = [
        ("repository", Self::Repository),
        ("media_type", Self::MediaType),
        ("build_step", Self::BuildStep),
        ("availability", Self::Availability),
        ("digest", Self::Digest),
        ("other_digest", Self::OtherDigest),
        ("size", Self::Size),
    ];
}

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Type,
    /// Where its value is, when the statement gives a number that stands for it.
    pub(super) lookup: Option<Lookup>,
    /// The place of the column that it comes from in what is read.
    pub(super) from: usize,
}

impl Column {
    /// A column of this name, and the name of where its value is looked up, if it is.
    pub(super) fn new(from: usize, name: &str, lookup: &str) -> Self {
        let lookup = Lookup::NAMES.iter().find(|(known, _)| *known == lookup);
        Self {
            name: name.to_owned(),
            kind: Type::of_column_named(name),
            lookup: lookup.map(|(_, lookup)| *lookup),
            from,
        }
    }
}

/// Where the rows of a table come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A statement made for it, whose columns are those of the file.
    Statement(&'static str),
    /// The same, with the references that the graph is made of.
    References(&'static str),
    /// Rows of another table's statement, in which the column with this place is not NULL.
    Part {
        /// The other table.
        of: &'static str,
        /// The place of the column.
        when: usize,
    },
    /// The public view as it is. Its texts of times and digests become typed values.
    View(String),
    /// The graph: what leads to what.
    Graph,
}

/// A directory of the lake.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name: that of the view.
    pub name: &'static str,
    /// The columns of its files, without `registry` and `scan`.
    pub columns: Vec<Column>,
    pub(super) source: Source,
}

impl Table {
    /// Which columns come from each column of what is read.
    pub(super) fn sources(&self) -> Vec<(usize, Range<usize>)> {
        let mut at = 0;
        let groups = self.columns.chunk_by(|one, next| one.from == next.from).map(|group| {
            let start = at;
            at += group.len();
            (group[0].from, start..at)
        });
        groups.collect()
    }
}

/// What each repository keeps: every blob that it reaches. Without a repository: what stays whatever
/// repositories say.
pub(super) const REACH: &str = "reach";
/// What each manifest leads to directly.
pub(super) const EDGES: &str = "edges";
/// Where following the edges must begin to get [`REACH`].
pub(super) const STARTS: &str = "starts";

/// The table that is published last: without its row of a scan, the views of an engine show nothing
/// of that scan.
pub(super) const LAST: &str = "scan_info";

/// What each manifest names: most of the rows of all.
pub(super) const REFERENCES: &str = "manifest_references";

/// Statements for views whose rows are many.
const STATEMENTS: [(&str, &str); 7] = [
    ("blobs", include_str!("sql/blobs.sql")),
    ("manifests", include_str!("sql/manifests.sql")),
    (REFERENCES, include_str!("sql/manifest_references.sql")),
    ("tags", include_str!("sql/tags.sql")),
    ("tag_history", include_str!("sql/tag_history.sql")),
    ("revisions", include_str!("sql/revisions.sql")),
    ("layer_links", include_str!("sql/layer_links.sql")),
];

/// Tables that are a part of another one, and the column of its statement that is not NULL in their rows.
const PARTS: [(&str, &str, &str); 2] =
    [("layers", "blobs", "layers.media_type"), ("orphan_blobs", "blobs", "orphan_blobs.*")];

/// Every table, in the order of `migrations/views.sql`.
///
/// # Errors
/// When the tables of a database cannot be made in memory.
pub fn tables() -> rusqlite::Result<Vec<Table>> {
    let mut empty = Connection::open_in_memory()?;
    db::create_tables(&mut empty).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err,
        other => rusqlite::Error::ToSqlConversionFailure(Box::new(other)),
    })?;
    db::apply_views(&empty)?;
    let mut tables = Vec::new();
    for view in db::views() {
        let part = PARTS.iter().find(|(name, _, _)| *name == view.name);
        let of = part.map_or(view.name, |(_, of, _)| *of);
        let statement = STATEMENTS.iter().find(|(name, _)| *name == of);
        let (columns, source) = if let Some((_, sql)) = statement {
            let prepared = empty.prepare(sql)?;
            let names = prepared.column_names();
            let source = match part {
                Some((_, of, column)) => {
                    let is_it = |names: &&str| declared(names).any(|(name, _)| name == *column);
                    let when = names.iter().position(is_it).unwrap_or_default();
                    Source::Part { of, when }
                }
                None if view.name == REFERENCES => Source::References(sql),
                None => Source::Statement(sql),
            };
            (columns_of_statement(&names, part.map(|(name, _, _)| *name)), source)
        } else {
            let names: Vec<&str> = view.columns.iter().map(|column| column.name).collect();
            let sql = format!("SELECT \"{}\" FROM {}", names.join("\", \""), view.name);
            (names.into_iter().enumerate().flat_map(columns_of_view).collect(), Source::View(sql))
        };
        tables.push(Table { name: view.name, columns, source });
    }
    let named = |names: &[&str]| names.iter().map(|name| Column::new(0, name, "")).collect();
    let of_graph = |name, columns| Table { name, columns, source: Source::Graph };
    tables.push(of_graph(REACH, named(&["repository", "blob_id"])));
    tables.push(of_graph(STARTS, named(&["repository", "blob_id"])));
    tables.push(of_graph(EDGES, named(&["from_id", "to_id"])));
    Ok(tables)
}

/// What the name of a statement's column declares: columns of files, each with where its value is.
fn declared(names: &str) -> impl Iterator<Item = (&str, &str)> {
    names.split(", ").map(|name| name.split_once(' ').unwrap_or((name, "")))
}

/// The columns of a statement that are in the file of its own table, or of one that is a part of it.
fn columns_of_statement(names: &[&str], part: Option<&str>) -> Vec<Column> {
    let all = names.iter().enumerate();
    let all = all.flat_map(|(from, names)| declared(names).map(move |column| (from, column)));
    let of_table = all.filter_map(|(from, (name, lookup))| {
        let (table, name) = match name.split_once('.') {
            Some((table, name)) => (Some(table), name),
            None => (None, name),
        };
        (table == part && name != "*").then(|| Column::new(from, name, lookup))
    });
    of_table.collect()
}

/// The columns of a file that one of a view becomes.
fn columns_of_view((from, name): (usize, &str)) -> Vec<Column> {
    let column = Column::new(from, name, "");
    match column.kind {
        Type::Digest => vec![column, Column::new(from, &format!("other_{name}"), "")],
        _ => vec![column],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns of a file say as much as those of the view.
    #[test]
    fn a_file_has_every_column_of_its_view_under_its_name_or_as_a_number() {
        for (table, view) in tables().unwrap().iter().zip(db::views()) {
            assert_eq!(table.name, view.name);
            let has = |name: &str| table.columns.iter().any(|column| column.name == name);
            for column in &view.columns {
                let number = column.name.replace("digest", "id");
                let number = if column.name == "digest" || column.name == "blob_digest" {
                    "blob_id".to_owned()
                } else {
                    number
                };
                assert!(has(column.name) || has(&number), "{}.{}", view.name, column.name);
            }
            let digests = table.columns.iter().filter(|column| column.kind == Type::Digest);
            for column in digests {
                assert!(has(&format!("other_{}", column.name)), "{}.{}", view.name, column.name);
            }
        }
    }
}
