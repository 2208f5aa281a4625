//! Rows of roots in a new database: written before the storage is known, read again when it is.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use rusqlite::{Connection, Row as SqlRow, params};

use super::DatabaseError;
use super::ids::new_blob_id;
use super::publish::NewDatabase;
use crate::graph::BlobId;
use crate::model::Digest;
use crate::roots::{Batch, Origin, RootKind};

/// A row that was written.
pub struct StoredRoot<'a> {
    /// What it names.
    pub kind: RootKind,
    /// Which object names it.
    pub origin: Origin,
    /// The number of its repository in [`NewDatabase::root_repositories`].
    pub repository: Option<u32>,
    /// Its tag.
    pub tag: Option<&'a str>,
    /// Its digest.
    pub digest: Option<Digest>,
}

/// What a row names here.
#[derive(Clone, Copy, Debug)]
pub struct ResolvedRow {
    /// Its blob, on disk or not.
    pub blob: BlobId,
    /// Its blob, or its tag, is on disk.
    pub is_found: bool,
}

/// Numbers of repositories by their names.
type Numbers = HashMap<Box<str>, u32, RandomState>;

impl NewDatabase<'_> {
    /// Writes rows, each batch with its file's number.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_roots(
        &self,
        batches: impl Iterator<Item = (u32, Batch)>,
    ) -> Result<(), DatabaseError> {
        self.in_transaction(|connection| {
            let mut name = connection.prepare("INSERT INTO root_repository VALUES (?1, ?2)")?;
            let mut insert = connection.prepare(
                "INSERT INTO root_row VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            let mut numbers = Numbers::default();
            let mut number_of = |text: &str| -> rusqlite::Result<u32> {
                if let Some(number) = numbers.get(text) {
                    return Ok(*number);
                }
                let number = numbers.len() as u32;
                name.execute(params![number, text])?;
                numbers.insert(text.into(), number);
                Ok(number)
            };
            for (source, batch) in batches {
                for row in batch.rows() {
                    let (hash, other) = match &row.digest {
                        Some(Digest::Sha256(hash)) => (Some(hash.as_slice()), None),
                        Some(Digest::Other(text)) => (None, Some(&**text)),
                        None => (None, None),
                    };
                    insert.execute(params![
                        source,
                        row.line as i64,
                        row.kind.as_str(),
                        row.origin as u8,
                        row.repository.map(&mut number_of).transpose()?,
                        row.tag,
                        hash,
                        other,
                        row.size_bytes,
                        row.pushed_ns,
                        row.pulled_ns,
                    ])?;
                }
            }
            Ok(())
        })
    }

    /// Names of the repositories that rows name; the place is the number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn root_repositories(&self) -> Result<Vec<String>, DatabaseError> {
        self.in_transaction(|connection| {
            let mut select = connection.prepare("SELECT name FROM root_repository ORDER BY id")?;
            select.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// Hands every row to `resolve`, and notes what it names.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn resolve_roots(
        &self,
        mut resolve: impl FnMut(&StoredRoot<'_>) -> Option<ResolvedRow>,
    ) -> Result<(), DatabaseError> {
        self.in_transaction(|connection| {
            let mut insert = connection.prepare("INSERT INTO root_blob VALUES (?1, ?2, ?3)")?;
            each(connection, |id, root| {
                if let Some(row) = resolve(root) {
                    insert.execute(params![id, new_blob_id(row.blob), row.is_found])?;
                }
                Ok(())
            })
        })
    }

    /// Hands every digest that a row names to `take`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn each_root_digest(&self, mut take: impl FnMut(Digest)) -> Result<(), DatabaseError> {
        self.in_transaction(|connection| {
            each(connection, |_, root| {
                if let Some(digest) = &root.digest {
                    take(digest.clone());
                }
                Ok(())
            })
        })
    }

    /// Takes the rows over from the database whose place this one takes. After an error the file is of no
    /// use.
    ///
    /// # Errors
    /// When the old file cannot be read, or this one not be written.
    pub fn copy_roots(&self) -> Result<(), DatabaseError> {
        self.with_old(include_str!("sql/copy_roots.sql"))
    }
}

fn each(
    connection: &Connection,
    mut take: impl FnMut(i64, &StoredRoot<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare(include_str!("sql/root_rows.sql"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        take(row.get(0)?, &stored(row)?)?;
    }
    Ok(())
}

fn stored<'a>(row: &'a SqlRow<'_>) -> rusqlite::Result<StoredRoot<'a>> {
    let hash = row.get_ref(5)?.as_blob_or_null()?;
    let sha256 = hash.and_then(|hash| hash.try_into().ok()).map(Digest::Sha256);
    let other = || -> rusqlite::Result<Option<Digest>> {
        Ok(row.get_ref(6)?.as_str_or_null()?.map(|text| Digest::Other(text.into())))
    };
    Ok(StoredRoot {
        kind: match row.get_ref(1)?.as_str()? {
            "blob" => RootKind::Blob,
            "manifest-elsewhere" => RootKind::ManifestElsewhere,
            _ => RootKind::Manifest,
        },
        origin: match row.get(2)? {
            1 => Origin::Image,
            2 => Origin::ImageStream,
            _ => Origin::Other,
        },
        repository: row.get(3)?,
        tag: row.get_ref(4)?.as_str_or_null()?,
        digest: if sha256.is_some() { sha256 } else { other()? },
    })
}
