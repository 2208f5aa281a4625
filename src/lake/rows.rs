//! From rows of the database to typed values.

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::LakeError;
use super::table::{Column, Lookup, Source, Table, Type};
use crate::graph::Graph;
use crate::model::Digest;

/// One value on its way into a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// Microseconds since 1970 UTC.
    Time(i64),
    /// A sha256 digest.
    Digest([u8; 32]),
    /// A text, with the number that it always has in this table, if it has one.
    Text(Cow<'a, str>, Option<u32>),
}

/// Takes the rows of a table, value by value.
pub(super) trait Sink {
    /// The next value of the row, which belongs to this column.
    fn put(&mut self, column: usize, cell: Cell<'_>) -> Result<(), LakeError>;
    /// The row is whole.
    fn end_row(&mut self) -> Result<(), LakeError>;
}

/// What rows hold the numbers of.
#[derive(Debug)]
pub(super) struct Lookups<'a> {
    /// `None` in it: reading the graph failed.
    graph: &'a OnceLock<Option<Graph>>,
    /// The number of the graph's first blob.
    pub first_blob: i64,
    repositories: Texts,
    media_types: Texts,
    build_steps: Texts,
    /// Of each blob: 0 it is not there, 1 it is, 2 its place could not be read.
    availability: Vec<u8>,
}

/// Texts by their number.
#[derive(Debug, Default)]
struct Texts(Vec<Option<Box<str>>>);

impl Texts {
    fn read(connection: &Connection, sql: &str) -> rusqlite::Result<Self> {
        let mut texts = Vec::new();
        let mut select = connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let at = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
            // Ids follow one another; a damaged file may say anything.
            if at <= texts.len() + 1 {
                texts.resize(at, None);
                let text = row.get_ref(1)?.as_bytes().unwrap_or_default();
                texts.push(Some(String::from_utf8_lossy(text).into()));
            }
        }
        Ok(Self(texts))
    }

    fn get(&self, id: i64) -> Option<&str> {
        self.0.get(usize::try_from(id).ok()?)?.as_deref()
    }
}

impl<'a> Lookups<'a> {
    /// Reads them. Blobs are looked up in the graph, which another thread reads meanwhile: a table of all
    /// digests beside it would take as much memory again.
    pub fn read(
        connection: &Connection,
        graph: &'a OnceLock<Option<Graph>>,
    ) -> rusqlite::Result<Self> {
        let first = "SELECT COALESCE(MIN(id), 0) FROM blob";
        Ok(Self {
            graph,
            first_blob: connection.query_row(first, [], |row| row.get(0))?,
            repositories: Texts::read(connection, "SELECT id, name FROM repository ORDER BY id")?,
            media_types: Texts::read(connection, "SELECT id, name FROM media_type ORDER BY id")?,
            build_steps: Texts::read(
                connection,
                "SELECT id, created_by FROM build_step ORDER BY id",
            )?,
            availability: availability(connection)?,
        })
    }

    /// What a number stands for.
    pub fn cell(&self, lookup: Lookup, id: i64) -> Cell<'_> {
        let texts = match lookup {
            Lookup::Repository => &self.repositories,
            Lookup::MediaType => &self.media_types,
            Lookup::BuildStep => &self.build_steps,
            Lookup::Digest | Lookup::OtherDigest | Lookup::Size => return self.of_blob(lookup, id),
            Lookup::Availability => {
                let known = usize::try_from(id).ok().and_then(|at| self.availability.get(at));
                return known
                    .filter(|state| **state < 2)
                    .map_or(Cell::Null, |state| Cell::Boolean(*state == 1));
            }
        };
        let text = texts.get(id);
        text.map_or(Cell::Null, |text| Cell::Text(text.into(), u32::try_from(id).ok()))
    }

    fn of_blob(&self, lookup: Lookup, id: i64) -> Cell<'_> {
        let place = usize::try_from(id - self.first_blob).ok();
        let graph = self.graph.wait().as_ref();
        let Some(blob) = graph.and_then(|graph| graph.blobs.get(place?)) else { return Cell::Null };
        match (lookup, &blob.digest) {
            (Lookup::Digest, Digest::Sha256(bytes)) => Cell::Digest(*bytes),
            (Lookup::OtherDigest, Digest::Other(text)) => Cell::Text((&**text).into(), None),
            (Lookup::Size, _) => {
                let size = blob.size_bytes.and_then(|size| i64::try_from(size).ok());
                size.map_or(Cell::Null, Cell::Integer)
            }
            _ => Cell::Null,
        }
    }
}

/// As the view `manifest_references` has it.
fn availability(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    let mut states: Vec<u8> = Vec::new();
    let mut each = |sql: &str, take: &mut dyn FnMut(&mut Vec<u8>, usize, usize)| {
        let mut select = connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let number = |column| {
                let number = row.get::<_, i64>(column)?;
                Ok::<_, rusqlite::Error>(usize::try_from(number).unwrap_or(usize::MAX))
            };
            take(&mut states, number(0)?, number(1)?);
        }
        Ok::<_, rusqlite::Error>(())
    };
    each("SELECT id, is_present FROM blob ORDER BY id", &mut |states, id, is_present| {
        if id <= states.len() + 1 {
            states.resize(id, 0);
            states.push(u8::from(is_present != 0));
        }
    })?;
    each("SELECT blob_id, target_blob_id FROM alias", &mut |states, id, target| {
        if states.get(target) == Some(&1)
            && let Some(state) = states.get_mut(id)
        {
            *state = 1;
        }
    })?;
    each("SELECT blob_id, 0 FROM unknown_blob", &mut |states, id, _| {
        if let Some(state) = states.get_mut(id) {
            *state = 2;
        }
    })?;
    Ok(states)
}

/// What reading needs.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub connection: &'a Connection,
    /// The database's file, for messages.
    pub database: &'a Path,
    pub lookups: &'a Lookups<'a>,
    /// Set when a person stops the export.
    pub stop: &'a AtomicBool,
}

impl Reading<'_> {
    /// Whether a person has stopped the export.
    pub fn check_stop(&self) -> Result<(), LakeError> {
        if self.stop.load(Ordering::Relaxed) { Err(LakeError::Stopped) } else { Ok(()) }
    }

    /// Hands every row of a table to the sink. Nothing to do for those that the graph gives.
    pub fn read(&self, table: &Table, sink: &mut dyn Sink) -> Result<(), LakeError> {
        let (sql, is_view) = match &table.source {
            Source::Statement(sql) => (*sql, false),
            Source::View(sql) => (sql.as_str(), true),
            Source::Graph => return Ok(()),
        };
        let on_sqlite = |source| LakeError::Read { database: self.database.to_owned(), source };
        let mut select = self.connection.prepare(sql).map_err(on_sqlite)?;
        let mut rows = select.query([]).map_err(on_sqlite)?;
        let mut row_count = 0_u64;
        while let Some(row) = rows.next().map_err(on_sqlite)? {
            row_count += 1;
            if row_count.is_multiple_of(4096) {
                self.check_stop()?;
            }
            let mut at = 0;
            for column in 0.. {
                let Some(declared) = table.columns.get(at) else { break };
                let value = row.get_ref(column).map_err(on_sqlite)?;
                let misfit = || LakeError::Misfit {
                    database: self.database.to_owned(),
                    table: table.name,
                    column: declared.name.clone(),
                };
                if is_view && declared.kind == Type::Digest {
                    let (digest, other) = digest_cells(value).ok_or_else(misfit)?;
                    sink.put(at, digest)?;
                    sink.put(at + 1, other)?;
                    at += 2;
                    continue;
                }
                sink.put(at, self.cell(declared, value).ok_or_else(misfit)?)?;
                at += 1;
            }
            sink.end_row()?;
        }
        Ok(())
    }

    /// `None` when the value is not what the column holds.
    fn cell<'v>(&'v self, column: &Column, value: ValueRef<'v>) -> Option<Cell<'v>> {
        Some(match (value, column.lookup, column.kind) {
            (ValueRef::Null, ..) => Cell::Null,
            (ValueRef::Integer(id), Some(lookup), _) => self.lookups.cell(lookup, id),
            (ValueRef::Integer(number), None, Type::Integer) => Cell::Integer(number),
            (ValueRef::Integer(number), None, Type::Boolean) => Cell::Boolean(number != 0),
            (ValueRef::Integer(number), None, Type::Time) => Cell::Time(number),
            (ValueRef::Blob(bytes), None, Type::Digest) => Cell::Digest(bytes.try_into().ok()?),
            (ValueRef::Text(bytes), None, Type::Text) => {
                Cell::Text(String::from_utf8_lossy(bytes), None)
            }
            (ValueRef::Text(bytes), None, Type::Time) => {
                let time: jiff::Timestamp = std::str::from_utf8(bytes).ok()?.parse().ok()?;
                Cell::Time(time.as_microsecond())
            }
            _ => return None,
        })
    }
}

/// A digest's text as its 32 bytes, or as text when it is of another algorithm.
fn digest_cells(value: ValueRef<'_>) -> Option<(Cell<'_>, Cell<'_>)> {
    let bytes = match value {
        ValueRef::Null => return Some((Cell::Null, Cell::Null)),
        ValueRef::Text(bytes) => bytes,
        _ => return None,
    };
    let text = String::from_utf8_lossy(bytes);
    Some(match Digest::parse(&text) {
        Ok(Digest::Sha256(bytes)) => (Cell::Digest(bytes), Cell::Null),
        _ => (Cell::Null, Cell::Text(text, None)),
    })
}
