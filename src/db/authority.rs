//! Who holds references besides the storage: written with a snapshot, and read back by whoever deletes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row as SqlRow, params};

use super::DatabaseError;
use super::content::digest_in;
use super::ids::Ids;
use crate::graph::{BlobId, ExternalRoot};
use crate::model::authority::{Authority, Evidence, EvidenceCode, Suspicion, suspicion};
use crate::model::{Digest, bytes_of, text_of};
use crate::roots::{Form, Source};

/// What a scan knows of it.
#[derive(Clone, Debug, Default)]
pub struct AuthorityRecord {
    /// What points to a holder of references outside of the storage.
    pub evidence: Vec<Evidence>,
    /// Places of repositories that never had a tag.
    pub without_tags: Vec<u32>,
    /// What somebody outside of the storage refers to, if that is known.
    pub roots: Option<RootsRecord>,
}

/// Roots, with what they mean here; their rows are in the new database.
#[derive(Clone, Debug)]
pub struct RootsRecord {
    /// What keeps things.
    pub authority: Authority,
    /// The files.
    pub sources: Vec<Source>,
    /// What they keep, sorted.
    pub external: Vec<ExternalRoot>,
    /// Blobs that they name or reach, sorted.
    pub known_blobs: Vec<BlobId>,
    /// Places of tags that they name, sorted.
    pub known_tags: Vec<u32>,
    /// Places of repositories with revisions that they name there, sorted.
    pub revisions: Vec<(u32, BlobId)>,
    /// Equal when the same files say the same.
    pub fingerprint: [u8; 32],
}

impl RootsRecord {
    /// Whether they answer for everything that is outside of the storage: an export of a database,
    /// which lists blobs or has a header, or what a person calls the authority. A list of what runs in
    /// a cluster only keeps what it names.
    fn is_export(&self) -> bool {
        let is_table = |source: &Source| matches!(source.form, Form::Csv | Form::Tsv);
        self.authority == Authority::Roots
            || self.sources.iter().any(|source| is_table(source) || source.has_blobs)
    }
}

impl AuthorityRecord {
    /// What the evidence says, unless an export answers it.
    pub fn suspicion(&self) -> Option<Suspicion> {
        let is_answered = self.roots.as_ref().is_some_and(RootsRecord::is_export);
        suspicion(&self.evidence).filter(|_| !is_answered)
    }
}

/// What a snapshot says of it.
#[derive(Clone, Debug, Default)]
pub struct StoredAuthority {
    /// What points to a holder of references outside of the storage.
    pub evidence: Vec<Evidence>,
    /// Repositories with revisions that never had a tag.
    pub never_tagged: BTreeSet<String>,
    /// Where there is evidence: repositories with revisions of which the roots name nothing.
    pub unnamed: BTreeSet<String>,
    /// An export answers the evidence.
    pub is_answered: bool,
    /// When the oldest export was written, in nanoseconds since 1970.
    pub roots_ns: Option<i64>,
    /// Manifests are in a database and not on disk.
    pub has_manifests_elsewhere: bool,
}

/// Writes the rows of a new snapshot.
pub(super) fn load(
    connection: &Connection,
    record: &AuthorityRecord,
    ids: &Ids<'_>,
) -> rusqlite::Result<()> {
    let open = record.suspicion();
    let roots = record.roots.as_ref();
    let sources = || roots.iter().flat_map(|roots| &roots.sources);
    let authority = roots.map_or(Authority::Storage, |roots| roots.authority);
    connection.execute(
        "INSERT INTO authority VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            authority.as_str(),
            suspicion(&record.evidence).map(|suspicion| suspicion.product.as_str()),
            open.is_some_and(|suspicion| suspicion.hides_manifests),
            open.is_some_and(|suspicion| suspicion.hides_tags),
            sources().map(|source| source.row_count as i64).sum::<i64>(),
            sources().map(|source| source.exported_ns).min(),
            roots.map_or([0; 32], |roots| roots.fingerprint).as_slice(),
        ],
    )?;
    let mut insert = connection.prepare("INSERT INTO evidence VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (id, evidence) in (1_i64..).zip(&record.evidence) {
        insert.execute(params![
            id,
            evidence.code.name(),
            evidence.count as i64,
            evidence.of as i64,
            evidence.example,
        ])?;
    }
    let mut insert = connection.prepare("INSERT INTO repository_without_tags VALUES (?1)")?;
    for place in &record.without_tags {
        insert.execute([ids.repository(*place)])?;
    }
    if let Some(record) = roots {
        load_roots(connection, record, ids)?;
    }
    connection.execute_batch(include_str!("sql/load_tagged_before.sql"))
}

fn load_roots(
    connection: &Connection,
    record: &RootsRecord,
    ids: &Ids<'_>,
) -> rusqlite::Result<()> {
    write_sources(connection, &record.sources)?;
    let mut insert = connection.prepare("INSERT INTO external_root VALUES (?1, ?2, ?3)")?;
    for root in &record.external {
        let repository = root.repository.map(|place| ids.repository(place));
        insert.execute(params![repository, ids.blob(root.blob), root.keeps_revisions])?;
    }
    let mut insert = connection.prepare("INSERT INTO known_blob VALUES (?1)")?;
    for blob in &record.known_blobs {
        insert.execute([ids.blob(*blob)])?;
    }
    let mut insert = connection.prepare("INSERT INTO known_tag VALUES (?1)")?;
    for tag in &record.known_tags {
        insert.execute([ids.tag(*tag)])?;
    }
    let mut insert = connection.prepare("INSERT INTO root_revision VALUES (?1, ?2)")?;
    for (place, blob) in &record.revisions {
        insert.execute([ids.repository(*place), ids.blob(*blob)])?;
    }
    Ok(())
}

/// Reads the evidence.
pub fn evidence(connection: &Connection) -> rusqlite::Result<Vec<Evidence>> {
    let mut select =
        connection.prepare("SELECT code, count, of_count, example FROM evidence ORDER BY id")?;
    let rows = select.query_map([], |row| {
        let code: String = row.get(0)?;
        let (count, of): (i64, i64) = (row.get(1)?, row.get(2)?);
        let example = row.get(3)?;
        // A file of a newer regsql is refused before, so every code is known.
        Ok(EvidenceCode::by_name(&code).map(|code| Evidence {
            code,
            count: count as u64,
            of: of as u64,
            example,
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// Reads what the snapshot says.
pub fn stored_authority(connection: &Connection) -> rusqlite::Result<StoredAuthority> {
    let repositories = |sql| -> rusqlite::Result<BTreeSet<String>> {
        connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    };
    let evidence = evidence(connection)?;
    let never_tagged = repositories(include_str!("sql/read_never_tagged.sql"))?;
    let unnamed = repositories(include_str!("sql/read_unnamed_repositories.sql"))?;
    let mut stored =
        StoredAuthority { evidence, never_tagged, unnamed, ..StoredAuthority::default() };
    let mut select = connection.prepare(include_str!("sql/read_authority.sql"))?;
    let mut rows = select.query([])?;
    if let Some(row) = rows.next()? {
        stored.is_answered = row.get(0)?;
        stored.roots_ns = row.get(1)?;
        stored.has_manifests_elsewhere = row.get(2)?;
    }
    Ok(stored)
}

/// The roots that the last scan read.
#[derive(Clone, Debug)]
pub struct PreviousRoots {
    /// The storage's root directory.
    pub root: String,
    /// What kept things.
    pub authority: Authority,
    /// The files, without their contents' hashes.
    pub sources: Vec<Source>,
    /// Equal when the same files say the same.
    pub fingerprint: Option<[u8; 32]>,
}

/// Reads which roots the last scan read; `None` when there is no database yet.
///
/// # Errors
/// When the file cannot be read, unless it is damaged.
pub fn previous_roots(database: &Path) -> Result<Option<PreviousRoots>, DatabaseError> {
    if !super::stamp::is_there(database) {
        return Ok(None);
    }
    let read = || -> Result<Option<PreviousRoots>, DatabaseError> {
        let connection = super::open_for_reading(database)?;
        let on_sqlite = |source| DatabaseError::from_sqlite(database, source);
        let read = || -> rusqlite::Result<Option<PreviousRoots>> {
            let mut select = connection.prepare(include_str!("sql/previous_authority.sql"))?;
            let mut rows = select.query([])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let authority: String = row.get(1)?;
            let sources = connection
                .prepare(include_str!("sql/previous_roots.sql"))?
                .query_map([], read_source)?
                .collect::<rusqlite::Result<_>>()?;
            let authority = match authority.as_str() {
                "roots" => Authority::Roots,
                "both" => Authority::Both,
                _ => Authority::Storage,
            };
            let fingerprint: Option<Vec<u8>> = row.get(2)?;
            let fingerprint = fingerprint.and_then(|bytes| bytes.try_into().ok());
            Ok(Some(PreviousRoots { root: row.get(0)?, authority, sources, fingerprint }))
        };
        read().map_err(on_sqlite)
    };
    match read() {
        // A damaged file is made anew, and remembers nothing.
        Err(error) if error.is_damage() => Ok(None),
        read => read,
    }
}

/// Writes what is known of the files.
fn write_sources(connection: &Connection, sources: &[Source]) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare("INSERT INTO root_source VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for (id, source) in (0_i64..).zip(sources) {
        insert.execute(params![
            id,
            text_of(source.path.as_os_str()),
            source.form.as_str(),
            source.row_count as i64,
            source.exported_ns,
            source.has_blobs,
            source.has_manifests_elsewhere,
            source.has_pulls,
            source.has_streams,
        ])?;
    }
    Ok(())
}

/// A file of roots as the snapshot knows it; its content is not known.
fn read_source(row: &SqlRow<'_>) -> rusqlite::Result<Source> {
    let path: String = row.get(0)?;
    Ok(Source {
        path: bytes_of(&path).map(PathBuf::from).unwrap_or_default(),
        form: match row.get_ref(1)?.as_str()? {
            "csv" => Form::Csv,
            "tsv" => Form::Tsv,
            "json" => Form::Json,
            _ => Form::Words,
        },
        row_count: row.get::<_, i64>(2)? as u64,
        exported_ns: row.get(3)?,
        sha256: [0; 32],
        has_blobs: row.get(4)?,
        has_manifests_elsewhere: row.get(5)?,
        has_pulls: row.get(6)?,
        has_streams: row.get(7)?,
    })
}

/// Hands every blob to `take` that the roots of the last scan named or reached and that was on disk then, or may have
/// been. A damaged file remembers nothing.
///
/// # Errors
/// When the file cannot be read.
pub fn each_known_before(
    database: &Path,
    mut take: impl FnMut(&Digest),
) -> Result<(), DatabaseError> {
    each_row(database, include_str!("sql/previous_known_blobs.sql"), |row| {
        take(&digest_in(row, 0)?);
        Ok(())
    })
}

/// Hands every manifest to `take` that the roots of the last scan named or reached, with each thing that it
/// named then. A damaged file remembers nothing.
///
/// # Errors
/// When the file cannot be read.
pub fn each_reference_known_before(
    database: &Path,
    mut take: impl FnMut(&Digest, &Digest),
) -> Result<(), DatabaseError> {
    each_row(database, include_str!("sql/previous_known_references.sql"), |row| {
        take(&digest_in(row, 0)?, &digest_in(row, 2)?);
        Ok(())
    })
}

fn each_row(
    database: &Path,
    sql: &str,
    mut take: impl FnMut(&SqlRow<'_>) -> rusqlite::Result<()>,
) -> Result<(), DatabaseError> {
    let mut read = || -> Result<(), DatabaseError> {
        let connection = super::open_for_reading(database)?;
        let mut read = || -> rusqlite::Result<()> {
            let mut select = connection.prepare(sql)?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                take(row)?;
            }
            Ok(())
        };
        read().map_err(|source| DatabaseError::from_sqlite(database, source))
    };
    match read() {
        Err(error) if error.is_damage() => Ok(()),
        read => read,
    }
}
