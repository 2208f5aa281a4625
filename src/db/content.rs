//! What is known of blobs' contents: which to read, and what reading them showed.
//!
//! A check takes hours, and scans may replace the file under it. So it holds neither the write lock
//! nor a transaction between batches, and a result is recorded by digest: in whatever snapshot is
//! there then.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{DatabaseError, WriteLock, open_for_reading, open_for_writing};
use crate::model::{Code, Digest, Finding};

/// A blob on disk, as the snapshot knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its number in this snapshot.
    pub id: i64,
    /// Its digest.
    pub digest: Digest,
    /// Size of `data`.
    pub size_bytes: u64,
    /// mtime of `data`, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// ctime of `data`, in nanoseconds since 1970.
    pub changed_ns: i64,
    /// When its content was last found right, in nanoseconds since 1970.
    pub verified_ns: Option<i64>,
}

/// What reading a blob showed.
#[derive(Clone, Debug)]
pub struct ContentResult {
    /// Its number in the snapshot that named it; another snapshot may give it another.
    pub id: i64,
    /// Its digest.
    pub digest: Digest,
    /// Where its data lies, below the registry's root.
    pub path: String,
    /// When it had been read, in nanoseconds since 1970.
    pub at_ns: i64,
    /// mtime of `data` when it was read; `None` when that is not known.
    pub modified_ns: Option<i64>,
    /// ctime of `data` when it was read; `None` when that is not known.
    pub changed_ns: Option<i64>,
    /// Inode of `data` when it was read; `None` when that is not known.
    pub inode: Option<u64>,
    /// What is wrong with it; none when its content is what its digest says.
    pub findings: Vec<Finding>,
}

/// A finding about content, and the times of the file in which it was found.
#[derive(Clone, Debug)]
pub struct StoredFinding {
    /// The finding.
    pub finding: Finding,
    /// The blob.
    pub blob: Digest,
    /// mtime of its `data`.
    pub modified_ns: i64,
    /// ctime of its `data`.
    pub changed_ns: i64,
    /// Inode of its `data`; `None` when a version found it that did not note that.
    pub inode: Option<u64>,
}

/// Reads which blobs there are. Memory does not grow with their number.
pub struct ContentReader {
    connection: Connection,
    path: PathBuf,
}

impl ContentReader {
    /// Opens the snapshot at `path`.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let connection = open_for_reading(path)?;
        // Mapped pages would count as this process's memory.
        connection
            .pragma_update(None, "mmap_size", 0)
            .map_err(|source| DatabaseError::from_sqlite(path, source))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// At most `count` blobs on disk with numbers above `after`, in the order of their digests.
    pub fn blobs_after(&self, after: i64, count: usize) -> Result<Vec<StoredBlob>, DatabaseError> {
        let read = || -> rusqlite::Result<Vec<StoredBlob>> {
            let sql = include_str!("sql/present_blobs_after.sql");
            let mut select = self.connection.prepare_cached(sql)?;
            let rows = select.query_map(params![after, count as i64], |row| {
                Ok(StoredBlob {
                    id: row.get(0)?,
                    digest: digest_in(row, 1)?,
                    size_bytes: row.get::<_, Option<i64>>(3)?.unwrap_or(0).try_into().unwrap_or(0),
                    modified_ns: row.get::<_, Option<i64>>(4)?.unwrap_or(0),
                    changed_ns: row.get::<_, Option<i64>>(5)?.unwrap_or(0),
                    verified_ns: row.get(6)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|source| DatabaseError::from_sqlite(&self.path, source))
    }

    /// The sha512 digests under which manifests name a blob, by the blob's number.
    pub fn sha512_names(&self) -> Result<HashMap<i64, Vec<Digest>>, DatabaseError> {
        let read = || -> rusqlite::Result<_> {
            let mut names: HashMap<i64, Vec<Digest>> = HashMap::new();
            let mut select = self.connection.prepare(include_str!("sql/sha512_names.sql"))?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let name = Digest::Other(row.get::<_, String>(1)?.into());
                names.entry(row.get(0)?).or_default().push(name);
            }
            Ok(names)
        };
        read().map_err(|source| DatabaseError::from_sqlite(&self.path, source))
    }
}

/// Columns `hash` and `other_digest` from `first` on.
pub(super) fn digest_in(row: &Row<'_>, first: usize) -> rusqlite::Result<Digest> {
    match row.get::<_, Option<[u8; 32]>>(first)? {
        Some(hash) => Ok(Digest::Sha256(hash)),
        None => Ok(Digest::Other(row.get::<_, String>(first + 1)?.into())),
    }
}

/// Writes what reading blobs showed into the snapshot that is there now. A blob that it does not
/// have is left out.
pub fn record_content(lock: &WriteLock, results: &[ContentResult]) -> Result<(), DatabaseError> {
    let path = lock.database();
    let mut connection = open_for_writing(path)?;
    let mut record = || -> rusqlite::Result<()> {
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let known = paths_with_findings(&transaction)?;
        let mut changed = false;
        for result in results {
            let Some(id) = id_of(&transaction, &result.digest, result.id)? else { continue };
            let verified_ns = result.findings.is_empty().then_some(result.at_ns);
            let sql = "UPDATE blob SET verified_ns = ?2, modified_ns = COALESCE(?3, modified_ns), changed_ns = COALESCE(?4, changed_ns) WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute(params![
                id,
                verified_ns,
                result.modified_ns,
                result.changed_ns
            ])?;
            if let Some(inode) = result.inode {
                let sql = "INSERT OR REPLACE INTO checked_file VALUES (?1, ?2)";
                transaction.prepare_cached(sql)?.execute(params![id, inode as i64])?;
            }
            if known.contains(&result.path) {
                changed = true;
                let sql = "DELETE FROM problem WHERE code IN (?1, ?2) AND path = ?3";
                let [wrong, unreadable] = CONTENT_CODES;
                transaction.execute(sql, params![wrong, unreadable, result.path])?;
            }
            for finding in &result.findings {
                changed = true;
                insert(&transaction, finding)?;
            }
        }
        changed |= blame_manifests(&transaction)?;
        if changed {
            transaction.execute_batch(COUNT_PROBLEMS_SQL)?;
            transaction.execute_batch(MARK_BROKEN_TAGS_SQL)?;
        }
        transaction.commit()
    };
    record().map_err(|source| DatabaseError::from_sqlite_write(path, source))
}

const COUNT_PROBLEMS_SQL: &str = include_str!("sql/count_problems.sql");
const MARK_BROKEN_TAGS_SQL: &str = include_str!("sql/mark_broken_tags.sql");

/// Marks the tags that something breaks of which the figures know nothing: they see what is missing,
/// which may be much, and so this looks only where there is more.
pub(super) fn mark_broken_tags(connection: &Connection) -> rusqlite::Result<()> {
    if blame_manifests(connection)? {
        connection.execute_batch(COUNT_PROBLEMS_SQL)?;
    }
    let sql = include_str!("sql/has_more_than_missing.sql");
    if connection.query_row(sql, [], |row| row.get(0))? {
        connection.execute_batch(MARK_BROKEN_TAGS_SQL)?;
    }
    Ok(())
}

/// Takes the blame for a wrong size from blobs whose content was found right. Says whether there
/// were any.
fn blame_manifests(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM problem WHERE code = 'size-mismatch')";
    if !connection.query_row(sql, [], |row| row.get(0))? {
        return Ok(false);
    }
    connection.execute_batch(include_str!("sql/blame_manifests.sql"))?;
    Ok(connection.changes() > 0)
}

const CONTENT_CODES: [&str; 2] = ["blob-content-mismatch", "blob-unreadable"];

fn insert(connection: &Connection, finding: &Finding) -> rusqlite::Result<()> {
    let sql = "INSERT INTO problem (code, severity, repository, digest, path, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        finding.code.name(),
        finding.code.severity().as_str(),
        finding.repository,
        finding.digest.as_ref().map(Digest::to_string),
        finding.path,
        finding.detail,
    ])?;
    Ok(())
}

fn paths_with_findings(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut select = connection.prepare("SELECT path FROM problem WHERE code IN (?1, ?2)")?;
    let rows = select.query_map(CONTENT_CODES, |row| row.get(0))?;
    rows.collect()
}

/// The number of a digest: the one that it had, or found by halving, as numbers follow digests.
fn id_of(connection: &Connection, digest: &Digest, hint: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT id, hash, other_digest FROM blob WHERE id >= ?1 ORDER BY id LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    // The first that is not below an id.
    let mut from = |id: i64| {
        select.query_row([id], |row| Ok((row.get::<_, i64>(0)?, digest_in(row, 1)?))).optional()
    };
    if from(hint)? == Some((hint, digest.clone())) {
        return Ok(Some(hint));
    }
    let ends = "SELECT COALESCE(MIN(id), 0), COALESCE(MAX(id) + 1, 0) FROM blob";
    let (mut low, mut high): (i64, i64) =
        connection.prepare_cached(ends)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    while low < high {
        let middle = low + (high - low) / 2;
        match from(middle)? {
            Some((id, found)) if found == *digest => return Ok(Some(id)),
            Some((id, found)) if found < *digest => low = id + 1,
            _ => high = middle,
        }
    }
    Ok(None)
}

/// The findings about content that the snapshot at `database` has.
pub fn content_findings(database: &Path) -> Result<Vec<StoredFinding>, DatabaseError> {
    if !super::stamp::is_there(database) {
        return Ok(Vec::new());
    }
    let connection = open_for_reading(database)?;
    let read = || -> rusqlite::Result<_> {
        let sql =
            "SELECT code, repository, digest, path, detail FROM problem WHERE code IN (?1, ?2)";
        let mut select = connection.prepare(sql)?;
        let mut rows = select.query(CONTENT_CODES)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let digest: Option<String> = row.get(2)?;
            let finding = Finding {
                code: Code::by_name(&row.get::<_, String>(0)?).unwrap_or(Code::BlobUnreadable),
                repository: row.get(1)?,
                digest: digest.and_then(|text| Digest::parse(&text).ok()),
                path: row.get(3)?,
                detail: row.get(4)?,
            };
            let Some(blob) = blob_at(&finding.path) else { continue };
            let Some(id) = id_of(&connection, &blob, 0)? else { continue };
            let sql = "SELECT b.modified_ns, b.changed_ns, c.inode FROM blob b LEFT JOIN checked_file c ON c.blob_id = b.id WHERE b.id = ?1";
            let (modified_ns, changed_ns, inode) =
                connection.prepare_cached(sql)?.query_row([id], |row| {
                    Ok((
                        row.get::<_, Option<i64>>(0)?,
                        row.get::<_, Option<i64>>(1)?,
                        row.get::<_, Option<i64>>(2)?.map(|inode| inode as u64),
                    ))
                })?;
            if let (Some(modified_ns), Some(changed_ns)) = (modified_ns, changed_ns) {
                found.push(StoredFinding { finding, blob, modified_ns, changed_ns, inode });
            }
        }
        Ok(found)
    };
    read().map_err(|source| DatabaseError::from_sqlite(database, source))
}

/// The blob whose data lies at `…/<hex>/data`.
pub(super) fn blob_at(path: &str) -> Option<Digest> {
    let hex = path.strip_suffix("/data")?.rsplit('/').next()?;
    Digest::from_sha256_hex(hex.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_about_content_are_those_of_the_model() {
        let codes = Code::ALL.iter().filter(|code| code.is_about_content());
        assert_eq!(codes.map(|code| code.name()).collect::<Vec<_>>(), CONTENT_CODES);
    }

    #[test]
    fn a_digest_is_found_wherever_another_snapshot_has_put_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::db::create_tables(&mut connection).unwrap();
        let mut digests: Vec<Digest> =
            (0..100_u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
        digests.push(Digest::Other(format!("sha512:{}", "ab".repeat(64)).into()));
        digests.sort();
        for (id, digest) in (7_i64..).step_by(3).zip(&digests) {
            let (hash, other) = match digest {
                Digest::Sha256(hash) => (Some(hash.to_vec()), None),
                Digest::Other(text) => (None, Some(text.to_string())),
            };
            let sql = "INSERT INTO blob VALUES (?1, ?2, ?3, 1, 0, 'layer', 1, 1, 1, NULL, NULL, 0, 0, 0, NULL, NULL, NULL, 0)";
            connection.execute(sql, params![id, hash, other]).unwrap();
        }
        for (id, digest) in (7_i64..).step_by(3).zip(&digests) {
            for hint in [0, id, id + 1, 500] {
                assert_eq!(id_of(&connection, digest, hint).unwrap(), Some(id));
            }
        }
        assert_eq!(id_of(&connection, &Digest::of(b"none"), 7).unwrap(), None);
    }
}
