//! A small result in memory, for those who need it whole. Whoever gathers sets a limit.

use std::borrow::Cow;
use std::io;

use super::rowset::{Column, End, RowSink, Value};

/// A result.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each with as many values as there are columns.
    pub rows: Vec<Vec<Value<'static>>>,
}

impl RowSink for Gathered {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.rows.push(values.iter().map(owned).collect());
        Ok(())
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        Ok(())
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Integer(number) => Value::Integer(*number),
        Value::Real(number) => Value::Real(*number),
        Value::Text(text) => Value::Text(Cow::Owned(text.clone().into_owned())),
        Value::Blob(bytes) => Value::Blob(Cow::Owned(bytes.clone().into_owned())),
    }
}
