//! Rows of one table, for a new file or for a copy of the last one.
//!
//! A copy has nearly all rows already. Each is compared with what is to be there, column by column, and only what
//! differs is written: whatever the last file says, what a scan leaves in it is what it would put into a new one.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, Rows, Statement};

/// Where rows go, and what is there already.
#[derive(Clone, Copy)]
pub(crate) struct Target<'c> {
    /// Where they are written.
    pub connection: &'c Connection,
    /// The last snapshot, of which the file that is made is a copy; `None` for a new file.
    pub old: Option<&'c Connection>,
}

impl<'c> Target<'c> {
    /// A file in which the tables are empty.
    #[cfg(test)]
    pub fn new(connection: &'c Connection) -> Self {
        Self { connection, old: None }
    }

    /// The old rows of a table whose first `key_columns` columns are its key, all of them integers.
    pub fn old(self, name: &'static str, key_columns: usize) -> rusqlite::Result<OldRows<'c>> {
        let order: Vec<String> = (1..=key_columns).map(|column| column.to_string()).collect();
        let sql = format!("SELECT * FROM {name} ORDER BY {}", order.join(", "));
        let statement = self.old.map(|old| old.prepare(&sql)).transpose()?;
        Ok(OldRows { name, key_columns, connection: self.connection, statement })
    }
}

/// What the last snapshot has in a table.
pub(crate) struct OldRows<'c> {
    name: &'static str,
    key_columns: usize,
    connection: &'c Connection,
    statement: Option<Statement<'c>>,
}

/// The longest key of a table.
const MOST_KEY_COLUMNS: usize = 3;

type Key = [i64; MOST_KEY_COLUMNS];

/// A table that is being filled, in the order of its keys.
pub(crate) struct Table<'t> {
    insert: Statement<'t>,
    old: Option<Rows<'t>>,
    name: &'static str,
    key_columns: usize,
    last: Option<Key>,
    last_old: Option<Key>,
    gone: Vec<Key>,
}

/// Rows that a copy has and that are to go.
#[must_use]
pub(crate) struct Gone {
    name: &'static str,
    key_columns: usize,
    keys: Vec<Key>,
}

impl OldRows<'_> {
    /// Begins to fill the table, whose rows have `columns` columns.
    pub fn table(&mut self, columns: usize) -> rusqlite::Result<Table<'_>> {
        let marks = vec!["?"; columns].join(", ");
        let verb = if self.statement.is_some() { "INSERT OR REPLACE" } else { "INSERT" };
        let sql = format!("{verb} INTO {} VALUES ({marks})", self.name);
        let mut old = self.statement.as_mut().map(|statement| statement.query([])).transpose()?;
        if let Some(old) = &mut old {
            old.advance()?;
        }
        Ok(Table {
            insert: self.connection.prepare(&sql)?,
            old,
            name: self.name,
            key_columns: self.key_columns,
            last: None,
            last_old: None,
            gone: Vec::new(),
        })
    }
}

impl Table<'_> {
    /// Puts the next row.
    pub fn put(&mut self, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
        let Some(old) = &mut self.old else { return self.insert.execute(values).map(drop) };
        let mut key = [0; MOST_KEY_COLUMNS];
        for (part, value) in key.iter_mut().zip(&values[..self.key_columns]) {
            *part = integer(&value.to_sql()?)?;
        }
        // Rows out of order would be taken for gone.
        if self.last.replace(key).is_some_and(|last| last >= key) {
            return Err(out_of_order(self.name));
        }
        while let Some(row) = old.get() {
            let known = key_of(row, self.key_columns)?;
            if known > key {
                break;
            }
            // As a damaged file may have them: a search in the copy would miss some.
            if self.last_old.replace(known).is_some_and(|last| last >= known) {
                return Err(out_of_order(self.name));
            }
            if known == key {
                let mut is_same = true;
                for (column, value) in values.iter().enumerate().skip(self.key_columns) {
                    is_same = is_same && is_equal(&value.to_sql()?, row.get_ref(column)?);
                }
                old.advance()?;
                return if is_same { Ok(()) } else { self.insert.execute(values).map(drop) };
            }
            self.gone.push(known);
            old.advance()?;
        }
        self.insert.execute(values).map(drop)
    }

    /// Ends the table. What the copy has behind the last row goes too.
    pub fn finish(mut self) -> rusqlite::Result<Gone> {
        if let Some(old) = &mut self.old {
            while let Some(row) = old.get() {
                let known = key_of(row, self.key_columns)?;
                if self.last_old.replace(known).is_some_and(|last| last >= known) {
                    return Err(out_of_order(self.name));
                }
                self.gone.push(known);
                old.advance()?;
            }
        }
        Ok(Gone { name: self.name, key_columns: self.key_columns, keys: self.gone })
    }
}

impl Gone {
    /// Deletes them.
    pub fn delete(self, connection: &Connection) -> rusqlite::Result<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let mut columns = Vec::new();
        let described = connection.prepare(&format!("SELECT * FROM {}", self.name))?;
        for column in &described.column_names()[..self.key_columns] {
            columns.push(format!("{column} = ?"));
        }
        let sql = format!("DELETE FROM {} WHERE {}", self.name, columns.join(" AND "));
        let mut delete = connection.prepare(&sql)?;
        for key in &self.keys {
            delete.execute(rusqlite::params_from_iter(&key[..self.key_columns]))?;
        }
        Ok(())
    }
}

fn key_of(row: &Row<'_>, key_columns: usize) -> rusqlite::Result<Key> {
    let mut key = [0; MOST_KEY_COLUMNS];
    for (column, part) in key.iter_mut().take(key_columns).enumerate() {
        *part = row.get(column)?;
    }
    Ok(key)
}

fn integer(value: &ToSqlOutput<'_>) -> rusqlite::Result<i64> {
    match value_ref(value) {
        ValueRef::Integer(number) => Ok(number),
        other => Err(rusqlite::Error::InvalidColumnType(0, "key".into(), other.data_type())),
    }
}

fn value_ref<'v>(value: &'v ToSqlOutput<'_>) -> ValueRef<'v> {
    match value {
        ToSqlOutput::Borrowed(value) => *value,
        ToSqlOutput::Owned(value) => value.into(),
        _ => ValueRef::Null,
    }
}

fn is_equal(value: &ToSqlOutput<'_>, known: ValueRef<'_>) -> bool {
    value_ref(value) == known
}

fn out_of_order(name: &str) -> rusqlite::Error {
    rusqlite::Error::InvalidParameterName(format!("rows of {name} are out of order"))
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, params};

    use super::Target;

    /// Tables whose rows are compared.
    const COMPARED: [&str; 14] = [
        "blob",
        "build_step",
        "image",
        "image_order",
        "layer_link",
        "manifest",
        "media_type",
        "reference",
        "referenced_by",
        "repository",
        "revision",
        "tag",
        "tag_class",
        "tag_entry",
    ];
    /// History, and what is written in a way of its own.
    const KEPT: [&str; 10] = [
        "own_deletion",
        "past_repository",
        "past_scan",
        "pull",
        "pull_coverage",
        "pull_minute",
        "remembered",
        "seen_repository",
        "views_in_file",
        "witness",
    ];

    #[test]
    fn every_table_of_a_copy_is_compared_or_cleared_or_kept() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::db::create_tables(&mut connection).unwrap();
        let cleared = include_str!("sql/clear_copy.sql").lines();
        let cleared =
            cleared.filter_map(|line| line.strip_prefix("DELETE FROM ")?.strip_suffix(';'));
        let mut named: Vec<&str> = cleared.chain(COMPARED).chain(KEPT).collect();
        named.sort_unstable();
        let mut select = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .unwrap();
        let tables = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(named, tables.collect::<rusqlite::Result<Vec<_>>>().unwrap());
    }

    #[test]
    fn a_copy_gets_what_is_new_or_differs_and_loses_what_is_gone() {
        let old = Connection::open_in_memory().unwrap();
        let new = Connection::open_in_memory().unwrap();
        for connection in [&old, &new] {
            let table = "CREATE TABLE t (a INTEGER, b INTEGER, c TEXT, PRIMARY KEY (a, b));
                INSERT INTO t VALUES (1, 1, 'same'), (1, 3, 'gone'), (2, 1, 'other'), (9, 9, NULL)";
            connection.execute_batch(table).unwrap();
        }
        let target = Target { connection: &new, old: Some(&old) };
        let mut rows = target.old("t", 2).unwrap();
        let mut table = rows.table(3).unwrap();
        for (a, b, c) in [(1, 1, "same"), (1, 2, "new"), (2, 1, "differs")] {
            table.put(params![a, b, c]).unwrap();
        }
        assert!(table.put(params![2, 0, "out of order"]).is_err());
        table.finish().unwrap().delete(&new).unwrap();
        let written = "SELECT group_concat(a || b || c) FROM (SELECT * FROM t ORDER BY a, b)";
        let written: String = new.query_row(written, [], |row| row.get(0)).unwrap();
        assert_eq!(written, "11same,12new,21differs");
        assert_eq!(new.total_changes() - old.total_changes(), 4, "two rows put, two deleted");
    }
}
