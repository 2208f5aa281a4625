//! The tables of a snapshot that need no figures, in a file of their own beside the new database.
//!
//! SQLite has one writer a file. A second file lets a second thread write half of the rows while the
//! first one writes the other half; copying whole tables of the same form costs a tenth of that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::PathBuf;

use rusqlite::{Connection, Statement, params};

use super::lock::{NEW_FILE_PRAGMAS, WriteLock, begin, beside, finish};
use super::rows::SortedTexts;
use super::summaries::load_image_summaries;
use super::{DatabaseError, migrate};
use crate::model::Role;
use crate::scan::{Catalog, CatalogManifest, TextNumber, describe_blobs};

/// The tables of references, to be taken into a new database. Dropped, its file is removed.
#[must_use]
pub struct References<'a> {
    lock: &'a WriteLock,
    path: PathBuf,
}

impl<'a> References<'a> {
    /// Writes the tables. Errors name the database, not the file that only helps to make it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn load(lock: &'a WriteLock, graph: &Catalog) -> Result<Self, DatabaseError> {
        let path = beside(lock.database(), ".references")?;
        begin(&path)?;
        let references = Self { lock, path };
        let on_sqlite = |source| DatabaseError::from_sqlite_write(lock.database(), source);
        let mut connection = Connection::open(&references.path).map_err(on_sqlite)?;
        connection.execute_batch(NEW_FILE_PRAGMAS).map_err(on_sqlite)?;
        migrate::create_tables(&mut connection)
            .map_err(|error| DatabaseError::from_migration(lock.database(), error))?;
        let load = || {
            let transaction = connection.unchecked_transaction()?;
            load_references(&transaction, graph)?;
            transaction.commit()
        };
        load().map_err(on_sqlite)?;
        connection.close().map_err(|(_, source)| on_sqlite(source))?;
        Ok(references)
    }

    /// Copies the tables into a new database, in which they are empty.
    pub(super) fn take_into(self, connection: &Connection) -> Result<(), DatabaseError> {
        let take = || {
            let path = self.path.as_os_str().as_encoded_bytes();
            // A path need not be text, and SQLite takes it as bytes.
            connection.execute("ATTACH CAST(?1 AS TEXT) AS side", [path])?;
            connection.execute_batch("BEGIN")?;
            connection.execute_batch(include_str!("sql/take_references.sql"))?;
            connection.execute_batch("COMMIT; DETACH side")
        };
        take().map_err(|source| DatabaseError::from_sqlite_write(self.lock.database(), source))
    }
}

impl Drop for References<'_> {
    fn drop(&mut self) {
        drop(finish(&self.path, || fs::remove_file(&self.path)));
    }
}

/// The part of the tables that needs no figures, so that it can be written while those are worked
/// out.
pub fn load_references(connection: &Connection, graph: &Catalog) -> rusqlite::Result<()> {
    let media_types = SortedTexts::new(&graph.media_types);
    let build_steps = SortedTexts::new(&graph.build_steps);
    texts(connection, "INSERT INTO media_type VALUES (?1, ?2)", &media_types)?;
    insert_build_steps(connection, graph, &build_steps)?;
    references(connection, graph, &media_types, &build_steps)?;
    load_image_summaries(connection, graph, &build_steps)?;
    aliases(connection, graph)
}

fn texts(connection: &Connection, sql: &str, texts: &SortedTexts<'_>) -> rusqlite::Result<()> {
    let mut insert = connection.prepare(sql)?;
    for (id, text) in (0_i64..).zip(&texts.sorted) {
        insert.execute(params![id, text])?;
    }
    Ok(())
}

fn insert_build_steps(
    connection: &Connection,
    graph: &Catalog,
    build_steps: &SortedTexts<'_>,
) -> rusqlite::Result<()> {
    // Count, bytes and the largest of the layers behind each.
    let mut layers = vec![(0_i64, 0_i64, 0_i64); build_steps.sorted.len()];
    for (description, file) in describe_blobs(graph).iter().zip(&graph.files) {
        if let (Some(step), Some(file)) = (build_steps.id(description.build_step), file) {
            let (count, bytes, largest) = &mut layers[step as usize];
            *count += 1;
            *bytes = bytes.saturating_add(file.size_bytes as i64);
            *largest = (*largest).max(file.size_bytes as i64);
        }
    }
    let mut insert = connection.prepare("INSERT INTO build_step VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (id, (text, (count, bytes, largest))) in
        (0_i64..).zip(build_steps.sorted.iter().zip(layers))
    {
        insert.execute(params![id, text, count, bytes, largest])?;
    }
    Ok(())
}

fn references(
    connection: &Connection,
    graph: &Catalog,
    media_types: &SortedTexts<'_>,
    build_steps: &SortedTexts<'_>,
) -> rusqlite::Result<()> {
    let mut rows = BTreeMap::new();
    for manifest in &graph.manifests {
        for (position, reference) in (0_u32..).zip(manifest.references()) {
            let rows = match rows.entry(reference.role) {
                Entry::Occupied(rows) => rows.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(ReferenceRows::new(connection, reference.role)?)
                }
            };
            let repeated = Repeated {
                manifest: manifest.blob,
                media_type: reference.media_type,
                platform: reference.platform,
                is_external: reference.is_external,
            };
            rows.repeat(repeated, graph, media_types)?;
            let step = build_steps.id(reference.build_step);
            rows.add(position, reference.blob, reference.declared_bytes.get(), step)?;
        }
    }
    let (ends, namings) = namings(graph);
    let mut insert = connection.prepare("INSERT INTO referenced_by VALUES (?1, ?2, ?3)")?;
    let mut start = 0;
    for (blob, end) in (0_u32..).zip(ends) {
        insert.raw_bind_parameter(1, blob)?;
        for (manifest, position) in &namings[start..end] {
            insert.raw_bind_parameter(2, manifest)?;
            insert.raw_bind_parameter(3, position)?;
            insert.raw_execute()?;
        }
        start = end;
    }
    Ok(())
}

/// By blob, the manifests that name it with the position at which they do, both sorted; and where those of each
/// blob end. Manifests are in order, so that counting puts all in order.
fn namings(graph: &Catalog) -> (Vec<usize>, Vec<(u32, u32)>) {
    let mut next = vec![0_usize; graph.digests.len() + 1];
    for reference in graph.manifests.iter().flat_map(CatalogManifest::references) {
        next[reference.blob as usize + 1] += 1;
    }
    for at in 1..next.len() {
        next[at] += next[at - 1];
    }
    let mut namings = vec![(0, 0); next.last().copied().unwrap_or(0)];
    for manifest in &graph.manifests {
        for (position, reference) in (0_u32..).zip(manifest.references()) {
            let place = &mut next[reference.blob as usize];
            namings[*place] = (manifest.blob, position);
            *place += 1;
        }
    }
    // Each place has moved on to where the next blob's begin.
    next.pop();
    (next, namings)
}

/// The references of one role. There are millions: what a row has in common with the one before stays bound.
struct ReferenceRows<'c> {
    insert: Statement<'c>,
    bound: Option<Repeated>,
}

/// What most references of a manifest have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Repeated {
    manifest: u32,
    media_type: Option<TextNumber>,
    platform: Option<TextNumber>,
    is_external: bool,
}

impl<'c> ReferenceRows<'c> {
    fn new(connection: &'c Connection, role: Role) -> rusqlite::Result<Self> {
        // A text that is bound is copied for each row: the role stands in the statement instead.
        let role = role.as_str();
        let sql =
            format!("INSERT INTO reference VALUES (?1, ?5, '{role}', ?6, ?7, ?2, ?3, ?8, ?4)");
        Ok(Self { insert: connection.prepare(&sql)?, bound: None })
    }

    fn repeat(
        &mut self,
        repeated: Repeated,
        graph: &Catalog,
        media_types: &SortedTexts<'_>,
    ) -> rusqlite::Result<()> {
        if self.bound.replace(repeated) == Some(repeated) {
            return Ok(());
        }
        let platform = repeated.platform.map(|number| graph.platforms[number.place()].as_str());
        self.insert.raw_bind_parameter(1, repeated.manifest)?;
        self.insert.raw_bind_parameter(2, media_types.id(repeated.media_type))?;
        self.insert.raw_bind_parameter(3, platform)?;
        self.insert.raw_bind_parameter(4, repeated.is_external)
    }

    fn add(
        &mut self,
        position: u32,
        blob: u32,
        declared_bytes: Option<u64>,
        build_step: Option<i64>,
    ) -> rusqlite::Result<()> {
        self.insert.raw_bind_parameter(5, position)?;
        self.insert.raw_bind_parameter(6, blob)?;
        let declared_bytes = declared_bytes.and_then(|bytes| i64::try_from(bytes).ok());
        self.insert.raw_bind_parameter(7, declared_bytes)?;
        self.insert.raw_bind_parameter(8, build_step)?;
        self.insert.raw_execute().map(drop)
    }
}

fn aliases(connection: &Connection, graph: &Catalog) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO alias VALUES (?1, ?2)")?;
    for (blob, target) in graph.sorted_aliases() {
        insert.execute(params![blob, target])?;
    }
    Ok(())
}
