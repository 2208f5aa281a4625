//! What the public views mean, read from the comments of `migrations/views.sql`.
//!
//! The file is the one source: the `schema` command, docs/schema.md and the hints of SQL errors all
//! come from here. A test compares it with the columns that SQLite itself sees.

use super::VIEWS_SQL;

/// A public view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// What a row of it is.
    pub meaning: String,
    /// Its columns, in order.
    pub columns: Vec<ViewColumn>,
}

/// A column of a public view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewColumn {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub meaning: &'static str,
}

/// All public views, in the order of the file.
pub fn views() -> Vec<View> {
    let mut views: Vec<View> = Vec::new();
    let mut in_meaning = false;
    for line in VIEWS_SQL.lines() {
        if let Some(rest) = line.strip_prefix("CREATE VIEW ") {
            views.push(View {
                name: rest.strip_suffix(" AS").unwrap_or(rest),
                meaning: String::new(),
                columns: Vec::new(),
            });
            in_meaning = true;
            continue;
        }
        let Some(view) = views.last_mut() else {
            continue;
        };
        match line.strip_prefix("-- ") {
            Some(text) if in_meaning => {
                if !view.meaning.is_empty() {
                    view.meaning.push(' ');
                }
                view.meaning.push_str(text);
            }
            _ => {
                in_meaning = false;
                view.columns.extend(column(line));
            }
        }
    }
    views
}

/// `expression AS name, -- meaning`
fn column(line: &'static str) -> Option<ViewColumn> {
    let (code, meaning) = line.split_once(" -- ")?;
    let (_, name) = code.trim_end_matches(',').rsplit_once(" AS ")?;
    Some(ViewColumn { name, meaning })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{PRIVATE_VIEWS_SQL, apply_views, create_tables};

    #[test]
    fn every_view_and_column_that_sqlite_sees_is_described_and_nothing_else() {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        create_tables(&mut connection).unwrap();
        apply_views(&connection).unwrap();
        let mut names: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY rowid")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        names.retain(|name| !PRIVATE_VIEWS_SQL.contains(&format!("CREATE VIEW {name} AS")));
        let described = views();
        assert_eq!(names, described.iter().map(|view| view.name).collect::<Vec<_>>());
        for view in &described {
            let sql = format!("SELECT * FROM {}", view.name);
            let statement = connection.prepare(&sql).unwrap();
            let columns: Vec<&str> = view.columns.iter().map(|column| column.name).collect();
            assert_eq!(statement.column_names(), columns, "{}", view.name);
            assert!(!view.meaning.is_empty(), "{} has no meaning", view.name);
        }
    }
}
