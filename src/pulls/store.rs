//! Pulls in the database: written in one transaction, under the lock that scans take.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Known, Pull, SECOND_NS, Span};
use crate::db::{DatabaseError, WriteLock, open_for_writing};

/// Logs are rotated and services restarted: a silence of this length between two logs is none.
const JOINED_NS: i64 = 12 * 3_600 * SECOND_NS;
/// Minutes held in memory: lines of a log are nearly in order.
const OPEN_MINUTES: usize = 64;
/// Sums held in memory before they are written.
const MOST_SUMS: usize = 50_000;
/// Bytes of what was counted that are kept, four for each pull: the newest eight million. A pull from
/// before those is not counted, for it may have been; its time is taken all the same.
pub const MOST_COUNTED_BYTES: i64 = 32 << 20;

/// Writes pulls. What was written counts only after [`PullStore::commit`].
pub struct PullStore<'a> {
    lock: &'a WriteLock,
    connection: Connection,
    known: Known,
    sums: HashMap<(String, String, String), Sum>,
    minutes: BTreeMap<i64, Minute>,
    /// What was counted up to this minute is no longer known.
    forgotten: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Sum {
    first_ns: i64,
    last_ns: i64,
    count: u64,
}

/// What was counted in a minute before this log, and in this log: equal lines count as often as they
/// stand in the log that has most of them.
#[derive(Debug, Default)]
struct Minute {
    stored: HashMap<u32, u32>,
    found: HashMap<u32, u32>,
}

/// What became of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredPulls {
    /// It is new.
    New,
    /// It was counted before.
    Counted,
    /// The snapshot has no such repository.
    Unknown,
}

impl<'a> PullStore<'a> {
    /// Begins to write into the database that the lock is for.
    ///
    /// # Errors
    /// When there is no database, or it cannot be written.
    pub fn begin(lock: &'a WriteLock) -> Result<Self, DatabaseError> {
        let connection = open_for_writing(lock.database())?;
        let begin = || -> rusqlite::Result<(Known, Option<i64>)> {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let sql = "SELECT MAX(minute) FROM pull_minute WHERE length(hashes) = 0";
            let forgotten = connection.query_row(sql, [], |row| row.get(0))?;
            let mut names = connection.prepare("SELECT name FROM repository")?;
            let names = names.query_map([], |row| row.get(0))?;
            Ok((names.collect::<rusqlite::Result<_>>()?, forgotten))
        };
        let (known, forgotten) = begin().map_err(|source| write_error(lock.database(), source))?;
        let (sums, minutes) = (HashMap::new(), BTreeMap::new());
        Ok(Self { lock, connection, known, sums, minutes, forgotten })
    }

    /// Whether the snapshot has the repository of a pull.
    pub fn knows(&self, pull: &Pull) -> bool {
        self.known.contains(&pull.repository)
    }

    /// Takes a pull in. When it was counted before, its time is taken all the same. A pull that does
    /// not `count` was written in another format as well.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn add(&mut self, pull: &Pull, counts: bool) -> Result<StoredPulls, DatabaseError> {
        if !self.knows(pull) {
            return Ok(StoredPulls::Unknown);
        }
        let is_new = counts && self.is_new(pull.at_ns.div_euclid(60 * SECOND_NS), pull.hash)?;
        let digest = pull.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        let key = (pull.repository.clone(), pull.reference.clone(), digest);
        let empty = Sum { first_ns: pull.at_ns, last_ns: pull.at_ns, count: 0 };
        let sum = self.sums.entry(key).or_insert(empty);
        sum.first_ns = sum.first_ns.min(pull.at_ns);
        sum.last_ns = sum.last_ns.max(pull.at_ns);
        sum.count = sum.count.saturating_add(if is_new { pull.count } else { 0 });
        if self.sums.len() >= MOST_SUMS {
            self.write_sums()?;
        }
        Ok(if is_new { StoredPulls::New } else { StoredPulls::Counted })
    }

    /// Ends a log: the same lines in the next one are the same pulls.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn end_log(&mut self, spans: &[Span]) -> Result<(), DatabaseError> {
        while let Some((minute, counted)) = self.minutes.pop_first() {
            self.write_minute(minute, &counted)?;
        }
        self.write_spans(spans).map_err(|source| self.error(source))
    }

    /// Makes all of it last.
    ///
    /// # Errors
    /// When the database cannot be written; it is as it was, then.
    pub fn commit(self) -> Result<(), DatabaseError> {
        self.commit_within(MOST_COUNTED_BYTES)
    }

    /// The same, with room for another number of bytes of what was counted.
    #[doc(hidden)]
    pub fn commit_within(mut self, most_bytes: i64) -> Result<(), DatabaseError> {
        self.write_sums()?;
        let forget = || {
            let sql = include_str!("sql/forget_minutes.sql");
            self.connection.prepare(sql)?.query_row([most_bytes], |row| row.get(0)).optional()
        };
        let last: Option<i64> = forget().map_err(|source| self.error(source))?;
        if let Some(last) = last {
            let forget = || {
                self.connection.execute("DELETE FROM pull_minute WHERE minute <= ?1", [last])?;
                self.connection.execute("INSERT INTO pull_minute VALUES (?1, x'')", [last])
            };
            forget().map_err(|source| self.error(source))?;
        }
        self.connection.execute_batch("COMMIT").map_err(|source| self.error(source))
    }

    fn error(&self, source: rusqlite::Error) -> DatabaseError {
        write_error(self.lock.database(), source)
    }

    fn is_new(&mut self, minute: i64, hash: u32) -> Result<bool, DatabaseError> {
        if self.forgotten.is_some_and(|forgotten| minute <= forgotten) {
            return Ok(false);
        }
        if !self.minutes.contains_key(&minute) {
            if self.minutes.len() >= OPEN_MINUTES
                && let Some((oldest, counted)) = self.minutes.pop_first()
            {
                self.write_minute(oldest, &counted)?;
            }
            let stored = self.read_minute(minute).map_err(|source| self.error(source))?;
            self.minutes.insert(minute, Minute { stored, found: HashMap::new() });
        }
        let Some(counted) = self.minutes.get_mut(&minute) else {
            return Ok(true);
        };
        let found = counted.found.entry(hash).or_insert(0);
        *found += 1;
        Ok(*found > counted.stored.get(&hash).copied().unwrap_or(0))
    }

    fn read_minute(&self, minute: i64) -> rusqlite::Result<HashMap<u32, u32>> {
        let sql = "SELECT hashes FROM pull_minute WHERE minute = ?1";
        let mut select = self.connection.prepare_cached(sql)?;
        let bytes: Vec<u8> =
            select.query_row([minute], |row| row.get(0)).optional()?.unwrap_or_default();
        let mut stored = HashMap::new();
        for hash in bytes.chunks_exact(4) {
            if let Ok(hash) = hash.try_into() {
                *stored.entry(u32::from_le_bytes(hash)).or_insert(0) += 1;
            }
        }
        Ok(stored)
    }

    fn write_minute(&self, minute: i64, counted: &Minute) -> Result<(), DatabaseError> {
        let mut all: BTreeMap<u32, u32> = BTreeMap::new();
        for (hash, count) in counted.stored.iter().chain(&counted.found) {
            let most = all.entry(*hash).or_insert(0);
            *most = (*most).max(*count);
        }
        let hashes = all.iter().flat_map(|(hash, count)| (0..*count).map(|_| hash.to_le_bytes()));
        let bytes: Vec<u8> = hashes.flatten().collect();
        let write = || {
            let sql = "INSERT OR REPLACE INTO pull_minute VALUES (?1, ?2)";
            self.connection.prepare_cached(sql)?.execute(params![minute, bytes])
        };
        write().map(drop).map_err(|source| self.error(source))
    }

    fn write_sums(&mut self) -> Result<(), DatabaseError> {
        let sums = std::mem::take(&mut self.sums);
        let write = || -> rusqlite::Result<()> {
            let mut merge = self.connection.prepare_cached(include_str!("sql/merge_pull.sql"))?;
            for ((repository, reference, digest), sum) in sums {
                let count = i64::try_from(sum.count).unwrap_or(i64::MAX);
                merge.execute(params![
                    repository,
                    reference,
                    digest,
                    sum.first_ns,
                    sum.last_ns,
                    count
                ])?;
            }
            Ok(())
        };
        write().map_err(|source| self.error(source))
    }

    /// Joins them with those that are there.
    fn write_spans(&self, spans: &[Span]) -> rusqlite::Result<()> {
        if spans.is_empty() {
            return Ok(());
        }
        let mut all: Vec<Span> = self
            .connection
            .prepare("SELECT from_ns, to_ns FROM pull_coverage")?
            .query_map([], |row| Ok(Span { from_ns: row.get(0)?, to_ns: row.get(1)? }))?
            .collect::<rusqlite::Result<_>>()?;
        all.extend_from_slice(spans);
        self.connection.execute("DELETE FROM pull_coverage", [])?;
        let mut insert = self.connection.prepare("INSERT INTO pull_coverage VALUES (?1, ?2)")?;
        for span in joined(all) {
            insert.execute([span.from_ns, span.to_ns])?;
        }
        Ok(())
    }
}

fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.from_ns, span.to_ns));
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.from_ns <= last.to_ns.saturating_add(JOINED_NS) => {
                last.to_ns = last.to_ns.max(span.to_ns);
            }
            _ => joined.push(span),
        }
    }
    joined
}

fn write_error(path: &Path, source: rusqlite::Error) -> DatabaseError {
    DatabaseError::from_sqlite_write(path, source)
}
