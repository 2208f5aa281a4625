//! The tables of a snapshot that need no figures, in a file of their own beside the new database.
//!
//! SQLite has one writer a file. A second file lets a second thread write half of the rows while the
//! first one writes the other half; copying whole tables of the same form costs a tenth of that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::PathBuf;

use rusqlite::{Connection, Statement, params};

use super::ids::Ids;
use super::lock::{Making, NEW_FILE_PRAGMAS, WriteLock, begin, beside, finish, open_existing};
use super::summaries::load_image_summaries;
use super::table::{Gone, Target};
use super::{DatabaseError, migrate};
use crate::model::Role;
use crate::scan::{Catalog, CatalogManifest, TextNumber, describe_blobs};

/// The tables of references, to be taken into a new database. Dropped, its file is removed.
#[must_use]
pub struct References<'a> {
    lock: &'a WriteLock,
    path: PathBuf,
    making: Making,
    /// What the new database has and is to lose, if it is a copy of the last one.
    gone: Vec<Gone>,
}

impl<'a> References<'a> {
    /// Writes the tables, or what differs in them from the last snapshot where the new database is a copy of that.
    /// Errors name the database, not the file that only helps to make it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn load(
        lock: &'a WriteLock,
        graph: &Catalog,
        ids: &Ids<'_>,
        making: Making,
    ) -> Result<Self, DatabaseError> {
        let path = beside(lock.database(), ".references")?;
        begin(&path)?;
        let mut references = Self { lock, path, making, gone: Vec::new() };
        let on_sqlite = |source| DatabaseError::from_sqlite_write(lock.database(), source);
        let mut connection = Connection::open(&references.path).map_err(on_sqlite)?;
        connection.execute_batch(NEW_FILE_PRAGMAS).map_err(on_sqlite)?;
        migrate::create_tables(&mut connection)
            .map_err(|error| DatabaseError::from_migration(lock.database(), error))?;
        let mut load = || {
            let old = match making {
                Making::New => None,
                Making::Copy => Some(open_existing(lock.database())?),
            };
            let transaction = connection.unchecked_transaction()?;
            let target = Target { connection: &transaction, old: old.as_ref() };
            references.gone = load_references(target, graph, ids)?;
            transaction.commit()
        };
        load().map_err(on_sqlite)?;
        connection.close().map_err(|(_, source)| on_sqlite(source))?;
        Ok(references)
    }

    /// Copies the tables into a new database, in which they are empty unless it is a copy.
    pub(super) fn take_into(mut self, connection: &Connection) -> Result<(), DatabaseError> {
        let sql = match self.making {
            Making::New => include_str!("sql/take_references.sql"),
            Making::Copy => include_str!("sql/take_changed_references.sql"),
        };
        let gone = std::mem::take(&mut self.gone);
        let take = || {
            let path = self.path.as_os_str().as_encoded_bytes();
            // A path need not be text, and SQLite takes it as bytes.
            connection.execute("ATTACH CAST(?1 AS TEXT) AS side", [path])?;
            connection.execute_batch("BEGIN")?;
            connection.execute_batch(sql)?;
            for gone in gone {
                gone.delete(connection)?;
            }
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
pub fn load_references(
    target: Target<'_>,
    graph: &Catalog,
    ids: &Ids<'_>,
) -> rusqlite::Result<Vec<Gone>> {
    let Target { connection, .. } = target;
    let mut gone = Vec::new();
    let mut old = target.old("media_type", 1)?;
    let mut table = old.table(2)?;
    for (id, text) in ids.media_types.ids.iter().zip(&ids.media_types.sorted) {
        table.put(params![id, text])?;
    }
    gone.push(table.finish()?);
    gone.push(insert_build_steps(target, graph, ids)?);
    match target.old {
        None => references(connection, graph, ids)?,
        Some(_) => gone.extend(changed_references(target, graph, ids)?),
    }
    load_image_summaries(connection, graph, ids)?;
    aliases(connection, graph, ids)?;
    // In a new file nothing was there.
    Ok(if target.old.is_some() { gone } else { Vec::new() })
}

fn insert_build_steps(
    target: Target<'_>,
    graph: &Catalog,
    ids: &Ids<'_>,
) -> rusqlite::Result<Gone> {
    // Count, bytes and the largest of the layers behind each.
    let mut layers = vec![(0_i64, 0_i64, 0_i64); graph.build_steps.len()];
    for (description, file) in describe_blobs(graph).iter().zip(&graph.files) {
        if let (Some(step), Some(file)) = (description.build_step, file) {
            let (count, bytes, largest) = &mut layers[step.place()];
            *count += 1;
            *bytes = bytes.saturating_add(file.size_bytes as i64);
            *largest = (*largest).max(file.size_bytes as i64);
        }
    }
    let mut old = target.old("build_step", 1)?;
    let mut table = old.table(5)?;
    for (id, at) in ids.build_steps.ids.iter().zip(&ids.build_steps.order) {
        let (count, bytes, largest) = layers[*at];
        table.put(params![id, graph.build_steps[*at], count, bytes, largest])?;
    }
    table.finish()
}

/// Compares the references of the last snapshot with what there is.
fn changed_references(
    target: Target<'_>,
    graph: &Catalog,
    ids: &Ids<'_>,
) -> rusqlite::Result<[Gone; 2]> {
    let mut old = target.old("reference", 2)?;
    let mut table = old.table(9)?;
    for manifest in &graph.manifests {
        let id = ids.blob(manifest.blob);
        for (position, reference) in (0_u32..).zip(manifest.references()) {
            let declared_bytes = reference.declared_bytes.get();
            table.put(params![
                id,
                position,
                reference.role.as_str(),
                ids.blob(reference.blob),
                declared_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
                ids.media_types.id(reference.media_type),
                reference.platform.map(|number| graph.platforms[number.place()].as_str()),
                ids.build_steps.id(reference.build_step),
                reference.is_external,
            ])?;
        }
    }
    let gone = table.finish()?;
    let mut old = target.old("referenced_by", 3)?;
    let mut table = old.table(3)?;
    let (ends, namings) = namings(graph);
    let mut start = 0;
    for (blob, end) in (0_u32..).zip(ends) {
        for (manifest, position) in &namings[start..end] {
            table.put(params![ids.blob(blob), ids.blob(*manifest), position])?;
        }
        start = end;
    }
    Ok([gone, table.finish()?])
}

fn references(connection: &Connection, graph: &Catalog, ids: &Ids<'_>) -> rusqlite::Result<()> {
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
                manifest: ids.blob(manifest.blob),
                media_type: reference.media_type,
                platform: reference.platform,
                is_external: reference.is_external,
            };
            rows.repeat(repeated, graph, ids)?;
            let step = ids.build_steps.id(reference.build_step);
            rows.add(position, ids.blob(reference.blob), reference.declared_bytes.get(), step)?;
        }
    }
    let (ends, namings) = namings(graph);
    let mut insert = connection.prepare("INSERT INTO referenced_by VALUES (?1, ?2, ?3)")?;
    let mut start = 0;
    for (blob, end) in (0_u32..).zip(ends) {
        insert.raw_bind_parameter(1, ids.blob(blob))?;
        for (manifest, position) in &namings[start..end] {
            insert.raw_bind_parameter(2, ids.blob(*manifest))?;
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
    manifest: i64,
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
        ids: &Ids<'_>,
    ) -> rusqlite::Result<()> {
        if self.bound.replace(repeated) == Some(repeated) {
            return Ok(());
        }
        let platform = repeated.platform.map(|number| graph.platforms[number.place()].as_str());
        self.insert.raw_bind_parameter(1, repeated.manifest)?;
        self.insert.raw_bind_parameter(2, ids.media_types.id(repeated.media_type))?;
        self.insert.raw_bind_parameter(3, platform)?;
        self.insert.raw_bind_parameter(4, repeated.is_external)
    }

    fn add(
        &mut self,
        position: u32,
        blob: i64,
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

fn aliases(connection: &Connection, graph: &Catalog, ids: &Ids<'_>) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO alias VALUES (?1, ?2)")?;
    for (blob, target) in graph.sorted_aliases() {
        insert.execute(params![ids.blob(blob), ids.blob(target)])?;
    }
    Ok(())
}
