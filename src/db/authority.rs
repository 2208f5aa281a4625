//! Who holds references besides the storage: written with a snapshot, and read back by whoever deletes.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use crate::model::authority::{Evidence, EvidenceCode, Suspicion, suspicion};

/// What a scan knows of it.
#[derive(Clone, Debug, Default)]
pub struct AuthorityRecord {
    /// What points to a holder of references outside of the storage.
    pub evidence: Vec<Evidence>,
    /// Places of repositories that never had a tag.
    pub without_tags: Vec<u32>,
}

impl AuthorityRecord {
    /// What the evidence says.
    pub fn suspicion(&self) -> Option<Suspicion> {
        suspicion(&self.evidence)
    }
}

/// What a snapshot says of it.
#[derive(Clone, Debug, Default)]
pub struct StoredAuthority {
    /// What points to a holder of references outside of the storage.
    pub evidence: Vec<Evidence>,
    /// Repositories with revisions that never had a tag.
    pub never_tagged: BTreeSet<String>,
}

/// Writes the rows of a new snapshot.
pub(super) fn load(connection: &Connection, record: &AuthorityRecord) -> rusqlite::Result<()> {
    let suspicion = record.suspicion();
    connection.execute(
        "INSERT INTO authority VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            "storage",
            suspicion.map(|suspicion| suspicion.product.as_str()),
            suspicion.is_some_and(|suspicion| suspicion.hides_manifests),
            suspicion.is_some_and(|suspicion| suspicion.hides_tags),
            0,
            None::<i64>,
            [0_u8; 32].as_slice(),
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
        insert.execute([place])?;
    }
    connection.execute_batch(include_str!("sql/load_tagged_before.sql"))
}

/// Reads what the snapshot says.
pub fn stored_authority(connection: &Connection) -> rusqlite::Result<StoredAuthority> {
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
    let evidence = rows.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
    let never_tagged = connection
        .prepare(include_str!("sql/read_never_tagged.sql"))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(StoredAuthority { evidence, never_tagged })
}
