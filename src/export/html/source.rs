//! Where the page's figures come from: canned reports, and the few queries in `sql/`.

use std::borrow::Cow;

use rusqlite::Connection;

use super::PageError;
use crate::db::Guard;
use crate::report::{
    self, Bound, Catalog, Column, Gathered, Query, Report, Unit, Value, bind_report,
};

/// An opened snapshot, and the built-in reports: the page does not change with a person's own.
pub struct Source<'a> {
    connection: &'a Connection,
    guard: &'a Guard,
    catalog: Catalog,
}

/// A report's rows, and what a reader needs to get them again.
pub struct Answer<'a> {
    /// The report.
    pub report: &'a Report,
    /// Its rows.
    pub result: Gathered,
    /// The command that prints the same rows.
    pub command: String,
    /// The most rows that were asked for, if there was a limit.
    pub limit: Option<u64>,
}

impl<'a> Source<'a> {
    /// Reads from `connection`, which `guard` confines.
    pub fn new(connection: &'a Connection, guard: &'a Guard) -> Self {
        Self { connection, guard, catalog: Catalog::built_in() }
    }

    /// The rows of a canned report, at most `limit` of them if it takes a limit.
    pub fn report(&self, name: &str, limit: u64) -> Result<Answer<'_>, PageError> {
        let report = self.catalog.get(name).map_err(PageError::Catalog)?;
        let has_limit = report.header.params.iter().any(|param| param.name == "limit");
        let limit = has_limit.then_some(limit);
        let given: Vec<String> = limit.iter().map(|limit| format!("limit={limit}")).collect();
        let bound = bind_report(name, &report.header.params, &given).map_err(PageError::Param)?;
        let query = Query {
            name: format!("report `{name}`"),
            sql: &report.sql,
            bound,
            columns: &report.header.columns,
            max_rows: None,
            time_limit: None,
        };
        let mut command = format!("regsql report {name}");
        for text in &given {
            command.push_str(" -p ");
            command.push_str(text);
        }
        Ok(Answer { report, result: self.run(&query)?, command, limit })
    }

    /// The rows of one of the page's own queries.
    pub fn query(
        &self,
        name: &str,
        sql: &str,
        params: &[(&str, i64)],
    ) -> Result<Gathered, PageError> {
        let bound = params.iter();
        self.run(&Query {
            name: format!("query `{name}`"),
            sql,
            bound: bound.map(|(name, value)| ((*name).into(), Bound::Integer(*value))).collect(),
            columns: &[],
            max_rows: None,
            time_limit: None,
        })
    }

    fn run(&self, query: &Query<'_>) -> Result<Gathered, PageError> {
        let mut gathered = Gathered::default();
        report::run(self.connection, self.guard, query, &mut gathered).map_err(PageError::Run)?;
        Ok(gathered)
    }
}

/// A row whose values are asked for by the names of their columns.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    columns: &'a [Column],
    values: &'a [Value<'static>],
}

impl<'a> Row<'a> {
    /// Each row of a result.
    pub fn all(result: &'a Gathered) -> impl Iterator<Item = Self> {
        result.rows.iter().map(|values| Self { columns: &result.columns, values })
    }

    fn value(self, name: &str) -> Option<&'a Value<'static>> {
        let place = self.columns.iter().position(|column| column.name == name)?;
        self.values.get(place)
    }

    /// An integer; 0 where there is none.
    pub fn integer(self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        }
    }

    /// Bytes; a negative number, which only a damaged file holds, is none.
    pub fn bytes(self, name: &str) -> u64 {
        u64::try_from(self.integer(name)).unwrap_or(0)
    }

    /// A text; empty where there is none.
    pub fn text(self, name: &str) -> &'a str {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

/// Figures about the whole storage, by name.
#[derive(Default)]
pub struct Figures {
    values: Vec<(String, i64)>,
}

impl Figures {
    /// From rows of `name` and `value`.
    pub fn of(result: &Gathered) -> Self {
        let rows = Row::all(result);
        Self {
            values: rows.map(|row| (row.text("name").to_owned(), row.integer("value"))).collect(),
        }
    }

    /// A figure; 0 when it is not known.
    pub fn get(&self, name: &str) -> u64 {
        let found = self.values.iter().find(|(known, _)| known == name);
        found.map_or(0, |(_, value)| u64::try_from(*value).unwrap_or(0))
    }
}

/// Whether a column holds a command that a person may type.
pub fn holds_commands(column: &Column) -> bool {
    column.unit == Unit::Text && column.name == "command"
}

/// `text` cut to at most `most` characters, visibly.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text[..end].trim_end())),
    }
}

/// `text` cut so that it takes about `most` bytes of the page at most, whatever stands in it.
pub fn bounded(text: &str, most: usize) -> Cow<'_, str> {
    let mut bytes = 0;
    let end = text.char_indices().find(|(_, char)| {
        bytes += match char {
            // The longest way to write one of these.
            '<' | '>' | '&' | '"' => "&quot;".len(),
            char => char.len_utf8(),
        };
        bytes > most
    });
    match end {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text[..end].trim_end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_what_it_takes_on_the_page() {
        assert_eq!(bounded("team/app", 8), "team/app");
        assert_eq!(bounded("team/apps", 8), "team/app…");
        assert_eq!(bounded("<<<<", 13), "<<…");
        assert_eq!(bounded("日本語", 7), "日本…");
        assert_eq!(cut("日本語", 2), "日本…");
    }
}
