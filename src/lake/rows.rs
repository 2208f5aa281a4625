//! From rows of the database to typed values.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::LakeError;
use super::staging::{Part, Staging};
use super::table::{Column, Lookup, Source, Table, Type};
use crate::db::{self, Blobs, DatabaseError, ReadGraphError};
use crate::graph::BlobNode;
use crate::model::Digest;

/// Takes the rows of a table, value by value. Values come as plain arguments: moving an enum of them from hand to hand took
/// a third of an export.
pub(super) trait Sink {
    /// This column has no value.
    fn null(&mut self, column: usize);
    /// A number, or microseconds since 1970 UTC.
    fn number(&mut self, column: usize, value: i64);
    /// Yes or no.
    fn flag(&mut self, column: usize, value: bool);
    /// A sha256 digest.
    fn digest(&mut self, column: usize, value: &[u8; 32]);
    /// A text, with the number that it always has in this table, if it has one.
    fn text(&mut self, column: usize, value: &str, number: Option<u32>);
    /// The row is whole.
    fn end_row(&mut self) -> Result<(), LakeError>;
}

/// A sink whose rows become files.
pub(super) trait Writer<'a>: Sink + Sized {
    /// Begins the files of a table, of this many rows at most.
    fn begin(staging: &'a Staging, table: &'a Table, part_rows: usize) -> Result<Self, LakeError>;
    /// Writes what is left. A table without rows has one file without rows, which has the columns.
    fn finish(self) -> Result<Vec<Part>, LakeError>;
}

/// What rows hold the numbers of.
#[derive(Debug)]
pub(super) struct Lookups {
    /// Those of the graph, which another thread reads meanwhile: a table of all digests beside it would take as much memory
    /// again. `None` in it: reading them failed.
    pub blobs: OnceLock<Option<Blobs>>,
    repositories: Texts,
    media_types: Texts,
    build_steps: Texts,
    /// Blobs whose place could not be read.
    unknown: HashSet<i64>,
    /// What the registry resolves a blob's digest to.
    aliases: HashMap<i64, Vec<i64>>,
}

/// What is known of blobs that are not there, by number.
pub(super) type Unavailable = HashMap<i64, Option<bool>, foldhash::fast::RandomState>;

/// Texts with their numbers, in the order of these.
#[derive(Debug, Default)]
struct Texts {
    ids: Vec<i64>,
    texts: Vec<Box<str>>,
}

impl Texts {
    fn read(connection: &Connection, sql: &str) -> rusqlite::Result<Self> {
        let mut all = Self::default();
        let mut select = connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let text = row.get_ref(1)?.as_bytes().unwrap_or_default();
            all.ids.push(row.get(0)?);
            all.texts.push(String::from_utf8_lossy(text).into());
        }
        Ok(all)
    }

    /// The text of a number, and its place among all.
    fn get(&self, id: i64) -> Option<(&str, u32)> {
        let place = db::place_among(&self.ids, id)?;
        Some((&self.texts[place], u32::try_from(place).ok()?))
    }
}

impl Lookups {
    /// Reads all but the blobs.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            blobs: OnceLock::new(),
            repositories: Texts::read(connection, "SELECT id, name FROM repository ORDER BY id")?,
            media_types: Texts::read(connection, "SELECT id, name FROM media_type ORDER BY id")?,
            build_steps: Texts::read(
                connection,
                "SELECT id, created_by FROM build_step ORDER BY id",
            )?,
            unknown: pairs(connection, "SELECT blob_id, 0 FROM unknown_blob")?
                .into_iter()
                .map(|(blob, _)| blob)
                .collect(),
            aliases: pairs(connection, "SELECT blob_id, target_blob_id FROM alias")?
                .into_iter()
                .fold(HashMap::new(), |mut aliases: HashMap<i64, Vec<i64>>, (blob, target)| {
                    aliases.entry(blob).or_default().push(target);
                    aliases
                }),
        })
    }

    /// Puts what a number stands for.
    fn put(
        &self,
        at: usize,
        lookup: Lookup,
        id: i64,
        is_available: Option<bool>,
        sink: &mut impl Sink,
    ) {
        let texts = match lookup {
            Lookup::Repository => &self.repositories,
            Lookup::MediaType => &self.media_types,
            Lookup::BuildStep => &self.build_steps,
            Lookup::Availability => {
                return match is_available {
                    Some(is_there) => sink.flag(at, is_there),
                    None => sink.null(at),
                };
            }
            Lookup::Digest => {
                let digest = self.blob(id).map(|blob| &blob.digest);
                match digest {
                    Some(Digest::Sha256(bytes)) => sink.digest(at, bytes),
                    _ => sink.null(at),
                }
                return match digest {
                    Some(Digest::Other(text)) => sink.text(at + 1, text, None),
                    _ => sink.null(at + 1),
                };
            }
            // Follows its digest, and was put with it: a blob is seldom near in memory.
            Lookup::OtherDigest => return,
            Lookup::Size => {
                return match self.blob(id).and_then(|blob| blob.size_bytes) {
                    Some(size) => sink.number(at, size as i64),
                    None => sink.null(at),
                };
            }
        };
        match texts.get(id) {
            Some((text, place)) => sink.text(at, text, Some(place)),
            None => sink.null(at),
        }
    }

    fn blob(&self, id: i64) -> Option<&BlobNode> {
        let blobs = self.blobs.wait().as_ref()?;
        blobs.nodes.get(blobs.place(id)?)
    }

    /// The blobs that are not there, or of which that is not known, as the view `manifest_references` has it: few, and so
    /// sooner looked up than one of all.
    pub fn unavailable(&self, blobs: &Blobs) -> Unavailable {
        let is_present =
            |place: usize| blobs.nodes.get(place).is_some_and(|blob| blob.size_bytes.is_some());
        let is_there = |id: &i64| blobs.place(*id).is_some_and(is_present);
        let of = |(place, id): (usize, &i64)| {
            let mut targets = self.aliases.get(id).into_iter().flatten();
            let is_known = !self.unknown.contains(id);
            (*id, is_known.then(|| is_present(place) || targets.any(is_there)))
        };
        let all = blobs.ids().iter().enumerate().map(of);
        all.filter(|(_, is_available)| *is_available != Some(true)).collect()
    }
}

/// Two numbers of each row.
fn pairs(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// What reading needs.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub connection: &'a Connection,
    /// The database's file, for messages.
    pub database: &'a Path,
    pub lookups: &'a Lookups,
    /// Set when a person stops the export.
    pub stop: &'a AtomicBool,
}

impl Reading<'_> {
    /// Whether a person has stopped the export.
    pub fn check_stop(&self) -> Result<(), LakeError> {
        if self.stop.load(Ordering::Relaxed) { Err(LakeError::Stopped) } else { Ok(()) }
    }

    /// Hands every row of a table to its sink, and to those of the tables that are a part of it. Nothing to do for
    /// tables that the graph gives.
    pub fn read<S: Sink>(&self, fillings: &mut [Filling<'_, S>]) -> Result<(), LakeError> {
        let sql = match fillings.first().map(|filling| &filling.table.source) {
            Some(Source::Statement(sql)) => *sql,
            Some(Source::View(sql)) => sql.as_str(),
            _ => return Ok(()),
        };
        let on_sqlite = |source| self.read_error(source);
        let mut select = self.connection.prepare(sql).map_err(on_sqlite)?;
        let mut rows = select.query([]).map_err(on_sqlite)?;
        let mut row_count = 0_u64;
        while let Some(row) = rows.next().map_err(on_sqlite)? {
            row_count += 1;
            if row_count.is_multiple_of(4096) {
                self.check_stop()?;
            }
            for filling in &mut *fillings {
                if let Source::Part { when, .. } = filling.table.source
                    && matches!(row.get_ref(when), Ok(ValueRef::Null))
                {
                    continue;
                }
                self.put_row(filling, |column| row.get_ref(column), None)?;
            }
        }
        Ok(())
    }

    /// The numbers of the manifests that are orphans, sorted.
    pub fn orphan_manifests(&self) -> Result<Vec<i64>, LakeError> {
        let sql = "SELECT blob_id FROM manifest WHERE is_orphan <> 0 ORDER BY blob_id";
        let read = || {
            let mut select = self.connection.prepare(sql)?;
            select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()
        };
        read().map_err(|source| self.read_error(source))
    }

    /// A failure of the database.
    pub fn read_error(&self, source: rusqlite::Error) -> LakeError {
        LakeError::Read { database: self.database.to_owned(), source }
    }

    /// A failure to read the graph.
    pub fn graph_error(&self, error: ReadGraphError) -> LakeError {
        match error {
            ReadGraphError::Sqlite(source) => self.read_error(source),
            ReadGraphError::Dangling { .. } => {
                let path = self.database.to_owned();
                DatabaseError::Damaged { path, source: error }.into()
            }
        }
    }

    /// Hands a row to the sink.
    pub fn put_row<'r, S: Sink>(
        &self,
        filling: &mut Filling<'_, S>,
        value: impl Fn(usize) -> rusqlite::Result<ValueRef<'r>>,
        is_available: Option<bool>,
    ) -> Result<(), LakeError> {
        let Filling { table, sources, sink } = filling;
        for (from, columns) in &*sources {
            let mut each = columns.clone();
            let is_fit = match value(*from) {
                Ok(ValueRef::Null) => {
                    each.for_each(|at| sink.null(at));
                    true
                }
                Ok(ValueRef::Integer(number)) => {
                    each.all(|at| self.integer(at, &table.columns[at], number, is_available, sink))
                }
                Ok(ValueRef::Text(bytes)) if is_digest(&table.columns[columns.clone()]) => {
                    put_digest(columns.start, &text(bytes), sink);
                    true
                }
                Ok(ValueRef::Text(bytes)) => {
                    each.all(|at| put_text(at, &table.columns[at], bytes, sink))
                }
                Ok(ValueRef::Blob(bytes)) if is_digest(&table.columns[columns.clone()]) => {
                    let digest = <&[u8; 32]>::try_from(bytes);
                    let digest = digest.map(|digest| sink.digest(columns.start, digest));
                    sink.null(columns.start + 1);
                    digest.is_ok()
                }
                Ok(ValueRef::Blob(_) | ValueRef::Real(_)) => false,
                Err(source) => return Err(self.read_error(source)),
            };
            if !is_fit {
                return Err(LakeError::Misfit {
                    database: self.database.to_owned(),
                    table: table.name,
                    column: table.columns[columns.start].name.clone(),
                });
            }
        }
        sink.end_row()
    }

    /// Puts a number or what it stands for; whether it is what the column holds.
    fn integer(
        &self,
        at: usize,
        column: &Column,
        number: i64,
        is_available: Option<bool>,
        sink: &mut impl Sink,
    ) -> bool {
        match (column.lookup, column.kind) {
            (Some(lookup), _) => self.lookups.put(at, lookup, number, is_available, sink),
            (None, Type::Integer | Type::Time) => sink.number(at, number),
            (None, Type::Boolean) => sink.flag(at, number != 0),
            (None, Type::Digest | Type::Text) => return false,
        }
        true
    }
}

/// A table while its rows are read.
pub(super) struct Filling<'a, S> {
    pub table: &'a Table,
    /// Which columns come from each column of what is read.
    sources: Vec<(usize, Range<usize>)>,
    pub sink: S,
}

impl<'a, S> Filling<'a, S> {
    pub fn new(table: &'a Table, sink: S) -> Self {
        Self { table, sources: table.sources(), sink }
    }
}

/// A digest's 32 bytes, and beside them the text of one of another algorithm.
fn is_digest(columns: &[Column]) -> bool {
    matches!(
        columns,
        [Column { kind: Type::Digest, lookup: None, .. }, Column { lookup: None, .. }]
    )
}

/// Most texts are UTF-8, which is sooner seen than mended.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Puts a text, or the time that it says; whether it is what the column holds.
fn put_text(at: usize, column: &Column, bytes: &[u8], sink: &mut impl Sink) -> bool {
    match (column.lookup, column.kind) {
        (None, Type::Text) => sink.text(at, &text(bytes), None),
        (None, Type::Time) => {
            let time = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
            let Some(time) = time.map(jiff::Timestamp::as_microsecond) else { return false };
            sink.number(at, time);
        }
        _ => return false,
    }
    true
}

/// A digest's text as its 32 bytes, or as text in the next column when it is of another algorithm.
fn put_digest(at: usize, text: &str, sink: &mut impl Sink) {
    if let Ok(Digest::Sha256(bytes)) = Digest::parse(text) {
        sink.digest(at, &bytes);
        sink.null(at + 1);
    } else {
        sink.null(at);
        sink.text(at + 1, text, None);
    }
}
