//! Confines queries that a person wrote: they can read the snapshot, and nothing else.
//!
//! Four locks, each enough for its own danger: the connection is read-only (no write); the
//! authorizer lets only reading actions be compiled (no ATTACH, no extension, no pragma with a
//! value, so no other file); a progress handler ends a query at its deadline or when a person says
//! so; limits on the length of values and on the heap make a query that builds huge values fail
//! instead of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, InterruptHandle};

/// Longest text or blob that a query may build. Any snapshot's own values are far shorter; a query
/// that passes it repeats or concatenates without end.
const MAX_VALUE_BYTES: i32 = 16 << 20;
const MAX_SQL_BYTES: i32 = 1 << 20;
const MAX_EXPRESSION_DEPTH: i32 = 200;
/// Enough to sort every row of a snapshot of ten million blobs.
const MAX_HEAP_BYTES: i64 = 1 << 30;
/// Virtual machine steps between two looks at the clock: well under a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 5_000;

/// Pragmas that only describe the schema.
const HARMLESS_PRAGMAS: &[&str] = &[
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "collation_list",
    "function_list",
    "compile_options",
    "database_list",
];

/// Functions that reach outside the database, or change how it works.
const DENIED_FUNCTIONS: &[&str] = &[
    "load_extension",
    "fts3_tokenizer",
    "fts5",
    "readfile",
    "writefile",
    "edit",
    "fsdir",
    "sqlite_compileoption_get",
];

/// What was stopped, and by whom.
#[derive(Debug, Default)]
struct Stops {
    by_user: AtomicBool,
    by_clock: AtomicBool,
}

/// Watches the queries of one connection.
#[derive(Debug)]
pub struct Guard {
    stops: Arc<Stops>,
}

/// Stops a running query from another thread.
pub struct Stopper {
    stops: Arc<Stops>,
    handle: InterruptHandle,
}

impl Stopper {
    /// Ends the query that runs now; its rows so far stay.
    pub fn stop(&self) {
        self.stops.by_user.store(true, Ordering::SeqCst);
        self.handle.interrupt();
    }
}

impl Guard {
    /// Confines `connection` for good, and ends what runs on it when `time_limit` has passed.
    pub fn new(connection: &Connection, time_limit: Option<Duration>) -> rusqlite::Result<Self> {
        // Set before the authorizer, which refuses pragmas with a value.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update_and_check(None, "hard_heap_limit", MAX_HEAP_BYTES, |_| Ok(()))?;
        connection.pragma_update(None, "query_only", true)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
        connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL_BYTES)?;
        connection.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, MAX_EXPRESSION_DEPTH)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
        add_regexp(connection)?;
        connection.authorizer(Some(authorize))?;

        let stops = Arc::new(Stops::default());
        let seen = Arc::clone(&stops);
        let deadline = time_limit.and_then(|limit| Instant::now().checked_add(limit));
        connection.progress_handler(
            STEPS_BETWEEN_CHECKS,
            Some(move || {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    seen.by_clock.store(true, Ordering::SeqCst);
                }
                seen.by_clock.load(Ordering::SeqCst) || seen.by_user.load(Ordering::SeqCst)
            }),
        )?;
        Ok(Self { stops })
    }

    /// A handle that stops `connection`'s queries from another thread.
    pub fn stopper(&self, connection: &Connection) -> Stopper {
        Stopper { stops: Arc::clone(&self.stops), handle: connection.get_interrupt_handle() }
    }

    /// Whether a person stopped it.
    pub fn was_stopped(&self) -> bool {
        self.stops.by_user.load(Ordering::SeqCst)
    }

    /// Whether its time was up.
    pub fn timed_out(&self) -> bool {
        self.stops.by_clock.load(Ordering::SeqCst)
    }
}

/// A pattern that needs more than this is refused.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// `X REGEXP Y`, for a person's own queries. The stock shell of some systems lacks it, so no report
/// uses it.
fn add_regexp(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("regexp", 2, flags, |context| {
        let compile = |value: ValueRef<'_>| -> std::result::Result<regex::Regex, BoxedError> {
            let pattern = value.as_str()?;
            Ok(regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build()?)
        };
        if context.get_raw(0) == ValueRef::Null || context.get_raw(1) == ValueRef::Null {
            return Ok(None);
        }
        let pattern = context.get_or_create_aux(0, compile)?;
        let text: Value = context.get(1)?;
        Ok(Some(match text {
            Value::Text(text) => pattern.is_match(&text),
            Value::Integer(number) => pattern.is_match(&number.to_string()),
            _ => false,
        }))
    })
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Allows what reads, denies the rest: what a later SQLite may add is denied until it is known.
fn authorize(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select | AuthAction::Recursive | AuthAction::Read { .. } => true,
        AuthAction::Function { function_name } => {
            !DENIED_FUNCTIONS.iter().any(|denied| function_name.eq_ignore_ascii_case(denied))
        }
        AuthAction::Pragma { pragma_name, .. } => {
            HARMLESS_PRAGMAS.iter().any(|known| pragma_name.eq_ignore_ascii_case(known))
        }
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a); CREATE INDEX i ON t (a)").unwrap();
        Guard::new(&connection, None).unwrap();
        connection
    }

    fn run(sql: &str) -> Result<i64, String> {
        let connection = guarded();
        let mut statement = connection.prepare(sql).map_err(|error| error.to_string())?;
        let mut rows = statement.query([]).map_err(|error| error.to_string())?;
        let mut count = 0;
        while rows.next().map_err(|error| error.to_string())?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn nothing_that_writes_or_leaves_the_file_is_even_compiled() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "DELETE FROM t",
            "UPDATE t SET a = 1",
            "CREATE TABLE u (a)",
            "CREATE TEMP TABLE u (a)",
            "CREATE TEMP VIEW u AS SELECT 1",
            "CREATE VIRTUAL TABLE u USING fts5(a)",
            "DROP TABLE t",
            "ALTER TABLE t RENAME TO u",
            "ATTACH '/tmp/other.db' AS other",
            "DETACH main",
            "VACUUM INTO '/tmp/other.db'",
            "VACUUM",
            "REINDEX",
            "ANALYZE",
            "BEGIN",
            "SAVEPOINT s",
            "PRAGMA query_only = 0",
            "PRAGMA hard_heap_limit = 0",
            "PRAGMA writable_schema = 1",
            "PRAGMA temp_store_directory = '/tmp'",
            "PRAGMA wal_checkpoint",
            "PRAGMA journal_mode = DELETE",
            "SELECT load_extension('x')",
            "SELECT fts3_tokenizer('simple')",
            "SELECT readfile('/etc/passwd')",
            "SELECT writefile('/tmp/x', 'y')",
            "SELECT edit('x')",
            "SELECT 1; DROP TABLE t",
        ] {
            assert!(run(sql).is_err(), "{sql} ran");
        }
    }

    #[test]
    fn reading_and_looking_at_the_schema_is_allowed() {
        for sql in [
            "SELECT count(*) FROM t",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n",
            "EXPLAIN QUERY PLAN SELECT * FROM t",
            "PRAGMA table_info(t)",
            "SELECT * FROM pragma_table_info('t')",
            "SELECT name FROM sqlite_schema",
            "SELECT group_concat(a) OVER () FROM t",
            "SELECT json_extract('{\"a\":1}', '$.a')",
            "SELECT 1 WHERE 'v1.2' REGEXP '^v[0-9]+' AND NOT 'latest' REGEXP '^v' AND NULL REGEXP 'a' IS NULL",
        ] {
            if let Err(error) = run(sql) {
                panic!("{sql}: {error}");
            }
        }
    }

    #[test]
    fn values_that_would_fill_the_memory_are_errors() {
        for sql in [
            "SELECT 'a' REGEXP '('",
            "SELECT 'a' REGEXP '(a{1000}){1000}'",
            "SELECT zeroblob(1000000000)",
            "SELECT hex(randomblob(900000000))",
            "SELECT printf('%.*c', 900000000, 'x')",
            "WITH RECURSIVE n(s) AS (SELECT 'xxxxxxxx' UNION ALL SELECT s || s FROM n) SELECT max(length(s)) FROM n",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT group_concat('xxxxxxxxxxxxxxxx') FROM n",
        ] {
            assert!(run(sql).is_err(), "{sql} ran");
        }
    }

    #[test]
    fn a_query_without_end_is_stopped_by_the_clock() {
        let connection = Connection::open_in_memory().unwrap();
        let guard = Guard::new(&connection, Some(Duration::from_millis(20))).unwrap();
        let error = connection
            .query_row(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
                [],
                |row| row.get::<_, i64>(0),
            )
            .unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
        assert!(guard.timed_out() && !guard.was_stopped());
    }

    #[test]
    fn a_query_is_stopped_from_another_thread() {
        let connection = Connection::open_in_memory().unwrap();
        let guard = Guard::new(&connection, Some(Duration::from_mins(1))).unwrap();
        let stopper = guard.stopper(&connection);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            stopper.stop();
        });
        let ran = connection.query_row(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
            [],
            |row| row.get::<_, i64>(0),
        );
        thread.join().unwrap();
        assert!(ran.is_err() && guard.was_stopped() && !guard.timed_out());
    }
}
