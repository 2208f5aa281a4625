//! A lake: what regsql knows of many registries over many scans, as files that other engines read.
//!
//! ```text
//! LAKE/<view>/registry=NAME/scan=TIME/part-0.parquet
//!                                     _SUCCESS
//! ```
//!
//! Guarantees: a scan is published whole or not at all, `scan_info` last, which the views of an engine
//! ([`engines`]) go by; the same scan gives the same bytes wherever and whenever it is exported; memory
//! grows with the graph and not with the rows; files are written aside, so that no engine reads a part.
//! Prints nothing. Engines report; only regsql deletes.

mod address;
#[cfg(feature = "object-storage")]
mod bucket;
mod csv;
mod destination;
mod directory;
pub mod engines;
mod error;
pub mod fleet;
#[cfg(feature = "parquet")]
mod parquet;
mod partition;
mod rows;
mod staging;
mod table;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock, PoisonError};

use clap::ValueEnum;
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

pub use address::Engine;
#[cfg(feature = "object-storage")]
pub use bucket::InBucket;
pub use destination::{Destination, Finished};
pub use directory::Directory;
pub use error::LakeError;
pub use partition::Partition;
pub use staging::{Part, Staging};

use crate::db::{self, Blobs, ReadGraphError, ReferenceColumns};
use crate::graph::{self, Graph};
use rows::{Filling, Lookups, Reading, Sink, Writer};
use table::{LAST, Source, Table, tables};

/// Stands beside the files of a table's scan when all of them are there.
const MARKER: &str = "_SUCCESS";

/// The most rows of a file, which one task of an engine reads.
pub const PART_ROWS: NonZeroUsize = NonZeroUsize::new(10_000_000).unwrap();

/// What files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Typed columns, compressed with snappy
    #[cfg(feature = "parquet")]
    Parquet,
    /// Text with a header line
    Csv,
}

impl Default for FileFormat {
    fn default() -> Self {
        #[cfg(feature = "parquet")]
        return Self::Parquet;
        #[cfg(not(feature = "parquet"))]
        return Self::Csv;
    }
}

impl FileFormat {
    /// Its name, which files end with.
    pub fn extension(self) -> &'static str {
        match self {
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
            Self::Csv => "csv",
        }
    }
}

/// What to export.
#[derive(Clone, Copy)]
pub struct ExportOptions<'a> {
    /// The database.
    pub database: &'a Path,
    /// The registry's name in the lake; `None`: the root of its storage.
    pub registry: Option<&'a str>,
    /// What files are written.
    pub format: FileFormat,
    /// The most rows of a file: [`PART_ROWS`], but for tests.
    pub part_rows: NonZeroUsize,
    /// Threads that read and write.
    pub threads: NonZeroUsize,
    /// Set when a person stops it.
    pub stop: &'a AtomicBool,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Where it lies.
    pub partition: Partition,
    /// The registry's name.
    pub registry: String,
    /// It was there already, and nothing was changed.
    pub is_unchanged: bool,
    /// Tables.
    pub table_count: usize,
    /// Files.
    pub file_count: usize,
    /// Rows in them.
    pub row_count: u64,
    /// Their bytes.
    pub size_bytes: u64,
}

/// Which scan it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ScanIdentity {
    root: String,
    scan_number: i64,
    started_ns: i64,
    finished_ns: i64,
}

/// What a marker says.
#[derive(Serialize, Deserialize)]
struct Marker {
    registry: String,
    scan: ScanIdentity,
    tool_version: String,
    files: Vec<Part>,
}

/// Exports the scan in a database. Of a scan that is there already it changes nothing.
///
/// # Errors
/// Nothing of it is then where an engine would read it.
pub fn export(
    options: &ExportOptions<'_>,
    destination: &dyn Destination,
) -> Result<Exported, LakeError> {
    let database = options.database;
    let connections = open_all(database, options.threads.get())?;
    let first = &connections[0];
    let scan = identity(first, database)?;
    refuse_old_scan(first, database)?;
    let registry = options.registry.unwrap_or(&scan.root).to_owned();
    let partition = Partition::new(&registry, scan.finished_ns)?;
    let tables = tables().map_err(|source| read_error(database, source))?;
    refuse_storage(destination, &scan.root)?;
    destination.open(options.format.extension())?;
    let exported = |parts: &[Part], is_unchanged| Exported {
        partition: partition.clone(),
        registry: registry.clone(),
        is_unchanged,
        table_count: tables.len(),
        file_count: parts.len(),
        row_count: parts.iter().map(|part| part.rows).sum(),
        size_bytes: parts.iter().map(|part| part.bytes).sum(),
    };
    if let Some(parts) = published(destination, &partition, &tables, &registry, &scan)? {
        return Ok(exported(&parts, true));
    }
    let mut names: Vec<&'static str> = tables.iter().map(|table| table.name).collect();
    let staging = destination.stage(&partition, options.format.extension(), &names)?;
    let to = To { destination, partition: &partition, staging: &staging };
    let parts = write_all(options, connections, to, &tables)?;
    let mut finished: Vec<Finished> = Vec::with_capacity(tables.len());
    for (table, parts) in names.drain(..).zip(&parts) {
        let marker = Marker {
            registry: registry.clone(),
            scan: scan.clone(),
            tool_version: env!("CARGO_PKG_VERSION").into(),
            files: parts.clone(),
        };
        let mut marker = serde_json::to_vec(&marker).unwrap_or_default();
        marker.push(b'\n');
        finished.push(Finished { table, parts: parts.clone(), marker });
    }
    finished.sort_by_key(|finished| finished.table == LAST);
    destination.publish(staging, &partition, &finished)?;
    Ok(exported(&parts.concat(), false))
}

fn read_error(database: &Path, source: rusqlite::Error) -> LakeError {
    LakeError::Read { database: database.to_owned(), source }
}

/// Nothing but deletions may write in a registry's storage.
fn refuse_storage(destination: &dyn Destination, root: &str) -> Result<(), LakeError> {
    if destination.is_inside(root) {
        let place = destination.place().to_owned();
        return Err(LakeError::InStorage { place, root: root.to_owned() });
    }
    Ok(())
}

/// Pages that a connection keeps: tables that others are looked up in are read here and there.
const CACHE_KIB: i64 = 16 << 10;
/// The same while the graph is read, whose tables are read from end to end.
const GRAPH_CACHE_KIB: i64 = 1 << 10;

/// Connections that all see the same snapshot.
fn open_all(database: &Path, count: usize) -> Result<Vec<Connection>, LakeError> {
    let mut connections = Vec::with_capacity(count);
    let mut seen: Option<Option<ScanIdentity>> = None;
    for _ in 0..count {
        let connection = db::open_for_reading(database)?;
        let begin = || {
            // Pages that are read once need not stay in memory.
            connection.pragma_update(None, "mmap_size", 0_i64)?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            connection.execute_batch("BEGIN")?;
            read_identity(&connection)
        };
        let scan = begin().map_err(|source| read_error(database, source))?;
        if seen.replace(scan.clone()).is_some_and(|before| before != scan) {
            return Err(LakeError::Replaced(database.to_owned()));
        }
        connections.push(connection);
    }
    Ok(connections)
}

fn read_identity(connection: &Connection) -> rusqlite::Result<Option<ScanIdentity>> {
    let sql = "SELECT root, scan_number, started_ns, finished_ns FROM scan";
    let scan = connection.query_row(sql, [], |row| {
        Ok(ScanIdentity {
            root: row.get(0)?,
            scan_number: row.get(1)?,
            started_ns: row.get(2)?,
            finished_ns: row.get(3)?,
        })
    });
    scan.optional()
}

fn identity(connection: &Connection, database: &Path) -> Result<ScanIdentity, LakeError> {
    let scan = read_identity(connection).map_err(|source| read_error(database, source))?;
    scan.ok_or_else(|| LakeError::NoScan(database.to_owned()))
}

/// Migrations add tables that an older scan has not filled: what it says would be false.
fn refuse_old_scan(connection: &Connection, database: &Path) -> Result<(), LakeError> {
    match db::is_scan_current(connection) {
        Ok(true) => Ok(()),
        Ok(false) => Err(LakeError::OldScan(database.to_owned())),
        Err(source) => Err(read_error(database, source)),
    }
}

/// The parts of a scan that is published whole; `None` when it is not.
fn published(
    destination: &dyn Destination,
    partition: &Partition,
    tables: &[Table],
    registry: &str,
    scan: &ScanIdentity,
) -> Result<Option<Vec<Part>>, LakeError> {
    let Some(last) = destination.marker(LAST, partition)? else { return Ok(None) };
    if let Ok(there) = serde_json::from_slice::<Marker>(&last)
        && there.scan != *scan
    {
        return Err(LakeError::Taken {
            place: destination.place().to_owned(),
            registry: registry.to_owned(),
            root: there.scan.root,
        });
    }
    let mut parts = Vec::new();
    for table in tables {
        let marker = destination.marker(table.name, partition)?;
        let marker = marker.and_then(|bytes| serde_json::from_slice::<Marker>(&bytes).ok());
        let Some(marker) = marker.filter(|marker| marker.scan == *scan) else { return Ok(None) };
        let files = destination.list(table.name, partition)?;
        let is_there = |part: &Part| files.contains(&(part.name.clone(), part.bytes));
        if !marker.files.iter().all(is_there) {
            return Ok(None);
        }
        parts.extend(marker.files);
    }
    Ok(Some(parts))
}

/// A table's place, and its parts.
type Written = (usize, Vec<Part>);

/// What one thread writes at once: the place of a table, and those of its parts.
type Work = Vec<usize>;

/// The tables that take longest, in this order: when a thread has nothing left to do, the others have not much. The
/// references are the first also because the graph is read with them.
const FIRST: [&str; 10] = [
    table::REFERENCES,
    "blobs",
    "revisions",
    table::EDGES,
    "layer_links",
    table::REACH,
    "manifests",
    "tags",
    "tag_history",
    table::STARTS,
];

fn work_of(tables: &[Table]) -> Vec<Work> {
    let places = 0..tables.len();
    let is_whole = |at: &usize| !matches!(tables[*at].source, Source::Part { .. });
    let mut whole: Vec<usize> = places.clone().filter(is_whole).collect();
    whole.sort_by_key(|at| {
        FIRST.iter().position(|name| *name == tables[*at].name).unwrap_or(FIRST.len())
    });
    let with_parts = whole.into_iter().map(|first| {
        let is_part = |at: &usize| matches!(tables[*at].source, Source::Part { of, .. } if of == tables[first].name);
        std::iter::once(first).chain(places.clone().filter(is_part)).collect()
    });
    with_parts.collect()
}

/// Writes every table aside, several at once. The parts are in the order of the tables.
fn write_all(
    options: &ExportOptions<'_>,
    connections: Vec<Connection>,
    to: To<'_>,
    tables: &[Table],
) -> Result<Vec<Vec<Part>>, LakeError> {
    let first = connections.first().ok_or(LakeError::Stopped)?;
    let graph = OnceLock::new();
    let lookups = Lookups::read(first).map_err(|source| read_error(options.database, source))?;
    let job = Job { options, to, tables, lookups: &lookups, graph: &graph };
    let queue = Mutex::new(work_of(tables));
    let done: Mutex<(Vec<Written>, Option<LakeError>)> = Mutex::default();
    std::thread::scope(|scope| {
        for connection in connections {
            let (queue, done, job) = (&queue, &done, &job);
            scope.spawn(move || {
                let next = || job.next(&mut lock(queue));
                let has_failed = || lock(done).1.is_some();
                while !has_failed()
                    && let Some(work) = next()
                {
                    let written = job.write(work, &connection);
                    let mut done = lock(done);
                    match written {
                        Ok(parts) => done.0.extend(parts),
                        Err(error) => drop(done.1.get_or_insert(error)),
                    }
                }
            });
        }
    });
    match done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        (_, Some(error)) => Err(error),
        (mut written, None) => {
            written.sort_by_key(|(at, _)| *at);
            Ok(written.into_iter().map(|(_, parts)| parts).collect())
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the files of an export go.
#[derive(Clone, Copy)]
struct To<'a> {
    destination: &'a dyn Destination,
    partition: &'a Partition,
    staging: &'a Staging,
}

/// What every thread needs.
struct Job<'a> {
    options: &'a ExportOptions<'a>,
    to: To<'a>,
    tables: &'a [Table],
    lookups: &'a Lookups,
    /// Whoever writes the references sets it, come what may.
    graph: &'a OnceLock<Option<Graph>>,
}

impl<'a> Job<'a> {
    /// What to do next: nothing that would wait for the graph while there is something else.
    fn next(&self, queue: &mut Vec<Work>) -> Option<Work> {
        let has_graph = self.graph.get().is_some();
        let is_ready = |work: &Work| has_graph || self.tables[work[0]].source != Source::Graph;
        let at = queue.iter().position(is_ready).unwrap_or(0);
        (at < queue.len()).then(|| queue.remove(at))
    }

    fn write(&self, work: Work, connection: &Connection) -> Result<Vec<Written>, LakeError> {
        match self.options.format {
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => self.write_as::<parquet::Writer<'a>>(work, connection),
            FileFormat::Csv => self.write_as::<csv::Writer<'a>>(work, connection),
        }
    }

    /// It is a function of the writer's type: a million blobs have a hundred million values.
    fn write_as<W: Writer<'a>>(
        &self,
        work: Work,
        connection: &Connection,
    ) -> Result<Vec<Written>, LakeError> {
        let reading = Reading {
            connection,
            database: self.options.database,
            lookups: self.lookups,
            stop: self.options.stop,
        };
        let is_references = |at: &usize| matches!(self.tables[*at].source, Source::References(_));
        let _ends_waiting =
            work.iter().any(is_references).then(|| EndsWaiting(&self.lookups.blobs, self.graph));
        let fillings: Result<Vec<Filling<'a, W>>, LakeError> =
            work.iter().map(|at| self.begin(*at)).collect();
        let mut fillings = fillings?;
        match &mut fillings[..] {
            [filling] if matches!(filling.table.source, Source::References(_)) => {
                self.read_graph(reading, filling)?;
            }
            [filling] if filling.table.source == Source::Graph => self.fill(reading, filling)?,
            fillings => reading.read(fillings)?,
        }
        work.into_iter().zip(fillings).map(|(at, filling)| self.finish(at, filling)).collect()
    }

    fn begin<W: Writer<'a>>(&self, at: usize) -> Result<Filling<'a, W>, LakeError> {
        let table = &self.tables[at];
        let writer = W::begin(self.to.staging, table, self.options.part_rows.get())?;
        Ok(Filling::new(table, writer))
    }

    fn finish<W: Writer<'a>>(
        &self,
        at: usize,
        filling: Filling<'a, W>,
    ) -> Result<Written, LakeError> {
        let To { destination, partition, staging } = self.to;
        let parts = filling.sink.finish()?;
        destination.take(staging, partition, filling.table.name, &parts)?;
        Ok((at, parts))
    }

    /// Reads the graph, and hands its references to the sink.
    fn read_graph<S: Sink>(
        &self,
        reading: Reading<'_>,
        references: &mut Filling<'_, S>,
    ) -> Result<(), LakeError> {
        let keep_pages = |kib: i64| {
            let kept = reading.connection.pragma_update(None, "cache_size", -kib);
            kept.map_err(|source| reading.read_error(source))
        };
        keep_pages(GRAPH_CACHE_KIB)?;
        let blobs =
            db::read_blobs(reading.connection).map_err(|error| reading.graph_error(error))?;
        let blobs = self.lookups.blobs.get_or_init(|| Some(blobs));
        let blobs = blobs.as_ref().ok_or(LakeError::Stopped)?;
        let graph = read_graph(reading, blobs, references)?;
        self.graph.get_or_init(|| Some(graph));
        keep_pages(CACHE_KIB)
    }

    /// Hands every row of a table that the graph gives to the sink.
    fn fill<S: Sink>(
        &self,
        reading: Reading<'_>,
        filling: &mut Filling<'_, S>,
    ) -> Result<(), LakeError> {
        match (self.graph.wait(), self.lookups.blobs.wait()) {
            (Some(graph), Some(blobs)) => {
                fill(reading, filling.table, graph, blobs.ids(), &mut filling.sink)
            }
            // Whoever could not read them says why.
            _ => Ok(()),
        }
    }
}

/// The rows of a table that the graph gives; `ids` are the numbers of its blobs, by place.
fn fill(
    reading: Reading<'_>,
    table: &Table,
    graph: &Graph,
    ids: &[i64],
    sink: &mut impl Sink,
) -> Result<(), LakeError> {
    let number = |blob: graph::BlobId| ids[blob as usize];
    let mut put = |first: First<'_>, blobs: &[graph::BlobId]| {
        reading.check_stop()?;
        for blob in blobs {
            match first {
                First::Number(id) => sink.number(0, id),
                First::Repository(name, place) => sink.text(0, name, Some(place)),
                First::Nothing => sink.null(0),
            }
            sink.number(1, number(*blob));
            sink.end_row()?;
        }
        Ok(())
    };
    let repository = |place: Option<u32>| match place {
        Some(place) => First::Repository(&graph.repositories[place as usize].name, place),
        None => First::Nothing,
    };
    match table.name {
        table::EDGES => graph::edges(graph, |from, to| put(First::Number(number(from)), to)),
        table::STARTS => graph::starts(graph, |place, blobs| put(repository(place), blobs)),
        _ => graph::reached(graph, |place, blobs| put(repository(place), blobs)),
    }
}

/// What stands first in rows of the graph.
#[derive(Clone, Copy)]
enum First<'a> {
    Number(i64),
    /// Its name, and its place among all.
    Repository(&'a str, u32),
    Nothing,
}

/// Lets no thread wait for blobs or a graph that never come.
struct EndsWaiting<'a>(&'a OnceLock<Option<Blobs>>, &'a OnceLock<Option<Graph>>);

impl Drop for EndsWaiting<'_> {
    fn drop(&mut self) {
        drop(self.0.set(None));
        drop(self.1.set(None));
    }
}

/// Why the graph was not read.
enum GraphError {
    Read(ReadGraphError),
    Write(LakeError),
}

impl From<ReadGraphError> for GraphError {
    fn from(error: ReadGraphError) -> Self {
        Self::Read(error)
    }
}

/// Reads the graph, and hands the references of manifests that are no orphans to the sink.
fn read_graph<S: Sink>(
    reading: Reading<'_>,
    blobs: &Blobs,
    references: &mut Filling<'_, S>,
) -> Result<Graph, LakeError> {
    let Source::References(sql) = references.table.source else { return Err(LakeError::Stopped) };
    let columns = &references.table.columns;
    let from =
        |name: &str| columns.iter().find(|column| column.name == name).map(|found| found.from);
    let from = |name| from(name).unwrap_or(usize::MAX);
    let columns = ReferenceColumns {
        sql,
        manifest: from("manifest_id"),
        role: from("role"),
        blob: from("blob_id"),
        is_external: from("is_external"),
    };
    let orphans = reading.orphan_manifests()?;
    let mut orphans = orphans.into_iter().peekable();
    let unavailable = reading.lookups.unavailable(blobs);
    let mut row_count = 0_u64;
    let graph = db::read_graph_with(reading.connection, blobs, &columns, |row| {
        row_count += 1;
        if row_count.is_multiple_of(4096) {
            reading.check_stop().map_err(GraphError::Write)?;
        }
        while orphans.next_if(|orphan| *orphan < row.manifest_id).is_some() {}
        if orphans.peek() == Some(&row.manifest_id) {
            return Ok(());
        }
        let is_available = unavailable.get(&row.blob_id).copied().unwrap_or(Some(true));
        let put = reading.put_row(references, |column| row.value(column), is_available);
        put.map_err(GraphError::Write)
    });
    graph.map_err(|error| match error {
        GraphError::Write(error) => error,
        GraphError::Read(error) => reading.graph_error(error),
    })
}
