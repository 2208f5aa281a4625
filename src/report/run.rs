//! Runs one query and streams its rows into a sink.

use std::io;
use std::time::Duration;

use rusqlite::Connection;

use super::header::ColumnSpec;
use super::params::Bound;
use super::query_error::QueryError;
use super::rowset::{Column, End, RowSink, Unit, Value, unique_names};
use crate::db::Guard;

/// One query and how far it may go.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// What messages call it.
    pub name: String,
    /// The statement.
    pub sql: &'a str,
    /// Values for its parameters.
    pub bound: Vec<(String, Bound)>,
    /// What is declared of its columns.
    pub columns: &'a [ColumnSpec],
    /// The most rows to give; `None` for all.
    pub max_rows: Option<u64>,
    /// The time it has, for the message when it is up: the guard keeps the clock.
    pub time_limit: Option<Duration>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The query's fault, or its time was up.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// What it gave could not be written.
    #[error("cannot write the result")]
    Write(#[source] io::Error),
}

/// Runs `query`. When this fails after the first row, the sink was ended all the same.
pub fn run(
    connection: &Connection,
    guard: &Guard,
    query: &Query<'_>,
    sink: &mut dyn RowSink,
) -> Result<End, RunError> {
    let mut statement = connection.prepare(query.sql).map_err(|error| {
        why(guard, query, QueryError::on_prepare(&query.name, query.sql, &error))
    })?;
    if statement.column_count() == 0 {
        return Err(QueryError::without_rows(&query.name, query.sql).into());
    }
    bind(&mut statement, query)?;
    let names = unique_names(&statement.column_names());
    let columns: Vec<Column> = names.into_iter().map(|name| column(name, query.columns)).collect();

    sink.begin(&columns).map_err(RunError::Write)?;
    let mut end = End::default();
    let mut rows = statement.raw_query();
    let failure = loop {
        match rows.next() {
            Ok(None) => break None,
            Ok(Some(_)) if query.max_rows == Some(end.rows) => {
                end.is_cut = true;
                break None;
            }
            Ok(Some(row)) => {
                let values: Vec<Value<'_>> = (0..columns.len())
                    .map(|index| row.get_ref(index).map_or(Value::Null, Value::of))
                    .collect();
                sink.row(&values).map_err(RunError::Write)?;
                end.rows += 1;
            }
            Err(error) => {
                end.is_cut = true;
                break Some(why(guard, query, QueryError::on_step(&query.name, &error)));
            }
        }
    };
    sink.end(end).map_err(RunError::Write)?;
    failure.map_or(Ok(end), |error| Err(error.into()))
}

/// A stop is not a fault of the query.
fn why(guard: &Guard, query: &Query<'_>, otherwise: QueryError) -> QueryError {
    if guard.was_stopped() {
        QueryError::Interrupted
    } else if guard.timed_out() {
        QueryError::TimedOut {
            query: query.name.clone(),
            limit: query.time_limit.unwrap_or_default(),
        }
    } else {
        otherwise
    }
}

fn bind(statement: &mut rusqlite::Statement<'_>, query: &Query<'_>) -> Result<(), QueryError> {
    let mut used = vec![false; query.bound.len()];
    for index in 1..=statement.parameter_count() {
        let parameter = statement.parameter_name(index).unwrap_or("?").to_owned();
        let name = parameter.trim_start_matches([':', '@', '$']);
        let Some(place) = query.bound.iter().position(|(known, _)| known == name) else {
            return Err(QueryError::Unbound { query: query.name.clone(), parameter });
        };
        used[place] = true;
        statement
            .raw_bind_parameter(index, &query.bound[place].1)
            .map_err(|error| QueryError::on_step(&query.name, &error))?;
    }
    match used.iter().position(|used| !used) {
        None => Ok(()),
        Some(place) => Err(QueryError::Unused {
            query: query.name.clone(),
            parameter: query.bound[place].0.clone(),
        }),
    }
}

fn column(name: String, declared: &[ColumnSpec]) -> Column {
    let unit = declared
        .iter()
        .find(|column| column.name == name)
        .map_or_else(|| Unit::of_column_named(&name), |column| column.unit);
    Column { name, unit }
}
